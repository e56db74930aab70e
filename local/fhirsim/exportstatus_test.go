package fhirsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// S10, S11: 202 without body and headers until 15 s after the last unit; a switch adds headers.
func TestQuietPeriod(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"))
	status := s.export("/$export")
	poll := func(when string) {
		t.Helper()
		r := s.get(status)
		if r.status != 202 || r.body != "" || r.header.Get("Retry-After") != "" || r.header.Get("X-Progress") != "" {
			t.Fatalf("%s: got %d %q %v, want a bare 202", when, r.status, r.body, r.header)
		}
	}
	poll("in the queue")
	s.clock.now = s.exports[0].start
	poll("running")
	s.clock.add(time.Second)
	poll("just done")
	ended := s.Jobs()[0].Ended
	s.clock.now = ended.Add(15*time.Second - time.Millisecond)
	if r := s.get(status); r.status != 202 {
		t.Errorf("1 ms early: got %d, want 202", r.status)
	}
	s.clock.now = ended.Add(15 * time.Second)
	if r := s.get(status); r.status != 200 {
		t.Errorf("after 15 s: got %d, want 200", r.status)
	}
	chatty := newSim(t, Gen1, func(o *Options) { o.ProgressHeaders = true })
	if r := chatty.get(chatty.export("/$export")); r.header.Get("Retry-After") == "" || r.header.Get("X-Progress") == "" {
		t.Errorf("switched on: got headers %v", r.header)
	}
}

// S12, S13: the manifest's fields and the places of files.
func TestManifest(t *testing.T) {
	s := newSim(t, Gen1)
	observation := patient("o", "1", "2024-01-01T00:00:00Z")
	observation.Type = "Observation"
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"), observation)
	s.clock.add(123456700 * time.Nanosecond)
	status := s.export("/$export?_type=Patient,Observation,Shoe&_container=mig")
	s.settle()
	r := s.get(status)
	var raw map[string]json.RawMessage
	mustDecode(t, r.body, &raw)
	if len(raw) != 6 || string(raw["error"]) != "[]" || string(raw["requiresAccessToken"]) != "false" {
		t.Errorf("got fields %v", raw)
	}
	m, _ := s.collect(status)
	if m.TransactionTime != "2024-06-01T10:00:00.1234567+00:00" || m.Request != s.url+"/$export?_type=Patient,Observation,Shoe&_container=mig" {
		t.Errorf("got %q of %q", m.TransactionTime, m.Request)
	}
	if len(m.Issues) != 1 || !strings.HasSuffix(m.Issues[0].Diagnostics, "unknown resource(s): Shoe") {
		t.Errorf("got issues %v", m.Issues)
	}
	if len(m.Output) != 2 || m.Output[0].Type != "Observation" || m.Output[1].Type != "Patient" {
		t.Fatalf("got output %v, want Observation before Patient", m.Output)
	}
	id := s.Jobs()[0].ID
	form := regexp.MustCompile(fmt.Sprintf(`^https://acct\.blob\.example/mig/20240601T100000-%d/Patient-\d+-1\.ndjson$`, id))
	if !form.MatchString(m.Output[1].URL) {
		t.Errorf("got url %s", m.Output[1].URL)
	}
	m, _ = s.exported("/$export?_type=Patient")
	form = regexp.MustCompile(`^https://acct\.blob\.example/export-\d+/Patient-\d+-1\.ndjson$`)
	if !form.MatchString(m.Output[0].URL) {
		t.Errorf("without container: got url %s", m.Output[0].URL)
	}
	if m, _ = s.exported("/$export?_type=Device"); m.Output == nil || len(m.Output) != 0 {
		t.Errorf("nothing matches: got %v, want an empty list", m.Output)
	}
}

// S13: a restarted unit writes a new file; the dead one's leftover stays and is not named.
func TestRestartedExportUnit(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"))
	s.Faults().RestartExportUnit(1)
	m, lines := s.exported("/$export?_container=c")
	blobs, _ := s.blobs.List(context.Background(), "c", "")
	if len(m.Output) != 1 || len(lines) != 1 || len(blobs) != 2 {
		t.Errorf("got %d files, %d lines and %d blobs; want 1, 1 and 2", len(m.Output), len(lines), len(blobs))
	}
}

// S14 and F33: newlines, empty lines, BOM, an empty file.
func TestFileForms(t *testing.T) {
	s := newSim(t, Gen1, func(o *Options) { o.Newline = "\r\n" })
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"), patient("b", "1", "2024-01-01T00:00:00Z"))
	s.Faults().EmptyLines(1)
	s.Faults().ByteOrderMark(1)
	s.Faults().EmptyFile(1)
	status := s.export("/$export")
	s.settle()
	var m manifest
	mustDecode(t, s.get(status).body, &m)
	if len(m.Output) != 2 || m.Output[0].Count != 0 || s.file(m.Output[0].URL) != "" {
		t.Fatalf("got output %v, want an empty file and one of two lines", m.Output)
	}
	got := s.file(m.Output[1].URL)
	if !strings.HasPrefix(got, "\ufeff{") || strings.Count(got, "\r\n\r\n") != 2 || m.Output[1].Count != 2 {
		t.Errorf("got %q with count %d", got, m.Output[1].Count)
	}
}

// S15, S16: a failed unit shows at once with the stored status and no headers, while siblings still write.
func TestFailedExport(t *testing.T) {
	s := newSim(t, Gen2, func(o *Options) { o.Workers = 1 })
	for i := range 6 {
		s.load(patient(fmt.Sprintf("p%d", i), "1", "2024-01-01T00:00:00Z"))
	}
	s.Faults().FailExport(1, 429, "Request rate is large.")
	status := s.export("/$export?_maxCount=2&_container=c")
	s.settle()
	r := s.get(status)
	code, text := diagnostics(t, r)
	if r.status != 429 || code != "processing" || text != "export operation failed for reason: Request rate is large." || r.header.Get("Retry-After") != "" {
		t.Errorf("got %d %s %q %v", r.status, code, text, r.header)
	}
	if blobs, _ := s.blobs.List(context.Background(), "c", ""); len(blobs) != 3 {
		t.Errorf("got %d blobs, want those of all 3 units", len(blobs))
	}
	s.Faults().FailExport(1, 500, "Unknown Error.")
	s.export("/$export?_maxCount=2&_container=d&_isParallel=false")
	s.settle()
	if blobs, _ := s.blobs.List(context.Background(), "d", ""); len(blobs) != 1 {
		t.Errorf("sequential: got %d blobs, want that of the failed page only", len(blobs))
	}
	s.Faults().FailExport(1, 413, "The FHIR Server ran out of memory")
	status = s.export("/$export?_type=Device") // no unit at all
	s.settle()
	if r := s.get(status); r.status != 413 {
		t.Errorf("empty export: got %d, want 413", r.status)
	}
	s.Faults().Arm("ServerBusy", Arm{Times: 1, Status: 429, Form: FormHeaders, Route: "GET /_operations"})
	r = s.get(status)
	if code, _ := diagnostics(t, r); r.status != 429 || code != "throttled" || r.header.Get("Retry-After") != "1" || r.header.Get("X-Ms-Retry-After-Ms") != "520" {
		t.Errorf("poll-level 429: got %d %s %v", r.status, code, r.header)
	}
}

// S17: cancelled exports are gone, or answer 200 on an older build.
func TestCancelExport(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"))
	done := s.export("/$export")
	s.settle()
	s.collect(done)
	for name, status := range map[string]string{"completed": done, "fresh": s.export("/$export")} {
		if r := s.do("DELETE", status, ""); r.status != 202 || r.body != "" {
			t.Errorf("cancel %s: got %d %q", name, r.status, r.body)
		}
		for _, method := range []string{"GET", "DELETE"} {
			r := s.do(method, status, "")
			if code, text := diagnostics(t, r); r.status != 404 || code != "not-found" || !strings.HasPrefix(text, `The requested job "`) {
				t.Errorf("%s %s after cancel: got %d %s %q", method, name, r.status, code, text)
			}
		}
	}
	s.settle()
	if job := s.Jobs()[1]; !job.Cancelled || job.Lines != 0 || !job.Ended.Before(s.clock.now) {
		t.Errorf("got %+v, want a cancelled job that wrote nothing", job)
	}
	older := newSim(t, Gen1, func(o *Options) { o.CancelledExportAnswers200 = true })
	status := older.export("/$export")
	older.do("DELETE", status, "")
	if m, _ := older.collect(status); len(m.Output) != 0 {
		t.Errorf("older build: got %v", m.Output)
	}
	if r := s.get("/_operations/export/abc"); r.status != 404 {
		t.Errorf("unknown id: got %d, want 404", r.status)
	}
}

// S18: gen1 forgets jobs after 30 days, scaled.
func TestRetention(t *testing.T) {
	for _, c := range []struct {
		g    Generation
		want int
	}{{Gen1, 404}, {Gen2, 200}} {
		s := newSim(t, c.g, func(o *Options) { o.Scale = 0.01 })
		status := s.export("/$export")
		s.clock.add(7 * time.Hour)
		if r := s.get(status); r.status != 200 {
			t.Errorf("generation %d: within: got %d", c.g, r.status)
		}
		s.clock.add(15 * time.Minute)
		if r := s.get(status); r.status != c.want {
			t.Errorf("generation %d: after 7.2 h: got %d, want %d", c.g, r.status, c.want)
		}
	}
}

// Units take time by their size: 20,000 resources at 5,000/s and 4 workers end after 1 s in parallel.
func TestWorkTakesTime(t *testing.T) {
	s := newSim(t, Gen2)
	for i := range 200 {
		s.load(patient(fmt.Sprintf("p%d", i), "1", "2024-01-01T00:00:00Z"))
	}
	s.export("/$export?_maxCount=50")
	s.export("/$export?_isParallel=false&_maxCount=50")
	s.settle()
	for i, want := range []time.Duration{10 * time.Millisecond, 40 * time.Millisecond} {
		job := s.Jobs()[i]
		if got := job.Ended.Sub(s.exports[i].start); got != want {
			t.Errorf("job %d: worked %s, want %s", i, got, want)
		}
	}
	if got := s.MaxConcurrent("export"); got != 2 {
		t.Errorf("got %d concurrent exports, want 2", got)
	}
}

// A page shows the store as it is when the page is read: what was hard-deleted since the plan is not in it.
func TestExportReadsPagesLate(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"), patient("b", "1", "2024-01-02T00:00:00Z"), patient("b", "2", "2024-01-03T00:00:00Z"))
	status := s.export("/$export?includeAssociatedData=_history&_maxCount=1")
	s.clock.now = s.exports[0].start
	s.Step()
	s.HardDelete("Patient", "b")
	s.settle()
	if _, lines := s.collect(status); names(t, lines) != "a/1" {
		t.Errorf("got %q, want a/1", names(t, lines))
	}
}

// Observation is exported first in parallel (contract 1.8).
func TestObservationFirst(t *testing.T) {
	s := newSim(t, Gen2)
	observation, account := patient("o", "1", "2024-01-01T00:00:00Z"), patient("c", "1", "2024-01-01T00:00:00Z")
	observation.Type, account.Type = "Observation", "Account"
	s.load(observation, account)
	m, _ := s.exported("/$export")
	if !strings.HasSuffix(m.Output[0].URL, "/Account-3-1.ndjson") || !strings.HasSuffix(m.Output[1].URL, "/Observation-2-1.ndjson") {
		t.Errorf("got %v, want the smaller unit id on Observation", m.Output)
	}
}

// readOnlyBlobs refuse every write.
type readOnlyBlobs struct{ *MemoryBlobs }

func (readOnlyBlobs) Put(context.Context, string, string, []byte) error {
	return errors.New("read-only")
}

// A unit that cannot write is tried again ten times, then the job fails (contract 1.8).
func TestExportGivesUp(t *testing.T) {
	s := newSim(t, Gen1, func(o *Options) { o.Blobs = readOnlyBlobs{NewMemoryBlobs("https://acct.blob.example")} })
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"))
	status := s.export("/$export")
	s.clock.add(40 * time.Minute)
	if r := s.get(status); r.status != 202 {
		t.Errorf("still trying: got %d, want 202", r.status)
	}
	s.clock.add(30 * time.Minute)
	r := s.get(status)
	if _, text := diagnostics(t, r); r.status != 500 || !strings.HasSuffix(text, "Job has been retried too many times.") {
		t.Errorf("got %d %q", r.status, text)
	}
}
