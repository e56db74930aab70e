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

// A cutover puts off the end of a run whose last steps are under way: what they did is done again, after what it brings.
func TestStepsOvertaken(t *testing.T) {
	l := Limits{SearchParameters: true}
	for _, kind := range []ErrandKind{ParametersErrand, ReindexErrand} {
		r := NewRun("r", Settings{Mode: Once, Since: instant().Add(-time.Hour)}, Settings{}, instant())
		r.Frontier, r.ParametersAt = r.End, instant()
		if kind == ReindexErrand {
			r.ParametersAgainAt = instant()
		}
		e := r.NewStep(kind, "1", instant().Add(time.Minute))
		r.StepBegun(e)
		r.CutOver(instant().Add(time.Hour), instant())
		r.Frontier = r.End
		r.StepEnded(e, instant().Add(2*time.Hour))
		if got, ok := r.NextStep(l, 0); got != ParametersErrand || !ok || !r.ReindexedAt.IsZero() {
			t.Errorf("%s overtaken by a cutover: got %s, %v, want the parameters once more", kind, got, ok)
		}
	}
}

// A step that is left off is not done, and what it had counted is not told.
func TestStepDropped(t *testing.T) {
	r := NewRun("r", Settings{Mode: Continuous}, Settings{}, instant())
	e := NewErrand(ParametersErrand, r.ID, "1", instant())
	e.Parameters = Parameters{Found: 2, Written: 2, Plan: e.ID}
	r.StepBegun(e)
	e.Dropped = true
	r.StepEnded(e, instant())
	if r.Errand != "" || !r.ParametersAt.IsZero() || r.Parameters != (Parameters{}) {
		t.Errorf("got step %q, parameters at %v, %+v; want none of it", r.Errand, r.ParametersAt, r.Parameters)
	}
}

// Passes add up what they wrote; one that compared nothing leaves the last comparison.
func TestParametersAfter(t *testing.T) {
	first := Parameters{Found: 3, Present: 1, Failed: 1, Written: 1, Plan: "a"}
	got := Parameters{}.after(first).after(Parameters{Undone: true})
	if want := (Parameters{Found: 3, Present: 1, Failed: 1, Written: 1, Plan: "a", Undone: true}); got != want {
		t.Errorf("after a pass that was given up: got %+v, want %+v", got, want)
	}
	got = got.after(Parameters{Found: 4, Present: 3, Written: 1, Plan: "b"})
	if want := (Parameters{Found: 4, Present: 3, Written: 2, Plan: "b"}); got != want {
		t.Errorf("after a whole pass: got %+v, want %+v", got, want)
	}
}

// A stop does not wait for the next look at a job, but for a visit under way and for the wait after a fault.
func TestErrandClaimToCancel(t *testing.T) {
	now := instant()
	for name, c := range map[string]struct {
		change func(*Errand)
		want   error
	}{
		"waits for its job":  {func(e *Errand) { e.Progressed(now, now.Add(time.Hour)) }, nil},
		"held by a visit":    {func(e *Errand) {}, ErrNotDue},
		"waits after faults": {func(e *Errand) { e.Faulted("no", now, now.Add(time.Hour)) }, ErrNotDue},
		"a check waits":      {func(e *Errand) { e.Kind = SurfaceErrand; e.Faulted("no", now, now.Add(time.Hour)) }, nil},
		"over":               {func(e *Errand) { e.End(now) }, ErrNotDue},
	} {
		e := NewErrand(ReindexErrand, "r", "1", now)
		if err := e.Claim(now, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		c.change(&e)
		if err := e.ClaimToCancel(now.Add(time.Second), now.Add(time.Minute)); err != c.want {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// While the destination reindexes nothing is imported; exports go on. What holds back chunks until a step is done does
// not hold back the step.
func TestGatesOfSteps(t *testing.T) {
	now := instant()
	l := Limits{SearchParameters: true}
	r := NewRun("r", Settings{Mode: Continuous}, Settings{}, now)
	if g := GateOf(r, nil, l, now); g.Exports || g.Imports || !StepGate(ReindexErrand, r, nil, l, now) {
		t.Errorf("before the parameters: got %+v, want both closed and the step's own open", g)
	}
	r.ParametersAt, r.Errand = now, ErrandID(ReindexErrand, r.ID, "2")
	if g := GateOf(r, nil, l, now); !g.Exports || g.Imports {
		t.Errorf("during a reindex: got %+v, want exports open, imports closed", g)
	}
	r.Paused = true
	if StepGate(ReindexErrand, r, nil, l, now) {
		t.Error("paused: a step may start a job")
	}
	r.Paused = false
	if StepGate(ReindexErrand, r, []Chunk{{State: Failed}}, l, now) {
		t.Error("halted: a step may start a job")
	}
	l.Quiet = QuietHours{{Days: [7]bool{true, true, true, true, true, true, true}, Begin: 0, End: 24 * 60, Zone: time.UTC}}
	if StepGate(ParametersErrand, r, nil, l, now) || StepGate(ReindexErrand, r, nil, l, now) {
		t.Error("quiet: a step may start a job")
	}
	if l.QuietImports = true; StepGate(ParametersErrand, r, nil, l, now) || !StepGate(ReindexErrand, r, nil, l, now) {
		t.Error("quiet, imports go on: want the destination's reindex let, and the source's export not")
	}
}
