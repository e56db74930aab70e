package engine_test

import (
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// A cutover that comes between the opening of the closing round and its visit asks for the last steps again, even where it
// does not move the end: the run completes after them, and none is left under way for ever.
func TestCutoverBeforeTheClosingRound(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Until = at("2024-02-01T00:00:00Z") })
	w.small()
	asked := false
	w.tap.around = func(call string, do func() error) error {
		if err := do(); err != nil || call != "OpenRound" || asked {
			return err
		}
		if run, _, err := w.ledger.Current(t.Context()); err != nil || run.VerifiedAt.IsZero() {
			return err
		}
		asked = true
		_, err := w.viewer.CutOver(t.Context())
		return err
	}
	w.engine = w.instance(w.tap)
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	list, err := w.viewer.Checks(t.Context())
	w.must(err)
	if !asked || len(list) != 2 {
		t.Fatalf("got %d checks, cutover asked: %t; want a check before the cutover and one after it", len(list), asked)
	}
	for _, c := range list {
		if !c.Errand.Ended() || c.Errand.Verdict != migration.Equal || c.Errand.EndedAt.After(s.EndedAt) {
			t.Errorf("check %s: got %q, ended %s; want it equal and ended before the run, %s", c.Errand.ID, c.Errand.Verdict, c.Errand.EndedAt, s.EndedAt)
		}
	}
}
