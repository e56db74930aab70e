package fhirsim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func patientLine(id, version, updated string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"meta":{"versionId":%q,"lastUpdated":%q},"active":true}`, id, version, updated)
}

func manyLines(n int) []string {
	var lines []string
	for i := range n {
		lines = append(lines, patientLine(fmt.Sprintf("p%d", i), "1", "2024-01-01T00:00:00Z"))
	}
	return lines
}

// S24: existence and etag are found out when the job runs.
func TestImportChecksFilesWhenItRuns(t *testing.T) {
	etagged := func(url, etag string) string {
		return fmt.Sprintf(`{"resourceType":"Parameters","parameter":[{"name":"inputFormat","valueString":"application/fhir+ndjson"},`+
			`{"name":"input","part":[{"name":"url","valueUri":%q},{"name":"etag","valueUri":%q}]}]}`, url, etag)
	}
	for _, unquoted := range []bool{false, true} {
		s := newSim(t, Gen2, func(o *Options) { o.EtagUnquoted = unquoted })
		url := s.putFile("a.ndjson", manyLines(1)...)
		info, err := s.blobs.Stat(context.Background(), "in", "a.ndjson")
		if err != nil {
			t.Fatal(err)
		}
		good, bad := info.Etag, strings.Trim(info.Etag, `"`)
		if unquoted {
			good, bad = bad, good
		}
		cases := []struct {
			body   string
			status int
			text   string
		}{
			{etagged(url, bad), 400, "import operation failed for reason: Input file Etag not match. " + url},
			{importBodyOf("x", []string{s.blobs.Endpoint() + "/in/none"}), 404, "import operation failed for reason: The specified blob does not exist."},
			{importBodyOf("y", []string{url}, `{"name":"errorContainerName","valueString":"A!"}`), 400, "import operation failed for reason: The error container"},
		}
		for _, c := range cases {
			status := s.startedImport(c.body)
			if r := s.get(status); r.status != 202 || r.body != "" {
				t.Errorf("before it runs: got %d %q, want an empty 202", r.status, r.body)
			}
			s.settle()
			r := s.get(status)
			if code, text := diagnostics(t, r); r.status != c.status || code != "processing" || !strings.HasPrefix(text, c.text) {
				t.Errorf("got %d %s %q, want %d %q", r.status, code, text, c.status, c.text)
			}
		}
		status := s.startedImport(etagged(url, good))
		s.settle()
		if r := s.get(status); r.status != 200 {
			t.Errorf("unquoted %v: right etag: got %d %s", unquoted, r.status, r.body)
		}
		s.Faults().FailImportEtag(1)
		status = s.startedImport(importBodyOf("fault", []string{url}))
		s.settle()
		if r := s.get(status); r.status != 400 {
			t.Errorf("FailImportEtag: got %d", r.status)
		}
	}
}

// S25, S27, S33: slices, the three stages of the answer, error items per slice and error files.
func TestImportSlicesAndErrors(t *testing.T) {
	s := newSim(t, Gen2, func(o *Options) { o.Workers = 1 })
	lines := manyLines(40)
	for i := range lines {
		if i%10 == 3 {
			lines[i] = strings.Replace(lines[i], "Patient", "Observation", 1) // not of the declared type
		}
	}
	url := s.putFile("a.ndjson", lines...)
	size := 10 * (len(lines[10]) + 1)
	body := fmt.Sprintf(`{"resourceType":"Parameters","parameter":[{"name":"inputFormat","valueString":"application/fhir+ndjson"},`+
		`{"name":"processingUnitBytesToRead","valueInteger":%d},`+
		`{"name":"input","part":[{"name":"type","valueString":"Patient"},{"name":"url","valueUri":%q}]}]}`, size, url)
	status := s.startedImport(body)
	s.Step()
	if r := s.get(status); r.status != 202 || r.body != "" {
		t.Errorf("first stage: got %d %q", r.status, r.body)
	}
	s.clock.now = s.imports[0].start
	s.Step()
	s.clock.now = s.imports[0].soonest().end
	r := s.get(status)
	var partial importBody
	mustDecode(t, r.body, &partial)
	var parts importBody
	mustDecode(t, s.get(status+"?_details=true").body, &parts)
	if r.status != 202 || len(parts.Output) != 1 || len(partial.Output) != 1 || partial.Output[0].Count == 40 {
		t.Errorf("second stage: got %d %s, want 202 with a part", r.status, r.body)
	}
	s.settle()
	var whole, details importBody
	mustDecode(t, s.get(status).body, &whole)
	mustDecode(t, s.get(status+"?_details=true").body, &details)
	rejected := 0
	offsets := map[string]bool{}
	for _, e := range whole.Error {
		rejected += e.Count
		for _, line := range strings.Split(strings.TrimSpace(s.file(e.URL)), "\n") {
			if !strings.HasPrefix(line, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","details":{"text":"Resource type not match."},"diagnostics":"Failed to process resource at line: `) {
				t.Errorf("got error line %s", line)
			}
			offsets[line[strings.Index(line, "offset: "):]] = true
		}
		if !strings.HasPrefix(e.URL, s.blobs.Endpoint()+"/fhirlogs/Patient1_") || e.InputURL != url || *e.Type != "Patient" {
			t.Errorf("got error item %+v", e)
		}
	}
	if whole.Output[0].Count != 36 || rejected != 4 || len(whole.Error) < 3 || len(offsets) != len(whole.Error) {
		t.Errorf("got %+v, want 36 accepted and 4 errors in an item per slice", whole)
	}
	ascending := slices.IsSortedFunc(s.imports[0].units, func(a, b *importUnit) int { return int(a.offset - b.offset) })
	if len(s.imports[0].units) < 4 || ascending {
		t.Errorf("got %d slices, in order: %v; want them shuffled", len(s.imports[0].units), ascending)
	}
	if len(details.Output) < 4 || details.Request != s.url+"/$import" {
		t.Errorf("details: got %d items of %s", len(details.Output), details.Request)
	}
}

// S33: line numbers count non-empty lines of the slice from 1; F18: a restarted unit appends its errors twice.
func TestErrorFileNumbersAndRepeats(t *testing.T) {
	s := newSim(t, Gen2)
	s.Faults().RepeatErrorLines(1)
	b := s.imported("a", []string{"", patientLine("a", "1", "2024-01-01T00:00:00Z"), "  ", "{broken", patientLine("b", "1", "2024-01-01T00:00:00Z")},
		`{"name":"errorContainerName","valueString":"errs"}`)
	file := s.file(b.Error[0].URL)
	if b.Output[0].Count != 2 || b.Output[0].Type != nil || b.Error[0].Count != 1 || !strings.HasPrefix(b.Error[0].URL, s.blobs.Endpoint()+"/errs/1_") {
		t.Errorf("got %+v", b)
	}
	if strings.Count(file, "at line: 2 with stream start offset: 0") != 2 || strings.Count(file, "\n") != 2 {
		t.Errorf("got error file %s", file)
	}
}

// S26: short slices lose lines of multi-byte text and never of ASCII; the repaired reader loses none.
func TestSliceReaderDefect(t *testing.T) {
	text := func(word string) []byte {
		var b strings.Builder
		for i := range 3000 {
			fmt.Fprintf(&b, "%d%s\n", i, strings.Repeat(word, i%5))
		}
		return []byte(b.String())
	}
	read := func(data []byte, size int64, exact bool) (lines int) {
		for offset := int64(0); offset < int64(len(data)); offset += size {
			lines += len(sliceLines(data[offset:], offset, size, exact))
		}
		return lines
	}
	lostAny := false
	for size := int64(50); size < 60; size++ {
		if got := read(text("ab"), size, false); got != 3000 {
			t.Errorf("ASCII, slices of %d: got %d lines, want 3000", size, got)
		}
		if got := read(text("漢"), size, true); got != 3000 {
			t.Errorf("repaired, slices of %d: got %d lines, want 3000", size, got)
		}
		lostAny = lostAny || read(text("漢"), size, false) < 3000
	}
	if !lostAny {
		t.Error("no line of three-byte text was lost")
	}
}

// S34: cancel answers 202, 409 or 404, and the poll 400 afterwards.
func TestCancelImport(t *testing.T) {
	s := newSim(t, Gen2)
	url := s.putFile("a.ndjson", manyLines(3)...)
	status := s.startedImport(importBodyOf("x", []string{url}))
	for range 2 {
		if r := s.do("DELETE", status, ""); r.status != 202 {
			t.Errorf("cancel: got %d, want 202", r.status)
		}
	}
	r := s.get(status)
	if code, text := diagnostics(t, r); r.status != 400 || code != "processing" || text != "User requested cancellation of operation." {
		t.Errorf("after cancel: got %d %s %q", r.status, code, text)
	}
	s.settle()
	if len(s.Counts()) != 0 {
		t.Errorf("a cancelled import stored %v", s.Counts())
	}
	done := s.startedImport(importBodyOf("y", []string{url}))
	s.settle()
	s.get(done)
	if _, text := diagnostics(t, s.do("DELETE", done, "")); text != "Import operation has already completed" {
		t.Errorf("cancel of a completed import: got %q", text)
	}
	for _, id := range []string{"99", "abc"} {
		if r := s.get("/_operations/import/" + id); r.status != 404 {
			t.Errorf("id %s: got %d, want 404", id, r.status)
		}
	}
}

// F12, F13, F14, F15, F17, F34: imports that fail half-way, or reject, repeat and lose lines.
func TestImportFaults(t *testing.T) {
	s := newSim(t, Gen2)
	url := s.putFile("a.ndjson", manyLines(10)...)
	s.Faults().FailImport(1, 400, "Due to unauthorized request, import processing operation failed.")
	body := importBodyOf("x/1", []string{url})
	dead := s.startedImport(body)
	s.settle()
	r := s.get(dead)
	if _, text := diagnostics(t, r); r.status != 400 || text != "import operation failed for reason: Due to unauthorized request, import processing operation failed. ErrorFile: "+url {
		t.Errorf("got %d %q", r.status, text)
	}
	if s.Counts()["Patient"] != 5 {
		t.Errorf("half-way: got %v, want 5", s.Counts())
	}
	if b := s.imported("x2", manyLines(10)); b.Output[0].Count != 10 || s.Counts()["Patient"] != 10 {
		t.Errorf("again under a new name: got %+v and %v", b, s.Counts())
	}
	s.Empty()
	s.Faults().DuplicateErrors(1)
	b := s.imported("dup", manyLines(10))
	if b.Output[0].Count != 9 || len(b.Error) != 1 || !strings.Contains(s.file(b.Error[0].URL), "Failed to import duplicate resource, resource id: p0, line: 1") || s.Counts()["Patient"] != 10 {
		t.Errorf("duplicates: got %+v and %v", b, s.Counts())
	}
	s.Empty()
	s.Faults().SkipLines(1, 3)
	if b = s.imported("skip", manyLines(10)); b.Output[0].Count != 7 || len(b.Error) != 0 {
		t.Errorf("skipped lines: got %+v", b)
	}
	s.Empty()
	s.Faults().RejectLines(func(_, id string, line int) string {
		return map[string]string{"p4": fmt.Sprintf("Failed to import resource with version conflict, resource id: %s, line: %d", id, line)}[id]
	})
	if b = s.imported("reject", manyLines(10)); b.Output[0].Count != 9 || b.Error[0].Count != 1 || s.Counts()["Patient"] != 9 {
		t.Errorf("rejected: got %+v and %v", b, s.Counts())
	}
	s.Faults().Reset()
	s.Faults().LeaveLease(1)
	s.imported("lease", manyLines(1))
	if err := s.blobs.Delete(context.Background(), "in", "lease.ndjson"); err == nil {
		t.Error("a leased blob was deleted")
	}
}

// F19: slow polls wait by the real clock and go away with their client.
func TestSlowPolls(t *testing.T) {
	s := newSim(t, Gen2)
	status := s.startedImport(importBodyOf("x", []string{s.putFile("a.ndjson")}))
	s.Faults().SlowImportPoll(1, 50*time.Millisecond)
	begun := time.Now()
	s.get(status)
	if took := time.Since(begun); took > 45*time.Millisecond {
		t.Errorf("created: waited %s, want no wait before the coordinator is done", took)
	}
	s.settle()
	begun = time.Now()
	s.get(status)
	if took := time.Since(begun); took < 50*time.Millisecond {
		t.Errorf("done: waited %s, want 50 ms", took)
	}
}

// A changed file during the job ends it.
func TestImportFileChangesMeanwhile(t *testing.T) {
	s := newSim(t, Gen2)
	status := s.startedImport(importBodyOf("x", []string{s.putFile("a.ndjson", manyLines(9)...)}))
	s.clock.now = s.imports[0].start
	s.Step()
	s.putFile("a.ndjson", manyLines(8)...)
	s.settle()
	r := s.get(status)
	if _, text := diagnostics(t, r); r.status != 400 || !strings.Contains(text, "Input file deleted, renamed, or moved during job.") {
		t.Errorf("got %d %q", r.status, text)
	}
}

// S31 and F16: one number too large ends the whole job; siblings are cancelled, stored data stays.
func TestHugeNumberEndsTheImport(t *testing.T) {
	s := newSim(t, Gen2, func(o *Options) { o.Workers = 1 })
	lines := append(manyLines(1000), `{"resourceType":"Patient","id":"huge","size":-1234567890123456789.5}`)
	status := s.startedImport(importBodyOf("x", []string{s.putFile("a", lines...), s.putFile("b", manyLines(3)...)}))
	s.settle()
	r := s.get(status)
	if _, text := diagnostics(t, r); r.status != 400 || !strings.Contains(text, "overflow") {
		t.Errorf("got %d %q", r.status, text)
	}
	if got := s.Counts()["Patient"]; got != 1000 {
		t.Errorf("got %d stored, want the batch before", got)
	}
	for number, want := range map[string]bool{"123456789012345678": false, "1234567890123456789": true, "0.12345678901234567890": false,
		"1e18": true, "1E17": false, "12.5e+17": true, "0e99": false, `"1234567890123456789"`: false} {
		p, err := parseResource([]byte(`{"id":"a","value":` + number + `}`))
		if err != nil || p.hasHugeNumber() != want {
			t.Errorf("%s: got huge %v, %v; want %v", number, !want, err, want)
		}
	}
}

// F33: \r\n, a BOM, empty lines and empty files are read well, also in several slices.
func TestImportFileForms(t *testing.T) {
	lines := manyLines(50)
	text := "\ufeff" + strings.Join(lines, "\r\n\r\n") // no newline at the end
	for _, slice := range []string{"10000000", "997"} {
		s := newSim(t, Gen2)
		url, empty := s.putFile("a"), s.putFile("empty")
		if err := s.blobs.Put(context.Background(), "in", "a", []byte(text)); err != nil {
			t.Fatal(err)
		}
		status := s.startedImport(importBodyOf("x", []string{url, empty}, `{"name":"processingUnitBytesToRead","valueInteger":`+slice+`}`))
		s.settle()
		var b importBody
		mustDecode(t, s.get(status).body, &b)
		got := map[string]int{}
		for _, o := range b.Output {
			got[o.InputURL] = o.Count
		}
		// A BOM makes each slice end up to three bytes late: a line may be read twice, never lost.
		if len(got) != 2 || got[empty] != 0 || got[url] < 50 || got[url] > 51 || len(b.Error) != 0 || s.Counts()["Patient"] != 50 {
			t.Errorf("slices of %s: got %v with errors %v", slice, got, b.Error)
		}
	}
}
