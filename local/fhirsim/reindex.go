package fhirsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reindexJob is one $reindex (contract 8.3). Its fields are guarded by Server.mu.
type reindexJob struct {
	id       int64
	created  time.Time
	start    time.Time // when it runs
	end      time.Time // when it is through, known once it runs
	ended    time.Time
	modified time.Time
	state    jobState
	total    int
	urls     []string // of the parameters it enables
	types    []string
	request  string
	stuck    bool
	doom     *Arm
	reason   string
}

var _ job = (*reindexJob)(nil)

func (j *reindexJob) open() bool { return j.state == jobCreated || j.state == jobRunning }

// due implements job.
func (j *reindexJob) due() (time.Time, bool) {
	switch {
	case j.state == jobCreated:
		return j.start, true
	case j.state == jobRunning && !j.stuck:
		return j.end, true
	}
	return time.Time{}, false
}

// work implements job.
func (j *reindexJob) work(s *Server, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !j.open() {
		return
	}
	j.modified = at
	if j.state == jobCreated {
		j.state = jobRunning
		j.plan(s)
		j.end = at.Add(s.opt.workTime(j.total, s.opt.ReindexRate))
		return
	}
	j.ended = at
	if j.doom != nil {
		j.state, j.reason = jobFailed, j.doom.Text
		return
	}
	j.state = jobCompleted
	s.enableStored()
}

// plan finds the rows to go through: those of the types that a parameter not yet in use is for. The caller
// holds mu.
func (j *reindexJob) plan(s *Server) {
	types := map[string]bool{}
	for _, d := range s.storedDefinitions() {
		if before, enabled := s.enabled[d.URL]; enabled && before.same(d) || d.URL == "" {
			continue
		}
		j.urls = append(j.urls, d.URL)
		for _, name := range s.types {
			types[name] = types[name] || d.appliesTo(name)
		}
	}
	maps.DeleteFunc(types, func(_ string, wanted bool) bool { return !wanted })
	j.types = slices.Sorted(maps.Keys(types))
	slices.Sort(j.urls)
	for _, name := range j.types {
		if t := s.tables[name]; t != nil {
			j.total += t.live
		}
	}
}

// activeReindex is the job that is queued or runs; there is one at most. The caller holds mu.
func (s *Server) activeReindex() *reindexJob {
	if i := slices.IndexFunc(s.reindexes, (*reindexJob).open); i >= 0 {
		return s.reindexes[i]
	}
	return nil
}

// startReindex answers POST /$reindex: 201, with the active job when there is one.
func (s *Server) startReindex(c *call) answer {
	if prefer := c.Header.Values("Prefer"); len(prefer) > 0 && strings.Join(prefer, ",") != "respond-sync" {
		return invalid(c, `Value supplied, %s,  for the "Prefer" header is not supported.`, strings.Join(prefer, ","))
	}
	if refused := refuseMedia(c); refused != nil {
		return *refused
	}
	var body struct{ ResourceType string }
	if err := json.Unmarshal(c.content, &body); err != nil || body.ResourceType != "Parameters" {
		return invalid(c, "The body of a reindex request must be a Parameters resource.")
	}
	base := s.baseURL(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.activeReindex()
	if j == nil {
		j = &reindexJob{id: s.newID(c.now), created: c.now, modified: c.now, start: c.now.Add(s.queueDelay()),
			state: jobCreated, request: base + c.URL.RequestURI()}
		_, j.stuck = s.faults.strike(faultStickReindex, c)
		if arm, hit := s.faults.strike(faultFailReindex, c); hit {
			j.doom = &arm
		}
		s.reindexes = append(s.reindexes, j)
	}
	a := j.answer(c, http.StatusCreated)
	return a.with("Content-Location", fmt.Sprintf("%s/_operations/reindex/%d", base, j.id))
}

// refuseMedia refuses a body that is not declared as JSON of FHIR.
func refuseMedia(c *call) *answer {
	if kind := c.Header.Get("Content-Type"); !strings.Contains(kind, fhirJSON) && !strings.Contains(kind, plainJSON) {
		a := outcome(c.now, http.StatusUnsupportedMediaType, "not-supported",
			fmt.Sprintf(`The "Content-Type" header '%s' is not supported.`, kind))
		return &a
	}
	return nil
}

// showReindex answers GET /$reindex: the active job, or 405.
func (s *Server) showReindex(c *call) answer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if j := s.activeReindex(); j != nil {
		return j.answer(c, http.StatusOK)
	}
	return methodNotAllowed(c)
}

func (s *Server) findReindex(c *call) *reindexJob {
	id, err := strconv.ParseInt(c.path[2], 10, 64)
	i := slices.IndexFunc(s.reindexes, func(j *reindexJob) bool { return j.id == id })
	if err != nil || i < 0 {
		return nil
	}
	return s.reindexes[i]
}

// reindexStatus answers GET _operations/reindex/{id}: 200 in every state of a known job. The answer for an
// unknown one is not in the contract.
func (s *Server) reindexStatus(c *call) answer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if j := s.findReindex(c); j != nil {
		return j.answer(c, http.StatusOK)
	}
	return outcome(c.now, http.StatusNotFound, "not-found", fmt.Sprintf("The requested job %q was not found.", c.path[2]))
}

// cancelReindex answers DELETE _operations/reindex/{id}: 202, or 400 when it is finished.
func (s *Server) cancelReindex(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.findReindex(c)
	switch {
	case j == nil:
		return outcome(c.now, http.StatusNotFound, "not-found", fmt.Sprintf("The requested job %q was not found.", c.path[2]))
	case !j.open():
		return invalid(c, "Reindex job %d is finished and cannot be cancelled.", j.id)
	}
	j.state, j.ended, j.modified = jobCancelled, c.now, c.now
	a := j.answer(c, http.StatusAccepted)
	return a
}

// status is the word of the status parameter.
func (j *reindexJob) status() string {
	return map[jobState]string{jobCreated: "Queued", jobRunning: "Running", jobCompleted: "Completed",
		jobFailed: "Failed", jobCancelled: "Canceled"}[j.state]
}

// done is how many resources are through by now: in proportion to the time, half of them when stuck or failed.
func (j *reindexJob) done(now time.Time) int {
	switch {
	case j.state == jobCompleted:
		return j.total
	case j.state == jobCreated || j.end.IsZero():
		return 0
	case j.stuck || j.state == jobFailed:
		return j.total / 2
	case j.state == jobCancelled:
		now = j.ended
	}
	begun := j.end.Add(-max(j.end.Sub(j.start), 1))
	share := float64(now.Sub(begun)) / float64(j.end.Sub(begun))
	return int(float64(j.total) * min(max(share, 0), 1))
}

func (j *reindexJob) answer(c *call, status int) answer {
	var list []map[string]any
	add := func(name, kind string, value any) {
		list = append(list, map[string]any{"name": name, kind: value})
	}
	instant := func(name string, at time.Time) {
		if !at.IsZero() {
			add(name, "valueDateTime", formatInstant(at.Truncate(time.Millisecond).UnixNano()))
		}
	}
	add("id", "valueString", strconv.FormatInt(j.id, 10))
	if j.state != jobCreated {
		instant("startTime", j.start)
	}
	instant("endTime", j.ended)
	instant("lastModified", j.modified)
	instant("queuedTime", j.created)
	done := j.done(c.now)
	progress := 0.0
	if j.total > 0 {
		progress = math.Floor(float64(done)*1000/float64(j.total)) / 10
	} else if j.state == jobCompleted {
		progress = 100
	}
	add("totalResourcesToReindex", "valueDecimal", j.total)
	add("resourcesSuccessfullyReindexed", "valueDecimal", done)
	add("progress", "valueDecimal", progress)
	add("status", "valueString", j.status())
	add("maximumNumberOfResourcesPerQuery", "valueDecimal", 10000)
	add("maximumNumberOfResourcesPerWrite", "valueDecimal", 1000)
	for name, values := range map[string][]string{"resources": j.types, "searchParams": j.urls} {
		if len(values) > 0 {
			add(name, "valueString", strings.Join(values, ","))
		}
	}
	if j.reason != "" {
		add("failureDetails", "valueString", j.reason)
	}
	return jsonAnswer(status, fhirJSON, map[string]any{"resourceType": "Parameters",
		"id": strconv.FormatInt(j.id, 10), "parameter": list})
}
