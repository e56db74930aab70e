package migration

import (
	"testing"
	"time"
)

func TestErrandID(t *testing.T) {
	for _, kind := range ErrandKinds() {
		for _, runID := range []string{Idle, "20261125T171000Z-abcd1234", "run-1"} {
			if got, ok := ErrandRun(ErrandID(kind, runID, "7")); !ok || got != runID {
				t.Errorf("%s of %s: got %q, %v", kind, runID, got, ok)
			}
		}
	}
	chunk := ChunkID([]string{"Patient"}, Window{instant(), instant().Add(time.Hour)})
	for _, id := range []string{"", "round", "wake", chunk, "surface", "surface-", "surface-1", "surface--1", "surface-run-", "other-run-1"} {
		if got, ok := ErrandRun(id); ok {
			t.Errorf("%q: got run %q, want no errand", id, got)
		}
	}
}

func TestErrandClaim(t *testing.T) {
	e := NewErrand(DeepErrand, Idle, "1", instant())
	if err := e.Claim(instant(), instant().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := e.Claim(instant().Add(time.Second), instant().Add(time.Hour)); err != ErrNotDue {
		t.Errorf("a second visit within the claim: got %v, want %v", err, ErrNotDue)
	}
	if err := e.Claim(instant().Add(time.Minute), instant().Add(time.Hour)); err != nil {
		t.Errorf("after the claim has lapsed: %v", err)
	}
	l := Limits{Poll: time.Minute}
	for wait, want := range map[time.Duration]bool{0: false, time.Hour: false, time.Hour + 2*time.Minute: true} {
		if got := e.Overdue(l, instant().Add(wait)); got != want {
			t.Errorf("after %s: overdue %v, want %v", wait, got, want)
		}
	}
	e.End(instant())
	if err := e.Claim(instant().Add(time.Hour), instant().Add(2*time.Hour)); err != ErrNotDue || e.Overdue(l, instant().Add(time.Hour)) {
		t.Errorf("an errand that is over: got %v, want %v, and not overdue", err, ErrNotDue)
	}
}

// TestSteps walks a run through its steps: parameters before the first chunk, and again with the reindex after the last.
func TestSteps(t *testing.T) {
	l := Limits{SearchParameters: true}
	r := NewRun("r", Settings{Mode: Once, Since: instant().Add(-time.Hour)}, Settings{}, instant())
	step := func(l Limits, unfinished int, want ErrandKind) {
		t.Helper()
		kind, ok := r.NextStep(l, unfinished)
		if kind != want || ok != (want != "") {
			t.Fatalf("got %q, %v; want %q", kind, ok, want)
		}
		if !ok {
			return
		}
		e := r.NewStep(kind, "1", instant())
		r.StepBegun(e)
		if kind, ok := r.NextStep(l, unfinished); ok {
			t.Fatalf("beside %s: got %s, want one step at a time", e.Kind, kind)
		}
		r.StepEnded(Errand{ID: "another"}, instant())
		if r.Errand != e.ID {
			t.Fatal("the end of another errand ended the step")
		}
		r.StepEnded(e, instant())
	}
	step(Limits{}, 0, "") // switched off
	step(l, 0, ParametersErrand)
	step(l, 0, "")
	r.Frontier = r.End
	step(l, 1, "") // a chunk is unfinished
	r.Paused = true
	step(l, 0, "")
	r.Paused = false
	step(l, 0, ParametersErrand)
	step(l, 0, ReindexErrand)
	step(l, 0, SurfaceErrand)
	step(l, 0, "")
	r.CutOver(instant().Add(time.Hour), instant())
	step(l, 0, "") // more is to be moved first
	r.Frontier = r.End
	step(l, 0, ParametersErrand)
	step(l, 0, ReindexErrand)
	step(Limits{}, 0, SurfaceErrand) // it does not depend on the parameters
	r.VerifiedAt = time.Time{}
	r.StopAsked = true
	r.ReindexedAt = time.Time{}
	step(l, 0, "")
}
