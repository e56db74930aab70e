package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirferry/local/fhirsim"
	"fhirferry/local/seed"
	"fhirferry/local/show"
)

// nickname is a custom search parameter, as a source holds it.
const nickname = `{"resourceType":"SearchParameter","id":"nickname","url":"https://hospital.example/SearchParameter/nickname",
	"name":"nickname","status":"active","description":"by language","code":"nickname","base":["Patient"],"type":"token","expression":"Patient.language"}`

// TestOnceWithEveryStep lifts and shifts with all that a run does besides its chunks: search parameters before the first
// export, rejected lines read, a reindex and a check of its own before the end; and asks for checks, before it and after.
func TestOnceWithEveryStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 91, settings: map[string]string{"FERRY_MODE": "once", "FERRY_SEARCH_PARAMETERS": "true"}})
	at := firstInstant().Add(time.Hour)
	if err := w.Source.Load(fhirsim.Version{Type: "SearchParameter", ID: "nickname", VersionID: "1", LastUpdated: at, Body: []byte(nickname)}); err != nil {
		t.Fatal(err)
	}
	w.Source.EnableSearchParameters()
	w.Destination.Faults().DuplicateErrors(2)
	w.start(1)
	if c := w.checked(`{"kind":"access"}`); c.Different > 0 {
		t.Errorf("the preflight before the run: %s", c.Line())
	}
	w.verb("start", nil)
	s := w.completed()
	if s.Resources.Benign != 2 || s.Parameters == nil || s.Parameters.Written != 1 || s.Reindex == nil || s.Check == nil || !s.Check.Equal() {
		t.Errorf("the end: %s", display(s))
	}
	w.stepsInOrder()
	w.rejectsTold(2)
	w.recorded()
	if c := w.checked(`{"kind":"surface"}`); !c.Equal() || c.Same < len(loaded()) {
		t.Errorf("got %s, want every type equal", c.Line())
	}
	if c := w.checked(`{"kind":"deep","sample":2,"seed":7}`); !c.Equal() || c.Same < len(loaded()) {
		t.Errorf("got %s, want what was chosen of every type equal", c.Line())
	}
	if a := w.get("/openapi.json"); a.code != http.StatusOK || !strings.Contains(string(a.body), "/api/migration/rejects") {
		t.Errorf("openapi.json: got %.200s", a)
	}
	resp, err := http.Get(w.DestinationURL + "/Patient?nickname=de&_summary=count")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a search by the moved parameter: got %s", resp.Status)
	}
}

// stepsInOrder wants the search parameter at the destination before the first job, and the reindex after the last.
func (w *world) stepsInOrder() {
	w.Helper()
	first := func(s *fhirsim.Server, match func(fhirsim.Request) bool) time.Time {
		requests := s.Requests()
		if i := slices.IndexFunc(requests, match); i >= 0 {
			return requests[i].At
		}
		w.Fatal("a request that must have been made is missing")
		return time.Time{}
	}
	route := func(routes ...string) func(fhirsim.Request) bool {
		return func(r fhirsim.Request) bool { return slices.Contains(routes, r.Route) && r.Status < 300 }
	}
	written := first(w.Destination, route("POST /", "PUT /SearchParameter/{id}", "PUT /{Type}/{id}"))
	if exported := first(w.Source, route("GET /$export")); !written.Before(exported) {
		w.Errorf("the first export began at %v, the search parameter was written at %v", exported, written)
	}
	var last time.Time
	for _, r := range w.Destination.Requests() {
		if r.Route == "POST /$import" {
			last = r.At
		}
	}
	if began := first(w.Destination, route("POST /$reindex")); !began.After(last) {
		w.Errorf("the reindex began at %v, the last import at %v", began, last)
	}
}

// checked asks for a check and waits for its end.
func (w *world) checked(order string) show.Check {
	w.Helper()
	var c show.Check
	read := func(a answer, code int) {
		w.Helper()
		if a.code != code || json.Unmarshal(a.body, &c) != nil {
			w.Fatalf("check %s: got %v, want %d", order, a, code)
		}
	}
	read(w.post("checks", json.RawMessage(order)), http.StatusAccepted)
	w.poll(patience, func() bool {
		read(w.get("/checks/"+url.PathEscape(c.ID)), http.StatusOK)
		return c.Ended()
	}, func() string { return "the check does not end: " + c.Line() })
	return c
}

// rejectsTold wants n harmless duplicates in the list, each with the place of its line in a file of the run.
func (w *world) rejectsTold(n int) {
	w.Helper()
	var page struct{ Rejects []show.Reject }
	if a := w.get("/rejects?class=benign"); a.code != http.StatusOK || json.Unmarshal(a.body, &page) != nil || len(page.Rejects) != n {
		w.Fatalf("rejects: got %v, want %d", a, n)
	}
	for _, r := range page.Rejects {
		if r.ID == nil || r.Type == nil || r.Offset == nil || !slices.Contains(loaded(), *r.Type) || !strings.HasSuffix(r.File, ".ndjson") {
			w.Errorf("got %s, want a resource and its place", r.Line())
		}
	}
}

// recorded wants the record of a chunk to add up: what its files hold was accepted or rejected.
func (w *world) recorded() {
	w.Helper()
	for _, c := range w.chunks() {
		var record struct {
			Resources show.Resources
			FileList  []struct{ Lines, Accepted, Rejected int64 }
			Export    struct{ StatusURL *string }
			Import    struct{ StatusURL *string }
		}
		if a := w.get("/chunks/" + url.PathEscape(c.ID)); a.code != http.StatusOK || json.Unmarshal(a.body, &record) != nil {
			w.Fatalf("record of %s: got %v", c.ID, a)
		}
		var lines, settled int64
		for _, f := range record.FileList {
			lines, settled = lines+f.Lines, settled+f.Accepted+f.Rejected
		}
		moved := record.Resources.Imported + record.Resources.Rejected + record.Resources.Benign
		if lines != settled || moved != settled || moved > 0 && (record.Export.StatusURL == nil || record.Import.StatusURL == nil) {
			w.Errorf("record of %s: %d lines, %d settled, %d counted: %+v", c.ID, lines, settled, moved, record)
		}
	}
}

// TestDeIdentified moves without names what a configuration removes, and nothing when there is no configuration.
func TestDeIdentified(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{
		seed: 92, resources: 200, deIdentifies: true,
		settings: map[string]string{"FERRY_MODE": "once", "FERRY_ANONYMIZATION_CONFIG": "rules.json"},
	})
	w.start(1)
	if detail := w.refused("start", nil, http.StatusUnprocessableEntity); !strings.Contains(detail, "rules.json") {
		t.Errorf("refused with %q, which does not name the configuration", detail)
	}
	w.put("anonymization", "rules.json", `{"fhirVersion":"R4","fhirPathRules":[{"path":"Patient.name","method":"redact"}]}`)
	w.verb("start", nil)
	if s := w.untilState("completed"); s.Resources.Imported == 0 || s.Resources.Rejected > 0 {
		t.Errorf("the end: %s", display(s))
	}
	named, patients := 0, 0
	for v := range versions(w.Destination, func(v seed.Version) bool { return v.Type == "Patient" && !v.Deleted }) {
		patients++
		if strings.Contains(string(v.Body), `"name"`) {
			named++
		}
	}
	if patients == 0 || named > 0 {
		t.Errorf("%d of %d patients arrived with their names", named, patients)
	}
	for _, r := range w.Source.Requests() {
		if r.Route == "GET /$export" && !strings.Contains(r.RawQuery, "_anonymizationConfig") {
			t.Errorf("an export without the configuration: %s", r.RawQuery)
		}
	}
}
