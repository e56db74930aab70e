package engine_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// withParameters lets runs move search parameters, which other tests leave out.
func withParameters(w *world) { w.limits.SearchParameters = true }

// custom is a definition of the tests; a further pair replaces or adds a member.
func custom(id, code string, more ...string) []byte {
	members := map[string]any{"resourceType": "SearchParameter", "id": id, "url": "http://example.org/" + id, "code": code, "status": "active",
		"type": "token", "expression": "Patient.active", "base": []string{"Patient"}}
	for i := 0; i+1 < len(more); i += 2 {
		members[more[i]] = more[i+1]
	}
	if base, ok := members["base"].(string); ok {
		members["base"] = strings.Split(base, ",")
	}
	body, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return body
}

func (w *world) define(s *fhirsim.Server, id, code string, more ...string) {
	s.Put("SearchParameter", id, custom(id, code, more...))
}

// definitions are the stored search parameters of a server: their current content without meta, by id.
func definitions(s *fhirsim.Server) map[string]string {
	current, newest := map[string]string{}, map[string]time.Time{}
	s.Versions(func(v fhirsim.Version) bool {
		if v.Type == "SearchParameter" && !v.LastUpdated.Before(newest[v.ID]) {
			newest[v.ID] = v.LastUpdated
			if delete(current, v.ID); v.Deleted {
				return true
			}
			var members map[string]any
			_ = json.Unmarshal(v.Body, &members)
			delete(members, "meta")
			text, _ := json.Marshal(members)
			current[v.ID] = string(text)
		}
		return true
	})
	return current
}

// sameDefinitions fails unless the destination stores what the source does, and nothing else.
func (w *world) sameDefinitions() {
	w.t.Helper()
	want, got := definitions(w.source), definitions(w.destination)
	for id := range want {
		if got[id] != want[id] {
			w.t.Errorf("search parameter %s: the destination has %s, want %s", id, got[id], want[id])
		}
	}
	for id := range got {
		if want[id] == "" {
			w.t.Errorf("search parameter %s: extra at the destination", id)
		}
	}
}

// search is what a strict search counts at the destination; -1 when it is refused.
func (w *world) search(query string) int {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.settings.Destination+"/Patient?_summary=count&"+query, nil)
	w.must(err)
	r.Header.Set("Prefer", "handling=strict")
	answer, err := http.DefaultClient.Do(r)
	w.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	w.must(err)
	if answer.StatusCode != http.StatusOK {
		return -1
	}
	var found struct{ Total int }
	w.must(json.Unmarshal(body, &found))
	return found.Total
}

// listen keeps the requests of both services, in order, as lines of method and path.
func (w *world) listen() *[]string {
	var lines []string
	w.requests = func(line string) {
		method, uri, _ := strings.Cut(line, " ")
		if u, err := url.Parse(uri); err == nil {
			lines = append(lines, method+" "+u.Path)
		}
	}
	return &lines
}

func positions(lines []string, prefix string) (first, last int) {
	first, last = -1, -1
	for i, line := range lines {
		if strings.HasPrefix(line, prefix) {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	return first, last
}

// C3, C24: custom search parameters are there before the first resource and in use at the end.
func TestSearchParametersAreMoved(t *testing.T) {
	w := newWorld(t, withParameters, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.define(w.source, "works", "works")
	w.define(w.source, "drafted", "drafted", "status", "draft")
	w.define(w.source, "old", "old", "status", "retired", "base", "Encounter", "expression", "Encounter.active")
	w.define(w.source, "core", "name", "url", "http://hl7.org/fhir/SearchParameter/Patient-name", "type", "string", "expression", "Patient.name")
	lines := w.listen()
	w.pass(time.Minute)
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	if s.Totals.Reported > 0 || !s.Totals.Clean() {
		t.Errorf("problems shown, none wanted: %s", w.tell(s))
	}
	w.source.Delete("SearchParameter", "core") // built in at the destination, and so not stored there
	w.sameDefinitions()
	if got, want := w.search("works=true"), 11; got != want {
		t.Errorf("search by the custom parameter: got %d patients, want %d", got, want)
	}
	p := s.SearchParameters
	if p == nil || p.State != engine.StepDone || p.Found != 3 || p.Written != 3 || p.Present != 3 || p.Failed != 0 || p.At.IsZero() {
		t.Errorf("status of the search parameters: %+v", p)
	}
	r := s.Reindex
	if r == nil || r.State != engine.ReindexCompleted || r.Total == 0 || r.Done != r.Total || !strings.Contains(r.Job, "/_operations/reindex/") || r.At.IsZero() {
		t.Errorf("status of the reindex: %+v", r)
	}
	written, _ := positions(*lines, "POST /")
	reindexed, again := positions(*lines, "POST /$reindex")
	exported, _ := positions(*lines, "GET /$export")
	imported, _ := positions(*lines, "POST /$import")
	_, polled := positions(*lines, "GET /_operations/import/")
	if (*lines)[written] != "POST /" || written > exported || written > imported || reindexed < polled || again != reindexed {
		t.Errorf("written at %d, exported from %d, imported from %d to %d, reindexed at %d and %d: want this order, and one reindex",
			written, exported, imported, polled, reindexed, again)
	}
	if n := len(requests(w.destination, "POST /")); n != 1 {
		t.Errorf("%d batches were written, want one", n)
	}
}

// What is changed or added after the first pass is found again at the cutover.
func TestSearchParametersChangedMeanwhile(t *testing.T) {
	w := newWorld(t, withParameters)
	w.small()
	w.define(w.source, "works", "works")
	w.define(w.source, "same", "same")
	w.start(engine.Overrides{})
	w.until(6*time.Hour, "all imported", func(s engine.Status) bool { return s.Totals.Resources.Imported == smallVersions })
	if s := w.status(); s.SearchParameters.State != engine.StepDone || s.Reindex.State != engine.ReindexWaiting {
		t.Errorf("before the cutover: %+v, %+v", s.SearchParameters, s.Reindex)
	}
	w.define(w.source, "works", "works", "description", "changed")
	w.define(w.source, "added", "added")
	s := w.finish()
	w.sameDefinitions()
	if p := s.SearchParameters; p.Found != 3 || p.Written != 4 || p.Present != 1 || !s.Totals.Clean() {
		t.Errorf("got %+v, want three found, one of them the same, four written in all: %s", p, w.tell(s))
	}
	if w.search("added=true") < 0 {
		t.Error("what was added cannot be searched by")
	}
}

// Where there is nothing custom nothing is written and nothing reindexed; a definition that is there and in use needs no
// reindex either, and one that is there and not in use does.
func TestReindexOnlyWhenNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		there, enabled bool
		want           engine.ReindexState
	}{
		"nothing custom":    {false, false, engine.ReindexNeedless},
		"there, in use":     {true, true, engine.ReindexNeedless},
		"there, not in use": {true, false, engine.ReindexCompleted},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withParameters, func(w *world) { w.settings.Mode = migration.Once })
			w.small()
			if c.there {
				w.define(w.source, "works", "works")
				w.destination.Put("SearchParameter", "other-id", custom("other-id", "works", "url", "http://example.org/works"))
			}
			if c.enabled {
				w.destination.EnableSearchParameters()
			}
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			if s.Reindex.State != c.want || s.SearchParameters.Written != 0 || !s.Totals.Clean() {
				t.Errorf("got %+v, %+v, want %s: %s", s.Reindex, s.SearchParameters, c.want, w.tell(s))
			}
			started := len(requests(w.destination, "POST /$reindex"))
			if written := len(requests(w.destination, "POST /")); written > 0 || started > 0 != (c.want == engine.ReindexCompleted) {
				t.Errorf("%d batches and %d reindexes", written, started)
			}
		})
	}
}
