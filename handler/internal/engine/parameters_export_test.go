package engine_test

import (
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// deprecate makes the source export-only.
func deprecate(w *world) { w.source.Faults().Deprecate() }

// oneWindow spares a source that refuses counts the months of windows that it would be cut into.
func oneWindow(w *world) { w.settings.Window = 100 * 365 * 24 * time.Hour }

// parameterExports are the exports of search parameters alone.
func (w *world) parameterExports() (n int) {
	for _, r := range requests(w.source, "GET /$export") {
		if strings.Contains(r.RawQuery, "_type=SearchParameter&") || strings.HasSuffix(r.RawQuery, "_type=SearchParameter") {
			n++
		}
	}
	return n
}

// A deprecated source refuses searches: its search parameters come by an export, whatever goes wrong with it.
func TestSearchParametersByExport(t *testing.T) {
	for name, c := range map[string]struct {
		arm     func(*fhirsim.Faults)
		exports int // of search parameters, in two passes; 0: any number
	}{
		"plain":               {func(f *fhirsim.Faults) {}, 2},
		"empty lines":         {func(f *fhirsim.Faults) { f.EmptyLines(1); f.ByteOrderMark(1) }, 2},
		"partial manifest":    {func(f *fhirsim.Faults) { f.PartialManifest(1) }, 2},
		"answer lost":         {func(f *fhirsim.Faults) { f.LoseExportAnswer(1) }, 3},
		"job fails":           {func(f *fhirsim.Faults) { f.FailExport(2, 500, "") }, 4},
		"job forgotten":       {func(f *fhirsim.Faults) { f.ForgetExport(1) }, 3},
		"cancelled inside":    {func(f *fhirsim.Faults) { f.SystemCancelExport(1) }, 3},
		"stuck":               {func(f *fhirsim.Faults) { f.StickExport(1) }, 3},
		"file gone":           {func(f *fhirsim.Faults) { f.LoseBlob(1) }, 3},
		"file cut":            {func(f *fhirsim.Faults) { f.TruncateBlob(1) }, 3},
		"kick-off throttled":  {func(f *fhirsim.Faults) { f.ThrottleKickoff(3, fhirsim.FormHeaders) }, 5},
		"file of another one": {func(f *fhirsim.Faults) { f.ForeignOutputURL(1) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withParameters, oneWindow, func(w *world) { w.settings.Mode, w.limits.Stall = migration.Once, 3*time.Hour })
			w.small()
			for _, id := range []string{"works", "also", "third"} {
				w.define(w.source, id, id)
			}
			deprecate(w)
			c.arm(w.source.Faults())
			lines := w.listen()
			w.start(engine.Overrides{})
			s := w.untilState(30*24*time.Hour, migration.ShownCompleted)
			w.equal()
			w.sameDefinitions()
			if p := s.SearchParameters; p.Written != 3 || p.Failed != 0 || w.search("works=true") != 11 {
				t.Errorf("got %+v: %s", p, w.tell(s))
			}
			if got := w.parameterExports(); got != c.exports && c.exports > 0 {
				t.Errorf("%d exports of search parameters, want %d", got, c.exports)
			}
			written, _ := positions(*lines, "POST /")
			if imported, _ := positions(*lines, "POST /$import"); (*lines)[written] != "POST /" || written > imported {
				t.Errorf("written at %d, imported at %d", written, imported)
			}
		})
	}
}

// A source without custom search parameters exports none; that is believed of two exports, never of one.
func TestNoSearchParametersByExport(t *testing.T) {
	w := newWorld(t, withParameters, oneWindow, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	deprecate(w)
	w.start(engine.Overrides{})
	s := w.untilState(30*24*time.Hour, migration.ShownCompleted)
	w.equal()
	if got := w.parameterExports(); got != 4 || s.SearchParameters.Found != 0 || s.SearchParameters.State != engine.StepDone {
		t.Errorf("%d exports in two passes, want four; %+v", got, s.SearchParameters)
	}
}

// A source that cannot export them either is a problem, and the run goes on.
func TestSearchParametersByExportGivenUp(t *testing.T) {
	w := newWorld(t, withParameters, oneWindow, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.define(w.source, "works", "works")
	deprecate(w)
	w.source.Faults().FailExport(w.limits.MaxFailures, 500, "no")
	w.start(engine.Overrides{})
	s := w.untilState(30*24*time.Hour, migration.ShownCompleted)
	w.equal()
	w.wantProblem(s, "custom search parameters were not moved")
	if s.Totals.Clean() || s.SearchParameters.Written != 1 {
		t.Errorf("got %+v, want what the first pass lost found by the second, and the run not clean", s.SearchParameters)
	}
}

// Quiet hours hold back the export, which is a job, and what waits for it.
func TestParameterExportWaitsForQuietHoursToEnd(t *testing.T) {
	w := newWorld(t, withParameters, oneWindow, func(w *world) {
		w.settings.Mode = migration.Once
		all := [7]bool{true, true, true, true, true, true, true}
		w.limits.Quiet = migration.QuietHours{{Days: all, Begin: 0, End: 60, Zone: time.UTC}}
	})
	w.small()
	w.define(w.source, "works", "works")
	deprecate(w)
	w.start(engine.Overrides{})
	w.until(12*time.Hour, "exporting", func(engine.Status) bool { return len(requests(w.source, "GET /$export")) > 0 })
	if hour := w.Now().Hour(); hour != 1 || w.parameterExports() != 1 {
		t.Errorf("exported at %s, want the search parameters after one", w.Now().Format(time.TimeOnly))
	}
	if s := w.untilState(24*time.Hour, migration.ShownCompleted); s.SearchParameters.Written != 1 {
		t.Errorf("got %+v: %s", s.SearchParameters, w.tell(s))
	}
}

// A stop during the export ends the run at once.
func TestStopDuringParameterExport(t *testing.T) {
	w := newWorld(t, withParameters, oneWindow)
	w.small()
	w.define(w.source, "works", "works")
	deprecate(w)
	w.source.Faults().StickExport(-1)
	w.start(engine.Overrides{})
	w.until(time.Hour, "exporting", func(engine.Status) bool { return w.parameterExports() > 0 })
	w.stop()
	s := w.untilState(10*time.Minute, migration.ShownStopped)
	if s.SearchParameters.State != engine.StepDropped || s.SearchParameters.Found != 0 {
		t.Errorf("got %+v, want it dropped", s.SearchParameters)
	}
}

// A pause that comes before the export holds it back.
func TestParameterExportWaitsForResume(t *testing.T) {
	w := newWorld(t, withParameters, oneWindow)
	w.small()
	w.define(w.source, "works", "works")
	deprecate(w)
	w.after("OpenErrand parameters", func() {
		_, err := w.viewer.Pause(t.Context())
		w.must(err)
	})
	w.start(engine.Overrides{})
	w.untilState(time.Hour, migration.ShownPaused)
	for range 60 {
		w.step(time.Minute)
	}
	if got := w.parameterExports(); got > 0 {
		t.Errorf("paused: %d exports", got)
	}
	w.resume()
	w.until(2*time.Hour, "moved", func(s engine.Status) bool { return s.SearchParameters.State == engine.StepDone })
}
