package engine_test

import (
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// after does act just after the first call whose name is given.
func (w *world) after(name string, act func()) {
	done := false
	w.tap.around = func(call string, do func() error) error {
		err := do()
		if call == name && !done {
			done = true
			act()
		}
		return err
	}
}

// A stop that overlaps with the end of a round promises nothing of the chunks that were added meanwhile: a run that is
// started from the stopped one's migratedTill loses nothing.
func TestStopWhileChunksAreAdded(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	w.must(w.engine.Tick(t.Context())) // opens the first round; its nudge stays in the queue
	w.after("Unfinished", func() { w.must(w.viewer.Visit(t.Context(), migration.RoundID)) })
	w.stop()
	if n := len(w.chunks()); n == 0 {
		t.Fatal("no chunk was added during the stop, so the test shows nothing")
	}
	s := w.untilState(6*time.Hour, migration.ShownStopped)
	if s.MigratedTill.After(at("2022-01-01T00:00:00Z")) {
		t.Errorf("migratedTill: got %s, want nothing promised after the oldest resource", s.MigratedTill)
	}
	o := engine.Overrides{}
	if !s.MigratedTill.IsZero() {
		o.Since = &s.MigratedTill
	}
	w.start(o)
	w.finish()
	w.equal()
}

// A cutover of a run in mode once that overlaps with its last count moves the end on: what was counted after the old one
// is moved, and no problem says otherwise.
func TestCutOverDuringTheLastCount(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.start(engine.Overrides{})
	w.pass(time.Minute)
	w.source.Put("Patient", "late", []byte(`{"resourceType":"Patient","id":"late"}`))
	w.pass(time.Minute)
	w.beforeRequest(lastCount, func() {
		if _, err := w.viewer.CutOver(t.Context()); err != nil {
			t.Errorf("cutover: %v", err)
		}
	})
	s := w.untilState(6*time.Hour, migration.ShownCompleted)
	w.equal()
	if !s.Totals.Clean() || s.Totals.Reported > 0 {
		t.Errorf("problems, want none: %s", w.tell(s))
	}
}

// A pause that overlaps with the last count holds the end back; resume completes the run.
func TestPauseDuringTheLastCount(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.start(engine.Overrides{})
	w.beforeRequest(lastCount, func() {
		if _, err := w.viewer.Pause(t.Context()); err != nil {
			t.Errorf("pause: %v", err)
		}
	})
	w.untilState(6*time.Hour, migration.ShownPaused)
	w.wait(time.Hour)
	if s := w.status(); s.State != migration.ShownPaused {
		t.Errorf("state: got %s, want paused", s.State)
	}
	w.resume()
	w.untilState(6*time.Hour, migration.ShownCompleted)
	w.equal()
}
