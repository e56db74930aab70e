package migration

import (
	"fmt"
	"time"
)

// body is the bytes of an import request.
type body struct {
	text  string // what makes it the same body
	files []*file
}

type importJob struct {
	url       string
	body      body
	chunk     string
	run       *part
	begun     time.Time
	ends      time.Time
	fate      fate
	off       *file // the file whose books do not balance
	over      bool  // imported, died or cancelled
	cancelled bool
}

// destination imports files. The same body is the same job, dead or alive.
type destination struct {
	*world
	byURL    map[string]*importJob
	byBody   map[string]*importJob
	arrived  map[int]bool
	rejected map[int]bool
	offs     map[string]int
}

// startImport is the kick-off of an import.
func (p *process) startImport(pt *part, c Chunk, b body) (string, error) {
	p.wait()
	d := p.destination
	p.checkImportPost(pt, c, b)
	switch {
	case p.chance(0.05):
		p.met("import server busy")
		return "", errBusy
	case p.chance(0.02):
		return "", errOdd
	case p.chance(0.003):
		return "", errPermanent
	}
	job := d.byBody[b.text]
	if job == nil {
		job = d.begin(pt, c, b)
	} else {
		p.met("same body posted again")
	}
	if p.chance(0.05) {
		p.met("import answer lost")
		return "", errUnknown
	}
	p.wait()
	p.met("import accepted")
	return job.url, nil
}

func (d *destination) begin(pt *part, c Chunk, b body) *importJob {
	job := &importJob{
		url: fmt.Sprintf("https://destination/import/%d", len(d.byURL)+1), body: b, chunk: c.ID, run: pt, begun: d.now,
		ends: d.now.Add(d.between(time.Second, 10*time.Minute)),
	}
	d.byURL[job.url], d.byBody[b.text] = job, job
	switch sum := d.rng.Float64(); {
	case d.calm:
	case sum < 0.06:
		d.met("import job died")
		job.fate = dies
	case sum < 0.08:
		d.met("import job stalled")
		job.fate = stalls
	case sum < 0.09:
		job.fate = vanishes
	case sum < 0.15 && d.offs[c.ID] < 3:
		d.met("import off balance")
		d.offs[c.ID]++
		job.off = b.files[d.rng.IntN(len(b.files))]
	}
	if job.fate != stalls {
		d.at(job.ends, func() { d.end(job) })
	}
	return job
}

// end writes what the job has imported; one that dies or is cancelled has written a part of it.
func (d *destination) end(job *importJob) {
	if job.over {
		return
	}
	job.over = true
	for i, f := range job.body.files {
		if (job.fate != fine || job.cancelled) && i > len(job.body.files)/2 {
			return
		}
		for n, r := range f.items {
			if job.off == f && n == 0 {
				continue
			}
			if d.rejects(r) {
				d.rejected[r.id] = true
			} else {
				d.arrived[r.id] = true
			}
		}
	}
}

func (d *destination) rejects(r resource) bool { return r.bad }

// result tells, for a file of a finished import, how many lines were taken and refused.
func (d *destination) result(job *importJob, f *file) (accepted, rejected int64) {
	for n, r := range f.items {
		switch {
		case job.off == f && n == 0:
		case d.rejects(r):
			rejected += r.lines
		default:
			accepted += r.lines
		}
	}
	return accepted, rejected
}

// total is the result of a whole import.
func (d *destination) total(job *importJob) (accepted, rejected int64) {
	for _, f := range job.body.files {
		a, r := d.result(job, f)
		accepted, rejected = accepted+a, rejected+r
	}
	return accepted, rejected
}

// harmful counts the rejected lines that are no harmless duplicates: at least one of each version that never arrives.
func (d *destination) harmful(job *importJob) (lines int64) {
	for _, f := range job.body.files {
		for n, r := range f.items {
			if d.rejects(r) && !(job.off == f && n == 0) {
				lines += r.lines - int64(r.id%3)*(r.lines-1)/2
			}
		}
	}
	return lines
}

func (p *process) importStatus(url string) (job *importJob, done bool, size int64, err error) {
	if err := p.ask(); err != nil {
		return nil, false, 0, err
	}
	job = p.destination.byURL[url]
	p.checkPoll(job.chunk)
	defer p.wait()
	switch {
	case job.cancelled:
		return job, false, 0, errGone
	case job.fate == stalls:
		return job, false, 1, nil
	case !job.over:
		return job, false, int64(p.world.now.Sub(job.begun)), nil
	case job.fate == dies:
		return job, false, 0, errJobFailed
	case job.fate == vanishes:
		return job, false, 0, errGone
	}
	return job, true, 0, nil
}

func (p *process) cancelImport(url string) error {
	if err := p.ask(); err != nil {
		return err
	}
	if job := p.destination.byURL[url]; !job.over {
		job.cancelled = true
		p.destination.end(job)
	}
	return nil
}
