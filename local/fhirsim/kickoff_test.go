package fhirsim

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// diagnostics reads the one issue of an OperationOutcome.
func diagnostics(t *testing.T, r reply) (code, text string) {
	t.Helper()
	var o operationOutcome
	if err := json.Unmarshal([]byte(r.body), &o); err != nil || len(o.Issue) != 1 {
		t.Fatalf("got %d %q, want an OperationOutcome with one issue", r.status, r.body)
	}
	return o.Issue[0].Code, o.Issue[0].Diagnostics
}

// S1, S2, S3, S4, S5, S9: what a kick-off refuses, and with which words.
func TestExportKickoffRefusals(t *testing.T) {
	s := newSim(t, Gen1)
	good := []string{"Accept", fhirJSON, "Prefer", "respond-async"}
	cases := []struct {
		name, path string
		headers    []string
		want       string
	}{
		{"no accept", "/$export", []string{"Prefer", "respond-async"}, `Value supplied, ,  for the "Accept"`},
		{"other accept", "/$export", []string{"Accept", "application/json", "Prefer", "respond-async"}, `Value supplied, application/json,`},
		{"two accepts", "/$export", append([]string{"Accept", "text/html"}, good...), `Value supplied, text/html,`},
		{"two accepts, the right one first", "/$export", append(append([]string{}, good...), "Accept", "text/html"), `Value supplied, application/fhir+json,text/html,`},
		{"no prefer", "/$export", good[:2], "Missing required header; Prefer"},
		{"prefer without async", "/$export", []string{"Accept", fhirJSON, "Prefer", "handling=strict"}, "Missing required header value; header=Prefer,value=respond-async."},
		{"unknown prefer", "/$export", []string{"Accept", fhirJSON, "Prefer", "respond-async,wait=1"}, `Value supplied, wait=1,  for the "Prefer"`},
		{"unknown name", "/$export?_Since=2024", good, `The "_Since" parameter is not supported.`},
		{"feed range", "/$export?_feedRange=1", good, `The "_feedRange" parameter`},
		{"surrogate id", "/$export?_startSurrogateId=1", good, `The "_startSurrogateId" parameter`},
		{"too large", "/$export?_maxCount=10001", good, "Export operation parameter 'MaximumNumberOfResourcesPerQuery'"},
		{"negative", "/$export?_maxCount=-1", good, "The value '-1'"},
		{"filter without type", "/$export?_typeFilter=Patient%3F_id%3D1", good, "The _type parameter must be included"},
		{"filter and history", "/$export?_type=Patient&_typeFilter=Patient%3F_id%3D1&includeAssociatedData=_history", good, `The request "_typeFilter" cannot`},
		{"broken filter", "/$export?_type=Patient&_typeFilter=Patient", good, "The _typeFilter segment 'Patient'"},
		{"unknown filter", "/$export?_type=Patient&_typeFilter=Patient%3Fshoe%3D1", good, "The search parameter shoe"},
		{"bad associated data", "/$export?includeAssociatedData=_old", good, "The value '_old'"},
		{"traversal", "/$export?_container=a/../b", good, "The value 'a/../b' is not valid. Path traversal"},
		{"output format", "/$export?_outputFormat=csv", good, "The output format 'csv' is not supported."},
		{"anonymized", "/$export?_anonymizationConfig=c.json", good, "Missing '_container' for anonymized export"},
		{"type level", "/Observation/$export", good, "Requested operation does not support resource type: Observation."},
		{"instance level", "/Patient/1/$export", good, "Requested operation does not support resource type: Patient."},
		{"plus sign", "/$export?_since=2024-05-01T00:00:00+00:00", good, "'_since' The date time string '2024-05-01T00:00:00 00:00' is not"},
		{"trailing space", "/$export?_till=2024%20", good, "'_till' The date time string '2024 ' is not"},
	}
	for _, c := range cases {
		r := s.do("GET", c.path, "", c.headers...)
		code, text := diagnostics(t, r)
		if r.status != 400 || code != "invalid" || !strings.HasPrefix(text, c.want) {
			t.Errorf("%s: got %d %s %q, want 400 invalid %q", c.name, r.status, code, text, c.want)
		}
		if got := r.header.Get("Content-Type"); got != fhirJSON {
			t.Errorf("%s: got content type %q", c.name, got)
		}
	}
	if r := s.do("POST", "/$export", "", good...); r.status != http.StatusMethodNotAllowed {
		t.Errorf("POST /$export: got %d, want 405", r.status)
	}
	if got := len(s.Jobs()); got != 0 {
		t.Errorf("got %d jobs after refusals, want 0", got)
	}
}

// S1, S5: what a kick-off accepts.
func TestExportKickoffAcceptances(t *testing.T) {
	s := newSim(t, Gen1)
	for _, prefer := range []string{"respond-async", "respond-async, handling=lenient", "handling=strict,respond-async"} {
		if r := s.do("GET", "/$export", "", "Accept", fhirJSON, "Prefer", prefer); r.status != 202 {
			t.Errorf("Prefer %q: got %d, want 202", prefer, r.status)
		}
	}
	for _, date := range []string{"2024", "2024-05", "2024-05-01", "2024-05-01T10:00", "2024-05-01T10:00:00",
		"2024-05-01T10:00:00.1", "2024-05-01T10:00:00.1234567", "2024-05-01T10:00Z", "2024-05-01T10:00:00%2B02:00",
		"2999-01-01T00:00:00.000Z"} {
		s.export("/$export?_till=" + date)
		s.export("/$export?_since=" + date + "&_till=2020")
	}
	for _, query := range []string{"_maxCount=0", "_maxCount=10000", "_outputFormat=ndjson", "_isParallel=true", "_type=Patient,Nonsense"} {
		s.export("/$export?" + query)
	}
	s.export("/Patient/$export")
	s.export("/Group/g/$export")
}

// S8: the same URL twice is two jobs with two folders and absolute status URLs. Ids are large on gen1 and
// small on gen2.
func TestSameExportTwiceIsTwoJobs(t *testing.T) {
	for _, g := range []Generation{Gen1, Gen2} {
		s := newSim(t, g)
		s.load(patient("a", "1", "2024-01-01T00:00:00Z"))
		first, second := s.export("/$export?_container=c"), s.export("/$export?_container=c")
		if first == second || !strings.HasPrefix(first, s.url+"/_operations/export/") {
			t.Errorf("got %q and %q, want two absolute URLs", first, second)
		}
		s.settle()
		one, _ := s.collect(first)
		two, _ := s.collect(second)
		if one.Output[0].URL == two.Output[0].URL {
			t.Errorf("got the same file %s in both jobs", one.Output[0].URL)
		}
		if id := s.Jobs()[0].ID; (g == Gen1) != (id > 1e15) {
			t.Errorf("generation %d: got id %d", g, id)
		}
	}
}

// Dates fill low and high by their precision (contract 1.4).
func TestParseInterval(t *testing.T) {
	cases := []struct{ text, low, high string }{
		{"2024", "2024-01-01T00:00:00Z", "2024-12-31T23:59:59.9999999Z"},
		{"2024-02", "2024-02-01T00:00:00Z", "2024-02-29T23:59:59.9999999Z"},
		{"2024-05-01", "2024-05-01T00:00:00Z", "2024-05-01T23:59:59.9999999Z"},
		{"2024-05-01T10:30", "2024-05-01T10:30:00Z", "2024-05-01T10:30:59.9999999Z"},
		{"2024-05-01T10:30:05+02:00", "2024-05-01T08:30:05Z", "2024-05-01T08:30:05.9999999Z"},
		{"2024-05-01T10:30:05.000Z", "2024-05-01T10:30:05Z", "2024-05-01T10:30:05Z"},
	}
	for _, c := range cases {
		got, err := parseInterval(c.text)
		if err != nil || !got.low.Equal(at(c.low)) || !got.high.Equal(at(c.high)) {
			t.Errorf("%s: got %s to %s, %v; want %s to %s", c.text, got.low.Format(time.RFC3339Nano),
				got.high.Format(time.RFC3339Nano), err, c.low, c.high)
		}
	}
	for _, text := range []string{"", "24", "2024-13", "2024-05T10:00", "2024-05-01T10", "2024-05-01Z",
		"2024-05-01T10:00:00.12345678Z", "2024-05-01T10:00:00 Z", "x2024"} {
		if _, err := parseInterval(text); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}
