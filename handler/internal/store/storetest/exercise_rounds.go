package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirferry/handler/internal/migration"
)

func examineRounds(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	ctx, before := t.Context(), b.v
	b.run.Rounds = 1
	b.must(b.OpenRound(ctx, b.run, before, migration.Round{Number: 1, Kind: migration.Planning}))
	b.want(migration.ErrConflict, b.OpenRound(ctx, b.run, before, migration.Round{Number: 2}), "open with an old version")
	b.reread()
	if b.v == before || b.run.Rounds != 1 {
		t.Errorf("run: got version %q, %d rounds; want another version than %q and one round", b.v, b.run.Rounds, before)
	}
	b.want(migration.ErrExists, b.OpenRound(ctx, b.run, b.v, migration.Round{Number: 2}), "open a second round")
	round, first, err := b.Round(ctx, b.run.ID)
	b.must(err)
	if round.Number != 1 {
		t.Errorf("round: got number %d, want 1", round.Number)
	}
	round.Total = 7
	second, err := b.SaveRound(ctx, b.run.ID, round, first, problem("slow"))
	b.must(err)
	round.Total = 8
	_, err = b.SaveRound(ctx, b.run.ID, round, first, problem("lost"))
	b.want(migration.ErrConflict, err, "save with the version before the last")
	if got, v, err := b.Round(ctx, b.run.ID); err != nil || got.Total != 7 || v != second {
		t.Errorf("round: got total %d, version %q, %v; want 7, %q", got.Total, v, err, second)
	}
	b.run.Frontier = noon()
	b.must(b.CloseRound(ctx, b.run, b.v, second, problem("closed")))
	_, _, err = b.Round(ctx, b.run.ID)
	b.want(migration.ErrNotFound, err, "round after its close")
	b.reread()
	if !b.run.Frontier.Equal(noon()) {
		t.Errorf("frontier: got %v, want %v", b.run.Frontier, noon())
	}
	if got := b.totals(); got.Reported != 2 || got.Problems[0].Detail != "closed" || got.Problems[1].Detail != "slow" {
		t.Errorf("problems: got %+v, want closed, then slow", got.Problems)
	}
	b.want(migration.ErrConflict, b.CloseRound(ctx, b.run, b.v, second), "close a second time")
	b.openRound() // the next one may open
}

func examineRefusedClosings(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	ctx, oldRun := t.Context(), b.v
	round, oldRound := b.openRound()
	rv, err := b.SaveRound(ctx, b.run.ID, round, oldRound)
	b.must(err)
	changed := b.run
	changed.Frontier = noon()
	b.want(migration.ErrConflict, b.CloseRound(ctx, changed, oldRun, rv, problem("x")), "close with an old run")
	b.want(migration.ErrConflict, b.CloseRound(ctx, changed, b.v, oldRound, problem("x")), "close with an old round")
	run, v, err := b.Current(ctx)
	b.must(err)
	if v != b.v || !run.Frontier.IsZero() {
		t.Errorf("run: got version %q, frontier %v; want it untouched", v, run.Frontier)
	}
	if _, v, err := b.Round(ctx, b.run.ID); err != nil || v != rv {
		t.Errorf("round: got version %q, %v; want it untouched, %q", v, err, rv)
	}
	if got := b.totals(); got.Reported != 0 {
		t.Errorf("problems: got %+v, want none of refused saves", got.Problems)
	}
}

// examineAddOnce adds chunks again after some were added, and again after some were finished.
func examineAddOnce(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	ctx, chunks := t.Context(), days(6)
	round, rv := b.openRound()
	add := func(chunks []migration.Chunk) {
		t.Helper()
		round.Added++
		b.run.Rounds++
		v, next, err := b.AddChunks(ctx, b.run, b.v, round, rv, chunks)
		b.must(err)
		run, now, err := b.Current(ctx)
		b.must(err)
		if now != v || v == b.v || run.Rounds != b.run.Rounds {
			t.Errorf("run: got version %q, %d rounds; want %q, anew, and %d", now, run.Rounds, v, b.run.Rounds)
		}
		saved, now, err := b.Round(ctx, b.run.ID)
		b.must(err)
		if now != next || next == rv || saved.Added != round.Added {
			t.Errorf("round: got version %q, %d added; want %q, anew, and %d", now, saved.Added, next, round.Added)
		}
		b.v, rv = v, next
	}
	add(chunks[:4])
	for i, state := range []migration.State{migration.Exporting, migration.Imported, migration.Split} {
		c, v := b.chunk(chunks[i].ID)
		c.Resources.Exported = 10
		b.save(migration.Save{Chunk: in(state, c), Version: v})
	}
	add(chunks[:3]) // nothing new
	add(chunks)
	for i, want := range []migration.State{
		migration.Exporting, migration.Imported, migration.Split, migration.Planned, migration.Planned, migration.Planned,
	} {
		if got, _ := b.chunk(chunks[i].ID); got.State != want {
			t.Errorf("chunk %d: got %s, want %s", i, got.State, want)
		}
	}
	unfinished, err := b.Unfinished(ctx, b.run.ID)
	b.must(err)
	if diff := cmp.Diff(ids([]migration.Chunk{chunks[0], chunks[3], chunks[4], chunks[5]}), ids(unfinished)); diff != "" {
		t.Errorf("unfinished (-want +got): %s", diff)
	}
	want := migration.Totals{
		Chunks:    map[migration.State]int{migration.Exporting: 1, migration.Imported: 1, migration.Split: 1, migration.Planned: 3},
		Resources: migration.Tally{Exported: 30},
	}
	if diff := cmp.Diff(want, b.totals(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("totals (-want +got): %s", diff)
	}
}

func examineRefusedAdditions(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	ctx, oldRun := t.Context(), b.v
	round, oldRound := b.openRound()
	rv, err := b.SaveRound(ctx, b.run.ID, round, oldRound)
	b.must(err)
	_, _, err = b.AddChunks(ctx, b.run, oldRun, round, rv, days(2))
	b.want(migration.ErrConflict, err, "add with an old run")
	_, _, err = b.AddChunks(ctx, b.run, b.v, round, oldRound, days(2))
	b.want(migration.ErrConflict, err, "add with an old round")
	b.must(b.CloseRound(ctx, b.run, b.v, rv))
	b.reread()
	_, _, err = b.AddChunks(ctx, b.run, b.v, round, rv, days(2))
	b.want(migration.ErrConflict, err, "add after the round was closed")
	if page, _, err := b.Chunks(ctx, b.run.ID, "", 10); err != nil || len(page) > 0 {
		t.Errorf("chunks: got %v, %v; want none of refused additions", ids(page), err)
	}
	if got := b.totals(); len(got.Chunks) != 0 {
		t.Errorf("totals: got %v, want none of refused additions", got.Chunks)
	}
}

// most is how many chunks the engine adds at once, and types how many a FHIR R4 server may know.
const (
	most  = 40
	types = 150
)

// examineLargestAddition fills one transaction with as much as the engine ever puts into one.
func examineLargestAddition(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	var names []string
	for i := range types {
		names = append(names, fmt.Sprintf("ImmunizationRecommendation%03d", i))
	}
	var chunks []migration.Chunk
	for i := range most {
		chunks = append(chunks, day(i, names...))
	}
	b.plan(chunks...)
	unfinished, err := b.Unfinished(t.Context(), b.run.ID)
	b.must(err)
	if diff := cmp.Diff(chunks, unfinished, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("unfinished (-want +got): %s", diff)
	}
	if got := b.totals().Chunks[migration.Planned]; got != most {
		t.Errorf("planned: got %d, want %d", got, most)
	}
}

func examinePages(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	want := append(days(20), day(3, "Observation"), day(3, "Encounter", "Patient"))
	slices.SortFunc(want, migration.Chunk.Compare)
	shuffled := slices.Clone(want)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	b.plan(shuffled...)
	c, v := b.chunk(want[8].ID)
	b.save(migration.Save{Chunk: in(migration.Imported, c), Version: v}) // finished ones are listed too
	for _, limit := range []int{1, 7, 11, 22, 1000, 5000} {
		var got []string
		after := ""
		for pages := 0; ; pages++ {
			page, next, err := b.Chunks(t.Context(), b.run.ID, after, limit)
			b.must(err)
			if len(page) > limit || pages > len(want) {
				t.Fatalf("limit %d: page %d has %d chunks", limit, pages, len(page))
			}
			got = append(got, ids(page)...)
			if next == "" {
				break
			}
			after = next
		}
		if diff := cmp.Diff(ids(want), got); diff != "" {
			t.Errorf("limit %d: chunks (-want +got): %s", limit, diff)
		}
	}
	page, _, err := b.Chunks(t.Context(), b.run.ID, want[20].ID, 10)
	b.must(err)
	if diff := cmp.Diff(ids(want[21:]), ids(page)); diff != "" {
		t.Errorf("after the last but one (-want +got): %s", diff)
	}
	for after, count := range map[string]int{"z": 0, "it's": 0, "0' or PartitionKey ge '": len(want)} {
		page, next, err := b.Chunks(t.Context(), b.run.ID, after, 1000)
		if err != nil || len(page) != count || next != "" {
			t.Errorf("after %q: got %d chunks, next %q, %v; want %d", after, len(page), next, err, count)
		}
	}
}

func examineUnfinished(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	chunks := days(len(migration.States()))
	b.plan(chunks...)
	var want []string
	for i, state := range migration.States() {
		c, v := b.chunk(chunks[i].ID)
		b.save(migration.Save{Chunk: in(state, c), Version: v})
		if state.Unfinished() {
			want = append(want, c.ID)
		}
	}
	check := func() {
		t.Helper()
		unfinished, err := b.Unfinished(t.Context(), b.run.ID)
		b.must(err)
		if diff := cmp.Diff(want, ids(unfinished)); diff != "" {
			t.Errorf("unfinished (-want +got): %s", diff)
		}
		for _, listed := range unfinished {
			if stored, _ := b.chunk(listed.ID); !cmp.Equal(stored, listed) {
				t.Errorf("chunk %s: listed as it is not: %s", listed.ID, cmp.Diff(stored, listed))
			}
		}
	}
	check()
	for i, id := range want { // every way on from an unfinished state, and a save that changes no state
		c, v := b.chunk(id)
		c.LastError = "later"
		if i == 0 {
			c.State = migration.Failed
		}
		b.save(migration.Save{Chunk: c, Version: v})
	}
	check()
}
