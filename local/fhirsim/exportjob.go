package fhirsim

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"
)

type jobState string

const (
	jobCreated    jobState = "created" // the coordinator waits in the queue or runs
	jobRunning    jobState = "running" // units run
	jobCompleted  jobState = "completed"
	jobFailed     jobState = "failed"
	jobCancelled  jobState = "cancelled"       // by the client
	jobSystemStop jobState = "systemCancelled" // by the service (F8)
)

// failure is the stored end of a failed job.
type failure struct {
	status int
	reason string
}

// exportJob is one $export. Its fields are guarded by Server.mu.
type exportJob struct {
	id         int64
	created    time.Time
	start      time.Time // when the coordinator runs
	order      exportOrder
	window     span
	request    string
	container  string
	folder     string
	state      jobState
	waiting    []*chain
	running    []*chain
	files      []exportFile
	lastUnit   time.Time // when the last unit ended
	ended      time.Time
	failure    *failure
	answerLost bool
	shown      int // full 200 answers so far
	exportFaults
}

// exportFaults are the misbehaviours a job was born with.
type exportFaults struct {
	stuck, forget, systemCancel   bool
	lose, truncate, change, empty bool
	doom                          *Arm // the failure to come
	partial                       int  // partial manifests still to show
	pauseAfterPartial             bool
}

type exportFile struct {
	typ, name string
	count     int
}

// chain is a row of units that run one after another: each page is a unit of its own (contract 1.8).
type chain struct {
	rows  []*row
	unit  int64
	tries int
	end   time.Time // when the running unit ends
}

func (j *exportJob) open() bool { return j.state == jobCreated || j.state == jobRunning }

// due implements job.
func (j *exportJob) due() (time.Time, bool) {
	if j.state == jobCreated {
		return j.start, true
	}
	if j.stuck || len(j.running) == 0 || j.state != jobRunning && j.state != jobFailed {
		return time.Time{}, false
	}
	return j.soonest().end, true
}

func (j *exportJob) soonest() *chain {
	return slices.MinFunc(j.running, func(a, b *chain) int { return a.end.Compare(b.end) })
}

// work implements job.
func (j *exportJob) work(s *Server, at time.Time) {
	s.mu.Lock()
	if j.state == jobCreated {
		s.mu.Unlock()
		failed := j.prepare(s)
		s.mu.Lock()
		defer s.mu.Unlock()
		if j.state == jobCreated {
			j.coordinate(s, at, failed)
		}
		return
	}
	unit := j.soonest()
	page := j.page(s, unit)
	s.mu.Unlock()

	written, err := j.write(s, unit, page)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		j.restart(s, unit, at)
		return
	}
	j.files = append(j.files, written...)
	j.finishUnit(s, unit, at)
}

// prepare reads what the job needs from the storage account.
func (j *exportJob) prepare(s *Server) *failure {
	if j.order.anonymized == nil {
		return nil
	}
	return j.order.anonymized.load(s.opt.Blobs)
}

// coordinate plans the units and starts the first ones, unless preparing has failed. The caller holds mu.
func (j *exportJob) coordinate(s *Server, at time.Time, failed *failure) {
	j.state, j.lastUnit = jobRunning, at
	if j.stuck {
		return
	}
	if failed != nil {
		j.fail(at, *failed)
		return
	}
	if j.systemCancel {
		j.state, j.ended = jobSystemStop, at
		return
	}
	if j.order.group != "" {
		group := s.table("Group").heads[j.order.group]
		if group == nil {
			j.fail(at, failure{400, "Group " + j.order.group + " was not found."})
			return
		}
		j.order.members = patientReference.FindAllString(string(group.body), -1)
	}
	j.waiting = s.exportChains(j)
	j.startUnits(s, at)
	if len(j.running) == 0 {
		j.complete(at)
	}
}

func (j *exportJob) fail(at time.Time, f failure) {
	if j.failure == nil {
		j.failure, j.state, j.ended = &f, jobFailed, at
	}
}

// complete ends a job without work left. The caller holds mu.
func (j *exportJob) complete(at time.Time) {
	if j.meetDoom(at) || j.state != jobRunning {
		return
	}
	j.state, j.ended = jobCompleted, at
}

// meetDoom lets the armed failure strike.
func (j *exportJob) meetDoom(at time.Time) bool {
	if j.doom == nil {
		return false
	}
	arm := j.doom
	j.doom = nil
	j.fail(at, failure{arm.Status, arm.Text})
	return true
}

// startUnits hands waiting chains to free workers. The caller holds mu.
func (j *exportJob) startUnits(s *Server, at time.Time) {
	for len(j.running) < s.opt.Workers && len(j.waiting) > 0 {
		next := j.waiting[0]
		j.waiting = j.waiting[1:]
		j.running = append(j.running, next)
		j.startPage(s, next, at)
	}
}

func (j *exportJob) startPage(s *Server, c *chain, at time.Time) {
	c.unit, c.tries = s.newID(at), 0
	c.end = at.Add(s.opt.workTime(min(len(c.rows), j.order.maxCount), s.opt.ExportRate))
}

// restart gives the unit to another worker once its heartbeat has timed out (contract 1.8). The caller holds mu.
func (j *exportJob) restart(s *Server, c *chain, at time.Time) {
	c.unit = s.newID(at)
	c.end = at.Add(s.opt.scaled(heartbeatTimeout))
	if c.tries++; c.tries > maxUnitTries {
		j.running = slices.DeleteFunc(j.running, func(r *chain) bool { return r == c })
		j.fail(at, failure{500, "Job has been retried too many times."})
	}
}

// finishUnit goes on after a page. The caller holds mu.
func (j *exportJob) finishUnit(s *Server, c *chain, at time.Time) {
	j.lastUnit = at
	c.rows = c.rows[min(len(c.rows), j.order.maxCount):]
	if j.meetDoom(at) {
		c.rows = nil // a failed page enqueues no next one
	}
	if len(c.rows) > 0 && j.state != jobCancelled {
		j.startPage(s, c, at)
		return
	}
	j.running = slices.DeleteFunc(j.running, func(r *chain) bool { return r == c })
	if j.state == jobCancelled {
		return
	}
	j.startUnits(s, at)
	if len(j.running) == 0 {
		j.complete(at)
	}
}

// exportChains lays out the units of contract 1.8. The caller holds mu.
func (s *Server) exportChains(j *exportJob) []*chain {
	var tables []*table
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		if len(j.order.types)+len(j.order.unknown) == 0 || slices.Contains(j.order.types, name) {
			tables = append(tables, s.tables[name])
		}
	}
	if !j.order.parallel {
		var all []*row
		for _, t := range tables {
			all = append(all, s.candidates(j, t)...)
		}
		slices.SortFunc(all, compareRows)
		return chainsOf(all, len(all))
	}
	var chains []*chain
	for _, t := range observationFirst(tables) {
		rows := slices.Clone(s.candidates(j, t))
		if s.opt.Generation == Gen2 {
			chains = append(chains, chainsOf(rows, j.order.maxCount)...)
			continue
		}
		parts := make([][]*row, s.opt.Partitions)
		for _, r := range rows {
			p := partition(r.id, s.opt.Partitions)
			parts[p] = append(parts[p], r)
		}
		for _, part := range parts {
			chains = append(chains, chainsOf(part, len(part))...)
		}
	}
	return chains
}

func observationFirst(tables []*table) []*table {
	slices.SortStableFunc(tables, func(a, b *table) int {
		return boolToInt(b.name == "Observation") - boolToInt(a.name == "Observation")
	})
	return tables
}

func partition(id string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash never fails
	return int(h.Sum32() % uint32(n))
}

func chainsOf(rows []*row, size int) []*chain {
	var chains []*chain
	for len(rows) > 0 {
		n := min(size, len(rows))
		chains = append(chains, &chain{rows: rows[:n:n]})
		rows = rows[n:]
	}
	return chains
}

// candidates are the rows that pages are cut from: a gen2 range holds every version, other pages only what
// is wanted. Each page looks again when it is read. The caller holds mu.
func (s *Server) candidates(j *exportJob, t *table) []*row {
	rows := t.within(j.window)
	if s.opt.Generation == Gen2 && j.order.parallel {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return !s.wanted(j, r) })
}

// wanted says whether a version belongs into the export as the store is now (contract 1.4 and 3).
func (s *Server) wanted(j *exportJob, r *row) bool {
	if r.gone || r.deleted && !j.order.deleted {
		return false
	}
	if !j.order.history {
		newest := r.table.heads[r.id]
		if s.opt.Generation == Gen2 && j.order.parallel {
			newest = r.table.asOf(r.id, j.window.to)
		}
		if newest != r {
			return false
		}
	}
	return j.order.matches(r)
}

// page renders the next page of a chain: lines by type. The caller holds mu.
func (j *exportJob) page(s *Server, c *chain) map[string]*pageFile {
	files := map[string]*pageFile{}
	for _, r := range c.rows[:min(len(c.rows), j.order.maxCount)] {
		if !s.wanted(j, r) {
			continue
		}
		f := files[r.table.name]
		if f == nil {
			f = &pageFile{}
			files[r.table.name] = f
		}
		if a := j.order.anonymized; a == nil {
			f.data = r.appendJSON(f.data)
		} else {
			f.data = append(f.data, a.apply(r.table.name, r.appendJSON(nil))...)
		}
		f.data = append(f.data, s.opt.Newline...)
		f.ends = append(f.ends, len(f.data))
	}
	return files
}

// pageFile is the content of one file; ends are the offsets after each line.
type pageFile struct {
	data []byte
	ends []int
}

// write stores the files of one unit. An error means that the unit has to be restarted.
func (j *exportJob) write(s *Server, c *chain, page map[string]*pageFile) ([]exportFile, error) {
	ctx := context.Background()
	if err := s.opt.Blobs.CreateContainer(ctx, j.container); err != nil {
		return nil, err
	}
	_, dies := s.faults.take(faultRestartExportUnit, "")
	var written []exportFile
	for _, name := range slices.Sorted(maps.Keys(page)) {
		f := page[name]
		file := exportFile{name, fmt.Sprintf("%s%s-%d-1.ndjson", j.folder, name, c.unit), len(f.ends)}
		data := s.disfigure(f, s.opt.Newline)
		if dies {
			data = f.data[:len(f.data)/2]
		}
		if err := s.opt.Blobs.Put(ctx, j.container, file.name, data); err != nil {
			return nil, err
		}
		written = append(written, file)
	}
	if dies {
		return nil, fmt.Errorf("unit %d of export %d died", c.unit, j.id)
	}
	return written, nil
}

// disfigure applies the faults of F33 to a file.
func (s *Server) disfigure(f *pageFile, newline string) []byte {
	data := f.data
	if _, hit := s.faults.take(faultEmptyLines, ""); hit {
		data = nil
		start := 0
		for _, end := range f.ends {
			data = append(append(data, f.data[start:end]...), newline...)
			start = end
		}
	}
	if _, hit := s.faults.take(faultByteOrderMark, ""); hit {
		data = append([]byte("\xef\xbb\xbf"), data...)
	}
	return data
}
