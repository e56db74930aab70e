package fhirsim

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// startExport answers GET $export (contract 1).
func (s *Server) startExport(c *call) answer {
	if problem := exportHeaderProblem(c.Header); problem != "" {
		return invalid(c, "%s", problem)
	}
	order, err := s.readExportOrder(c)
	if err != nil {
		return invalid(c, "%s", err)
	}
	if arm, hit := s.faults.strike(faultThrottleKickoff, c); hit {
		return busy(arm)
	}
	base := s.baseURL(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &exportJob{id: s.newID(c.now), created: c.now, start: c.now.Add(s.queueDelay()), order: order,
		window: s.window(order, c.now), request: base + c.URL.RequestURI(), state: jobCreated}
	j.container, j.folder = order.container, fmt.Sprintf("%s-%d/", c.now.UTC().Format("20060102T150405"), j.id)
	if j.container == "" {
		j.container, j.folder = fmt.Sprintf("export-%d", j.id), ""
	}
	if _, hit := s.faults.strike(faultForgetAnonymization, c); hit {
		j.order.anonymized, j.request = nil, withoutAnonymization(j.request)
	}
	j.exportFaults = s.exportFaults(c)
	s.exports = append(s.exports, j)
	_, j.answerLost = s.faults.strike(faultLoseExportAnswer, c)
	a := s.accepted(c, base, "export", j.id)
	a.dropped = j.answerLost
	return a
}

func (s *Server) exportFaults(c *call) exportFaults {
	has := func(name string) bool { _, hit := s.faults.strike(name, c); return hit }
	f := exportFaults{stuck: has(faultStickExport), forget: has(faultForgetExport),
		systemCancel: has(faultSystemCancelExport), lose: has(faultLoseBlob), truncate: has(faultTruncateBlob),
		change: has(faultChangeBlob), empty: has(faultEmptyFile)}
	if arm, hit := s.faults.strike(faultFailExport, c); hit {
		f.doom = &arm
	}
	if arm, hit := s.faults.strike(faultPartialManifest, c); hit {
		f.partial, f.pauseAfterPartial = max(1, arm.Count), true
	}
	return f
}

// accepted is the 202 of a kick-off.
func (s *Server) accepted(c *call, base, kind string, id int64) answer {
	if _, hit := s.faults.strike(faultForeignContentLocation, c); hit {
		base = "https://elsewhere.example"
	}
	a := answer{status: http.StatusAccepted}
	if _, hit := s.faults.strike(faultMissingContentLocation, c); hit {
		return a
	}
	return a.with("Content-Location", fmt.Sprintf("%s/_operations/%s/%d", base, kind, id))
}

// findExport looks a job up by the state table's rules 1 and 2. The caller holds mu.
func (s *Server) findExport(c *call) *exportJob {
	id, err := strconv.ParseInt(c.path[2], 10, 64)
	i := slices.IndexFunc(s.exports, func(j *exportJob) bool { return j.id == id })
	if err != nil || i < 0 {
		return nil
	}
	j := s.exports[i]
	expired := s.opt.Generation == Gen1 && c.now.After(j.created.Add(s.opt.scaled(retention)))
	forgotten := j.forget && j.state != jobCreated
	hidden := j.state == jobCancelled && !s.opt.CancelledExportAnswers200
	if expired || forgotten || hidden {
		return nil
	}
	return j
}

func exportUnknown(c *call) answer {
	return outcome(c.now, http.StatusNotFound, "not-found", fmt.Sprintf("The requested job %q was not found.", c.path[2]))
}

// exportStatus answers GET _operations/export/{id} by the state table of contract 2.1.
func (s *Server) exportStatus(c *call) answer {
	if arm, hit := s.faults.strike(faultPollStatus, c); hit {
		return oddAnswer(arm)
	}
	s.mu.Lock()
	j := s.findExport(c)
	if j == nil {
		s.mu.Unlock()
		return exportUnknown(c)
	}
	quiet := c.now.Sub(j.lastUnit) >= s.opt.scaled(quietPeriod)
	a, final := s.exportAnswer(c, j, quiet)
	times := j.shown
	if final {
		j.shown++
	}
	s.mu.Unlock()
	if !final {
		return a
	}
	s.spoilFiles(j, times)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifest(c, j, len(j.files))
}

// exportAnswer is every answer but the full manifest, for which final is true. The caller holds mu.
func (s *Server) exportAnswer(c *call, j *exportJob, quiet bool) (a answer, final bool) {
	switch {
	case j.state == jobCreated:
		return s.pending(c), false
	case j.state == jobFailed:
		return outcome(c.now, j.failure.status, "processing",
			"export operation failed for reason: "+j.failure.reason), false
	case j.state == jobSystemStop:
		return s.manifest(c, j, 0), false
	case j.state == jobCancelled: // an older build
		return s.manifest(c, j, len(j.files)), false
	case j.state == jobRunning || !quiet:
		return s.pending(c), false
	case j.partial > 0:
		j.partial--
		return s.manifest(c, j, len(j.files)-1), false
	case j.pauseAfterPartial:
		j.pauseAfterPartial = false
		return s.pending(c), false
	}
	return answer{}, true
}

// pending is a 202 poll answer: no body and no headers unless asked for (S10).
func (s *Server) pending(c *call) answer {
	a := answer{status: http.StatusAccepted}
	if s.opt.ProgressHeaders {
		a = a.with("Retry-After", "5").with("X-Progress", "in progress")
	}
	if _, hit := s.faults.strike(faultPollProgressBody, c); hit {
		a.contentType, a.body = plainJSON, []byte(`{"output":[],"error":[]}`)
	}
	return a
}

func oddAnswer(arm Arm) answer {
	return answer{status: arm.Status, contentType: arm.ContentType, body: []byte(arm.Body), declared: arm.Length}
}

type manifest struct {
	TransactionTime     string         `json:"transactionTime"`
	Request             string         `json:"request"`
	RequiresAccessToken bool           `json:"requiresAccessToken"`
	Output              []manifestFile `json:"output"`
	Error               []manifestFile `json:"error"`
	Issues              []issue        `json:"issues"`
}

type manifestFile struct {
	Type  string `json:"type"`
	URL   string `json:"url"`
	Count int    `json:"count"`
}

// manifest shows the first n files (contract 2.2). The caller holds mu.
func (s *Server) manifest(c *call, j *exportJob, n int) answer {
	endpoint := s.opt.Blobs.Endpoint()
	if _, hit := s.faults.strike(faultForeignOutputURL, c); hit {
		endpoint = "https://elsewhere.example"
	}
	m := manifest{TransactionTime: j.created.UTC().Format(lastUpdatedLayout) + "+00:00", Request: j.request,
		Output: []manifestFile{}, Error: []manifestFile{}, Issues: []issue{}}
	for _, f := range j.files[:max(n, 0)] {
		m.Output = append(m.Output, manifestFile{f.typ, endpoint + "/" + j.container + "/" + f.name, f.count})
	}
	slices.SortStableFunc(m.Output, func(a, b manifestFile) int { return strings.Compare(a.Type, b.Type) })
	if len(j.order.unknown) > 0 {
		m.Issues = append(m.Issues, issue{Severity: "warning", Code: "invalid", Diagnostics: "The '_type' parameter" +
			" contains unknown resource(s): " + strings.Join(j.order.unknown, ", ")})
	}
	return jsonAnswer(http.StatusOK, plainJSON, m)
}

// spoilFiles lets the blob faults of F9, F10 and F33 strike when the full manifest is about to be shown and
// has been so many times before.
func (s *Server) spoilFiles(j *exportJob, times int) {
	s.mu.Lock()
	first, f := times == 0, j.exportFaults
	if first && f.empty {
		j.files = append(j.files, exportFile{"Basic", fmt.Sprintf("%sBasic-%d-1.ndjson", j.folder, s.newID(j.ended)), 0})
	}
	files := slices.Clone(j.files)
	s.mu.Unlock()
	if len(files) == 0 {
		return
	}
	ctx := context.Background()
	victim := slices.MaxFunc(files, func(a, b exportFile) int { return a.count - b.count }).name
	var err error
	switch {
	case first && f.empty:
		last := files[len(files)-1].name
		if err = s.opt.Blobs.CreateContainer(ctx, j.container); err == nil {
			err = s.opt.Blobs.Put(ctx, j.container, last, nil)
		}
	case first && f.lose:
		err = s.opt.Blobs.Delete(ctx, j.container, victim)
	case first && f.truncate:
		err = s.rewrite(ctx, j.container, victim, halfOfLines)
	case times == 1 && f.change:
		err = s.rewrite(ctx, j.container, victim, func(data []byte) []byte { return data })
	}
	if err != nil {
		panic(fmt.Sprintf("fhirsim: spoil a file of export %d: %v", j.id, err)) // a test that needs it must not pass
	}
}

func (s *Server) rewrite(ctx context.Context, container, name string, change func([]byte) []byte) error {
	data, _, err := s.opt.Blobs.Get(ctx, container, name, 0)
	if err != nil {
		return err
	}
	return s.opt.Blobs.Put(ctx, container, name, change(data))
}

func halfOfLines(data []byte) []byte {
	lines := bytes.SplitAfter(data, []byte("\n"))
	return bytes.Join(lines[:(len(lines)-1)/2], nil)
}

// cancelExport answers DELETE _operations/export/{id} (contract 2.5).
func (s *Server) cancelExport(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.findExport(c)
	if j == nil {
		return exportUnknown(c)
	}
	if j.open() {
		j.ended = c.now
	}
	j.state, j.waiting = jobCancelled, nil
	return answer{status: http.StatusAccepted}
}

var _ job = (*exportJob)(nil)

// heartbeatTimeout is after how long a dead unit is given to another worker (contract 1.8).
const heartbeatTimeout = 300 * time.Second
