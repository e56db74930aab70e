package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/migration"
)

// walkers and slotLimit are the crowd: more chunks at once than slots.
const (
	walkers   = 8
	slotLimit = 3
)

// examineCrowd walks many chunks at once to their ends. They share the totals and the slots: nothing may be lost, and no
// limit broken.
func examineCrowd(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	b.plan(days(walkers)...)
	var crowd sync.WaitGroup
	for i := range walkers {
		crowd.Go(func() {
			if err := b.walk(i); err != nil {
				t.Errorf("chunk %d: %v", i, err)
			}
		})
	}
	crowd.Wait()
	want := migration.Totals{
		Chunks:    map[migration.State]int{migration.Imported: walkers},
		Resources: migration.Tally{Exported: 10 * walkers, Imported: 9 * walkers, Rejected: walkers},
		Reported:  walkers, Unverified: walkers,
	}
	got := b.totals()
	details := map[string]bool{}
	for _, p := range got.Problems {
		details[p.Detail] = true
	}
	if len(got.Problems) != walkers || len(details) != walkers {
		t.Errorf("problems: got %v, want one of each chunk", got.Problems)
	}
	got.Problems = nil
	if diff := cmp.Diff(want, got, counted()...); diff != "" {
		t.Errorf("totals (-want +got): %s", diff)
	}
	for _, kind := range []migration.JobKind{migration.ExportJob, migration.ImportJob} {
		if holders := b.holders(kind); len(holders) > 0 {
			t.Errorf("%s slots: got %v held, want all given back", kind, holders)
		}
	}
	if unfinished, err := b.Unfinished(t.Context(), b.run.ID); err != nil || len(unfinished) > 0 {
		t.Errorf("unfinished: got %v, %v; want none", ids(unfinished), err)
	}
}

// walk takes one chunk from planned to imported, as visits do.
func (b *book) walk(i int) error {
	id := day(i).ID
	c, v, err := b.Chunk(b.Context(), b.run.ID, id)
	if err != nil {
		return err
	}
	for _, leg := range []struct {
		kind         migration.JobKind
		flight, rest migration.State
	}{{migration.ExportJob, migration.Exporting, migration.Exported}, {migration.ImportJob, migration.Importing, migration.Imported}} {
		if v, err = b.takeSlot(c, v, leg.kind); err != nil {
			return err
		}
		c.State = leg.flight
		if v, err = b.SaveChunk(b.Context(), b.run.ID, migration.Save{Chunk: c, Version: v}); err != nil {
			return err
		}
		s := migration.Save{Version: v}
		c.State, c.Resources.Exported = leg.rest, 10
		if leg.rest == migration.Imported {
			c.Resources.Imported, c.Resources.Rejected = 9, 1
			s.Problems = []migration.Problem{{Chunk: c.ID, Detail: fmt.Sprintf("of chunk %d", i), At: noon(), Doubt: true}}
		}
		s.Chunk = c
		if v, err = b.SaveChunk(b.Context(), b.run.ID, s); err != nil {
			return err
		}
	}
	return nil
}

// takeSlot tries until there is one, and looks whether the limit is kept.
func (b *book) takeSlot(c migration.Chunk, v migration.Version, kind migration.JobKind) (migration.Version, error) {
	for {
		next, err := b.SaveChunk(b.Context(), b.run.ID, migration.Save{
			Chunk: c, Version: v, Slot: migration.SlotTake, Kind: kind, Limit: slotLimit, Now: noon(),
		})
		if errors.Is(err, migration.ErrNoSlot) && b.Context().Err() == nil {
			continue
		}
		if err != nil {
			return "", err
		}
		slots, err := b.Slots(b.Context(), b.run.ID, kind)
		if err != nil {
			return "", err
		}
		if len(slots.Holders) > slotLimit || !slots.Holds(c.ID) {
			return "", fmt.Errorf("%s slots: got holders %v, want %s among at most %d", kind, slots.Holders, c.ID, slotLimit)
		}
		return next, nil
	}
}

// examineDuel lets many saves of one chunk, and of the run, begin with the same version: one of each is done.
func examineDuel(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	b.plan(day(0))
	c, v := b.chunk(day(0).ID)
	chunkErrs, runErrs := make([]error, 5), make([]error, 5)
	var crowd sync.WaitGroup
	for i := range chunkErrs {
		crowd.Go(func() {
			mine := c
			mine.State, mine.Attempts, mine.Resources.Exported = migration.Exporting, i+1, 100
			_, chunkErrs[i] = b.SaveChunk(t.Context(), b.run.ID, migration.Save{
				Chunk: mine, Version: v, Problems: []migration.Problem{problem("chunk saved by %d", i)},
				Slot: migration.SlotTake, Kind: migration.ExportJob, Limit: 1, Now: noon(),
			})
		})
		crowd.Go(func() {
			mine := b.run
			mine.Rounds = i + 1
			_, runErrs[i] = b.SaveRun(t.Context(), mine, b.v, problem("run saved by %d", i))
		})
	}
	crowd.Wait()
	winner := func(errs []error) int {
		done := slices.Index(errs, nil)
		for i, err := range errs {
			if i != done && !errors.Is(err, migration.ErrConflict) {
				t.Errorf("saver %d: got %v beside saver %d, want a conflict", i, err, done)
			}
		}
		return done
	}
	chunk, run := winner(chunkErrs), winner(runErrs)
	if now, _ := b.chunk(c.ID); now.Attempts != chunk+1 {
		t.Errorf("chunk: got the save of %d, want that of %d, who was told so", now.Attempts-1, chunk)
	}
	b.reread()
	if b.run.Rounds != run+1 {
		t.Errorf("run: got the save of %d, want that of %d, who was told so", b.run.Rounds-1, run)
	}
	totals := b.totals()
	got := map[string]bool{}
	for _, p := range totals.Problems {
		got[p.Detail] = true
	}
	want := map[string]bool{fmt.Sprintf("chunk saved by %d", chunk): true, fmt.Sprintf("run saved by %d", run): true}
	if diff := cmp.Diff(want, got); diff != "" || totals.Resources.Exported != 100 || totals.Chunks[migration.Exporting] != 1 {
		t.Errorf("totals: got %+v, want one chunk of 100; problems (-want +got): %s", totals, diff)
	}
}
