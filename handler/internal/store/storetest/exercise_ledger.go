package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirferry/handler/internal/migration"
)

// ExerciseLedger examines a ledger; open returns an empty one for each part.
func ExerciseLedger(t *testing.T, open func(*testing.T) ExamLedger) {
	for _, part := range []struct {
		name    string
		examine func(*testing.T, func(*testing.T) ExamLedger)
	}{
		{"nothing is there", examineAbsence},
		{"opening runs", examineOpen},
		{"racing to open", examineOpenRace},
		{"saving the run", examineSaveRun},
		{"rounds", examineRounds},
		{"refused closings", examineRefusedClosings},
		{"adding once", examineAddOnce},
		{"refused additions", examineRefusedAdditions},
		{"the largest addition", examineLargestAddition},
		{"order and pages", examinePages},
		{"unfinished", examineUnfinished},
		{"saving chunks", examineSaveChunk},
		{"splitting", examineSplit},
		{"children that exist", examineExistingChildren},
		{"slots by state", examineSlotsByState},
		{"slots refused", examineSlotsRefused},
		{"changing slots", examineChangeSlots},
		{"crowd of chunks", examineCrowd},
		{"crowd around one chunk", examineDuel},
		{"every field", examineFields},
		{"every state", examineStates},
		{"empty rows", examineEmptyRows},
		{"an id that was used", examineUsedID},
		{"copies", examineCopies},
		{"long rows", examineLongRows},
		{"documents", examineDocuments},
		{"steps of a run", examineErrands},
		{"checks", examineIdleErrands},
	} {
		t.Run(part.name, func(t *testing.T) { part.examine(t, open) })
	}
}

// examineAbsence asks for everything before anything is there, and then of a run that is not the one there is.
func examineAbsence(t *testing.T, open func(*testing.T) ExamLedger) {
	b := &book{T: t, ExamLedger: open(t)}
	_, _, err := b.Current(t.Context())
	b.want(migration.ErrNotFound, err, "current run")
	for _, id := range []string{"before any run", "beside a run"} {
		examineAbsentRun(b, id)
		if err := b.Open(t.Context(), newRun("run-1"), ""); err != nil && id == "before any run" {
			t.Fatal(err)
		}
	}
	_, _, err = b.Chunk(t.Context(), "run-1", day(1).ID)
	b.want(migration.ErrNotFound, err, "chunk of an open run")
	for _, odd := range []string{"", "it's", "50%", "a b", "ä|ö", "a/b", `a\b`, "a#b", "a?b", "a\tb"} {
		_, _, err := b.Chunk(t.Context(), "run-1", odd)
		b.want(migration.ErrNotFound, err, fmt.Sprintf("chunk %q", odd))
	}
	_, _, err = b.Round(t.Context(), "run-1")
	b.want(migration.ErrNotFound, err, "round of an open run")
}

func examineAbsentRun(b *book, id string) {
	b.Helper()
	ctx, run := b.Context(), newRun(id)
	_, _, err := b.Round(ctx, id)
	b.want(migration.ErrNotFound, err, "round")
	_, _, err = b.Chunk(ctx, id, day(1).ID)
	b.want(migration.ErrNotFound, err, "chunk")
	_, err = b.Slots(ctx, id, migration.ExportJob)
	b.want(migration.ErrNotFound, err, "slots")
	_, err = b.Totals(ctx, id)
	b.want(migration.ErrNotFound, err, "totals")
	_, err = b.Document(ctx, id, "plan")
	b.want(migration.ErrNotFound, err, "document")
	b.want(migration.ErrNotFound, b.Report(ctx, id, problem("x")), "report")
	b.want(migration.ErrNotFound, b.ChangeSlots(ctx, id, migration.ImportJob, func(*migration.Slots) bool { return true }), "change slots")
	_, err = b.SaveRun(ctx, run, "1")
	b.want(migration.ErrConflict, err, "save run")
	b.want(migration.ErrConflict, b.OpenRound(ctx, run, "1", migration.Round{}), "open round")
	_, err = b.SaveRound(ctx, id, migration.Round{}, "1")
	b.want(migration.ErrConflict, err, "save round")
	b.want(migration.ErrConflict, b.CloseRound(ctx, run, "1", "1"), "close round")
	_, _, err = b.AddChunks(ctx, run, "1", migration.Round{}, "1", days(1))
	b.want(migration.ErrConflict, err, "add chunks")
	_, err = b.SaveChunk(ctx, id, migration.Save{Chunk: day(1), Version: "1"})
	b.want(migration.ErrConflict, err, "save chunk")
	if unfinished, err := b.Unfinished(ctx, id); err != nil || len(unfinished) > 0 {
		b.Errorf("unfinished: got %v, %v; want none", unfinished, err)
	}
	if page, next, err := b.Chunks(ctx, id, "", 10); err != nil || len(page) > 0 || next != "" {
		b.Errorf("chunks: got %v, %q, %v; want none", page, next, err)
	}
}

func examineOpen(t *testing.T, open func(*testing.T) ExamLedger) {
	b := &book{T: t, ExamLedger: open(t)}
	ctx := t.Context()
	b.want(migration.ErrConflict, b.Open(ctx, newRun("a"), "someone"), "open after a run that never was")
	_, _, err := b.Current(ctx)
	b.want(migration.ErrNotFound, err, "current after a refused open")
	b.must(b.Open(ctx, newRun("a"), ""))
	b.reread()
	if b.run.ID != "a" {
		t.Fatalf("current: got %q, want a", b.run.ID)
	}
	for _, kind := range []migration.JobKind{migration.ExportJob, migration.ImportJob} {
		if slots, err := b.Slots(ctx, "a", kind); err != nil || slots.Kind != kind || len(slots.Holders) > 0 {
			t.Errorf("slots: got %v, %v; want free ones of kind %s", slots, err, kind)
		}
	}
	b.plan(day(1))
	b.must(b.Report(ctx, "a", problem("first run")))

	b.want(migration.ErrConflict, b.Open(ctx, newRun("b"), ""), "open as if there were no run")
	b.must(b.Open(ctx, newRun("b"), "a"))
	b.want(migration.ErrConflict, b.Open(ctx, newRun("c"), "a"), "open after a run that is current no more")
	b.reread()
	if b.run.ID != "b" {
		t.Errorf("current: got %q, want b", b.run.ID)
	}
	if totals := b.totals(); totals.Reported != 0 || len(totals.Chunks) != 0 {
		t.Errorf("totals of the new run: got %+v, want none", totals)
	}
	if totals, err := b.Totals(ctx, "a"); err != nil || totals.Reported != 1 || totals.Chunks[migration.Planned] != 1 {
		t.Errorf("totals of the old run: got %+v, %v; want one chunk and one problem", totals, err)
	}
}

func examineOpenRace(t *testing.T, open func(*testing.T) ExamLedger) {
	b := &book{T: t, ExamLedger: open(t)}
	previous := ""
	for heat := range 2 {
		errs := make([]error, 6)
		var racers sync.WaitGroup
		for i := range errs {
			racers.Go(func() { errs[i] = b.Open(t.Context(), newRun(fmt.Sprintf("run-%d-%d", heat, i)), previous) })
		}
		racers.Wait()
		winner := ""
		for i, err := range errs {
			id := fmt.Sprintf("run-%d-%d", heat, i)
			switch {
			case err == nil && winner == "":
				winner = id
			case err == nil:
				t.Errorf("%s and %s were both told that they are current", winner, id)
			case !errors.Is(err, migration.ErrConflict):
				t.Errorf("%s: got %v, want a conflict", id, err)
			}
		}
		b.reread()
		if b.run.ID != winner || winner == "" {
			t.Fatalf("current: got %q, want the winner %q", b.run.ID, winner)
		}
		previous = winner
	}
}

func examineSaveRun(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	first := b.v
	b.run.Paused = true
	next, err := b.SaveRun(t.Context(), b.run, first, problem("one"), problem("two"))
	b.must(err)
	if next == first {
		t.Error("the save did not renew the version")
	}
	moved := b.run
	moved.StopAsked = true
	_, err = b.SaveRun(t.Context(), moved, first, problem("three"))
	b.want(migration.ErrConflict, err, "save with the version before the last")
	run, v, err := b.Current(t.Context())
	b.must(err)
	if diff := cmp.Diff(b.run, run, cmpopts.EquateEmpty()); diff != "" || v != next {
		t.Errorf("run (-want +got): %s version got %q, want %q", diff, v, next)
	}
	if got := b.totals(); got.Reported != 2 || got.Problems[0].Detail != "two" || got.Problems[1].Detail != "one" {
		t.Errorf("problems: got %+v, want two, then one", got.Problems)
	}
	_, err = b.SaveRun(t.Context(), run, next)
	b.must(err)
}
