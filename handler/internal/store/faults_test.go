package store

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/migration"
	"fhirferry/local/azurite"
)

// story is one ledger and what the last step left in it.
type story struct {
	*Ledger
	run     migration.Run
	v, rv   migration.Version
	round   migration.Round
	chunks  []migration.Chunk
	version migration.Version // of the first chunk
}

func newStory(l *Ledger) *story {
	now := noon()
	s := &story{Ledger: l, run: migration.NewRun("run", migration.Settings{Mode: migration.Continuous}, migration.Settings{}, now)}
	for _, w := range (migration.Window{Since: now, Till: now.AddDate(0, 0, 2)}).Tile(now.AddDate(0, 0, 1)) {
		s.chunks = append(s.chunks, migration.NewChunk([]string{"Encounter", "Patient"}, w, migration.Unasked, now))
	}
	return s
}

// verbs are all that change rows, in an order in which each can follow the one before.
func (s *story) verbs() []verb {
	problem := migration.Problem{Detail: "told once", At: noon(), Doubt: true}
	return []verb{
		{"open", func(ctx context.Context) (err error) {
			if err = s.Open(ctx, s.run, ""); err == nil {
				s.run, s.v, err = s.Current(ctx)
			}
			return err
		}},
		{"save run", func(ctx context.Context) (err error) {
			s.v, err = s.SaveRun(ctx, s.run, s.v, problem)
			return err
		}},
		{"open round", func(ctx context.Context) (err error) {
			if err = s.OpenRound(ctx, s.run, s.v, migration.NewRound(s.run, noon())); err != nil {
				return err
			}
			if _, s.v, err = s.Current(ctx); err == nil {
				s.round, s.rv, err = s.Round(ctx, s.run.ID)
			}
			return err
		}},
		{"save round", func(ctx context.Context) (err error) {
			s.rv, err = s.SaveRound(ctx, s.run.ID, s.round, s.rv)
			return err
		}},
		{"add chunks", func(ctx context.Context) (err error) {
			if s.v, s.rv, err = s.AddChunks(ctx, s.run, s.v, s.round, s.rv, s.chunks); err == nil {
				_, s.version, err = s.Chunk(ctx, s.run.ID, s.chunks[0].ID)
			}
			return err
		}},
		{"close round", func(ctx context.Context) error { return s.CloseRound(ctx, s.run, s.v, s.rv) }},
		{"take a slot", func(ctx context.Context) (err error) {
			s.version, err = s.SaveChunk(ctx, s.run.ID, migration.Save{
				Chunk: s.chunks[0], Version: s.version, Slot: migration.SlotTake, Kind: migration.ExportJob, Limit: 1, Now: noon(),
			})
			return err
		}},
		{"split", func(ctx context.Context) (err error) {
			children, err := s.chunks[0].TooLarge("many", noon())
			if err != nil {
				return err
			}
			s.version, err = s.SaveChunk(ctx, s.run.ID, migration.Save{Chunk: s.chunks[0], Version: s.version, Children: children})
			return err
		}},
		{"change slots", func(ctx context.Context) error {
			return s.ChangeSlots(ctx, s.run.ID, migration.ImportJob, func(slots *migration.Slots) bool {
				slots.Busy++
				return true
			})
		}},
		{"report", func(ctx context.Context) error {
			return s.Report(ctx, s.run.ID, migration.Problem{Chunk: s.chunks[0].ID, Detail: "told once", At: noon(), Doubt: true})
		}},
	}
}

type verb struct {
	name string
	do   func(context.Context) error
}

// check looks whether everything was done exactly once.
func (s *story) check(t *testing.T) {
	t.Helper()
	totals, err := s.Totals(t.Context(), s.run.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[migration.State]int{migration.Planned: 3, migration.Split: 1}
	if diff := cmp.Diff(want, totals.Chunks); diff != "" || totals.Reported != 2 || totals.Unverified != 2 {
		t.Errorf("totals: got %d problems, %d unverified, want 2 of each; chunks (-want +got): %s", totals.Reported, totals.Unverified, diff)
	}
	exports, err := s.Slots(t.Context(), s.run.ID, migration.ExportJob)
	if err != nil || len(exports.Holders) > 0 {
		t.Errorf("export slots: got %v, %v; want none held", exports.Holders, err)
	}
	imports, err := s.Slots(t.Context(), s.run.ID, migration.ImportJob)
	if err != nil || imports.Busy != 1 {
		t.Errorf("import slots: got %d busy answers, %v; want 1", imports.Busy, err)
	}
	if unfinished, err := s.Unfinished(t.Context(), s.run.ID); err != nil || len(unfinished) != 3 {
		t.Errorf("unfinished: got %d, %v; want 3", len(unfinished), err)
	}
}

// Every transaction succeeds although its answer is lost, and although the client's repetition of it is refused: nobody
// is told of a conflict with himself, and nothing is counted twice.
func TestLostAnswersOfTheTable(t *testing.T) {
	emulator, a := startAzurite(t)
	proxies, err := emulator.StartProxies(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxies.Stop)
	a.connection = proxies.ConnectionString()
	for _, effect := range []azurite.Effect{azurite.Drop, azurite.Busy, azurite.Refuse} {
		s := newStory(a.ledger(t))
		for _, verb := range s.verbs() {
			before := proxies.Table.Struck()["table batch"]
			for range 2 { // the repetition's answer too
				proxies.Table.Inject(azurite.Fault{Effect: effect, Operation: "table batch", Next: 1})
			}
			if err := verb.do(t.Context()); err != nil {
				t.Fatalf("%s, effect %d: %v", verb.name, effect, err)
			}
			if struck := proxies.Table.Struck()["table batch"] - before; struck != 2 {
				t.Errorf("%s, effect %d: %d faults struck, want 2", verb.name, effect, struck)
			}
		}
		s.check(t)
	}
}

// The other two, and what creates things: the client repeats a request that was done already.
func TestLostAnswersOfBlobsAndQueue(t *testing.T) {
	emulator, a := startAzurite(t)
	proxies, err := emulator.StartProxies(3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxies.Stop)
	a.connection = proxies.ConnectionString()
	ledger := a.ledger(t)
	queue, _ := a.queue(t)
	name := a.name("staging")
	staging := NewStaging(a.service(t), a.blobs, name)
	for _, step := range []struct {
		operation string
		do        func(context.Context) error
	}{
		{"table create table", ledger.Prepare}, {"queue create queue", queue.Prepare}, {"blob put container", staging.Prepare},
		{"blob put blob", staging.Probe}, {"blob delete blob", staging.Probe},
		{"blob put blob", func(ctx context.Context) error {
			kept, err := ledger.PutDocument(ctx, "run", "plan", []byte("plan"))
			if string(kept) != "plan" {
				t.Errorf("kept: got %q, want plan", kept)
			}
			return err
		}},
		{"blob get blob", func(ctx context.Context) error {
			kept, err := ledger.Document(ctx, "run", "plan")
			if string(kept) != "plan" {
				t.Errorf("document: got %q, want plan", kept)
			}
			return err
		}},
		{"queue put", func(ctx context.Context) error { return queue.Nudge(ctx, "chunk", 0) }},
	} {
		before := strikes(proxies)[step.operation]
		proxies.Inject(azurite.Fault{Effect: azurite.Drop, Operation: step.operation, Next: 1})
		if err := step.do(t.Context()); err != nil {
			t.Errorf("%s: %v", step.operation, err)
		}
		if struck := strikes(proxies)[step.operation] - before; struck != 1 {
			t.Errorf("%s: %d faults struck, want 1", step.operation, struck)
		}
		proxies.Heal()
	}
	if files, err := staging.Folder(t.Context(), ""); err != nil || len(files) > 0 {
		t.Errorf("staging: got %v, %v; want the probes removed", files, err)
	}
}
