package fhirsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rejected is one line of an error file with the input's line it tells of.
type rejected struct{ text, source string }

// rejectsOf reads the error files of an import and finds each line in the input, as contract 5.3 says: by the
// slice's offset and the number among its non-empty lines.
func (s *sim) rejectsOf(b importBody) []rejected {
	s.t.Helper()
	var list []rejected
	for _, e := range b.Error {
		lines := strings.Split(strings.TrimSuffix(s.file(e.URL), "\n"), "\n")
		if len(lines) != e.Count {
			s.t.Errorf("%s: got %d lines, want count %d", e.URL, len(lines), e.Count)
		}
		for _, line := range lines {
			var o struct {
				Issue []struct {
					Code, Diagnostics string
					Details           struct{ Text string }
				}
			}
			if err := json.Unmarshal([]byte(line), &o); err != nil || len(o.Issue) != 1 || o.Issue[0].Code != "" {
				s.t.Fatalf("error line %s: %v; want one issue without a code", line, err)
			}
			var number, offset int
			if _, err := fmt.Sscanf(o.Issue[0].Diagnostics, "Failed to process resource at line: %d with stream start offset: %d", &number, &offset); err != nil {
				s.t.Fatalf("diagnostics %q: %v", o.Issue[0].Diagnostics, err)
			}
			rest := s.file(e.InputURL)[offset:]
			if offset > 0 {
				rest = rest[strings.IndexByte(rest, '\n')+1:]
			}
			own := slices.DeleteFunc(strings.Split(rest, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
			list = append(list, rejected{o.Issue[0].Details.Text, own[number-1]})
		}
	}
	return list
}

// Every class of contract 5.3 but that of the initial mode, from a file cut into slices, found again by its numbers.
func TestEveryClassOfReject(t *testing.T) {
	const day = "2024-01-01T00:00:00Z"
	typed := func(line, resourceType string) string { return strings.Replace(line, "Patient", resourceType, 1) }
	bad := map[string]string{ // by the line; the text that is wanted
		patientLine("twin", "1", "2024-01-02T00:00:00Z"):                    "Failed to import duplicate resource, resource id: twin, line: ",
		strings.Replace(patientLine("old", "1", day), "true", "false", 1):   "Failed to import resource with version conflict, resource id: old, line: ",
		patientLine("soon", "1", "2024-06-02T00:00:00Z"):                    "LastUpdated in the resource cannot be in the future.",
		typed(patientLine("other", "1", day), "Device"):                     "Resource type not match.",
		typed(patientLine("eye", "1", day), "SearchParameter"):              "SearchParameter resources cannot be processed by import.",
		patientLine("no_such_id", "1", day):                                 "Invalid resource id: 'no_such_id'. ",
		`{"resourceType":"Patient","id":"torn","meta":{"versionId":"1","la`: "Invalid JSON encountered: ",
		typed(patientLine("shoe", "1", day), "Shoe"):                        "Type checking the data: Unknown type 'Shoe'.",
	}
	s := newSim(t, Gen2)
	s.imported("before", []string{patientLine("old", "1", day)})
	var lines []string
	for line := range bad {
		lines = append(lines, line, "", patientLine("good"+strconv.Itoa(len(lines)), "1", day))
	}
	slices.Sort(lines)                                                      // in one order always; empty lines come first
	lines = append(lines, patientLine("twin", "2", "2024-01-02T00:00:00Z")) // the higher version stays
	status := s.startedImport(fmt.Sprintf(`{"resourceType":"Parameters","parameter":[{"name":"inputFormat","valueString":"application/fhir+ndjson"},`+
		`{"name":"processingUnitBytesToRead","valueInteger":700},{"name":"input","part":[{"name":"type","valueString":"Patient"},{"name":"url","valueUri":%q}]}]}`,
		s.putFile("mixed.ndjson", lines...)))
	s.settle()
	var b importBody
	mustDecode(t, s.get(status).body, &b)
	if len(b.Error) < 2 {
		t.Errorf("got %d error files, want several", len(b.Error))
	}
	seen := map[string]bool{}
	for _, r := range s.rejectsOf(b) {
		want, known := bad[r.source]
		if !known || !strings.HasPrefix(r.text, want) {
			t.Errorf("got %q for line %s, want %q", r.text, r.source, want)
		}
		seen[r.source] = true
	}
	for line, want := range bad {
		if !seen[line] && !strings.Contains(line, "twin") { // the two twins may be in two slices, then none is a duplicate
			t.Errorf("line %s was not rejected with %q", line, want)
		}
	}
	twins := s.imported("twins", []string{patientLine("pair", "1", day), patientLine("pair", "2", day)})
	if got := s.rejectsOf(twins); len(got) != 1 || !strings.HasPrefix(got[0].text, "Failed to import duplicate resource, resource id: pair, line: 1") {
		t.Errorf("twins in one batch: got %v", got)
	}
}

// F18 and error files that are not there or torn.
func TestBrokenErrorFiles(t *testing.T) {
	s := newSim(t, Gen2)
	bad := []string{"{a", "{b", "{c"}
	s.Faults().LoseErrorFile(1)
	lost := s.imported("lost", bad).Error
	container, name, _ := splitBlobURL(s.blobs, lost[0].URL)
	if _, err := s.blobs.Stat(context.Background(), container, name); !errors.Is(err, ErrBlobNotFound) || lost[0].Count != 3 {
		t.Errorf("lost: got %v with count %d", err, lost[0].Count)
	}
	w := httptest.NewRecorder()
	s.blobs.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+container+"/"+name, nil))
	if w.Code != 404 {
		t.Errorf("lost, over HTTP: got %d, want 404", w.Code)
	}
	s.Faults().CutErrorFile(1)
	s.Faults().RepeatErrorLines(1)
	torn := s.file(s.imported("torn", bad).Error[0].URL)
	lines := strings.Split(torn, "\n")
	if last := lines[len(lines)-1]; len(lines) != 6 || json.Valid([]byte(last)) || !strings.HasPrefix(last, `{"resourceType":"OperationOutcome"`) || !json.Valid([]byte(lines[4])) {
		t.Errorf("torn and repeated: got %s", torn)
	}
	if got := s.rejectsOf(s.imported("whole", bad)); len(got) != 3 {
		t.Errorf("afterwards: got %v", got)
	}
}

// S32 and F24: too many lines of one millisecond end the job while the switch is on.
func TestCrowdedMillisecond(t *testing.T) {
	s := newSim(t, Gen2)
	s.Faults().LimitMillisecond(100)
	s.imported("fits", manyLines(100))
	status := s.startedImport(importBodyOf("crowd", []string{s.putFile("crowd.ndjson", manyLines(101)...)}))
	s.settle()
	r := s.get(status)
	if code, text := diagnostics(t, r); r.status != 400 || code != "processing" || !strings.Contains(text, "Unable to generate internal IDs.") {
		t.Errorf("got %d %s %s", r.status, code, text)
	}
	s.Faults().Clear("LimitMillisecond")
	if b := s.imported("open", manyLines(101)); b.Output[0].Count != 101 {
		t.Errorf("cleared: got %+v", b.Output)
	}
}

// S36: the lease is held while a unit runs and then given back, unless the unit crashed.
func TestInputsAreLeased(t *testing.T) {
	s := newSim(t, Gen2, func(o *Options) { o.LeaseInputs = true })
	ctx := context.Background()
	begin := func(source string) (status string) {
		t.Helper()
		status = s.startedImport(importBodyOf(source, []string{s.putFile(source, manyLines(5)...)},
			`{"name":"processingUnitBytesToRead","valueInteger":200}`))
		s.clock.now = s.imports[len(s.imports)-1].start
		s.Step()
		if err := s.blobs.Delete(ctx, "in", source); !errors.Is(err, ErrBlobLeased) {
			t.Errorf("%s: delete while units run: got %v, want a refusal", source, err)
		}
		return status
	}
	done := begin("done")
	s.settle()
	if r := s.get(done); r.status != 200 || s.blobs.Delete(ctx, "in", "done") != nil {
		t.Errorf("done: got %d, or the blob is still leased", r.status)
	}
	s.do("DELETE", begin("cancelled"), "")
	if err := s.blobs.Delete(ctx, "in", "cancelled"); err != nil {
		t.Errorf("cancelled: %v", err)
	}
	s.Faults().FailImport(1, 500, "InternalServerError")
	begin("failed")
	s.settle()
	s.Step()
	if err := s.blobs.Delete(ctx, "in", "failed"); err != nil {
		t.Errorf("failed: %v", err)
	}
	s.Faults().LeaveLease(-1)
	crashed := begin("crashed")
	s.settle()
	if r := s.get(crashed); r.status != 200 {
		t.Errorf("crashed: got %d %s", r.status, r.body)
	}
	if err := s.blobs.Delete(ctx, "in", "crashed"); !errors.Is(err, ErrBlobLeased) {
		t.Errorf("crashed: delete: got %v, want a refusal", err)
	}
	if err := errors.Join(s.blobs.BreakLease(ctx, "in", "crashed"), s.blobs.Delete(ctx, "in", "crashed")); err != nil {
		t.Errorf("lease broken: %v", err)
	}
}
