package migration

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// What a server answers instead of what was asked.
var (
	errBusy       = errors.New("busy")
	errUnknown    = errors.New("no answer")
	errOdd        = errors.New("502")
	errPermanent  = errors.New("400")
	errJobFailed  = errors.New("job failed")
	errThrottled  = errors.New("job throttled")
	errTooLarge   = errors.New("job too large")
	errGone       = errors.New("404")
	errOverflow   = errors.New("too many to count")
	errDeprecated = errors.New("counts are refused")
)

// resource is one version at the source.
type resource struct {
	id      int
	kind    string
	stamp   time.Time // by the source's clock
	visible time.Time // true time from which the source shows it
	lines   int64     // how much it weighs: large numbers without large lists
	bad     bool      // the destination rejects it
}

// fate is how a job goes.
type fate int

const (
	fine fate = iota
	dies
	throttled
	stalls
	vanishes
	emptied // an export that ends well with nothing in it
	shorted // an export that ends well with a file less
)

type exportJob struct {
	url       string
	chunk     Chunk
	files     []*file
	ends      time.Time
	fate      fate
	cancelled bool
	early     int            // 200 answers that still lack a file
	equal     map[string]int // 200 answers by manifest, since a 202 was saved
	begun     time.Time
}

type file struct {
	url   string
	kind  string
	items []resource
	lines int64
	gone  bool
	job   *exportJob
}

type manifest struct {
	digest string
	files  []*file
}

func (m manifest) lines() (all, skipped int64) {
	for _, f := range m.files {
		all += f.lines
		if f.kind == searchParameter {
			skipped += f.lines
		}
	}
	return all, skipped
}

const searchParameter = "SearchParameter"

// source holds resources and exports them.
type source struct {
	*world
	kinds      []string
	data       []resource
	jobs       map[string]*exportJob
	deprecated bool
	most       int64          // lines that one export can hold
	lied       map[string]int // how often an export of the chunk was emptied or shortened
}

// write adds a version, stamped with the source's clock; some are shown a little later.
func (s *source) write(stamp time.Time) {
	r := resource{id: len(s.data), kind: s.kinds[s.rng.IntN(len(s.kinds))], stamp: stamp, visible: s.now, lines: 1 + s.rng.Int64N(6)}
	if s.rng.IntN(5) == 0 && !s.rules.exclusive {
		r.stamp = r.stamp.Add(time.Duration(s.rng.IntN(1000)) * time.Microsecond) // gen1 keeps ticks
	} else {
		r.stamp = r.stamp.Truncate(Instant)
	}
	if s.rng.IntN(4) == 0 && stamp.Equal(s.sourceNow()) {
		r.visible = s.now.Add(s.between(0, s.rules.settle-time.Second))
	}
	r.bad = s.rng.IntN(25) == 0
	s.data = append(s.data, r)
}

func (s *source) shown(kind string, in func(time.Time) bool) []resource {
	var out []resource
	for _, r := range s.data {
		if (kind == "" || r.kind == kind) && !r.visible.After(s.now) && in(r.stamp) {
			out = append(out, r)
		}
	}
	return out
}

// ask is a request that is not a kick-off: it takes its time and may fail.
func (p *process) ask() error {
	p.wait()
	switch {
	case p.chance(0.02):
		return errOdd
	case p.chance(0.02):
		return errBusy
	}
	return nil
}

// date is the source's clock as its Date header tells it: whole seconds.
func (p *process) date() (time.Time, error) {
	err := p.ask()
	return p.sourceNow().Truncate(time.Second), err
}

func (p *process) oldest() (time.Time, bool, error) {
	if err := p.ask(); err != nil {
		return time.Time{}, false, err
	}
	if p.source.deprecated {
		return time.Time{}, false, errDeprecated
	}
	shown := p.source.shown("", func(time.Time) bool { return true })
	if len(shown) == 0 {
		return time.Time{}, false, nil
	}
	return slices.MinFunc(shown, func(a, b resource) int { return a.stamp.Compare(b.stamp) }).stamp, true, nil
}

// count counts versions from since on and before another instant.
func (p *process) count(run Run, kind string, win Window) (int64, error) {
	if err := p.ask(); err != nil {
		return 0, err
	}
	if p.source.deprecated {
		p.met("counts refused")
		return 0, errDeprecated
	}
	if p.chance(0.03) {
		p.met("count overflowed")
		return 0, errOverflow
	}
	before := win.Till
	if win.Till.Equal(run.End) {
		before = before.Add(Instant)
	}
	var n int64
	for _, r := range p.source.shown(kind, func(t time.Time) bool { return !t.Before(win.Since) && t.Before(before) }) {
		n += r.lines
	}
	return n, nil
}

// startExport is the kick-off. Types nil: all that the source has.
func (p *process) startExport(c Chunk, types []string, win Window) (string, error) {
	p.wait()
	s := p.source
	p.checkExportPost(c)
	switch {
	case p.chance(0.05):
		p.met("export server busy")
		return "", errBusy
	case p.chance(0.02):
		return "", errOdd
	case p.chance(0.003):
		return "", errPermanent
	}
	job := &exportJob{
		url: fmt.Sprintf("https://source/export/%d", len(s.jobs)+1), chunk: c, begun: p.world.now, equal: map[string]int{},
		ends: p.world.now.Add(s.between(time.Second, 8*time.Minute)),
	}
	s.jobs[job.url] = job
	job.files = s.export(job, types, win)
	job.fate = s.fateOf(c, job)
	if len(job.files) > 0 && s.chance(0.15) {
		p.met("export short at first")
		job.early = 1 + s.rng.IntN(s.rules.limits.Confirmations-1)
	}
	if p.chance(0.03) {
		p.met("export answer lost")
		return "", errUnknown
	}
	p.wait()
	p.met("export accepted")
	return job.url, nil
}

func (s *source) fateOf(c Chunk, job *exportJob) fate {
	all, _ := manifest{files: job.files}.lines()
	sum := s.rng.Float64()
	switch {
	case all > s.most && !s.calm:
		return throttled
	case s.calm:
		return fine
	case sum < 0.05:
		s.met("export job died")
		return dies
	case sum < 0.07:
		return throttled
	case sum < 0.08:
		s.met("export job stalled")
		return stalls
	case sum < 0.09:
		return vanishes
	}
	// A lie that nothing could tell from the truth is not told: each chunk is lied to once, and only where the rules can
	// see it.
	if s.lied[c.ID] > 0 || all == 0 || sum > 0.2 {
		return fine
	}
	s.lied[c.ID]++
	_, skipped := manifest{files: job.files}.lines()
	if sum < 0.15 {
		s.met("export empty by mistake")
		return emptied
	}
	if len(job.files) > 1 && all-skipped == c.Expected && skipped == 0 {
		s.met("export short by mistake")
		return shorted
	}
	return fine
}

// export makes the files of a job: at most four versions of one type in each.
func (s *source) export(job *exportJob, types []string, win Window) []*file {
	in := win.Contains
	if s.rules.exclusive {
		in = func(t time.Time) bool { return !t.Before(win.Since) && t.Before(win.Till) }
	}
	var files []*file
	for _, kind := range s.kinds {
		if types != nil && !slices.Contains(types, kind) {
			continue
		}
		for i, r := range s.shown(kind, in) {
			if i%4 == 0 {
				files = append(files, &file{url: fmt.Sprintf("%s/%s-%d", job.url, kind, i), kind: kind, job: job})
			}
			f := files[len(files)-1]
			f.items, f.lines = append(f.items, r), f.lines+r.lines
		}
	}
	return files
}

// exportStatus polls a job: done with a manifest, or not.
func (p *process) exportStatus(url string) (done bool, m manifest, size int64, err error) {
	if err := p.ask(); err != nil {
		return false, m, 0, err
	}
	job := p.source.jobs[url]
	p.checkPoll(job.chunk.ID)
	defer p.wait()
	switch {
	case job.cancelled:
		return true, job.answer(manifest{digest: "nothing"}), 0, nil
	case job.fate == stalls, p.world.now.Before(job.ends), p.chance(0.02):
		if job.fate == stalls {
			return false, m, 1, nil
		}
		return false, m, int64(p.world.now.Sub(job.begun)), nil
	case job.fate == dies:
		return false, m, 0, errJobFailed
	case job.fate == throttled && p.rng.IntN(3) == 0:
		return false, m, 0, errTooLarge
	case job.fate == throttled:
		return false, m, 0, errThrottled
	case job.fate == vanishes:
		return false, m, 0, errGone
	case job.early > 0:
		job.early--
		return true, job.answer(manifest{digest: "early", files: job.files[1:]}), 0, nil
	}
	return true, job.answer(job.truth()), 0, nil
}

// truth is the manifest that the job ends with.
func (j *exportJob) truth() manifest {
	switch j.fate {
	case emptied:
		return manifest{digest: "empty"}
	case shorted:
		return manifest{digest: "short", files: j.files[1:]}
	}
	return manifest{digest: "all", files: j.files}
}

// least is what the job must have exported: what lies on its upper edge is the next window's too, but for the last one.
func (j *exportJob) least(end time.Time) (lines int64) {
	for _, f := range j.files {
		for _, r := range f.items {
			if f.kind != searchParameter && (r.stamp.Before(j.chunk.Window.Till) || j.chunk.Window.Till.Equal(end)) {
				lines += r.lines
			}
		}
	}
	return lines
}

func (j *exportJob) answer(m manifest) manifest {
	j.equal[m.digest]++
	return m
}

func (p *process) cancelExport(url string) error {
	if err := p.ask(); err != nil {
		return err
	}
	p.source.jobs[url].cancelled = true
	return nil
}
