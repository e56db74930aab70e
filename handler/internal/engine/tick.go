package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"fhirferry/handler/internal/migration"
)

// Tick decides what is due and nudges. It asks no FHIR server anything.
func (e *Engine) Tick(ctx context.Context) error {
	run, v, err := e.ledger.Current(ctx)
	if err != nil && !errors.Is(err, migration.ErrNotFound) {
		return fmt.Errorf("read the current run: %w", err)
	}
	// A row of a check that cannot be read holds up no migration.
	return errors.Join(e.tickRun(ctx, run, v), e.nudgeErrands(ctx, run))
}

func (e *Engine) tickRun(ctx context.Context, run migration.Run, v Version) (err error) {
	if run.ID == "" || run.Ended() {
		return nil
	}
	if names := e.changed(run); len(names) > 0 {
		if err := e.report(ctx, run.ID, changedProblem(names, e)); err != nil {
			return fmt.Errorf("report changed settings: %w", err)
		}
	}
	if run, v, err = e.noteQuiet(ctx, run, v); err != nil {
		return err
	}
	unfinished, err := e.ledger.Unfinished(ctx, run.ID)
	if err != nil {
		return fmt.Errorf("list unfinished chunks: %w", err)
	}
	e.measure(ctx, run, unfinished)
	return e.advanceFrom(ctx, run, v, unfinished)
}

func changedProblem(names []string, e *Engine) migration.Problem {
	return migration.Problem{At: e.Now(), Detail: fmt.Sprintf("%s changed under the run: nothing is started; set back what the "+
		"run was started with, or stop it and start a new one", strings.Join(names, ", "))}
}

// elsewhere reports whether this instance's settings name other services than those that the run moves between: what it
// would hear there, a count above all, tells nothing of the run.
func (e *Engine) elsewhere(run migration.Run) bool {
	ours, theirs := e.settings, run.AppSettings
	return ours.Source != theirs.Source || ours.Destination != theirs.Destination ||
		ours.Staging != theirs.Staging || ours.Container != theirs.Container
}

// advance begins a round, or ends the run, and nudges what may go on (design 3.6, steps 3 to 5). Ticks call it, and so
// do visits that end at rest, so that no slot stays idle until the next tick.
func (e *Engine) advance(ctx context.Context, run migration.Run, v Version) error {
	unfinished, err := e.ledger.Unfinished(ctx, run.ID)
	if err != nil {
		return fmt.Errorf("list unfinished chunks: %w", err)
	}
	return e.advanceFrom(ctx, run, v, unfinished)
}

// advanceFrom goes on from a list of the unfinished chunks that was read after the run.
func (e *Engine) advanceFrom(ctx context.Context, run migration.Run, v Version, unfinished []migration.Chunk) error {
	round, rv, err := e.ledger.Round(ctx, run.ID)
	open := err == nil
	if err != nil && !errors.Is(err, migration.ErrNotFound) {
		return fmt.Errorf("read the round: %w", err)
	}
	if run.StopAsked {
		return e.windUp(ctx, run, v, unfinished, open, rv)
	}
	if run, v, err = e.beginStep(ctx, run, v, unfinished); err != nil {
		return err
	}
	if !open {
		if round, open, err = e.beginRound(ctx, run, v, unfinished); err != nil {
			return err
		}
	}
	if open && !e.Now().Before(round.NotBefore) {
		if err := e.nudge(ctx, migration.RoundID); err != nil {
			return err
		}
	}
	return e.admit(ctx, run, unfinished)
}

// windUp closes the round of a run that is stopping, lets every chunk cancel its job, and ends the run when nothing is
// left.
func (e *Engine) windUp(ctx context.Context, run migration.Run, v Version, unfinished []migration.Chunk, open bool, rv Version) error {
	if open {
		err := e.ledger.CloseRound(ctx, run, v, rv)
		if errors.Is(err, migration.ErrConflict) {
			return nil // somebody else works on it; the next look sees what is left
		}
		if err != nil {
			return fmt.Errorf("close the round of a stopping run: %w", err)
		}
		if run, v, err = e.ledger.Current(ctx); err != nil {
			return fmt.Errorf("read the current run: %w", err)
		}
	}
	if len(unfinished) > 0 {
		return e.admit(ctx, run, unfinished)
	}
	if run.Ended() {
		return nil
	}
	if run.Errand != "" {
		return e.nudge(ctx, run.Errand) // it ends first
	}
	run.EndRun(migration.Stopped, e.Now())
	_, err := e.ledger.SaveRun(ctx, run, v)
	if errors.Is(err, migration.ErrConflict) {
		return nil // another instance has ended it, or will
	}
	if err != nil {
		return fmt.Errorf("end the stopped run: %w", err)
	}
	e.ended(ctx, run)
	return nil
}

// beginRound opens a planning round when one is due, or the closing round when everything up to T is done.
func (e *Engine) beginRound(ctx context.Context, run migration.Run, v Version, unfinished []migration.Chunk) (migration.Round, bool, error) {
	planned := 0
	for _, c := range unfinished {
		if c.State == migration.Planned {
			planned++
		}
	}
	var round migration.Round
	switch till, due := migration.RoundDue(run, planned, e.limits.Settle, e.limits.Interval, e.Now()); {
	case len(e.changed(run)) > 0:
		return round, false, nil
	case due:
		round = migration.NewRound(run, till)
	case run.MayClose(e.limits.Limits, len(unfinished)) && !e.Now().Before(run.NextRound):
		round = migration.NewRound(run, run.Frontier)
		round.Kind = migration.Closing
	default:
		return round, false, nil
	}
	run.Rounds = round.Number
	err := e.ledger.OpenRound(ctx, run, v, round)
	if errors.Is(err, migration.ErrConflict) || errors.Is(err, migration.ErrExists) {
		return round, false, nil // another instance was faster, or an operator spoke; the next look decides anew
	}
	if err != nil {
		return round, false, fmt.Errorf("open round %d: %w", round.Number, err)
	}
	e.log.InfoContext(ctx, "round opened", slog.String("event", "RoundOpened"), "run", run.ID, "round", round.Number, "kind", round.Kind)
	return round, true, nil
}

// admit takes back slots that nobody uses and nudges the chunks that may go on.
func (e *Engine) admit(ctx context.Context, run migration.Run, unfinished []migration.Chunk) error {
	exports, err := e.freeSlots(ctx, run, migration.ExportJob, unfinished)
	if err != nil {
		return err
	}
	imports, err := e.freeSlots(ctx, run, migration.ImportJob, unfinished)
	if err != nil {
		return err
	}
	admitted := run
	if len(e.changed(run)) > 0 {
		admitted.Paused = true // nothing is started; what is in flight lands
	}
	for _, id := range migration.Admit(admitted, unfinished, exports, imports, e.limits.Limits, e.Now()) {
		if err := e.nudge(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) freeSlots(ctx context.Context, run migration.Run, kind migration.JobKind, unfinished []migration.Chunk) (migration.Slots, error) {
	slots, err := e.ledger.Slots(ctx, run.ID, kind)
	if err != nil {
		return slots, fmt.Errorf("read the %s slots: %w", kind, err)
	}
	stale := slots.Stale(unfinished, e.Now())
	if len(stale) == 0 {
		return slots, nil
	}
	if err := e.fence(ctx, run.ID, slots, stale); err != nil {
		return slots, err
	}
	// A chunk may have taken its slot since the list was read. So each is read again after the slots row: a chunk that
	// takes, or keeps, a slot saves its own row and the slots row together, and either is seen here.
	var failure error
	err = e.ledger.ChangeSlots(ctx, run.ID, kind, func(s *migration.Slots) bool {
		var now []migration.Chunk
		if now, failure = e.reread(ctx, run.ID, stale); failure != nil {
			return false
		}
		changed := false
		for _, id := range s.Stale(now, e.Now()) {
			if slices.Contains(stale, id) {
				changed = s.Release(id) || changed
			}
		}
		slots = *s
		return changed
	})
	if err = errors.Join(err, failure); err != nil {
		return slots, fmt.Errorf("take back %s slots: %w", kind, err)
	}
	return slots, nil
}

// fence renews the rows of chunks whose slots are about to be taken back, so that a visit that has outlived its claim
// meets a conflict and cannot go in flight without a slot (invariants 6 and 15).
func (e *Engine) fence(ctx context.Context, runID string, slots migration.Slots, stale []string) error {
	for _, id := range stale {
		chunk, v, err := e.ledger.Chunk(ctx, runID, id)
		if errors.Is(err, migration.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read chunk %s: %w", id, err)
		}
		if !chunk.State.Unfinished() || !slices.Contains(slots.Stale([]migration.Chunk{chunk}, e.Now()), id) {
			continue
		}
		_, err = e.ledger.SaveChunk(ctx, runID, migration.Save{Chunk: chunk, Version: v, Now: e.Now()})
		if err != nil && !errors.Is(err, migration.ErrConflict) {
			return fmt.Errorf("fence chunk %s: %w", id, err)
		}
	}
	return nil
}

// reread returns those of the chunks that are still unfinished, as they are now.
func (e *Engine) reread(ctx context.Context, runID string, ids []string) ([]migration.Chunk, error) {
	var chunks []migration.Chunk
	for _, id := range ids {
		c, _, err := e.ledger.Chunk(ctx, runID, id)
		if errors.Is(err, migration.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read chunk %s: %w", id, err)
		}
		if c.State.Unfinished() {
			chunks = append(chunks, c)
		}
	}
	return chunks, nil
}

func (e *Engine) nudge(ctx context.Context, id string) error {
	if err := e.queue.Nudge(ctx, id, 0); err != nil {
		return fmt.Errorf("nudge %s: %w", id, err)
	}
	return nil
}
