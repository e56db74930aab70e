package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// F28: a batch is 200 and some of its entries are not. Those that may pass are written again, alone.
func TestBatchEntriesAreTriedAgain(t *testing.T) {
	arms := map[string]func(*fhirsim.Faults){
		"throttled": func(f *fhirsim.Faults) { f.ThrottleBatch(2, 1) },
		"reindexing": func(f *fhirsim.Faults) {
			f.RefuseSearchParameter(2, 409, "PUT /SearchParameter/b", "a reindex job is in progress")
		},
		"server":  func(f *fhirsim.Faults) { f.RefuseSearchParameter(2, 500, "PUT /SearchParameter/c", "") },
		"timeout": func(f *fhirsim.Faults) { f.RefuseSearchParameter(3, 408, "PUT /SearchParameter/a", "") },
		"two writers": func(f *fhirsim.Faults) {
			f.RefuseSearchParameter(1, 400, "PUT /SearchParameter/a", "Optimistic concurrency conflict")
		},
		"busy": func(f *fhirsim.Faults) {
			w := fhirsim.Arm{Times: 2, Status: 429, Route: "POST /"}
			_ = f.Arm("ServerBusy", w)
		},
		"cut off":     func(f *fhirsim.Faults) { f.DropAfter(1, "POST /") },
		"short pages": func(f *fhirsim.Faults) { f.ShortPages(4) },
		"empty pages": func(f *fhirsim.Faults) { f.EmptyPages(3) },
		"no list": func(f *fhirsim.Faults) {
			w := fhirsim.Arm{Times: 2, Status: 503, Route: "GET /SearchParameter"}
			_ = f.Arm("ServerBusy", w)
		},
	}
	for name, arm := range arms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withParameters, func(w *world) { w.settings.Mode = migration.Once })
			w.small()
			for _, id := range []string{"a", "b", "c"} {
				w.define(w.source, id, id)
			}
			arm(w.destination.Faults())
			arm(w.source.Faults())
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			w.sameDefinitions()
			w.equal()
			if s.SearchParameters.Failed != 0 || s.SearchParameters.Written != 3 || !s.Totals.Clean() {
				t.Errorf("got %+v, want three written: %s", s.SearchParameters, w.tell(s))
			}
			if name == "reindexing" {
				w.wantProblem(s, "a reindex job is in progress")
			}
		})
	}
}

// A definition that the destination refuses is a problem that names it, and the definition that it collides with; the
// others are moved all the same.
func TestCollisions(t *testing.T) {
	for name, c := range map[string]struct {
		arrange  func(*world)
		problems []string // parts of one problem
		found    int
	}{
		"the same url": {func(w *world) {
			w.define(w.source, "mine", "mine")
			w.destination.Put("SearchParameter", "theirs", custom("theirs", "theirs", "url", "http://example.org/mine"))
		}, []string{"http://example.org/mine (mine on Patient)", "http://example.org/mine (theirs on Patient)", "collides"}, 2},
		"the same code": {func(w *world) {
			w.define(w.source, "mine", "mine")
			w.define(w.destination, "theirs", "mine", "expression", "Patient.gender", "base", "Patient,Encounter")
		}, []string{"http://example.org/mine (mine on Patient)", "http://example.org/theirs (mine on Patient, Encounter)", "collides"}, 2},
		"the code of a built-in one": {func(w *world) { w.define(w.source, "mine", "gender") },
			[]string{"http://example.org/mine (gender on Patient)", "http://hl7.org/fhir/SearchParameter/individual-gender (gender on Patient)"}, 2},
		"an id that stands for another": {func(w *world) {
			w.define(w.source, "mine", "mine")
			w.define(w.destination, "mine", "other", "url", "http://example.org/other")
		}, []string{"http://example.org/mine (mine on Patient)", "http://example.org/other (other on Patient)", "has its id mine"}, 2},
		"twice at the source": {func(w *world) {
			w.define(w.source, "mine", "mine")
			w.pass(time.Second)
			w.define(w.source, "later", "mine", "url", "http://example.org/mine", "description", "later")
		}, []string{"http://example.org/mine", "ids mine and later", "the later changed one, later, was moved"}, 3},
		"one code twice at the source": {func(w *world) {
			w.define(w.source, "mine", "mine")
			w.define(w.source, "yours", "mine", "expression", "Patient.gender")
		}, []string{"http://example.org/yours (mine on Patient)", "already exists"}, 3},
		"built in all the same": {func(w *world) {
			w.define(w.source, "mine", "mine")
			w.destination.Faults().RefuseSearchParameter(-1, 405, "PUT /SearchParameter/mine", "")
		}, []string{"http://example.org/mine (mine on Patient)", "built in"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withParameters, func(w *world) { w.settings.Mode = migration.Once })
			w.small()
			w.define(w.source, "fine", "fine")
			c.arrange(w)
			before := definitions(w.destination)
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			w.equal()
			told := slices.ContainsFunc(s.Totals.Problems, func(p migration.Problem) bool {
				return !slices.ContainsFunc(c.problems, func(part string) bool { return !strings.Contains(p.Detail, part) })
			})
			if !told || s.Totals.Clean() {
				t.Errorf("no problem says all of %q, or the run counts as clean: %s", c.problems, w.tell(s))
			}
			if p := s.SearchParameters; p.Found != c.found || p.Failed != 1 || p.State != engine.StepIncomplete {
				t.Errorf("got %+v, want %d found and one failed", p, c.found)
			}
			after := definitions(w.destination)
			if after["fine"] == "" {
				t.Error("the others were not moved")
			}
			for id, text := range before {
				if after[id] != text {
					t.Errorf("the destination's own %s was changed to %s", id, after[id])
				}
			}
		})
	}
}

// A batch that is refused as a whole is halved until what spoils it is refused alone.
func TestBatchIsHalved(t *testing.T) {
	w := newWorld(t, withParameters, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	var refused int
	for i := range 5 {
		w.define(w.source, fmt.Sprintf("p%d", i), fmt.Sprintf("p%d", i))
	}
	w.instead = func(rw http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		w.must(err)
		if r.Method == http.MethodPost && r.URL.Path == "/" && bytes.Contains(body, []byte(`"SearchParameter/p3"`)) {
			refused++
			rw.WriteHeader(http.StatusBadRequest)
			return true
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return false
	}
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	if p := s.SearchParameters; p.Written != 4 || p.Failed != 1 || len(definitions(w.destination)) != 4 {
		t.Errorf("got %+v, want all but one written: %s", p, w.tell(s))
	}
	w.wantProblem(s, "http://example.org/p3 (p3 on Patient) was not moved: 400")
	if refused > 8 {
		t.Errorf("%d bundles were refused, want fewer", refused)
	}
}

// What cannot be had within bounds is given up, told, and the run goes on (nothing in silence, nothing stuck).
func TestSearchParametersAreGivenUp(t *testing.T) {
	arm := func(status int, request string) func(*world) {
		return func(w *world) { w.refuse(w.settings.Destination, status, request) }
	}
	for name, c := range map[string]struct {
		arrange func(*world)
		problem string
	}{
		"the source cannot be read": {func(w *world) {
			_ = w.source.Faults().Arm("ServerBusy", fhirsim.Arm{Times: -1, Status: 500, Route: "GET /SearchParameter"})
		}, "custom search parameters were not moved"},
		"pages go round in circles": {func(w *world) {
			w.instead = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/SearchParameter" {
					return false
				}
				_, _ = fmt.Fprintf(rw, `{"resourceType":"Bundle","link":[{"relation":"next","url":"http://%s/SearchParameter?ct=%d"}]}`, r.Host, len(r.URL.RawQuery)%2)
				return true
			}
		}, "the same page again and again"},
		"the destination cannot be read":   {arm(403, "GET /SearchParameter"), "custom search parameters were not moved"},
		"nothing may be written":           {arm(403, "POST /"), "2 search parameters were not moved"},
		"the destination is busy for ever": {arm(429, "POST /"), "2 search parameters were not moved"},
		"one entry fails again and again":  {func(w *world) { w.destination.Faults().RefuseSearchParameter(-1, 500, "PUT /SearchParameter/a", "") }, "1 search parameters were not moved"},
		"the lock of a reindex never ends": {func(w *world) {
			w.destination.Faults().RefuseSearchParameter(-1, 409, "PUT /SearchParameter/a", "in progress")
		}, "1 search parameters were not moved"},
		"somebody else's reindex never ends": {func(w *world) { w.destination.Faults().StickReindex(-1); w.startReindex() }, "2 search parameters were not moved"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withParameters, func(w *world) { w.settings.Mode = migration.Once; w.limits.Stall = 3 * time.Hour })
			w.small()
			w.define(w.source, "a", "a")
			w.define(w.source, "b", "b")
			c.arrange(w)
			w.start(engine.Overrides{})
			s := w.untilState(48*time.Hour, migration.ShownCompleted)
			w.equal()
			w.wantProblem(s, c.problem)
			if s.Totals.Clean() || s.SearchParameters.State != engine.StepIncomplete {
				t.Errorf("got %+v, want it incomplete and the run not clean: %s", s.SearchParameters, w.tell(s))
			}
		})
	}
}

// refuse has a server answer so to every request of this method and path.
func (w *world) refuse(server string, status int, request string) {
	w.instead = func(rw http.ResponseWriter, r *http.Request) bool {
		if "http://"+r.Host != server || r.Method+" "+r.URL.Path != request {
			return false
		}
		rw.WriteHeader(status)
		return true
	}
}

// startReindex starts a reindex of somebody else's at the destination.
func (w *world) startReindex() {
	w.t.Helper()
	answer, err := http.Post(w.settings.Destination+"/$reindex", "application/fhir+json", strings.NewReader(`{"resourceType":"Parameters"}`))
	w.must(err)
	w.must(answer.Body.Close())
	if answer.StatusCode != http.StatusCreated {
		w.t.Fatalf("$reindex: %s", answer.Status)
	}
}

// While somebody else reindexes nothing is written, and that is shown.
func TestSearchParametersWaitForAReindex(t *testing.T) {
	w := newWorld(t, withParameters, func(w *world) {
		w.destinationOptions = func(o *fhirsim.Options) { o.ReindexRate = 0.01 }
	})
	w.small()
	w.define(w.source, "works", "works")
	w.define(w.destination, "own", "own")
	for i := range 20 {
		w.destination.Put("Patient", fmt.Sprint(i), fmt.Appendf(nil, `{"resourceType":"Patient","id":"%d"}`, i))
	}
	w.startReindex()
	w.start(engine.Overrides{})
	s := w.until(time.Hour, "waiting", func(s engine.Status) bool { return s.Totals.Reported > 0 })
	w.wantProblem(s, "the destination reindexes")
	if n := len(requests(w.destination, "POST /")); n > 0 || s.SearchParameters.State != engine.StepRunning {
		t.Errorf("%d batches were sent while it reindexed; status %+v", n, s.SearchParameters)
	}
	w.until(3*time.Hour, "moved", func(s engine.Status) bool { return s.SearchParameters.State == engine.StepDone })
	if definitions(w.destination)["works"] == "" {
		t.Error("not written after the reindex")
	}
}

// Without FERRY_SEARCH_PARAMETERS nothing is asked, written or shown.
func TestSearchParametersSwitchedOff(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.define(w.source, "works", "works")
	lines := w.listen()
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	for _, line := range *lines {
		if strings.HasPrefix(line, "GET /SearchParameter") && !strings.HasSuffix(line, "/_history") || line == "POST /" || strings.Contains(line, "reindex") {
			t.Errorf("asked although switched off: %s", line)
		}
	}
	if s.SearchParameters != nil || s.Reindex != nil || len(definitions(w.destination)) > 0 {
		t.Errorf("got %+v, %+v, %v, want nothing of it", s.SearchParameters, s.Reindex, definitions(w.destination))
	}
}

// Switched off in mid-run, it ends the waiting of a step at once.
func TestSearchParametersSwitchedOffInMidRun(t *testing.T) {
	w := newWorld(t, withParameters, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.define(w.source, "works", "works")
	w.destination.Faults().RefuseSearchParameter(-1, 409, "", "in progress")
	w.start(engine.Overrides{})
	w.until(2*time.Hour, "waiting", func(s engine.Status) bool { return s.Totals.Reported > 0 })
	w.limits.SearchParameters = false
	w.engine = w.instance(&tap{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	if !s.Totals.Clean() {
		t.Errorf("not clean: %s", w.tell(s))
	}
}
