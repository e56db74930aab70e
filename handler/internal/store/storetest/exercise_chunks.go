package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirferry/handler/internal/migration"
)

func examineSaveChunk(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	b.plan(days(2)...)
	c, first := b.chunk(day(0).ID)
	c.NotBefore = noon()
	second := b.save(migration.Save{Chunk: c, Version: first})
	c.State, c.Resources = migration.Exporting, migration.Tally{Exported: 5, Skipped: 1}
	third := b.save(migration.Save{Chunk: c, Version: second, Problems: []migration.Problem{problem("slow")}})
	if first == second || second == third {
		t.Errorf("versions: got %q, %q, %q; want three", first, second, third)
	}
	late := in(migration.Imported, c)
	for _, old := range []migration.Version{first, second, ""} {
		_, err := b.SaveChunk(t.Context(), b.run.ID, migration.Save{
			Chunk: late, Version: old, Children: days(4)[2:], Problems: []migration.Problem{problem("late")},
			Slot: migration.SlotTake, Kind: migration.ExportJob, Limit: 1, Now: noon(),
		})
		b.want(migration.ErrConflict, err, "save with an old version")
	}
	_, err := b.SaveChunk(t.Context(), b.run.ID, migration.Save{Chunk: day(9), Version: third})
	b.want(migration.ErrConflict, err, "save a chunk that is not there")
	if now, v := b.chunk(c.ID); v != third || !cmp.Equal(c, now, cmpopts.EquateEmpty()) {
		t.Errorf("chunk: version got %q, want %q (-want +got): %s", v, third, cmp.Diff(c, now))
	}
	want := migration.Totals{
		Chunks:    map[migration.State]int{migration.Exporting: 1, migration.Planned: 1},
		Resources: c.Resources, Problems: []migration.Problem{problem("slow")}, Reported: 1,
	}
	if diff := cmp.Diff(want, b.totals(), counted()...); diff != "" {
		t.Errorf("totals (-want +got): %s", diff)
	}
	if holders := b.holders(migration.ExportJob); len(holders) > 0 {
		t.Errorf("slots: got %v, want none taken by refused saves", holders)
	}
	c.Resources.Imported = 4
	b.save(migration.Save{Chunk: c, Version: third}) // the same state, other resources
	if got := b.totals().Resources; got != c.Resources {
		t.Errorf("resources: got %+v, want %+v", got, c.Resources)
	}
}

// counted compares totals: a state that none is in may be told or left out.
func counted() cmp.Options {
	return cmp.Options{
		cmpopts.EquateEmpty(),
		cmpopts.IgnoreMapEntries(func(_ migration.State, n int) bool { return n == 0 }),
	}
}

func examineSplit(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	parent := day(0, "Encounter", "Patient")
	b.plan(parent, day(1))
	stored, v := b.chunk(parent.ID)
	v = b.save(migration.Save{Chunk: stored, Version: v, Slot: migration.SlotTake, Kind: migration.ExportJob, Limit: 1, Now: noon()})
	children := []migration.Chunk{day(0, "Encounter"), day(0, "Patient")}
	v = b.save(migration.Save{Chunk: in(migration.Split, stored), Version: v, Children: children})
	unfinished, err := b.Unfinished(t.Context(), b.run.ID)
	b.must(err)
	want := map[string]bool{children[0].ID: true, children[1].ID: true, day(1).ID: true}
	got := map[string]bool{}
	for _, c := range unfinished {
		got[c.ID] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unfinished (-want +got): %s", diff)
	}
	if diff := cmp.Diff(map[migration.State]int{migration.Planned: 3, migration.Split: 1}, b.totals().Chunks, counted()...); diff != "" {
		t.Errorf("totals (-want +got): %s", diff)
	}
	if holders := b.holders(migration.ExportJob); len(holders) > 0 {
		t.Errorf("slots: got %v, want the parent's given back", holders)
	}
	child, cv := b.chunk(children[1].ID)
	if !cmp.Equal(child, children[1], cmpopts.EquateEmpty()) {
		t.Errorf("child (-want +got): %s", cmp.Diff(children[1], child))
	}
	b.save(migration.Save{Chunk: in(migration.Exporting, child), Version: cv})
	if now, pv := b.chunk(parent.ID); now.State != migration.Split || pv != v {
		t.Errorf("parent: got %s, version %q; want split, %q", now.State, pv, v)
	}
}

// examineExistingChildren: a child of the same name is there already, which no walk can bring about. The save is
// refused as a whole, and comes to an end.
func examineExistingChildren(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	b.plan(days(2)...)
	c, v := b.chunk(day(0).ID)
	_, err := b.SaveChunk(t.Context(), b.run.ID, migration.Save{Chunk: in(migration.Split, c), Version: v, Children: []migration.Chunk{day(5), day(1)}})
	b.want(migration.ErrExists, err, "split into a chunk that is there")
	if now, nv := b.chunk(c.ID); now.State != migration.Planned || nv != v {
		t.Errorf("parent: got %s, version %q; want it untouched", now.State, nv)
	}
	if _, _, err := b.Chunk(t.Context(), b.run.ID, day(5).ID); !errors.Is(err, migration.ErrNotFound) {
		t.Errorf("the other child: got %v, want none", err)
	}
	if diff := cmp.Diff(map[migration.State]int{migration.Planned: 2}, b.totals().Chunks, counted()...); diff != "" {
		t.Errorf("totals (-want +got): %s", diff)
	}
}

// examineSlotsByState walks a chunk through its states and looks at who holds a slot of which kind after each.
func examineSlotsByState(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	b.plan(day(0), day(1))
	c, v := b.chunk(day(0).ID)
	other, ov := b.chunk(day(1).ID)
	b.save(migration.Save{Chunk: other, Version: ov, Slot: migration.SlotTake, Kind: migration.ExportJob, Limit: 2, Now: noon()})
	const none = migration.JobKind("")
	for _, step := range []struct {
		what    string
		state   migration.State
		use     migration.SlotUse
		kind    migration.JobKind
		holding migration.JobKind
	}{
		{"takes one before the kick-off", migration.Planned, migration.SlotTake, migration.ExportJob, migration.ExportJob},
		{"starts nothing after all", migration.Planned, migration.SlotByState, none, none},
		{"takes one again", migration.Planned, migration.SlotTake, migration.ExportJob, migration.ExportJob},
		{"takes the one it has", migration.Planned, migration.SlotTake, migration.ExportJob, migration.ExportJob},
		{"keeps it when told so", migration.Planned, migration.SlotKeep, none, migration.ExportJob},
		{"keeps it in flight", migration.Exporting, migration.SlotByState, none, migration.ExportJob},
		{"gives it back at rest", migration.Exported, migration.SlotByState, none, none},
		{"has none to give back", migration.Exported, migration.SlotByState, none, none},
		{"takes one of the other kind", migration.Exported, migration.SlotTake, migration.ImportJob, migration.ImportJob},
		{"gives that back at rest", migration.Exported, migration.SlotByState, none, none},
		{"takes it again", migration.Exported, migration.SlotTake, migration.ImportJob, migration.ImportJob},
		{"keeps that in flight", migration.Importing, migration.SlotByState, none, migration.ImportJob},
		{"keeps it with files left", migration.Exported, migration.SlotKeep, none, migration.ImportJob},
		{"in flight again", migration.Importing, migration.SlotByState, none, migration.ImportJob},
		{"gives it back at the end", migration.Imported, migration.SlotByState, none, none},
	} {
		c.State = step.state
		v = b.save(migration.Save{Chunk: c, Version: v, Slot: step.use, Kind: step.kind, Limit: 2, Now: noon()})
		want := map[migration.JobKind][]string{migration.ExportJob: {other.ID}}
		if step.holding != none {
			want[step.holding] = append(want[step.holding], c.ID)
		}
		for _, kind := range []migration.JobKind{migration.ExportJob, migration.ImportJob} {
			if diff := cmp.Diff(want[kind], b.holders(kind), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: holders of %s slots (-want +got): %s", step.what, kind, diff)
			}
		}
	}
}

func examineSlotsRefused(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	b.plan(day(0), day(1))
	take := func(id string, limit int, now time.Time) error {
		c, v := b.chunk(id)
		c.Attempts++
		_, err := b.SaveChunk(t.Context(), b.run.ID, migration.Save{
			Chunk: c, Version: v, Slot: migration.SlotTake, Kind: migration.ImportJob, Limit: limit, Now: now,
		})
		return err
	}
	b.must(take(day(0).ID, 1, noon()))
	b.want(migration.ErrNoSlot, take(day(1).ID, 1, noon()), "take when all are taken")
	b.must(b.ChangeSlots(t.Context(), b.run.ID, migration.ImportJob, func(s *migration.Slots) bool {
		s.NotBefore = noon().Add(time.Minute)
		return true
	}))
	b.want(migration.ErrNoSlot, take(day(1).ID, 2, noon()), "take while the server is busy")
	if c, _ := b.chunk(day(1).ID); c.Attempts != 0 {
		t.Errorf("chunk: got %d attempts, want it untouched by refused saves", c.Attempts)
	}
	b.must(take(day(1).ID, 2, noon().Add(time.Minute)))
	if diff := cmp.Diff([]string{day(0).ID, day(1).ID}, b.holders(migration.ImportJob)); diff != "" {
		t.Errorf("holders (-want +got): %s", diff)
	}
}

func examineChangeSlots(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	b.must(b.ChangeSlots(t.Context(), b.run.ID, migration.ExportJob, func(s *migration.Slots) bool {
		s.Holders = []string{"unsaved"}
		return false
	}))
	if holders := b.holders(migration.ExportJob); len(holders) > 0 {
		t.Errorf("holders: got %v, want what was not to be saved left out", holders)
	}
	calls := 0
	b.must(b.ChangeSlots(t.Context(), b.run.ID, migration.ExportJob, func(s *migration.Slots) bool {
		if calls++; calls == 1 { // someone else is faster
			b.must(b.ChangeSlots(t.Context(), b.run.ID, migration.ExportJob, func(s *migration.Slots) bool { return s.Take("faster", 2, noon()) == nil }))
		}
		return s.Take("slower", 2, noon()) == nil
	}))
	if diff := cmp.Diff([]string{"faster", "slower"}, b.holders(migration.ExportJob)); diff != "" || calls != 2 {
		t.Errorf("%d calls, want 2; holders (-want +got): %s", calls, diff)
	}
	if holders := b.holders(migration.ImportJob); len(holders) > 0 {
		t.Errorf("holders of the other kind: got %v, want none", holders)
	}
}
