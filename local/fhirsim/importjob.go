package fhirsim

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// importJob is one $import. Its fields are guarded by Server.mu.
type importJob struct {
	id         int64
	created    time.Time
	start      time.Time // when the coordinator runs
	order      importOrder
	request    string
	state      jobState
	etags      []string // of the inputs when the coordinator looked
	units      []*importUnit
	running    []*importUnit
	waiting    []*importUnit
	ended      time.Time
	failure    *failure
	answerLost bool
	stuck      bool
	etagFault  bool
	doom       *Arm          // the failure of a unit to come
	skip       int           // lines left out at the end of each file
	crowd      map[int64]int // lines by lastUpdated, counted when LimitMillisecond is armed
}

// importUnit is one slice of one input (contract 4.8).
type importUnit struct {
	id       int64
	input    int
	offset   int64
	state    jobState // created, running, completed, failed or cancelled
	tries    int
	end      time.Time
	accepted int
	failed   int
	errorURL string
	leased   bool // it holds the lease on its input
}

var _ job = (*importJob)(nil)

func (j *importJob) open() bool { return j.state == jobCreated || j.state == jobRunning }

// due implements job.
func (j *importJob) due() (time.Time, bool) {
	switch {
	case j.state == jobCreated && !j.stuck:
		return j.start, true
	case j.state == jobRunning && len(j.running) > 0:
		return j.soonest().end, true
	}
	return time.Time{}, false
}

func (j *importJob) soonest() *importUnit {
	return slices.MinFunc(j.running, func(a, b *importUnit) int { return a.end.Compare(b.end) })
}

// work implements job. Only the holder of Server.working changes units, so that a unit's slice is read and
// stored without mu held all the time.
func (j *importJob) work(s *Server, at time.Time) {
	s.mu.Lock()
	fresh := j.state == jobCreated
	var unit *importUnit
	if !fresh {
		unit = j.soonest()
	}
	s.mu.Unlock()
	if fresh {
		j.coordinate(s, at)
		return
	}
	result, err := s.runUnit(j, unit)
	s.mu.Lock()
	defer s.mu.Unlock()
	j.finishUnit(s, unit, result, err, at)
}

// fail ends the job: one failed unit cancels the whole group, nothing is rolled back (contract 5.4).
func (j *importJob) fail(s *Server, at time.Time, f failure) {
	if !j.open() {
		return
	}
	j.failure, j.state, j.ended = &f, jobFailed, at
	j.stopUnits(s)
}

func (j *importJob) stopUnits(s *Server) {
	for _, u := range j.units {
		j.release(s, u)
		if u.state == jobCreated || u.state == jobRunning {
			u.state = jobCancelled
		}
	}
	j.running, j.waiting = nil, nil
}

var containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$`)

// coordinate checks the inputs and cuts them into slices in random order (contract 4.8).
func (j *importJob) coordinate(s *Server, at time.Time) {
	sizes, etags, failed := j.inspect(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !j.open() {
		return
	}
	j.state, j.etags = jobRunning, etags
	if failed != nil {
		j.fail(s, at, *failed)
		return
	}
	for i, size := range sizes {
		for offset := int64(0); offset == 0 || offset < size; offset += j.order.SliceBytes {
			j.units = append(j.units, &importUnit{input: i, offset: offset, state: jobCreated})
		}
	}
	s.rng.Shuffle(len(j.units), func(a, b int) { j.units[a], j.units[b] = j.units[b], j.units[a] })
	for _, u := range j.units {
		u.id = s.newID(at)
		u.end = time.Time{}
	}
	j.waiting = slices.Clone(j.units)
	j.startUnits(s, at, sizes)
}

// inspect looks at every input: existence and etag are found out only here (S24).
func (j *importJob) inspect(s *Server) (sizes []int64, etags []string, failed *failure) {
	if name := j.order.ErrorContainer; name != "" && !containerName.MatchString(name) {
		return nil, nil, &failure{400, "The error container name is not valid."}
	}
	for _, input := range j.order.Inputs {
		container, name, ok := splitBlobURL(s.opt.Blobs, input.URL)
		info, err := BlobInfo{}, error(ErrBlobNotFound)
		if ok {
			info, err = s.opt.Blobs.Stat(context.Background(), container, name)
		}
		if errors.Is(err, ErrBlobNotFound) {
			return nil, nil, &failure{404, "The specified blob does not exist. " + input.URL}
		}
		if err != nil {
			return nil, nil, &failure{403, "This request is not authorized to perform this operation. " + input.URL}
		}
		have := info.Etag
		if s.opt.EtagUnquoted {
			have = strings.Trim(have, `"`)
		}
		if j.etagFault || input.Etag != "" && input.Etag != have {
			return nil, nil, &failure{400, "Input file Etag not match. " + input.URL}
		}
		sizes, etags = append(sizes, info.Size), append(etags, info.Etag)
	}
	return sizes, etags, nil
}

// startUnits hands waiting units to free workers. The caller holds mu.
func (j *importJob) startUnits(s *Server, at time.Time, sizes []int64) {
	for len(j.running) < s.opt.Workers && len(j.waiting) > 0 {
		u := j.waiting[0]
		j.waiting = j.waiting[1:]
		u.state = jobRunning
		bytes := j.order.SliceBytes
		if sizes != nil {
			bytes = min(bytes, sizes[u.input]-u.offset)
		}
		u.end = at.Add(s.opt.workTime(int(max(bytes, 1000)/1000), s.opt.ImportRate))
		j.running = append(j.running, u)
		j.lease(s, u)
	}
}

// lease takes the lease on the unit's input, unless somebody has it: then the unit runs without (contract 4.8).
func (j *importJob) lease(s *Server, u *importUnit) {
	if !s.opt.LeaseInputs {
		return
	}
	container, name, _ := splitBlobURL(s.opt.Blobs, j.order.Inputs[u.input].URL)
	u.leased = s.opt.Blobs.Lease(context.Background(), container, name) == nil
}

// release gives the lease back. A blob that is gone has none.
func (j *importJob) release(s *Server, u *importUnit) {
	if !u.leased {
		return
	}
	u.leased = false
	container, name, _ := splitBlobURL(s.opt.Blobs, j.order.Inputs[u.input].URL)
	if err := s.opt.Blobs.BreakLease(context.Background(), container, name); err != nil && !errors.Is(err, ErrBlobNotFound) {
		panic(fmt.Sprintf("fhirsim: release the lease on %s: %v", name, err)) // a test that needs it must not pass
	}
}

// finishUnit books a unit's result. The caller holds mu.
func (j *importJob) finishUnit(s *Server, u *importUnit, result unitResult, err error, at time.Time) {
	if !j.open() {
		return // cancelled meanwhile; what was stored stays
	}
	var fatal *unitFailure
	switch {
	case errors.As(err, &fatal):
		u.state = jobFailed
		j.running = slices.DeleteFunc(j.running, func(r *importUnit) bool { return r == u })
		j.fail(s, at, failure{fatal.status, fatal.reason + " ErrorFile: " + j.order.Inputs[u.input].URL})
		return
	case err != nil: // storage trouble: the unit runs again
		u.end = at.Add(s.opt.scaled(heartbeatTimeout))
		if u.tries++; u.tries > maxUnitTries {
			j.fail(s, at, failure{500, "InternalServerError"})
		}
		return
	}
	j.release(s, u)
	u.state, u.accepted, u.failed, u.errorURL = jobCompleted, result.accepted, result.failed, result.errorURL
	j.running = slices.DeleteFunc(j.running, func(r *importUnit) bool { return r == u })
	j.startUnits(s, at, nil)
	if len(j.running) == 0 {
		j.state, j.ended = jobCompleted, at
	}
}

// unitFailure is an end of a unit that ends the job.
type unitFailure struct {
	status int
	reason string
}

func (f *unitFailure) Error() string { return fmt.Sprintf("%d %s", f.status, f.reason) }
