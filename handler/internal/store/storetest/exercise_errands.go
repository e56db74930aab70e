package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirferry/handler/internal/migration"
)

// examineErrands keeps a step of a run from its opening to its close.
func examineErrands(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	ctx, before := t.Context(), b.v
	step := migration.NewErrand(migration.ParametersErrand, b.run.ID, "1", noon())
	step.Step = true
	b.run.StepBegun(step)
	b.must(b.OpenErrand(ctx, b.run, before, step))
	b.want(migration.ErrConflict, b.OpenErrand(ctx, b.run, before, migration.NewErrand(migration.ReindexErrand, b.run.ID, "2", noon())), "open with an old run")
	b.reread()
	if b.run.Errand != step.ID || b.v == before {
		t.Errorf("run: got step %q, version %q; want %q and a version anew", b.run.Errand, b.v, step.ID)
	}
	b.want(migration.ErrExists, b.OpenErrand(ctx, b.run, b.v, step), "open again")
	b.want(migration.ErrExists, b.AddErrand(ctx, step), "add what was opened")

	got, first, err := b.Errand(ctx, b.run.ID, step.ID)
	b.must(err)
	if diff := cmp.Diff(step, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("errand (-want +got): %s", diff)
	}
	got.Done, got.Documents = 3, []string{"a"}
	second, err := b.SaveErrand(ctx, got, first, problem("slow"))
	b.must(err)
	_, err = b.SaveErrand(ctx, got, first, problem("lost"))
	b.want(migration.ErrConflict, err, "save with the version before the last")
	b.want(migration.ErrConflict, b.CloseErrand(ctx, b.run, before, got, second, problem("lost")), "close with an old run")
	b.want(migration.ErrConflict, b.CloseErrand(ctx, b.run, b.v, got, first, problem("lost")), "close with an old errand")
	got.End(noon())
	b.run.StepEnded(got, noon())
	b.must(b.CloseErrand(ctx, b.run, b.v, got, second, problem("closed")))
	b.reread()
	kept, _, err := b.Errand(ctx, b.run.ID, step.ID)
	b.must(err)
	if diff := cmp.Diff(got, kept, cmpopts.EquateEmpty()); diff != "" || b.run.Errand != "" || !b.run.ParametersAt.Equal(noon()) {
		t.Errorf("closed: run has step %q, parameters at %v (-want +got): %s", b.run.Errand, b.run.ParametersAt, diff)
	}
	if got := b.totals(); got.Reported != 2 || got.Problems[0].Detail != "closed" || got.Problems[1].Detail != "slow" {
		t.Errorf("problems: got %+v, want closed, then slow", got.Problems)
	}
}

// examineIdleErrands keeps checks that nobody waits for, before there is a run and beside one.
func examineIdleErrands(t *testing.T, open func(*testing.T) ExamLedger) {
	b := &book{T: t, ExamLedger: open(t)}
	ctx := t.Context()
	if errands, err := b.Errands(ctx, migration.Idle); err != nil || len(errands) > 0 {
		t.Errorf("before any: got %v, %v; want none", errands, err)
	}
	f := &filler{}
	var want []migration.Errand
	for i, kind := range []migration.ErrandKind{migration.AccessErrand, migration.DeepErrand, migration.SurfaceErrand} {
		e := filled[migration.Errand](f)
		e.ID, e.Kind, e.RunID = migration.ErrandID(kind, migration.Idle, "n"+string(rune('1'+i))), kind, migration.Idle
		want = append(want, e)
	}
	for _, i := range []int{2, 0, 1} {
		b.must(b.AddErrand(ctx, want[i]))
	}
	b.must(b.Open(ctx, newRun("run-1"), ""))
	mine := migration.NewErrand(migration.SurfaceErrand, "run-1", "1", noon())
	b.must(b.AddErrand(ctx, mine))
	got, err := b.Errands(ctx, migration.Idle)
	b.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("without a run (-want +got): %s", diff)
	}
	got, err = b.Errands(ctx, "run-1")
	b.must(err)
	if diff := cmp.Diff([]migration.Errand{mine}, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("of the run (-want +got): %s", diff)
	}
	_, v, err := b.Errand(ctx, migration.Idle, want[0].ID)
	b.must(err)
	_, err = b.SaveErrand(ctx, want[0], v)
	b.must(err)
	for _, odd := range []string{"", "it's", "a/b", "a b", want[0].ID} {
		_, _, err := b.Errand(ctx, "run-1", odd)
		b.want(migration.ErrNotFound, err, "errand "+odd)
	}
	_, err = b.SaveErrand(ctx, migration.NewErrand(migration.DeepErrand, "run-1", "9", noon()), v)
	b.want(migration.ErrConflict, err, "save what was never added")
}
