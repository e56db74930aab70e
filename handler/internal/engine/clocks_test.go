package engine_test

import (
	"fmt"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// skewed lets the source's clock differ from ours; the pointer turns it later.
func skewed(by *time.Duration) func(*world) {
	return func(w *world) {
		w.sourceOptions = func(o *fhirsim.Options) { o.Now = func() time.Time { return w.Now().Add(*by) } }
		w.destinationOptions = w.sourceOptions
	}
}

// Clocks that differ by more than half of the settle time are told; by more than all of it nothing is planned until they
// agree (invariant 2).
func TestClockSkew(t *testing.T) {
	for _, tc := range []struct {
		skew          time.Duration
		told, planned bool
	}{
		{0, false, true},
		{2 * time.Minute, false, true},
		{-2 * time.Minute, false, true},
		{3 * time.Minute, true, true},
		{-3 * time.Minute, true, true},
		{7 * time.Minute, true, false},
		{-7 * time.Minute, true, false},
		{48 * time.Hour, true, false},
		{-48 * time.Hour, true, false},
	} {
		t.Run(tc.skew.String(), func(t *testing.T) {
			t.Parallel()
			skew := tc.skew
			w := newWorld(t, skewed(&skew))
			w.small()
			w.start(engine.Overrides{})
			w.wait(3 * time.Hour)
			s := w.status()
			if got := s.Totals.Reported > 0; got != tc.told {
				t.Errorf("problem shown: got %t, want %t: %s", got, tc.told, w.tell(s))
			}
			if tc.told {
				w.wantProblem(s, "the clocks of the source and of this app differ by about")
			}
			if got := len(w.chunks()) > 0; got != tc.planned {
				t.Errorf("anything planned: got %t, want %t", got, tc.planned)
			}
			w.beforeBothHorizons(skew)
			if !tc.planned {
				skew = 0 // somebody has set the clock
			}
			w.source.Put("Patient", "last", []byte(`{"resourceType":"Patient","id":"last"}`))
			w.pass(2 * time.Second)
			w.finish()
			w.equal()
		})
	}
}

// beforeBothHorizons wants every window to end in what is settled by either clock.
func (w *world) beforeBothHorizons(skew time.Duration) {
	w.t.Helper()
	horizon := w.Now().Add(-w.limits.Settle + min(skew, 0))
	for _, c := range w.chunks() {
		if c.Window.Till.After(horizon) {
			w.t.Errorf("chunk %s ends after %s, which is not settled", c.ID, horizon)
		}
	}
}

// A cutover's T is by the later clock, so that the last write of a source whose clock is ahead is moved.
func TestCutOverWithSkew(t *testing.T) {
	for _, skew := range []time.Duration{2*time.Minute + 300*time.Millisecond, -2 * time.Minute} {
		for _, generation := range []fhirsim.Generation{fhirsim.Gen1, fhirsim.Gen2} {
			t.Run(fmt.Sprintf("%s gen%d", skew, generation), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, skewed(&skew), func(w *world) { w.generation = generation })
				w.small()
				w.start(engine.Overrides{})
				w.wait(30 * time.Minute)
				w.source.Put("Patient", "last", []byte(`{"resourceType":"Patient","id":"last"}`))
				s := w.cutOver()
				if ours, theirs := w.Now(), w.Now().Add(skew); s.End.Before(ours) || s.End.Before(theirs) {
					t.Errorf("T: got %s, want not before %s and %s", s.End, ours, theirs)
				}
				s = w.untilState(6*time.Hour, migration.ShownCompleted)
				w.equal()
				if !s.Totals.Clean() {
					t.Errorf("not clean: %s", w.tell(s))
				}
			})
		}
	}
}
