package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// ear hears every record from its level on.
type ear struct {
	level slog.Level

	mu      sync.Mutex
	records []map[string]any // the attributes; "" is the message
}

func (e *ear) Enabled(_ context.Context, level slog.Level) bool { return level >= e.level }

func (e *ear) Handle(_ context.Context, r slog.Record) error {
	attrs := map[string]any{"": r.Message}
	r.Attrs(func(a slog.Attr) bool { attrs[a.Key] = a.Value.Resolve().Any(); return true })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.records = append(e.records, attrs)
	return nil
}

func (e *ear) WithAttrs([]slog.Attr) slog.Handler { return e }
func (e *ear) WithGroup(string) slog.Handler      { return e }

// heard are the records of one event, oldest first.
func (e *ear) heard(event string) (found []map[string]any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.records {
		if r["event"] == event {
			found = append(found, r)
		}
	}
	return found
}

// totals are the records of the totals, which every tick tells.
func (e *ear) totals() []map[string]any {
	return slices.DeleteFunc(e.heard("Metrics"), func(r map[string]any) bool { return r["ChunksFailed"] == nil })
}

// lags are the lags told, oldest first.
func (e *ear) lags() (found []float64) {
	for _, r := range e.heard("Metrics") {
		if lag, ok := r["LagSeconds"].(float64); ok {
			found = append(found, lag)
		}
	}
	return found
}

// counted counts the reads of the totals.
type counted struct {
	engine.Ledger
	reads int
	err   error
}

func (c *counted) Totals(ctx context.Context, runID string) (migration.Totals, error) {
	c.reads++
	if c.err != nil {
		return migration.Totals{}, c.err
	}
	return c.Ledger.Totals(ctx, runID)
}

// listening is a world whose engine is heard; its viewer is not.
func listening(t *testing.T, level slog.Level, change ...func(*world)) (*world, *ear, *counted) {
	w := newWorld(t, change...)
	e, c := &ear{level: level}, &counted{Ledger: w.ledger}
	w.hears, w.ledger = e, c
	w.engine = w.instance(w.tap)
	w.ledger, w.hears = c.Ledger, nil
	return w, e, c
}

// A run from its start to its end, as the events and metrics tell it.
func TestARunIsTold(t *testing.T) {
	w, e, _ := listening(t, slog.LevelDebug, func(w *world) { w.settings.Mode, w.settings.ChunkLimit = migration.Once, 40 })
	w.load("Patient", 100, at("2023-01-01T00:00:00Z"), 24*time.Hour)
	w.start(engine.Overrides{})
	lags := 0
	for range 20 {
		w.step(time.Minute)
		till := w.status().MigratedTill
		before := len(e.lags())
		if err := w.engine.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		switch told := e.lags()[before:]; {
		case w.status().State == migration.ShownCompleted || till.IsZero():
			if len(told) != 0 {
				t.Fatalf("lag: got %v, want none of a run without one", told)
			}
		case len(told) != 1 || told[0] != w.Now().Sub(till).Seconds():
			t.Fatalf("lag: got %v, want once %f", told, w.Now().Sub(till).Seconds())
		default:
			lags++
		}
	}
	if lags == 0 {
		t.Error("no tick told a lag, so the test shows nothing")
	}
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	for _, event := range []string{"MigrationStarted", "MigrationCompleted"} {
		if got := e.heard(event); len(got) != 1 || got[0]["run"] != s.RunID {
			t.Errorf("%s: got %v, want it once, for run %s", event, got, s.RunID)
		}
	}
	if opened, closed := len(e.heard("RoundOpened")), len(e.heard("RoundClosed")); opened != closed || opened < 2 {
		t.Errorf("rounds: got %d opened and %d closed, want as many of each, and the closing one", opened, closed)
	}
	var imported int64
	for _, r := range e.heard("ChunkMoved") {
		if r["from"] == r["to"] {
			t.Errorf("got %v, want a move", r)
		}
		if r["to"] == migration.Imported {
			imported += r["imported"].(int64)
		}
	}
	if imported != s.Totals.Resources.Imported {
		t.Errorf("imported as chunks tell it: got %d, want %d", imported, s.Totals.Resources.Imported)
	}
	last := e.totals()[len(e.totals())-1]
	if last["ResourcesExported"] != s.Totals.Resources.Exported || last["ResourcesImported"] != s.Totals.Resources.Imported ||
		last["ChunksImported"] != int64(s.Totals.Chunks[migration.Imported]) || last["ChunksPlanned"] != int64(0) {
		t.Errorf("the last totals are %v, want those of the status: %s", last, w.tell(s))
	}
	for metric, state := range map[string]migration.State{"ExportSeconds": migration.Exporting, "ImportSeconds": migration.Importing} {
		var got []float64
		for _, r := range e.heard("Metrics") {
			if seconds, ok := r[metric].(float64); ok {
				got = append(got, seconds)
			}
		}
		if diff := cmp.Diff(durations(w.tap.saved(), state), got); diff != "" || len(got) < 2 {
			t.Errorf("%s (-want +got):\n%s", metric, diff)
		}
	}
}

// durations are those of the jobs that the saved chunks tell of, in the order in which they ended.
func durations(saved []migration.Chunk, inFlight migration.State) (all []float64) {
	before := map[string]migration.Chunk{}
	for _, c := range saved {
		if was := before[c.ID]; was.State == inFlight && c.State != inFlight {
			job := was.Export
			if inFlight == migration.Importing {
				job = was.Import
			}
			all = append(all, c.UpdatedAt.Sub(job.Started).Seconds())
		}
		before[c.ID] = c
	}
	return all
}

// Totals go out once a tick and once at the end, at one read each; where nobody listens they cost nothing.
func TestTotalsAreToldOncePerTick(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		w, e, c := listening(t, level)
		if err := w.engine.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(e.totals()) + c.reads; n != 0 {
			t.Errorf("%s: an idle tick told or read totals %d times, want never", level, n)
		}
		w.load("Patient", 10, at("2023-01-01T00:00:00Z"), time.Hour)
		w.start(engine.Overrides{})
		before, each := c.reads, 1
		if level == slog.LevelInfo {
			each = 0
		}
		for n := 1; n <= 3; n++ {
			if err := w.engine.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			if told, read := len(e.totals()), c.reads-before; told != n*each || read != n*each {
				t.Fatalf("%s: after %d ticks totals were told %d times from %d reads, want %d", level, n, told, read, n*each)
			}
		}
		before = len(e.totals())
		for range 5 { // visits, which go on from where they end, tell none
			w.pass(10 * time.Second)
			for _, id := range w.queue.Due() {
				w.must(w.engine.Visit(t.Context(), id))
			}
		}
		if n := len(e.totals()); n != before {
			t.Errorf("%s: visits told totals %d times, want ticks alone to do so", level, n-before)
		}
		w.stop()
		w.untilState(time.Hour, migration.ShownStopped)
		if n := len(e.heard("MigrationStopped")); n != 1 {
			t.Errorf("MigrationStopped: got %d, want 1", n)
		}
	}
}

// Totals that cannot be read cost the metrics, never the tick.
func TestTotalsUnreadable(t *testing.T) {
	w, e, c := listening(t, slog.LevelDebug, func(w *world) { w.settings.Mode = migration.Once })
	w.load("Patient", 10, at("2023-01-01T00:00:00Z"), time.Hour)
	w.start(engine.Overrides{})
	c.err = errors.New("table out of order")
	w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	if len(e.totals()) != 0 || len(e.heard("MigrationCompleted")) != 1 {
		t.Errorf("got %v and %d completions, want no totals and one", e.totals(), len(e.heard("MigrationCompleted")))
	}
}

// What operators ask for is told once, when it is saved; what is in force already is not told again.
func TestVerbsAreTold(t *testing.T) {
	w, e, _ := listening(t, slog.LevelInfo)
	w.load("Patient", 10, at("2023-01-01T00:00:00Z"), time.Hour)
	w.start(engine.Overrides{})
	w.start(engine.Overrides{})
	w.pause()
	w.pause()
	w.resume()
	w.resume()
	w.cutOver()
	w.cutOver()
	w.stop()
	w.stop()
	w.untilState(time.Hour, migration.ShownStopped)
	var got []string
	for _, r := range e.records {
		if event := fmt.Sprint(r["event"]); strings.HasPrefix(event, "Migration") {
			got = append(got, fmt.Sprintf("%s from %v", event, r["from"]))
		}
	}
	want := []string{
		"MigrationStarted from <nil>", "MigrationPaused from running", "MigrationResumed from paused",
		"MigrationCutOver from running", "MigrationStopping from cutover", "MigrationStopped from <nil>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A fault is told as a retry and a problem, the last one as a halt, an operator's retry as reopened; and nothing of what
// the server said is told with any of them.
func TestTroubleIsTold(t *testing.T) {
	w, e, _ := listening(t, slog.LevelDebug, func(w *world) { w.limits.MaxFailures = 2 })
	w.load("Patient", 10, at("2023-01-01T00:00:00Z"), time.Hour)
	w.source.Faults().FailExport(2, 500, "the resource of Mrs PLANTED is broken")
	w.start(engine.Overrides{})
	w.untilState(24*time.Hour, migration.ShownHalted)
	failed := w.failed()
	if got := e.heard("ChunkRetried"); len(got) != 1 || got[0]["chunk"] != failed.ID || got[0]["attempts"] != int64(1) ||
		got[0]["state"] != migration.Planned || got[0]["waitSeconds"].(float64) <= 0 {
		t.Errorf("ChunkRetried: got %v, want the first fault of %s, and a wait", got, failed.ID)
	}
	if got := e.heard("MigrationHalted"); len(got) != 1 || got[0]["chunk"] != failed.ID || got[0]["from"] != migration.Exporting {
		t.Errorf("MigrationHalted: got %v, want it for %s", got, failed.ID)
	}
	if got := e.heard("ProblemReported"); len(got) != 2 || got[0]["chunk"] != failed.ID || got[0]["doubt"] != false {
		t.Errorf("ProblemReported: got %v, want two of %s", got, failed.ID)
	}
	w.retry(1)
	if got := e.heard("MigrationReopened"); len(got) != 1 || got[0]["reopened"] != int64(1) || got[0]["from"] != migration.ShownHalted {
		t.Errorf("MigrationReopened: got %v, want one chunk", got)
	}
	w.finish()
	w.equal()
	if n := len(e.heard("ChunkRetried")); n != 1 {
		t.Errorf("ChunkRetried: got %d, want 1: what an operator asked is no retry", n)
	}
	for _, r := range e.records {
		if text := fmt.Sprint(r); strings.Contains(text, "PLANTED") {
			t.Errorf("what the server said is told: %s", text)
		}
	}
	if s := w.status(); !strings.Contains(fmt.Sprint(s.Totals.Problems), "PLANTED") {
		t.Errorf("the status does not say what the server said: %v", s.Totals.Problems)
	}
}

// Each way in which a try may end without an operator having asked leads to one ChunkRetried, with the state that the
// next try begins from.
func TestRetriesAreTold(t *testing.T) {
	for name, tt := range map[string]struct {
		arm  func(w *world)
		from migration.State
	}{
		"export failed":                  {func(w *world) { w.source.Faults().FailExport(1, 500, "x") }, migration.Planned},
		"answer of an export lost":       {func(w *world) { w.source.Faults().LoseExportAnswer(1) }, migration.Planned},
		"import failed":                  {func(w *world) { w.destination.Faults().FailImport(1, 500, "x") }, migration.Exported},
		"answer of an import lost":       {func(w *world) { w.destination.Faults().LoseImportAnswer(1) }, migration.Exported},
		"files lost before their import": {func(w *world) { w.source.Faults().LoseBlob(1) }, migration.Planned},
		"nothing went wrong":             {func(*world) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, e, _ := listening(t, slog.LevelInfo)
			w.load("Patient", 10, at("2023-01-01T00:00:00Z"), time.Hour)
			tt.arm(w)
			w.start(engine.Overrides{})
			w.finish()
			w.equal()
			got := e.heard("ChunkRetried")
			if tt.from == "" {
				if len(got) != 0 {
					t.Errorf("got %v, want none", got)
				}
				return
			}
			if len(got) != 1 || got[0]["state"] != tt.from {
				t.Errorf("got %v, want one from %s", got, tt.from)
			}
		})
	}
}
