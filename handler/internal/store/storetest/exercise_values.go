package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/migration"
)

// examineStates keeps a chunk with every field in every state, and one with none.
func examineStates(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	b.plan(day(0))
	_, v := b.chunk(day(0).ID)
	f := &filler{}
	check := func(want migration.Chunk) {
		t.Helper()
		v = b.save(migration.Save{Chunk: want, Version: v})
		if got, gv := b.chunk(want.ID); gv != v || !cmp.Equal(want, got) {
			t.Errorf("%s: version got %q, want %q (-want +got): %s", want.State, gv, v, cmp.Diff(want, got))
		}
		page, _, err := b.Chunks(t.Context(), b.run.ID, "", 10)
		b.must(err)
		if diff := cmp.Diff([]migration.Chunk{want}, page); diff != "" {
			t.Errorf("%s, as listed (-want +got): %s", want.State, diff)
		}
	}
	for _, state := range append(migration.States(), migration.Planned) { // and open again
		want := filled[migration.Chunk](f)
		want.ID, want.State = day(0).ID, state
		check(want)
		unfinished, err := b.Unfinished(t.Context(), b.run.ID)
		b.must(err)
		if diff := cmp.Diff(state.Unfinished(), len(unfinished) == 1 && cmp.Equal(want, unfinished[0])); diff != "" {
			t.Errorf("%s: unfinished (-want +got): %s", state, diff)
		}
	}
	bare := migration.Chunk{ID: day(0).ID, State: migration.Planned}
	check(bare)
	if got, _ := b.chunk(bare.ID); !got.NotBefore.IsZero() || !got.Export.CancelAt.IsZero() {
		t.Errorf("instants that are not set: got %v and %v", got.NotBefore, got.Export.CancelAt)
	}
}

// examineEmptyRows keeps a run and a round of which next to nothing is known, in the place of fuller ones.
func examineEmptyRows(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	_, rv := b.openRound()
	for _, outcome := range []migration.Outcome{migration.Stopped, migration.Completed, ""} {
		run := migration.Run{ID: b.run.ID, Settings: migration.Settings{Mode: migration.Once}, Outcome: outcome}
		_, err := b.SaveRun(t.Context(), run, b.v)
		b.must(err)
		b.reread()
		if diff := cmp.Diff(run, b.run); diff != "" || b.run.Ended() {
			t.Errorf("run: got ended %v, want false (-want +got): %s", b.run.Ended(), diff)
		}
	}
	for _, kind := range []migration.RoundKind{migration.Closing, migration.Planning} {
		round := migration.Round{Kind: kind}
		var err error
		rv, err = b.SaveRound(t.Context(), b.run.ID, round, rv)
		b.must(err)
		got, v, err := b.Round(t.Context(), b.run.ID)
		b.must(err)
		if diff := cmp.Diff(round, got); diff != "" || v != rv {
			t.Errorf("round: version got %q, want %q (-want +got): %s", v, rv, diff)
		}
	}
}

// examineUsedID: the rows of a run are never taken over by another one (invariant 17).
func examineUsedID(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	b.plan(day(0))
	b.want(migration.ErrExists, b.Open(t.Context(), newRun(b.run.ID), b.run.ID), "open the current run again")
	b.must(b.Open(t.Context(), newRun("run-2"), b.run.ID))
	b.want(migration.ErrExists, b.Open(t.Context(), newRun("run-1"), "run-2"), "open a run of the past again")
	b.reread()
	if b.run.ID != "run-2" {
		t.Errorf("current: got %q, want run-2", b.run.ID)
	}
	if totals, err := b.Totals(t.Context(), "run-1"); err != nil || totals.Chunks[migration.Planned] != 1 {
		t.Errorf("totals of the first run: got %v, %v; want its chunk", totals.Chunks, err)
	}
}

// examineCopies: what callers do with their values afterwards does not reach what is kept.
func examineCopies(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	types := []string{"Encounter", "Patient"}
	spoil := func(kept []string) { kept[0] = "spoilt" }
	b.run.Types, b.run.Settings.Types = []string{"Encounter", "Patient"}, []string{"Encounter", "Patient"}
	given := b.run
	_, err := b.SaveRun(t.Context(), given, b.v)
	b.must(err)
	spoil(given.Types)
	for range 2 { // as given, and as returned
		b.reread()
		if diff := cmp.Diff([][]string{types, types}, [][]string{b.run.Types, b.run.Settings.Types}); diff != "" {
			t.Errorf("run (-want +got): %s", diff)
		}
		spoil(b.run.Types)
		spoil(b.run.Settings.Types)
	}
	c := day(0, types...)
	b.reread()
	b.plan(c)
	spoil(c.ResourceTypes)
	for range 2 {
		got, _ := b.chunk(c.ID)
		page, err := b.Unfinished(t.Context(), b.run.ID)
		b.must(err)
		if diff := cmp.Diff([][]string{types, types}, [][]string{got.ResourceTypes, page[0].ResourceTypes}); diff != "" {
			t.Errorf("chunk (-want +got): %s", diff)
		}
		spoil(got.ResourceTypes)
		spoil(page[0].ResourceTypes)
	}
	b.must(b.ChangeSlots(t.Context(), b.run.ID, migration.ExportJob, func(s *migration.Slots) bool { return s.Take("kept", 1, noon()) == nil }))
	for range 2 {
		holders := b.holders(migration.ExportJob)
		if diff := cmp.Diff([]string{"kept"}, holders); diff != "" {
			t.Errorf("slots (-want +got): %s", diff)
		}
		spoil(holders)
		b.must(b.ChangeSlots(t.Context(), b.run.ID, migration.ExportJob, func(s *migration.Slots) bool { spoil(s.Holders); return false }))
	}
}
