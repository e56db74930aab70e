package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// Visit moves the round or the chunk with this id one step. An id that is unknown, early or held by another visit is
// nothing to do: nudges may be lost, late and doubled.
func (e *Engine) Visit(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, e.visitTime())
	defer cancel()
	if runID, ok := migration.ErrandRun(id); ok {
		return e.visitErrand(ctx, runID, id)
	}
	run, v, err := e.ledger.Current(ctx)
	if errors.Is(err, migration.ErrNotFound) || err == nil && run.Ended() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the current run: %w", err)
	}
	switch id {
	case wake:
		return e.advance(ctx, run, v)
	case migration.RoundID:
		if run.StopAsked {
			return e.advance(ctx, run, v)
		}
		return e.visitRound(ctx, run)
	}
	return e.visitChunk(ctx, run, id)
}

// visit is one visit of a chunk: the row, and the version that every save of it carries (invariant 6).
type visit struct {
	*Engine
	run     migration.Run
	chunk   migration.Chunk
	version Version
	kept    migration.Chunk // the row as it was read or saved last
	saved   bool            // whether this visit changed the row
	holding bool            // whether it goes on with the slot of the batch before
}

func (e *Engine) visitChunk(ctx context.Context, run migration.Run, id string) error {
	if e.elsewhere(run) && !run.StopAsked {
		return nil // a tick nudges again when the settings are set back
	}
	chunk, version, err := e.ledger.Chunk(ctx, run.ID, id)
	early := err == nil && e.Now().Before(chunk.NotBefore) && !(run.StopAsked && chunk.Cancellable(e.Now()))
	if errors.Is(err, migration.ErrNotFound) || early {
		e.log.DebugContext(ctx, "nothing to visit", "run", run.ID, "chunk", id)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read chunk %s: %w", id, err)
	}
	v := &visit{Engine: e, run: run, chunk: chunk, version: version, kept: chunk}
	if err := yielded(v.step(ctx)); err != nil {
		return err
	}
	if !v.saved {
		return nil
	}
	return v.schedule(ctx)
}

// step takes one step; an import with files left goes straight on with the next.
func (v *visit) step(ctx context.Context) error {
	switch v.chunk.Next(v.run, migration.Gate{Exports: true, Imports: true}) {
	case migration.StartExport:
		return v.startExport(ctx)
	case migration.CheckExport:
		return v.checkExport(ctx)
	case migration.StartImport:
		return v.startImport(ctx)
	case migration.CheckImport:
		return v.checkImport(ctx)
	case migration.ReadRejects:
		if err := v.claim(ctx); err != nil {
			return err
		}
		return v.readRejects(ctx)
	case migration.CancelChunk:
		return v.cancel(ctx)
	}
	return nil
}

// claim reserves the row for this visit (invariant 5). The claim lapses by itself if the visit dies.
func (v *visit) claim(ctx context.Context) error { return v.claimBy(ctx, v.chunk.Claim) }

func (v *visit) claimBy(ctx context.Context, claim func(now, until time.Time) error) error {
	if err := claim(v.Now(), v.Now().Add(v.claimTime())); err != nil {
		if errors.Is(err, migration.ErrNotDue) {
			return errYield
		}
		return err
	}
	return v.save(ctx, migration.Save{Slot: v.keepSlot()})
}

// keepSlot keeps the slot of a chunk at rest whose next batch follows at once, or whose import may be known to the
// destination already.
func (v *visit) keepSlot() migration.SlotUse {
	if v.holding || v.chunk.State == migration.Exported && v.chunk.Import.Body != "" {
		return migration.SlotKeep
	}
	return migration.SlotByState
}

// save saves the chunk with the version in hand.
func (v *visit) save(ctx context.Context, s migration.Save) error {
	s.Chunk, s.Version, s.Now = v.chunk, v.version, v.Now()
	if s.Slot == migration.SlotKeep {
		s.Kind = migration.ImportJob
	}
	version, err := v.ledger.SaveChunk(ctx, v.run.ID, s)
	if err != nil {
		return fmt.Errorf("save chunk %s: %w", v.chunk.ID, err)
	}
	v.version, v.saved, v.kept = version, true, v.chunk
	v.reported(ctx, v.run.ID, s.Problems)
	return nil
}

// moved saves a transition and tells of it once.
func (v *visit) moved(ctx context.Context, from migration.State, s migration.Save) error {
	before := v.kept
	if err := v.save(ctx, s); err != nil {
		return err
	}
	v.tell(ctx, before, from)
	return nil
}

func (v *visit) problem(detail string) []migration.Problem {
	return []migration.Problem{{Chunk: v.chunk.ID, Detail: detail, At: v.Now()}}
}

func (v *visit) doubt(detail string) []migration.Problem {
	return []migration.Problem{{Chunk: v.chunk.ID, Detail: detail, At: v.Now(), Doubt: true}}
}

// schedule nudges what is in flight for its next poll; what ended at rest makes room for others (design 3.6, step 12).
func (v *visit) schedule(ctx context.Context) error {
	ctx, cancel := v.briefly(ctx)
	defer cancel()
	wait := v.chunk.NotBefore.Sub(v.Now())
	if v.chunk.State.InFlight() {
		if err := v.queue.Nudge(ctx, v.chunk.ID, wait); err != nil {
			return fmt.Errorf("nudge chunk %s: %w", v.chunk.ID, err)
		}
		return nil
	}
	// Only what is in flight nudges itself: what is at rest must be admitted, at the end of its wait.
	if v.chunk.State.Open() && wait > 0 {
		if err := v.queue.Nudge(ctx, wake, wait); err != nil {
			return fmt.Errorf("nudge for chunk %s: %w", v.chunk.ID, err)
		}
	}
	run, rv, err := v.ledger.Current(ctx)
	if err != nil {
		return fmt.Errorf("read the current run: %w", err)
	}
	if run.ID != v.run.ID || run.Ended() {
		return nil
	}
	return v.advance(ctx, run, rv)
}

// pollWait is the wait until the next poll: what the server said, else a tenth of the job's age between Poll and ten
// times it (contract 2.1: a 202 says nothing of itself).
func (e *Engine) pollWait(retryAfter time.Duration, started time.Time) time.Duration {
	if retryAfter > 0 {
		return min(retryAfter, time.Hour)
	}
	return min(max(e.Now().Sub(started)/10, e.limits.Poll), 10*e.limits.Poll)
}

// gate re-reads what allows a kick-off: the run, the lanes and the slots (invariants 9 and 15).
func (v *visit) gate(ctx context.Context, kind migration.JobKind) (migration.Slots, bool, error) {
	run, _, err := v.ledger.Current(ctx)
	if err != nil {
		return migration.Slots{}, false, fmt.Errorf("read the current run: %w", err)
	}
	if run.ID != v.run.ID || len(v.changed(run)) > 0 {
		return migration.Slots{}, false, nil
	}
	v.run = run
	slots, err := v.ledger.Slots(ctx, run.ID, kind)
	if err != nil {
		return slots, false, fmt.Errorf("read the %s slots: %w", kind, err)
	}
	unfinished, err := v.ledger.Unfinished(ctx, run.ID)
	if err != nil {
		return slots, false, fmt.Errorf("list unfinished chunks: %w", err)
	}
	gate := migration.GateOf(run, unfinished, v.limits.Limits, v.Now())
	if kind == migration.ExportJob {
		return slots, gate.Exports && migration.MayExport(v.chunk, unfinished, slots, v.limits.Limits, v.Now()), nil
	}
	return slots, gate.Imports && migration.MayImport(v.chunk, unfinished, slots, v.limits.Limits, v.Now()), nil
}

// recovered forgets the busy answers of a server that has accepted a job.
func (v *visit) recovered(ctx context.Context, slots migration.Slots) error {
	if slots.Busy == 0 {
		return nil
	}
	err := v.ledger.ChangeSlots(ctx, v.run.ID, slots.Kind, func(s *migration.Slots) bool {
		changed := s.Busy != 0
		s.Busy = 0
		return changed
	})
	if err != nil {
		return fmt.Errorf("reset the wait of the %s slots: %w", slots.Kind, err)
	}
	return nil
}

// refused turns a kick-off that was not accepted into an event on the row (design 3.8). Unknown is how a slot is kept
// whose job may have started all the same.
func (v *visit) refused(ctx context.Context, kind migration.JobKind, err error, unknown migration.SlotUse) error {
	var fault *fhir.Error
	if !errors.As(err, &fault) {
		return err
	}
	from, detail := v.chunk.State, explain(err)
	if fault.Permanent() {
		if err := v.chunk.Rejected(fault.Error(), v.Now()); err != nil {
			return err
		}
		return v.moved(ctx, from, migration.Save{Problems: v.problem(detail)})
	}
	until, serr := v.slowDown(ctx, v.run.ID, kind, fault.RetryAfter)
	if serr != nil {
		return fmt.Errorf("slow the %ss down: %w", kind, serr)
	}
	if fault.Busy() || fault.Locked() {
		var problems []migration.Problem
		reason := ""
		if fault.Locked() {
			reason, problems = fault.Error(), v.problem(detail)
		}
		if err := v.chunk.Postpone(reason, v.Now(), until); err != nil {
			return err
		}
		return v.save(ctx, migration.Save{Problems: problems})
	}
	next := v.Now().Add(v.backOff(v.chunk.Attempts))
	if next.Before(until) {
		next = until
	}
	if err := v.chunk.Faulted(fault.Error(), v.Now(), next, v.limits.Limits); err != nil {
		return err
	}
	s := migration.Save{Problems: v.problem(detail)}
	if fault.OutcomeUnknown() && v.chunk.State == migration.Exported {
		s.Slot = unknown
	}
	return v.moved(ctx, from, s)
}

// lost gives up a job that is gone, dead or stalled.
func (v *visit) lost(ctx context.Context, reason, detail string) error {
	from := v.chunk.State
	if err := v.chunk.JobLost(reason, v.Now(), v.Now().Add(v.backOff(v.chunk.Attempts)), v.limits.Limits); err != nil {
		return err
	}
	return v.moved(ctx, from, migration.Save{Problems: v.problem(detail)})
}

// unanswered postpones a poll that told nothing of its job. Only FERRY_STALL gives up a live job.
func (v *visit) unanswered(ctx context.Context, job migration.Job, err error) error {
	var fault *fhir.Error
	if !errors.As(err, &fault) {
		return err
	}
	reason, problems := "", []migration.Problem(nil)
	if !fault.Busy() {
		reason, problems = fault.Error(), v.problem(explain(err))
	}
	if perr := v.chunk.Postpone(reason, v.Now(), v.Now().Add(v.pollWait(fault.RetryAfter, job.Started))); perr != nil {
		return perr
	}
	return v.save(ctx, migration.Save{Problems: problems})
}
