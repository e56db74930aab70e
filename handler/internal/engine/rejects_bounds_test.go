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

// A list of rejected lines that is read across a retry skips none of those that are there then.
func TestRejectsListedAcrossARetry(t *testing.T) {
	w := newWorld(t, one, haste(4, 100, 1000))
	w.load("Patient", 110, at("2022-01-01T00:00:00Z"), time.Hour)
	w.destination.Faults().RejectLines(func(_, _ string, line int) string {
		if line > 60 {
			return ""
		}
		return "Invalid JSON encountered"
	})
	w.start(engine.Overrides{})
	w.untilState(24*time.Hour, migration.ShownHalted)
	before, err := w.viewer.Rejects(t.Context(), engine.RejectQuery{Limit: 10})
	w.must(err)
	w.destination.Faults().RejectLines(conflicting(10))
	w.retry(1)
	w.untilState(24*time.Hour, migration.ShownCompleted)
	rest := w.rejects(engine.RejectQuery{Limit: 3, After: before.Next})
	if want := w.rejects(engine.RejectQuery{}); len(before.Rejects) != 10 || len(want) != 11 || fmt.Sprint(rest) != fmt.Sprint(want) {
		t.Errorf("listed %d lines, and then %d of the %d that there are after the retry", len(before.Rejects), len(rest), len(want))
	}
}

// A place in another chunk than the one that is asked for is no place in this one.
func TestRejectsOfOneChunkAlone(t *testing.T) {
	w := newWorld(t, once, func(w *world) { w.settings.ChunkLimit = 20 })
	w.load("Patient", 30, at("2022-01-01T00:00:00Z"), time.Hour)
	w.destination.Faults().RejectLines(conflicting(3))
	w.start(engine.Overrides{})
	w.untilState(24*time.Hour, migration.ShownCompleted)
	chunks := w.chunks()
	first, err := w.viewer.Rejects(t.Context(), engine.RejectQuery{Chunk: chunks[0].ID, Limit: 1})
	w.must(err)
	last := chunks[len(chunks)-1].ID
	want := w.rejects(engine.RejectQuery{Chunk: last})
	if got := w.rejects(engine.RejectQuery{Chunk: last, After: first.Next}); first.Next == "" || len(want) == 0 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("behind %q: got %+v, want those of chunk %s", first.Next, got, last)
	}
}
