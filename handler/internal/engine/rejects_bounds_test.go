package engine_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// C18: a destination that refuses the question itself proves nothing, and holds nothing up. One that does not let us ask,
// or something in front of it, is waited for, and told of.
func TestDuplicatesThatCannotBeLookedUp(t *testing.T) {
	for _, tc := range []struct {
		status int
		code   string // of the server's own answer; empty: none of it
		waits  bool
	}{
		{http.StatusBadRequest, "invalid", false},
		{http.StatusNotFound, "not-supported", false},
		{http.StatusMethodNotAllowed, "not-supported", false},
		{http.StatusGone, "deleted", false},
		{http.StatusNotFound, "", true},
		{http.StatusUnauthorized, "login", true},
		{http.StatusForbidden, "forbidden", true},
		{http.StatusRequestTimeout, "timeout", true},
		{http.StatusLocked, "processing", true},
		{http.StatusInternalServerError, "exception", true},
	} {
		w := newWorld(t, one)
		w.load("Patient", 8, at("2022-01-01T00:00:00Z"), time.Hour)
		w.must(w.destination.Load(w.sourceVersions()...))
		w.destination.Faults().RejectLines(mixed)
		broken := true
		w.instead = func(rw http.ResponseWriter, r *http.Request) bool {
			refuse := broken && strings.HasSuffix(r.URL.Path, "/_history") && strings.Count(r.URL.Path, "/") == 3
			if refuse {
				rw.Header().Set("Content-Type", "application/fhir+json")
				rw.WriteHeader(tc.status)
				if tc.code != "" {
					_, _ = fmt.Fprintf(rw, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":%q}]}`, tc.code)
				}
			}
			return refuse
		}
		w.start(engine.Overrides{})
		want := migration.Rejects{Duplicate: 2, Conflict: 2, Malformed: 2}
		if tc.waits {
			s := w.until(24*time.Hour, "waiting", func(s engine.Status) bool { return len(s.Totals.Problems) > 0 })
			w.wantProblem(s, "rejected lines wait for the destination to say what it holds")
			broken, want = false, migration.Rejects{Benign: 2, Conflict: 2, Malformed: 2}
		}
		s := w.untilState(24*time.Hour, migration.ShownCompleted)
		w.listed(s, want)
		if t.Failed() {
			t.Fatalf("%+v", tc)
		}
		w.close()
	}
}
