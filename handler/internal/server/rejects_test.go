package server

import (
	"fmt"
	"slices"
	"testing"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

func TestRejectsAreExact(t *testing.T) {
	s := open(t, result{rejects: engine.RejectPage{Next: chunkID + "/1-0-1-0/1", Rejects: []engine.Reject{
		{Chunk: chunkID, Class: migration.ConflictReject, Type: "Patient", ID: "p1", Text: "Failed <so>", File: "job/Patient-1.ndjson",
			Offset: 0, Line: 1, ErrorFile: "fhirlogs/Patient1_2.ndjson"},
		{Chunk: chunkID, Class: migration.OtherReject, Text: "2 rejected lines", File: "job/x.ndjson", Offset: -1, ErrorFile: "fhirlogs/y"},
	}}})
	wantJSON(t, s.send("GET", "/api/migration/rejects", ""), 200, `{"rejects":[`+
		`{"chunk":"`+chunkID+`","class":"conflict","type":"Patient","id":"p1","text":"Failed <so>","file":"job/Patient-1.ndjson","offset":0,"line":1,"errorFile":"fhirlogs/Patient1_2.ndjson"},`+
		`{"chunk":"`+chunkID+`","class":"other","type":null,"id":null,"text":"2 rejected lines","file":"job/x.ndjson","offset":null,"line":null,"errorFile":"fhirlogs/y"}],`+
		`"next":"`+chunkID+`/1-0-1-0/1"}`)
	s = open(t, result{})
	wantJSON(t, s.send("GET", "/api/migration/rejects", ""), 200, `{"rejects":[],"next":null}`)
	s = open(t, result{}, func(o *Options) { o.Verbs = nil })
	wantJSON(t, s.send("GET", "/api/migration/rejects", ""), 200, `{"rejects":[],"next":null}`)
}

func TestRejectQuery(t *testing.T) {
	for query, want := range map[string]engine.RejectQuery{
		"":                                             {},
		"?class=&type=&chunk=&limit=&after=":           {},
		"?class=searchParameter&type=Patient":          {Class: migration.SearchParameterReject, Type: "Patient"},
		"?chunk=" + chunkID + "&limit=7":               {Chunk: chunkID, Limit: 7},
		"?limit=5000&code=SECRET":                      {Limit: 1000},
		"?after=" + chunkID:                            {After: chunkID},
		"?after=" + chunkID + "%2F1-0-2-12%2F999":      {After: chunkID + "/1-0-2-12/999"},
		"?after=" + chunkID + "/1-0-0-0/0&class=other": {Class: migration.OtherReject, After: chunkID + "/1-0-0-0/0"},
	} {
		s := open(t, result{})
		if got := s.send("GET", "/api/migration/rejects"+query, ""); got.status != 200 {
			t.Errorf("%s: got %+v, want 200", query, got)
		}
		if call := fmt.Sprintf("rejects %+v", want); !slices.Equal(s.calls, []string{call}) {
			t.Errorf("%s: got calls %q, want %q", query, s.calls, call)
		}
	}
	for query, named := range map[string][]string{
		"?class=Benign":                     {"class: want one of benign, duplicate, conflict, malformed, searchParameter, other"},
		"?class=benign&class=other":         {"class:"},
		"?type=patient":                     {"type: want one FHIR resource type"},
		"?chunk=../run":                     {"chunk: want the id of a chunk"},
		"?limit=0&after=x":                  {"limit: want a whole number from 1 to 1000", "after:"},
		"?after=" + chunkID + "/1":          {"after:"},
		"?after=" + chunkID + "/1/0":        {"after:"},
		"?after=" + chunkID + "/1-0-0/0":    {"after:"},
		"?after=" + chunkID + "/1-0-0-0/0/": {"after:"},
		"?limit=%zz":                        {"query"},
	} {
		s := open(t, result{})
		wantProblem(t, s.send("GET", "/api/migration/rejects"+query, ""), 422, named...)
		if len(s.calls) > 0 {
			t.Errorf("%s: got calls %q, want none", query, s.calls)
		}
	}
}
