package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// atBatch lets a test see each batch of search parameters before the destination does.
func (w *world) atBatch(see func(rw http.ResponseWriter, entries int) bool) {
	w.instead = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || r.URL.Path != "/" {
			return false
		}
		body, err := io.ReadAll(r.Body)
		w.must(err)
		r.Body = io.NopCloser(bytes.NewReader(body))
		return see(rw, bytes.Count(body, []byte(`"request"`)))
	}
}

// A batch that takes a server longer than an answer may take is written in smaller ones.
func TestBatchThatTakesTooLongIsHalved(t *testing.T) {
	w := newWorld(t, withParameters, once)
	w.small()
	for i := range 40 {
		w.define(w.source, fmt.Sprintf("p%d", i), fmt.Sprintf("code%d", i))
	}
	w.atBatch(func(rw http.ResponseWriter, entries int) bool {
		if entries <= 2 {
			return false
		}
		rw.WriteHeader(http.StatusGatewayTimeout)
		return true
	})
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.sameDefinitions()
	if p := s.SearchParameters; p.Written != 40 || p.State != engine.StepDone {
		t.Errorf("got %+v, want all forty written: %s", p, w.tell(s))
	}
}

// A pause holds back the destination's settings too, whether or not it came before the comparison.
func TestPauseHoldsBackSearchParameters(t *testing.T) {
	w := newWorld(t, withParameters, once)
	w.small()
	w.define(w.source, "works", "works")
	batches := 0
	w.atBatch(func(http.ResponseWriter, int) bool { batches++; return false })
	w.start(engine.Overrides{})
	if _, err := w.engine.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 120 {
		w.step(30 * time.Second)
	}
	if batches > 0 {
		t.Errorf("%d batches of search parameters were written while the run was paused", batches)
	}
	if _, err := w.engine.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.untilState(24*time.Hour, migration.ShownCompleted)
	w.sameDefinitions()
}

// A definition that two pages of the source hold, for it was changed between them, is no collision with itself.
func TestParameterReadTwiceIsNoDouble(t *testing.T) {
	w := newWorld(t, withParameters, once)
	w.small()
	w.define(w.source, "works", "works")
	twice := fmt.Sprintf(`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":%s},{"resource":%s}]}`,
		custom("works", "works", "description", "before"), custom("works", "works", "description", "after"))
	w.instead = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/SearchParameter" || "http://"+r.Host != w.settings.Source {
			return false
		}
		rw.Header().Set("Content-Type", "application/fhir+json")
		_, _ = io.WriteString(rw, twice)
		return true
	}
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	if p := s.SearchParameters; p.Found != 1 || p.Failed != 0 || !s.Totals.Clean() {
		t.Errorf("got %+v, want one found and none failed: %s", p, w.tell(s))
	}
}

// A failure that the destination did not expect itself is no refusal: the definition is written again.
func TestUnexpectedFailureOfAParameterIsTriedAgain(t *testing.T) {
	w := newWorld(t, withParameters, once)
	w.small()
	w.define(w.source, "a", "a")
	w.define(w.source, "b", "b")
	w.destination.Faults().RefuseSearchParameter(2, http.StatusFailedDependency, "PUT /SearchParameter/a", "not applied")
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.sameDefinitions()
	if s.SearchParameters.Failed != 0 || !s.Totals.Clean() {
		t.Errorf("got %+v, want both written: %s", s.SearchParameters, w.tell(s))
	}
}

// Many refusals do not push other problems out, and each is counted; one for want of a role names the role.
func TestManyRefusedParametersAreToldInFewProblems(t *testing.T) {
	w := newWorld(t, withParameters, once)
	w.small()
	for i := range 30 {
		w.define(w.source, fmt.Sprintf("p%d", i), fmt.Sprintf("code%d", i))
	}
	w.destination.Faults().RefuseSearchParameter(-1, http.StatusForbidden, "", "Authorization failed.")
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.wantProblem(s, "search parameter http://example.org/p0 (code0 on Patient) was not moved: 403 Authorization failed.; grant the app's identity the role FHIR Data Writer")
	w.wantProblem(s, "10 more search parameters were not moved: ")
	if s.SearchParameters.Failed != 30 || s.Totals.Clean() {
		t.Errorf("got %+v, want thirty that were not moved", s.SearchParameters)
	}
	if n := len(s.Totals.Problems); n > 22 {
		t.Errorf("%d problems, want those of twenty definitions, one of the others of each pass: %s", n, w.tell(s))
	}
}
