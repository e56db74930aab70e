package engine_test

import (
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// halting is a world whose oldest window fails while later ones are exported already: windows of 100 days, four exports
// at a time, no patience with faults.
func halting(t *testing.T, arm func(*fhirsim.Faults, *fhirsim.Faults)) *world {
	w := newWorld(t, func(w *world) {
		w.settings.ChunkLimit = 30
		w.settings.Types = []string{"Observation", "Patient"}
		w.limits.MaxFailures = 1
	})
	w.load("Patient", 100, at("2023-01-01T00:00:00Z"), 24*time.Hour)
	w.load("Observation", 20, at("2023-01-01T00:00:00Z"), 120*time.Hour)
	arm(w.source.Faults(), w.destination.Faults())
	w.start(engine.Overrides{})
	return w
}

// A chunk that fails while later windows are exported stops everything behind it: nothing of its types is imported past
// it, migratedTill stands still, the run is halted; retry finishes it (invariants 4 and 9).
func TestFailedChunkHoldsItsLanes(t *testing.T) {
	for name, arm := range map[string]func(source, destination *fhirsim.Faults){
		"export fails": func(source, _ *fhirsim.Faults) { source.FailExport(1, 500, "Unknown Error.") },
		"import fails": func(_, destination *fhirsim.Faults) { destination.FailImport(1, 500, "InternalServerError") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := halting(t, arm)
			s := w.untilState(24*time.Hour, migration.ShownHalted)
			failed := w.failed()
			w.wait(12 * time.Hour)
			s = w.status()
			if s.State != migration.ShownHalted || !s.MigratedTill.Equal(failed.Window.Since) {
				t.Errorf("got %s with migratedTill %s, want halted at the failed chunk's %s", s.State, s.MigratedTill, failed.Window.Since)
			}
			w.nothingPast(failed)
			if s.Totals.Chunks[migration.Exported] == 0 {
				t.Errorf("no later window was exported, so the test shows nothing: %s", w.tell(s))
			}
			if n := s.Totals.Chunks[migration.Exporting] + s.Totals.Chunks[migration.Importing]; n != 0 {
				t.Errorf("jobs in flight while halted: got %d, want them to have landed", n)
			}
			before := len(jobs(w.source, "export")) + len(jobs(w.destination, "import"))
			w.wait(6 * time.Hour)
			if after := len(jobs(w.source, "export")) + len(jobs(w.destination, "import")); after != before {
				t.Errorf("jobs started while halted: got %d, want none", after-before)
			}
			w.retry(1)
			w.finish()
			w.equal()
		})
	}
}

func (w *world) failed() migration.Chunk {
	w.t.Helper()
	for _, c := range w.chunks() {
		if c.State == migration.Failed {
			return c
		}
	}
	w.t.Fatal("no chunk has failed")
	return migration.Chunk{}
}

// nothingPast fails when a later chunk that shares a lane with the failed one was imported.
func (w *world) nothingPast(failed migration.Chunk) {
	w.t.Helper()
	for _, c := range w.chunks() {
		if c.ID != failed.ID && c.Shares(failed) && failed.Compare(c) < 0 && c.State == migration.Imported {
			w.t.Errorf("chunk %s was imported past the failed %s", c.ID, failed.ID)
		}
	}
}

// A cutover while halted stays halted; retry then goes on to the end.
func TestCutOverWhileHalted(t *testing.T) {
	w := halting(t, func(source, _ *fhirsim.Faults) { source.FailExport(1, 500, "Unknown Error.") })
	w.untilState(24*time.Hour, migration.ShownHalted)
	w.source.Put("Patient", "last", []byte(`{"resourceType":"Patient","id":"last"}`))
	w.pass(time.Minute)
	if s := w.cutOver(); s.State != migration.ShownHalted {
		t.Errorf("state after a cutover while halted: got %s, want halted", s.State)
	}
	w.wait(6 * time.Hour)
	if s := w.status(); s.State != migration.ShownHalted {
		t.Errorf("state: got %s, want halted until a retry", s.State)
	}
	w.retry(1)
	w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
}

// A retry that does not help ends halted again, and a stop ends a halted run.
func TestRetryThatFailsAgain(t *testing.T) {
	w := halting(t, func(source, _ *fhirsim.Faults) { source.FailExport(-1, 500, "Unknown Error.") })
	w.untilState(24*time.Hour, migration.ShownHalted)
	w.wait(time.Hour)
	n := w.status().Totals.Chunks[migration.Failed]
	w.retry(n)
	w.until(24*time.Hour, "halted again", func(s engine.Status) bool { return s.State == migration.ShownHalted })
	w.source.Faults().Reset()
	w.stop()
	s := w.untilState(24*time.Hour, migration.ShownStopped)
	if got := s.Totals.Chunks[migration.Failed]; got != 0 {
		t.Errorf("failed chunks of a stopped run: got %d, want them cancelled", got)
	}
}

// F6: one resource type and one millisecond cannot be cut: the chunk fails and says so, and is not tried for ever (F24).
func TestOneMillisecondTooMuch(t *testing.T) {
	since := at("2022-01-01T00:00:00Z")
	until := since.Add(time.Millisecond)
	w := newWorld(t, func(w *world) {
		w.settings.Types = []string{"Patient"}
		w.settings.Since, w.settings.Until = since, until
	})
	w.load("Patient", 50, since, 0)
	w.source.Faults().FailExport(1, 413, "The FHIR Server ran out of memory")
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownHalted)
	w.wait(6 * time.Hour)
	w.wantJobs(w.source, "export", 1)
	w.wantProblem(s, "one resource type and one millisecond are too much for one export")
	w.retry(1)
	w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
}

// A foreign output URL is refused at once and clearly: our files would not be where we look (invariant 16).
func TestForeignOutputURL(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.source.Faults().ForeignOutputURL(3)
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownHalted)
	w.wantProblem(s, "the export's manifest names a file outside the staging container http://staging.example/fhirferry/")
	if n := len(jobs(w.destination, "import")); n != 0 {
		t.Errorf("imports: got %d, want none", n)
	}
	w.retry(1)
	w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
}
