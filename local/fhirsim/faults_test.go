package fhirsim

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// F1: a throttled kick-off makes no job.
func TestThrottledKickoff(t *testing.T) {
	s := newSim(t, Gen2)
	for _, form := range []Form{FormHeaders, FormPlain, FormHTML} {
		s.Faults().ThrottleKickoff(2, form)
		r := s.do("GET", "/$export", "", "Accept", fhirJSON, "Prefer", "respond-async")
		file := s.putFile("a.ndjson")
		i := s.postImport(importBodyOf("x", []string{file}))
		for _, got := range []reply{r, i} {
			html := strings.HasPrefix(got.body, "<html>")
			if got.status != 429 || (got.header.Get("Retry-After") != "") != (form == FormHeaders) || html != (form == FormHTML) {
				t.Errorf("%s: got %d %v %s", form, got.status, got.header, got.body)
			}
		}
	}
	if len(s.Jobs()) != 0 {
		t.Errorf("got %d jobs, want none", len(s.Jobs()))
	}
}

// F2, F3: the job is made and the answer lost. The import's body finds its job again.
func TestLostKickoffAnswers(t *testing.T) {
	s := newSim(t, Gen2)
	s.Faults().LoseExportAnswer(1)
	if _, err := s.try("GET", "/$export", "", "Accept", fhirJSON, "Prefer", "respond-async"); err == nil {
		t.Error("export: got an answer, want a reset")
	}
	s.Faults().LoseImportAnswer(1)
	body := importBodyOf("x", []string{s.putFile("a.ndjson")})
	if _, err := s.try("POST", "/$import", body, "Prefer", "respond-async", "Content-Type", fhirJSON); err == nil {
		t.Error("import: got an answer, want a reset")
	}
	s.startedImport(body)
	jobs := s.Jobs()
	if len(jobs) != 2 || !jobs[0].AnswerLost || jobs[1].AnswerLost {
		t.Errorf("got %+v, want one lost export and one known import", jobs)
	}
	if got := s.Requests()[0].Status; got != 0 {
		t.Errorf("got status %d recorded for the reset, want 0", got)
	}
	if s.MaxConcurrent("export") != 0 {
		t.Errorf("a lost export counts as in flight")
	}
}

// F4: partial, then 202, then full.
func TestPartialManifest(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"), patient("b", "1", "2024-01-02T00:00:00Z"))
	if err := s.Faults().Arm("PartialManifest", Arm{Times: 1, Count: 2}); err != nil {
		t.Fatal(err)
	}
	status := s.export("/$export?_maxCount=1")
	s.settle()
	var got []int
	for range 4 {
		r := s.get(status)
		if r.status == 202 {
			got = append(got, -1)
			continue
		}
		m, _ := s.collectReply(r)
		got = append(got, len(m.Output))
	}
	if want := []int{1, 1, -1, 2}; got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("got files %v, want %v (-1: 202)", got, want)
	}
}

func (s *sim) collectReply(r reply) (manifest, error) {
	var m manifest
	mustDecode(s.t, r.body, &m)
	return m, nil
}

// F5, F7, F8 and stuck imports.
func TestUnhappyExports(t *testing.T) {
	s := newSim(t, Gen2)
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"))
	s.Faults().StickExport(1)
	stuck := s.export("/$export")
	s.Faults().ForgetExport(1)
	forgotten := s.export("/$export")
	s.Faults().SystemCancelExport(1)
	cancelled := s.export("/$export")
	if r := s.get(forgotten); r.status != 202 {
		t.Errorf("forgotten, at first: got %d, want 202", r.status)
	}
	s.settle()
	s.clock.add(48 * time.Hour)
	if r := s.get(stuck); r.status != 202 {
		t.Errorf("stuck: got %d, want 202", r.status)
	}
	if r := s.get(forgotten); r.status != 404 {
		t.Errorf("forgotten: got %d, want 404", r.status)
	}
	if m, _ := s.collect(cancelled); len(m.Output) != 0 {
		t.Errorf("system-cancelled: got %v, want no output", m.Output)
	}
	s.do("DELETE", stuck, "")
	if r := s.get(stuck); r.status != 404 {
		t.Errorf("stuck and cancelled: got %d, want 404", r.status)
	}
	s.Faults().StickImport(1)
	held := s.startedImport(importBodyOf("x", []string{s.putFile("a.ndjson")}))
	s.settle()
	if r := s.get(held); r.status != 202 || r.body != "" {
		t.Errorf("stuck import: got %d %q, want an empty 202", r.status, r.body)
	}
	s.do("DELETE", held, "")
	if r := s.get(held); r.status != 400 {
		t.Errorf("stuck import, cancelled: got %d, want 400", r.status)
	}
}

// F9, F10: files vanish, shrink or change once the manifest is out.
func TestSpoiltFiles(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"), patient("b", "1", "2024-01-01T00:00:00Z"))
	start := func() (string, func() (BlobInfo, error)) {
		status := s.export("/$export")
		s.settle()
		return status, func() (BlobInfo, error) {
			m, _ := s.collectReply(s.get(status))
			container, name, _ := splitBlobURL(s.blobs, m.Output[0].URL)
			return s.blobs.Stat(context.Background(), container, name)
		}
	}
	s.Faults().LoseBlob(1)
	_, look := start()
	if _, err := look(); !errors.Is(err, ErrBlobNotFound) {
		t.Errorf("lost: got %v", err)
	}
	s.Faults().TruncateBlob(1)
	_, look = start()
	_, whole := start()
	cut, _ := look()
	full, _ := whole()
	if cut.Size*2 != full.Size {
		t.Errorf("truncated: got %d of %d bytes, want half", cut.Size, full.Size)
	}
	s.Faults().ChangeBlob(1)
	_, look = start()
	before, _ := look()
	after, _ := look()
	if before.Etag == after.Etag || before.Size != after.Size {
		t.Errorf("changed: got %v, then %v; want another etag", before, after)
	}
}

// Odd answers of polls and kick-offs.
func TestOddAnswers(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"))
	s.Faults().ForeignContentLocation(1)
	if got := s.export("/$export"); !strings.HasPrefix(got, "https://elsewhere.example/") {
		t.Errorf("got Content-Location %q", got)
	}
	s.Faults().MissingContentLocation(1)
	if got := s.export("/$export"); got != "" {
		t.Errorf("got Content-Location %q, want none", got)
	}
	status := s.export("/$export")
	s.Faults().PollProgressBody(1)
	if r := s.get(status); r.status != 202 || !strings.HasPrefix(r.body, "{") {
		t.Errorf("got %d %q, want 202 with JSON", r.status, r.body)
	}
	s.settle()
	s.Faults().PollStatus(1, 502, "<html>", "text/html", 0)
	if r := s.get(status); r.status != 502 || r.body != "<html>" || r.header.Get("Content-Type") != "text/html" {
		t.Errorf("got %d %q", r.status, r.body)
	}
	s.Faults().PollStatus(1, 200, `{"output":[`, "application/json", 5<<30)
	if _, err := s.try("GET", status, ""); err == nil {
		t.Error("a 5 GB Content-Length over 11 bytes: got no error")
	}
	s.Faults().ForeignOutputURL(1)
	if m, _ := s.collectReply(s.get(status)); !strings.HasPrefix(m.Output[0].URL, "https://elsewhere.example/export-") {
		t.Errorf("got %v", m.Output)
	}
	s.Faults().DropBefore(-1, "GET /metadata") // -1: net/http repeats a GET on a connection it has used before
	if _, err := s.try("GET", "/metadata", ""); err == nil {
		t.Error("dropped: got an answer")
	}
	s.Faults().Clear("DropBefore")
	s.Faults().DropAfter(1, "DELETE /{Type}/{id}")
	if _, err := s.try("DELETE", "/Patient/a", ""); err == nil || s.Counts()["Patient"] != 2 {
		t.Errorf("dropped after the effect: got %v and %v", err, s.Counts())
	}
	s.Faults().ServerBusy(1, FormPlain)
	if r := s.get("/metadata"); r.status != 503 || r.header.Get("Retry-After") != "" {
		t.Errorf("busy: got %d %v", r.status, r.header)
	}
}

// Faults by probability follow the seed, skip counts down first, and Reset ends all.
func TestArming(t *testing.T) {
	counts := map[int]int{}
	for range 2 {
		f := newFaults(3)
		if err := f.Arm("ServerBusy", Arm{Probability: 0.25}); err != nil {
			t.Fatal(err)
		}
		hits := 0
		for range 1000 {
			if _, hit := f.take("ServerBusy", "GET /"); hit {
				hits++
			}
		}
		counts[hits]++
	}
	for hits := range counts {
		if len(counts) != 1 || hits < 200 || hits > 300 {
			t.Errorf("got hits %v, want twice the same number about 250", counts)
		}
	}
	f := newFaults(1)
	_ = f.Arm("ServerBusy", Arm{Times: 1, Skip: 2})
	for i, want := range []bool{false, false, true, false} {
		if _, hit := f.take("ServerBusy", ""); hit != want {
			t.Errorf("match %d: got %v, want %v", i, hit, want)
		}
	}
	_ = f.Arm("DropBefore", Arm{Times: 1, Route: "GET /$export"})
	if _, hit := f.take("DropBefore", "GET /metadata"); hit {
		t.Error("a fault struck another route")
	}
	f.Deprecate()
	f.Reset()
	if f.isDeprecated() || f.Fired()["ServerBusy"] != 1 {
		t.Errorf("after Reset: deprecated %v, fired %v", f.isDeprecated(), f.Fired())
	}
	if f.Arm("Nonsense", Arm{Times: 1}) == nil || f.Arm("ServerBusy", Arm{}) == nil {
		t.Error("a nonsense fault or one without times was accepted")
	}
}

// The control surface arms, shows and disarms.
func TestControlSurface(t *testing.T) {
	s := newSim(t, Gen1)
	control := httptest.NewServer(s.ControlHandler())
	defer control.Close()
	cases := []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/faults", `{"fault":"Deprecate","times":-1}`, 204},
		{"POST", "/faults", `{"fault":"Shoe","times":1}`, 400},
		{"POST", "/faults", `{"fault":"Deprecate","size":1}`, 400},
		{"GET", "/requests", "", 200},
		{"GET", "/jobs", "", 200},
		{"GET", "/counts", "", 200},
		{"GET", "/faults", "", 200},
		{"POST", "/empty", "", 204},
	}
	for _, c := range cases {
		if r := s.do(c.method, control.URL+c.path, c.body); r.status != c.want {
			t.Errorf("%s %s %s: got %d %s, want %d", c.method, c.path, c.body, r.status, r.body, c.want)
		}
	}
	if r := s.get("/Patient"); r.status != http.StatusGone {
		t.Errorf("deprecated over HTTP: got %d, want 410", r.status)
	}
	s.do("DELETE", control.URL+"/faults/Deprecate", "")
	if r := s.get("/Patient"); r.status != 200 {
		t.Errorf("disarmed: got %d, want 200", r.status)
	}
}
