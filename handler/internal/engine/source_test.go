package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

func caughtUp(w *world) func(engine.Status) bool {
	return func(s engine.Status) bool { return !s.MigratedTill.Before(w.Now().Add(-30 * time.Minute)) }
}

// lastCount fits the request that counts what was written after T: the one without an end.
func lastCount(line string) bool {
	return strings.HasPrefix(line, "GET /_history?") && !strings.Contains(line, "_before") && !strings.Contains(line, "_sort")
}

// A source that only exports (contract 0.4), from the start or from some moment on: everything arrives, and what cannot
// be verified any more is said (F26).
func TestDeprecatedSource(t *testing.T) {
	for name, when := range map[string]string{
		"from the start": "", "before the oldest is found": "SaveRound", "while counting": "GET /Patient/_history",
		"while a plan is added": "AddChunks", "during an export": "SaveChunk exporting", "during an import": "SaveChunk importing",
		"before the last count": "OpenRound closing",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.settings.Mode, w.settings.Window, w.settings.ChunkLimit = migration.Once, 20*365*24*time.Hour, 10
			})
			w.small()
			switch {
			case when == "":
				w.source.Faults().Deprecate()
			case when == "OpenRound closing":
				w.beforeRequest(lastCount, w.source.Faults().Deprecate)
			case strings.HasPrefix(when, "GET"):
				w.beforeRequest(func(line string) bool { return strings.HasPrefix(line, when) }, w.source.Faults().Deprecate)
			default:
				w.on(when, w.source.Faults().Deprecate)
			}
			w.start(engine.Overrides{})
			s := w.untilState(40*24*time.Hour, migration.ShownCompleted)
			w.equal()
			if !s.ExportOnly {
				t.Error("exportOnly: got false, want true")
			}
			w.wantProblem(s, "the source is deprecated and only exports")
			w.wantProblem(s, "could not be counted (the source is deprecated and refuses counts)")
			if s.Totals.Clean() {
				t.Error("clean: got true, want false: nobody counted what was written after T")
			}
		})
	}
}

// A deprecated source is not asked again for what it refuses, and is cut by time: one window up to 2018, then 30 days.
func TestDeprecatedSourceIsCutByTime(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.source.Faults().Deprecate()
	w.start(engine.Overrides{})
	w.untilState(40*24*time.Hour, migration.ShownCompleted)
	w.equal()
	chunks := w.chunks()
	if got := chunks[0].Window; !got.Since.Equal(migration.EarliestInstant()) || !got.Till.Equal(at("2018-01-01T00:00:00Z")) {
		t.Errorf("first window: got %s to %s, want up to 2018", got.Since, got.Till)
	}
	for i, c := range chunks[1:] {
		if c.Window.Length() > 30*24*time.Hour || !c.Window.Since.Equal(chunks[i].Window.Till) {
			t.Errorf("window %d: got %s to %s after one up to %s, want 30 days from there", i+1, c.Window.Since, c.Window.Till, chunks[i].Window.Till)
		}
	}
	refused := 0
	for _, r := range w.source.Requests() {
		if r.Status == 410 {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("requests refused with 410: got %d, want the one that told", refused)
	}
}

// An idle source costs one count per interval and no row (issue 2, section 6).
func TestIdleSource(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	w.until(6*time.Hour, "caught up", caughtUp(w))
	w.wait(time.Hour)
	chunks, counts := len(w.chunks()), len(requests(w.source, "GET /_history?_summary=count"))
	all := len(w.source.Requests())
	w.wait(10 * time.Hour)
	if n := len(w.chunks()) - chunks; n != 0 {
		t.Errorf("chunks added while idle: got %d, want none", n)
	}
	got := len(requests(w.source, "GET /_history?_summary=count")) - counts
	if most := int(10 * time.Hour / w.limits.Interval); got < most-3 || got > most {
		t.Errorf("counts in ten idle hours: got %d, want one per interval, %d", got, most)
	}
	// Each count comes with one look at the source's clock, and nothing else is asked.
	if n := len(w.source.Requests()) - all; n != 2*got {
		t.Errorf("requests in ten idle hours: got %d, want %d", n, 2*got)
	}
	w.finish()
	w.equal()
}

// A source without anything completes without a job (invariant 2).
func TestEmptySource(t *testing.T) {
	for _, mode := range []migration.Mode{migration.Once, migration.Continuous} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.settings.Mode = mode })
			w.start(engine.Overrides{})
			w.wait(40 * time.Minute)
			if mode == migration.Continuous {
				w.source.Put("Patient", "first", []byte(`{"resourceType":"Patient","id":"first"}`))
				w.pass(time.Minute)
				w.cutOver()
			}
			s := w.untilState(6*time.Hour, migration.ShownCompleted)
			w.equal()
			if n := len(jobs(w.source, "export")); mode == migration.Once && n != 0 {
				t.Errorf("exports of an empty source: got %d, want none", n)
			}
			if !s.Totals.Clean() || s.Totals.Reported > 0 {
				t.Errorf("problems, want none: %s", w.tell(s))
			}
		})
	}
}

// A source with nothing but SearchParameter completes; they are counted as skipped and never handed to an import.
func TestSearchParametersOnly(t *testing.T) {
	for _, types := range [][]string{nil, {"Patient"}} {
		w := newWorld(t, func(w *world) { w.settings.Mode, w.settings.Types = migration.Once, types })
		w.load("SearchParameter", 7, at("2023-01-01T00:00:00Z"), time.Hour)
		w.start(engine.Overrides{})
		s := w.untilState(6*time.Hour, migration.ShownCompleted)
		want := migration.Tally{Exported: 7, Skipped: 7}
		if types != nil {
			want = migration.Tally{} // an export of Patient holds none of them
		}
		if got := s.Totals.Resources; got != want {
			t.Errorf("types %v: resources: got %+v, want %+v", types, got, want)
		}
		if n := len(jobs(w.destination, "import")); n != 0 {
			t.Errorf("types %v: imports: got %d, want none", types, n)
		}
		if !s.Totals.Clean() {
			t.Errorf("types %v: not clean: %s", types, w.tell(s))
		}
	}
}

// SearchParameter files beside others are left out of the import.
func TestSearchParametersAmongOthers(t *testing.T) {
	play(t, []scenario{{name: "skipped", arm: func(w *world) { w.load("SearchParameter", 7, at("2022-02-01T00:00:00Z"), time.Hour) },
		exports: 1, imports: 1, check: func(w *world, s engine.Status) {
			want := migration.Tally{Exported: smallVersions + 7, Imported: smallVersions, Skipped: 7}
			if got := s.Totals.Resources; got != want {
				w.t.Errorf("resources: got %+v, want %+v", got, want)
			}
		}}})
}

// FERRY_RESOURCE_TYPES moves these types and no other.
func TestResourceTypes(t *testing.T) {
	for _, limit := range []int64{1000, 5} {
		w := newWorld(t, func(w *world) {
			w.settings.Mode, w.settings.Types, w.settings.ChunkLimit = migration.Once, []string{"Encounter", "Patient"}, limit
		})
		w.small()
		w.start(engine.Overrides{})
		s := w.untilState(24*time.Hour, migration.ShownCompleted)
		want, got := contents(w.source), contents(w.destination)
		for k := range want {
			if moved := !strings.HasPrefix(k, "Observation/"); got[k] != moved {
				t.Errorf("limit %d: %s at the destination: got %t, want %t", limit, k, got[k], moved)
			}
		}
		if !s.Totals.Clean() || s.Totals.Reported > 0 {
			t.Errorf("limit %d: problems, want none: %s", limit, w.tell(s))
		}
	}
}

// FERRY_WINDOW bounds the span of every chunk, and the windows of each type tile the run (invariant 1).
func TestWindowBound(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.settings.Window, w.settings.ChunkLimit = migration.Once, 7*24*time.Hour, 4
	})
	w.small()
	w.start(engine.Overrides{})
	w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	for _, c := range w.chunks() {
		if c.Window.Length() > 7*24*time.Hour {
			t.Errorf("chunk %s spans %s, want at most a week", c.ID, c.Window.Length())
		}
		if c.Expected > 4 {
			t.Errorf("chunk %s holds %d, want at most 4", c.ID, c.Expected)
		}
	}
}

// F30 and F31: pages may be empty and have a next one; every count asks for strict handling.
func TestSearchesAreStrictAndPatient(t *testing.T) {
	for _, versions := range []bool{true, false} {
		w := newWorld(t, func(w *world) {
			w.settings.Mode, w.settings.ChunkLimit, w.settings.History, w.settings.Deleted = migration.Once, 10, versions, versions
		})
		w.small()
		w.source.Faults().EmptyPages(3)
		w.start(engine.Overrides{})
		s := w.untilState(24*time.Hour, migration.ShownCompleted)
		w.equalHeads(versions)
		if want := at("2022-01-01T00:00:00Z"); versions && !s.Since.Equal(want) {
			t.Errorf("since: got %s, want the oldest version's %s", s.Since, want)
		}
		asked := 0
		for _, r := range w.source.Requests() {
			if strings.Contains(r.RawQuery, "_summary=count") || strings.Contains(r.RawQuery, "_sort") {
				asked++
				if !strings.Contains(r.Header["Prefer"], "handling=strict") {
					t.Errorf("%s without strict handling: Prefer %q", r.Route, r.Header["Prefer"])
				}
			}
		}
		if asked < 5 || w.source.Faults().Fired()["EmptyPages"] != 3 {
			t.Errorf("counts and searches asked: got %d, want some, with three empty pages", asked)
		}
	}
}

// F32: a run that is started anew after its destination was emptied really loads everything again.
func TestEmptiedDestination(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	for range 3 {
		w.start(engine.Overrides{})
		w.untilState(24*time.Hour, migration.ShownCompleted)
		w.equal()
		w.destination.Empty()
		w.pass(time.Hour)
	}
	w.wantJobs(w.destination, "import", 3)
}

// A count that fails is an error, never an empty window: planning waits and says why.
func TestCountsThatFail(t *testing.T) {
	for _, status := range []int{400, 403, 408, 500, 504} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.settings.Mode, w.settings.ChunkLimit = migration.Once, 10 })
			w.small()
			w.source.Faults().CountFails(4, status)
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			w.equal()
			if !s.Totals.Clean() {
				t.Errorf("not clean: %s", w.tell(s))
			}
			if late := status == 408 || status == 504; !late {
				w.wantProblem(s, "planning waits: count versions")
			}
		})
	}
}

// When the last count of all goes on failing the run completes, and says that it could not be verified.
func TestLastCountFails(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.beforeRequest(lastCount, func() { w.source.Faults().CountFails(-1, 500) })
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	w.wantProblem(s, "could not be counted")
	if s.Totals.Clean() {
		t.Error("clean: got true, want false")
	}
}

// What is written after the end of a run is told (invariant 2), but not when the end was the operator's until.
func TestWrittenAfterTheEnd(t *testing.T) {
	until := at("2022-03-01T03:30:00Z")
	for name, tc := range map[string]struct {
		change func(*world)
		told   bool
	}{
		"once":                  {func(w *world) { w.settings.Mode = migration.Once }, true},
		"until":                 {func(w *world) { w.settings.Until = until }, false},
		"once with until":       {func(w *world) { w.settings.Mode, w.settings.Until = migration.Once, until }, false},
		"once with later until": {func(w *world) { w.settings.Mode, w.settings.Until = migration.Once, w.Now().Add(24*time.Hour) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.change)
			w.small()
			w.start(engine.Overrides{})
			w.pass(30 * time.Second)
			w.source.Put("Patient", "after", []byte(`{"resourceType":"Patient","id":"after"}`))
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			got := contents(w.destination)
			for k := range contents(w.source) {
				stamp, err := time.Parse(time.RFC3339Nano, strings.Fields(k)[1])
				w.must(err)
				if inScope := !stamp.After(s.End); got[k] != inScope {
					t.Errorf("%s with T %s: at the destination %t, want %t", k, s.End, got[k], inScope)
				}
			}
			if tc.told {
				w.wantProblem(s, "1 versions were written to the source after")
			}
			if s.Totals.Clean() != !tc.told {
				t.Errorf("clean: got %t, want %t: %s", s.Totals.Clean(), !tc.told, w.tell(s))
			}
		})
	}
}

// A future until is waited for, then the run completes by itself.
func TestFutureUntil(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Until = w.Now().Add(3 * time.Hour) })
	w.small()
	w.start(engine.Overrides{})
	w.wait(2 * time.Hour)
	if s := w.status(); s.State != migration.ShownRunning {
		t.Errorf("state before until: got %s, want running", s.State)
	}
	w.source.Put("Patient", "before", []byte(`{"resourceType":"Patient","id":"before"}`))
	s := w.untilState(6*time.Hour, migration.ShownCompleted)
	w.equal()
	if w.Now().Before(s.Until.Add(w.limits.Settle)) {
		t.Errorf("completed at %s, want not before until %s has settled", w.Now(), s.Until)
	}
}
