package engine_test

import (
	"errors"
	"testing"

	"fhirferry/handler/internal/engine"
)

// A row of a check that cannot be read is an error of every tick, and holds up no migration.
func TestUnreadableChecksHoldNothingUp(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	w.tap.around = func(call string, do func() error) error {
		if call == "Errands" {
			return errors.New("a row of another version")
		}
		return do()
	}
	if err := w.engine.Tick(t.Context()); err == nil {
		t.Error("the tick said nothing of it")
	}
	run, _, err := w.ledger.Current(t.Context())
	w.must(err)
	if _, _, err := w.ledger.Round(t.Context(), run.ID); err != nil {
		t.Errorf("no round was opened: %v", err)
	}
}
