package engine_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// What the destination may do to an import (contract 12.2), and what must come of it.
func TestImportFaults(t *testing.T) {
	play(t, []scenario{
		{name: "F3 answer of a kick-off lost", arm: func(w *world) { w.destination.Faults().LoseImportAnswer(1) },
			exports: 1, imports: 1, faults: true, problem: "start import", check: samePosts(2)},
		{name: "F3 answer lost three times", arm: func(w *world) { w.destination.Faults().LoseImportAnswer(3) },
			exports: 1, imports: 1, faults: true, problem: "start import", check: samePosts(4)},
		// The import after it tries the other form of etags, which this destination refuses.
		{name: "F11 etag does not match", arm: func(w *world) { w.destination.Faults().FailImportEtag(1) },
			exports: 1, imports: 3, faults: true, problem: "Input file Etag not match", check: newIdentity},
		{name: "etags without quotes, a file an import", change: func(w *world) {
			w.limits.FilesPerImport, w.limits.MaxFailures = 1, 2
			w.destinationOptions = func(o *fhirsim.Options) { o.EtagUnquoted = true }
		}, exports: 1, imports: 7, faults: true, problem: "Input file Etag not match"}, // six files, one lesson
		{name: "F12 F13 fails half-way", arm: func(w *world) { w.destination.Faults().FailImport(1, 500, "InternalServerError") },
			exports: 1, imports: 2, faults: true, problem: "InternalServerError", check: newIdentity},
		{name: "F12 F13 fails half-way with 400, four times", arm: func(w *world) { w.destination.Faults().FailImport(4, 400, "overflow") },
			exports: 1, imports: 5, faults: true, problem: "overflow", check: newIdentity},
		{name: "stuck at 202", change: func(w *world) { w.limits.Stall = time.Hour },
			arm:     func(w *world) { w.destination.Faults().StickImport(1) },
			exports: 1, imports: 2, faults: true, problem: "FERRY_STALL", check: func(w *world, s engine.Status) {
				firstCancelled("import")(w, s)
				newIdentity(w, s)
			}},
		{name: "F14 duplicates reported", arm: func(w *world) { w.destination.Faults().DuplicateErrors(1) },
			exports: 1, imports: 1, check: books(0, 1)},
		{name: "F18 error lines written twice", arm: func(w *world) {
			w.destination.Faults().DuplicateErrors(1)
			w.destination.Faults().RepeatErrorLines(1)
		}, exports: 1, imports: 1, check: books(0, 1)},
		{name: "F10 F17 lines skipped in silence", arm: func(w *world) { w.destination.Faults().SkipLines(1, 1) },
			exports: 1, imports: 2, problem: "do not balance", check: func(w *world, s engine.Status) {
				newIdentity(w, s)
				a, b := sliceBytes(w, 0), sliceBytes(w, 1)
				if a == b {
					w.t.Errorf("slice sizes of the two imports: both %d, want them to differ", a)
				}
			}},
		{name: "F10 lines skipped twice", arm: func(w *world) { w.destination.Faults().SkipLines(2, 1) },
			exports: 2, imports: 3, problem: "do not balance", check: newIdentity},
		{name: "F19 a poll takes longer than we wait", change: func(w *world) { w.limits.RequestTimeout = time.Second },
			arm:     func(w *world) { w.destination.Faults().SlowImportPoll(1, 2*time.Second) },
			exports: 1, imports: 1, problem: "check import", check: books(0, 0)},
		{name: "F19 a poll takes long", arm: func(w *world) { w.destination.Faults().SlowImportPoll(1, 300*time.Millisecond) },
			exports: 1, imports: 1, check: books(0, 0)},
		{name: "F34 leases left on the inputs", arm: func(w *world) { w.destination.Faults().LeaveLease(-1) }, exports: 1, imports: 1},
	})
}

// posts are the bodies of the $import requests, oldest first.
func posts(w *world) []string {
	var bodies []string
	for _, r := range requests(w.destination, "POST /$import") {
		bodies = append(bodies, r.Body)
	}
	return bodies
}

// samePosts wants n kick-offs of one body (invariant 13).
func samePosts(n int) func(*world, engine.Status) {
	return func(w *world, _ engine.Status) {
		w.t.Helper()
		bodies := posts(w)
		if len(bodies) != n {
			w.t.Errorf("$import requests: got %d, want %d", len(bodies), n)
		}
		if different := len(slices.Compact(bodies)); different != 1 {
			w.t.Errorf("bodies of the $import requests: got %d different ones, want the same each time", different)
		}
	}
}

// newIdentity wants a body, and an inputSource, of its own for every import (invariant 13, contract 4.5).
func newIdentity(w *world, _ engine.Status) {
	w.t.Helper()
	sources := map[string]bool{}
	for _, j := range jobs(w.destination, "import") {
		if sources[j.InputSource] {
			w.t.Errorf("inputSource %s was used for two imports", j.InputSource)
		}
		sources[j.InputSource] = true
	}
	if got, want := len(posts(w)), len(sources); got != want {
		w.t.Errorf("$import requests: got %d, want one for each of %d jobs", got, want)
	}
}

// sliceBytes is processingUnitBytesToRead of the nth $import request.
func sliceBytes(w *world, n int) int64 {
	w.t.Helper()
	var body struct {
		Parameter []struct {
			Name         string
			ValueInteger int64
		}
	}
	w.must(json.Unmarshal([]byte(posts(w)[n]), &body))
	for _, p := range body.Parameter {
		if p.Name == "processingUnitBytesToRead" {
			return p.ValueInteger
		}
	}
	w.t.Fatal("$import without processingUnitBytesToRead")
	return 0
}

// books wants every line accounted for, so many of them as rejected or benign, and the import's result kept as it came.
func books(rejected, benign int64) func(*world, engine.Status) {
	return func(w *world, s engine.Status) {
		w.t.Helper()
		want := migration.Tally{Exported: smallVersions, Imported: smallVersions - rejected - benign, Rejected: rejected, Benign: benign}
		if got := s.Totals.Resources; got != want {
			w.t.Errorf("resources: got %+v, want %+v", got, want)
		}
		results := w.tap.kept("results/")
		if len(results) != 1 {
			w.t.Fatalf("results kept: got %v, want one", results)
		}
		if has := bytes.Contains(w.tap.document(results[0]), []byte("fhirlogs")); has != (rejected+benign > 0) {
			w.t.Errorf("error files named in the result: got %t, want %t", has, rejected+benign > 0)
		}
	}
}

// F15: conflicts are counted, kept and shown, and the run is not clean.
func TestConflictsAreShown(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.destination.Faults().RejectLines(func(resourceType, id string, _ int) string {
		if resourceType == "Encounter" && strings.HasSuffix(id, "-1") {
			return "Failed to import resource with version conflict, resource id: " + id
		}
		return ""
	})
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	books(1, 0)(w, s)
	w.wantProblem(s, "the destination rejected 1 of 26 lines (1 conflict); GET /api/migration/rejects?chunk=")
	if s.Totals.Clean() {
		t.Error("clean: got true, want false")
	}
}

// A chunk of 100 lines or more with over half of them rejected fails once; retry accepts it (operator contract 3).
func TestManyRejectsFailOnce(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.load("Patient", 100, at("2022-01-01T00:00:00Z"), time.Hour)
	w.must(w.destination.Faults().Arm("RejectLines", fhirsim.Arm{Times: -1, Count: 1, Text: "Failed to import resource with version conflict"}))
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownHalted)
	w.wantProblem(s, "the destination rejected 100 of 100 lines")
	before := jobs(w.destination, "import")
	w.step(time.Hour)
	w.step(time.Hour)
	w.wantJobs(w.destination, "import", len(before))
	if _, n, err := w.engine.Retry(t.Context()); err != nil || n != 1 {
		t.Fatalf("retry: got %d reopened and %v, want 1", n, err)
	}
	s = w.untilState(24*time.Hour, migration.ShownCompleted)
	want := migration.Tally{Exported: 100, Rejected: 100}
	if got := s.Totals.Resources; got != want {
		t.Errorf("resources: got %+v, want %+v", got, want)
	}
	w.wantJobs(w.source, "export", 1)
	w.wantJobs(w.destination, "import", len(before)+1)
	newIdentity(w, s)
	if s.Totals.Clean() {
		t.Error("clean: got true, want false")
	}
}

// Imports in flight while the form of etags is unknown die of it once each, and never of what another one has learned.
func TestEtagsLearnedWhileOthersFail(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.settings.ChunkLimit, w.settings.Types = migration.Once, 8, []string{"Encounter", "Observation", "Patient"}
		w.limits.MaxImports, w.limits.MaxFailures = 3, 2
		w.destinationOptions = func(o *fhirsim.Options) { o.EtagUnquoted = true }
	})
	w.small()
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	newIdentity(w, s)
	died := 0
	for _, j := range jobs(w.destination, "import") {
		if j.Status != 0 {
			died++
		}
	}
	if died > w.limits.MaxImports {
		t.Errorf("imports that died of an etag: got %d, want at most one for each of %d in flight", died, w.limits.MaxImports)
	}
}
