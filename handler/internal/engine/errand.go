package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// errandVisit is one visit of an errand: its row, and the version that every save of it carries (invariant 6).
type errandVisit struct {
	*Engine
	run     migration.Run // the run it belongs to; zero for migration.Idle and for a run that is current no more
	errand  migration.Errand
	version Version
	found   findings // of a check, not kept yet
}

// visitErrand moves an errand one step. One that is over, waits, or is held by another visit is nothing to do.
func (e *Engine) visitErrand(ctx context.Context, runID, id string) error {
	errand, version, err := e.ledger.Errand(ctx, runID, id)
	if errors.Is(err, migration.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read errand %s: %w", id, err)
	}
	v := &errandVisit{Engine: e, errand: errand, version: version}
	run, _, err := e.ledger.Current(ctx)
	switch {
	case err == nil && run.ID == runID:
		v.run = run
	case err != nil && !errors.Is(err, migration.ErrNotFound):
		return fmt.Errorf("read the current run: %w", err)
	}
	if v.errand.Step && (v.run.ID == "" || v.run.Ended()) {
		return nil
	}
	claim := v.errand.Claim
	if v.errand.Step && v.run.StopAsked {
		claim = v.errand.ClaimToCancel
	}
	if err := claim(e.Now(), e.Now().Add(e.claimTime())); err != nil {
		return nil
	}
	if err := v.save(ctx); err != nil {
		return yielded(err)
	}
	return yielded(v.step(ctx))
}

// step does what the errand is for, until it is over, must wait, or the visit's time is up.
func (v *errandVisit) step(ctx context.Context) error {
	if v.errand.Step && v.run.StopAsked {
		return v.leaveOff(ctx)
	}
	if v.errand.Kind.IsCheck() {
		return v.check(ctx)
	}
	if v.elsewhere(v.run) && v.run.ID != "" {
		return v.wait(ctx, 10*v.limits.Poll, "the settings name other services than the run's; set them back")
	}
	switch v.errand.Kind {
	case migration.ParametersErrand, migration.ReindexErrand:
		return v.aboutParameters(ctx)
	default:
		return v.end(ctx, nil, migration.Problem{At: v.Now(), Doubt: true, Detail: fmt.Sprintf("errand %s: this version of the app does not know what to do", v.errand.ID)})
	}
}

func (v *errandVisit) save(ctx context.Context, problems ...migration.Problem) error {
	version, err := v.ledger.SaveErrand(ctx, v.errand, v.version, problems...)
	if err != nil {
		return fmt.Errorf("save errand %s: %w", v.errand.ID, err)
	}
	v.version = version
	v.reported(ctx, v.run.ID, problems)
	return nil
}

// problems are kept where there is a run to keep them; a check that an operator asked for keeps its findings to itself.
func (v *errandVisit) problems(detail string) []migration.Problem {
	if !v.errand.Step {
		return nil
	}
	return []migration.Problem{{Detail: detail, At: v.Now()}}
}

// goOn saves what was done and lets the next visit in at once, because this one's time is up.
func (v *errandVisit) goOn(ctx context.Context) error {
	v.errand.Progressed(v.Now(), v.Now())
	return v.rest(ctx, 0)
}

// follow saves that a job of the errand is under way and looks again later.
func (v *errandVisit) follow(ctx context.Context, wait time.Duration, problems ...migration.Problem) error {
	v.errand.Progressed(v.Now(), v.Now().Add(wait))
	return v.rest(ctx, wait, problems...)
}

// wait makes the errand wait without counting a fault.
func (v *errandVisit) wait(ctx context.Context, wait time.Duration, reason string) error {
	v.errand.Postpone(reason, v.Now(), v.Now().Add(wait))
	return v.rest(ctx, wait, v.problems("step "+string(v.errand.Kind)+" waits: "+reason)...)
}

// unanswered makes the errand wait after a question that was not answered: longer with each fault in a row. A busy
// server is no fault.
func (v *errandVisit) unanswered(ctx context.Context, err error) error {
	var fault *fhir.Error
	if !errors.As(err, &fault) {
		return err
	}
	if fault.Busy() {
		wait := max(fault.RetryAfter, v.limits.Poll)
		v.errand.Postpone("", v.Now(), v.Now().Add(wait))
		return v.rest(ctx, wait)
	}
	wait := max(v.backOff(v.errand.Attempts), fault.RetryAfter)
	v.errand.Faulted(explain(err), v.Now(), v.Now().Add(wait))
	return v.rest(ctx, wait, v.problems("step "+string(v.errand.Kind)+" waits: "+explain(err))...)
}

// spent reports whether a question has failed as often in a row as FERRY_MAX_FAILURES allows; it is given up then, never
// taken for answered.
func (v *errandVisit) spent() bool { return v.errand.Attempts+1 >= v.limits.MaxFailures }

func (v *errandVisit) rest(ctx context.Context, wait time.Duration, problems ...migration.Problem) error {
	if err := v.save(ctx, problems...); err != nil {
		return err
	}
	ctx, cancel := v.briefly(ctx)
	defer cancel()
	if err := v.queue.Nudge(ctx, v.errand.ID, wait); err != nil {
		return fmt.Errorf("nudge errand %s: %w", v.errand.ID, err)
	}
	return errYield
}

// end ends the errand. A step changes its run in the same transaction, and what is due then begins at once.
func (v *errandVisit) end(ctx context.Context, change func(*migration.Run), problems ...migration.Problem) error {
	v.errand.End(v.Now())
	if !v.errand.Step {
		if err := v.save(ctx); err != nil {
			return err
		}
		v.logEnd(ctx)
		return nil
	}
	for {
		run, rv, err := v.ledger.Current(ctx)
		if err != nil {
			return fmt.Errorf("read the current run: %w", err)
		}
		if run.ID != v.errand.RunID || run.Ended() {
			return errYield
		}
		run.StepEnded(v.errand, v.Now())
		if change != nil {
			change(&run)
		}
		err = v.ledger.CloseErrand(ctx, run, rv, v.errand, v.version, problems...)
		if errors.Is(err, migration.ErrConflict) {
			if err := v.stillMine(ctx); err != nil {
				return err
			}
			continue // an operator spoke in between: the run's row is read again
		}
		if err != nil {
			return fmt.Errorf("end errand %s: %w", v.errand.ID, err)
		}
		v.reported(ctx, run.ID, problems)
		v.tellStep(ctx, run)
		v.logEnd(ctx)
		run, rv, err = v.ledger.Current(ctx)
		if err != nil || run.Ended() {
			return err
		}
		return v.advance(ctx, run, rv)
	}
}

// logEnd logs the end of an errand that is saved.
func (v *errandVisit) logEnd(ctx context.Context) {
	e := v.errand
	if !e.Kind.IsCheck() {
		v.log.InfoContext(ctx, "step ended", slog.String("event", "StepEnded"), "run", e.RunID, "step", e.ID)
		return
	}
	v.log.InfoContext(ctx, "check ended", slog.String("event", "CheckEnded"), "run", e.RunID, "check", e.ID, "kind", e.Kind,
		"verdict", e.Verdict, "same", e.Same, "different", e.Different, "unknown", e.Unknown)
}

// logBegin logs the beginning of an errand that is saved.
func (e *Engine) logBegin(ctx context.Context, errand migration.Errand) {
	if !errand.Kind.IsCheck() {
		e.log.InfoContext(ctx, "step started", slog.String("event", "StepStarted"), "run", errand.RunID, "step", errand.ID)
		return
	}
	e.log.InfoContext(ctx, "check started", slog.String("event", "CheckStarted"), "run", errand.RunID, "check", errand.ID, "kind", errand.Kind)
}

// stillMine tells which row a refused save was about: the run's, which is read again, or the errand's, which ends the
// visit.
func (v *errandVisit) stillMine(ctx context.Context) error {
	_, now, err := v.ledger.Errand(ctx, v.errand.RunID, v.errand.ID)
	switch {
	case errors.Is(err, migration.ErrNotFound) || err == nil && now != v.version:
		return errYield
	case err != nil:
		return fmt.Errorf("read errand %s again: %w", v.errand.ID, err)
	}
	return nil
}

// beginStep begins the step that the run needs now, if any, and returns the run as it is then.
func (e *Engine) beginStep(ctx context.Context, run migration.Run, v Version, unfinished []migration.Chunk) (migration.Run, Version, error) {
	kind, due := run.NextStep(e.limits.Limits, len(unfinished))
	if !due || len(e.changed(run)) > 0 || e.limits.Hushed(kind, e.Now()) {
		return run, v, nil
	}
	errand := run.NewStep(kind, strconv.Itoa(run.Errands+1), e.Now())
	begun := run
	begun.StepBegun(errand)
	err := e.ledger.OpenErrand(ctx, begun, v, errand)
	if err != nil && !errors.Is(err, migration.ErrConflict) && !errors.Is(err, migration.ErrExists) {
		return run, v, fmt.Errorf("begin step %s: %w", errand.ID, err)
	}
	if err == nil {
		e.logBegin(ctx, errand)
		if err := e.nudge(ctx, errand.ID); err != nil {
			return run, v, err
		}
	}
	// Where another instance was faster, or an operator spoke, the row says so.
	if run, v, err = e.ledger.Current(ctx); err != nil {
		return run, v, fmt.Errorf("read the current run: %w", err)
	}
	return run, v, nil
}

// nudgeErrands nudges the errands whose own nudge must have been lost: those of the run, and checks that were asked for
// before it. Those of a run that is stopping are nudged at once when they may be visited.
func (e *Engine) nudgeErrands(ctx context.Context, run migration.Run) error {
	for _, runID := range nearby(run) {
		errands, err := e.ledger.Errands(ctx, runID)
		if err != nil {
			return fmt.Errorf("list errands: %w", err)
		}
		for _, errand := range errands {
			hurry := errand.Step && run.StopAsked && errand.Cancellable(e.Now())
			if hurry || errand.Overdue(e.limits.Limits, e.Now()) {
				if err := e.nudge(ctx, errand.ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// nearby are the partitions in which an errand may still be under way: the run's, that of the run before, and Idle's.
func nearby(run migration.Run) []string {
	if run.ID == "" {
		return []string{migration.Idle}
	}
	return append([]string{run.ID, migration.Idle}, run.Earlier[:min(len(run.Earlier), 1)]...)
}
