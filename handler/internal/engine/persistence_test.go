package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// The smallest limits: one export at a time, one file in an import, many files.
func TestSmallestLimits(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.settings.ChunkLimit, w.limits.MaxCount = migration.Once, 10, 2
		w.limits.MaxExports, w.limits.MaxImports, w.limits.FilesPerImport = 1, 1, 1
	})
	w.small()
	w.start(engine.Overrides{})
	s := w.untilState(48*time.Hour, migration.ShownCompleted)
	w.equal()
	w.lanesInOrder()
	files := 0
	for _, e := range jobs(w.source, "export") {
		files += len(e.URLs)
	}
	if files < smallVersions/2 {
		t.Errorf("files: got %d, want at most two lines in each", files)
	}
	w.wantJobs(w.destination, "import", files)
	for _, i := range jobs(w.destination, "import") {
		if len(i.URLs) != 1 {
			t.Errorf("import %d has %d files, want 1", i.ID, len(i.URLs))
		}
	}
	if e, i := w.source.MaxConcurrent("export"), w.destination.MaxConcurrent("import"); e != 1 || i != 1 {
		t.Errorf("jobs in flight: got %d exports and %d imports, want one each", e, i)
	}
	if s.Totals.Reported > 0 {
		t.Errorf("problems, want none: %s", w.tell(s))
	}
}

// An import whose answer was lost may be at work: it keeps its slot until the same body has told its job, so that no
// import of another lane goes beyond the limit (invariant 15).
func TestLostImportAnswerKeepsItsSlot(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.settings.ChunkLimit, w.limits.MaxImports = migration.Once, 8, 1
		w.destinationOptions = func(o *fhirsim.Options) { o.ImportRate = 0.005 } // minutes for one import
	})
	w.small()
	// The chunk that comes first in order is exported while the import of another waits for its next try.
	w.source.Faults().FailExport(1, 500, "Unknown Error.")
	w.destination.Faults().LoseImportAnswer(4)
	w.start(engine.Overrides{})
	w.untilState(48*time.Hour, migration.ShownCompleted)
	w.equal()
	if got := w.destination.MaxConcurrent("import"); got != 1 {
		t.Errorf("imports in flight: got %d, want 1", got)
	}
	newSources := map[string]bool{}
	for _, j := range jobs(w.destination, "import") {
		newSources[j.InputSource] = true
	}
	if got, want := len(jobs(w.destination, "import")), len(newSources); got != want {
		t.Errorf("imports: got %d, want %d", got, want)
	}
}

// A job that cannot be cancelled does not hold the run up for ever (design 3.8).
func TestCancellationRefused(t *testing.T) {
	busy := fhirsim.Arm{Times: -1, Status: 503, Form: fhirsim.FormPlain, Route: "DELETE /_operations/"}
	play(t, []scenario{
		{name: "a stalled import", change: func(w *world) { w.limits.Stall = time.Hour }, arm: func(w *world) {
			w.destination.Faults().StickImport(1)
			w.must(w.destination.Faults().Arm("ServerBusy", busy))
		}, exports: 1, imports: 2, faults: true, problem: "the import did not end within 1h0m0s of being cancelled", check: newIdentity},
		{name: "a stalled export", change: func(w *world) { w.limits.Stall = time.Hour }, arm: func(w *world) {
			w.source.Faults().StickExport(1)
			w.must(w.source.Faults().Arm("ServerBusy", busy))
		}, exports: 2, imports: 1, faults: true, problem: "FERRY_STALL"},
		{name: "a stalled export of a source that refuses to cancel", change: func(w *world) {
			w.limits.Stall = time.Hour
			w.settings.Since, w.settings.Window = at("2021-12-31T00:00:00Z"), 5*365*24*time.Hour
		}, arm: func(w *world) {
			w.source.Faults().StickExport(1)
			w.source.Faults().Deprecate()
		}, imports: 1, faults: true, unclean: true, problem: "FERRY_STALL"},
	})
}

// A stop whose jobs cannot be cancelled ends all the same, and says what may run on.
func TestStopWithoutCancellation(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.source.Faults().StickExport(-1)
	w.must(w.source.Faults().Arm("ServerBusy", fhirsim.Arm{Times: -1, Status: 503, Form: fhirsim.FormPlain, Route: "DELETE /_operations/"}))
	w.start(engine.Overrides{})
	w.until(time.Hour, "exporting", func(s engine.Status) bool { return s.Totals.Chunks[migration.Exporting] > 0 })
	w.stop()
	s := w.untilState(6*time.Hour, migration.ShownStopped)
	w.wantProblem(s, "its job could not be cancelled and may run on at the server")
	if n := len(requests(w.source, "DELETE /_operations/export/{id}")); n != 3 {
		t.Errorf("cancellations tried: got %d, want 3", n)
	}
}

// An export with fewer versions than were counted is tried once more; when the second holds as many it is believed, and
// shown as something nobody could verify (invariant 12).
func TestShortExport(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.settings.ChunkLimit = migration.Once, 20
	})
	w.small()
	gone := fmt.Sprintf("patient-%d-7", at("2022-01-01T00:00:00Z").Unix())
	w.on("SaveChunk exporting", func() { w.source.HardDelete("Patient", gone) })
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	w.wantProblem(s, "versions where")
	w.wantProblem(s, "a second export held as many, so it is believed")
	if s.Totals.Clean() {
		t.Error("clean: got true, want false")
	}
	w.wantJobs(w.source, "export", s.Totals.Chunks[migration.Imported]+1)
}

// A window whose resources are all gone when it is exported is proven empty by a count.
func TestEverythingHardDeleted(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode, w.settings.ChunkLimit = migration.Once, 3 })
	w.load("Patient", 4, at("2022-01-01T00:00:00Z"), time.Hour)
	w.on("SaveChunk exporting", func() {
		for i := range 4 {
			w.source.HardDelete("Patient", fmt.Sprintf("patient-%d-%d", at("2022-01-01T00:00:00Z").Unix(), i))
		}
	})
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	w.wantJobs(w.source, "export", len(w.chunks()))
	if n := len(jobs(w.destination, "import")); n != 0 || !s.Totals.Clean() {
		t.Errorf("imports: got %d, want none, and clean: %s", n, w.tell(s))
	}
}

// A retry of a chunk whose files are gone exports again; with its files there it only imports again.
func TestRetryLooksForFiles(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("gone=%t", gone), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.settings.Mode, w.limits.MaxFailures = migration.Once, 1 })
			w.small()
			w.destination.Faults().FailImport(1, 500, "InternalServerError")
			w.start(engine.Overrides{})
			w.untilState(24*time.Hour, migration.ShownHalted)
			if gone {
				name := strings.TrimPrefix(jobs(w.source, "export")[0].URLs[0], "http://staging.example/fhirferry/")
				w.must(w.blobs.Delete(context.Background(), "fhirferry", name))
			}
			w.retry(1)
			w.untilState(24*time.Hour, migration.ShownCompleted)
			w.equal()
			want := 1
			if gone {
				want = 2
			}
			w.wantJobs(w.source, "export", want)
			w.wantJobs(w.destination, "import", 2)
		})
	}
}

// F23: old resources whose version ids are no numbers keep all their versions, in order, also over several windows.
func TestVersionIdsThatAreNoNumbers(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode, w.settings.Window = migration.Once, 10*24*time.Hour })
	for i := range 5 {
		for n := range 6 {
			w.must(w.source.Load(version(fmt.Sprintf("old-%d", i), fmt.Sprintf("0a0%d-%d", n, 9-n), at("2024-01-01T00:00:00Z").Add(time.Duration(n*7+i)*24*time.Hour))))
		}
	}
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	stamps := func(s *fhirsim.Server) map[string]int {
		m := map[string]int{}
		s.Versions(func(v fhirsim.Version) bool { m[v.ID+" "+v.LastUpdated.String()]++; return true })
		return m
	}
	got := stamps(w.destination)
	for k, n := range stamps(w.source) {
		if got[k] != n {
			t.Errorf("%s: got %d, want %d", k, got[k], n)
		}
	}
	if !s.Totals.Clean() {
		t.Errorf("not clean: %s", w.tell(s))
	}
}
