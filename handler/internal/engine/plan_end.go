package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// advanceFrontier removes the round and moves the frontier to its end (design H7: the watermark moves last).
func (p *planner) advanceFrontier(ctx context.Context) error {
	return p.leave(ctx, func(r *migration.Run) []migration.Problem {
		r.Frontier, r.NextRound = p.round.Span.Till, time.Time{}
		return nil
	})
}

// close removes the round without planning anything; no other begins before next.
func (p *planner) close(ctx context.Context, next time.Time, problems ...migration.Problem) error {
	return p.leave(ctx, func(r *migration.Run) []migration.Problem {
		r.NextRound = next
		return problems
	})
}

// leave removes the round together with a change of the run, and looks at once for what is due now. The change returns the
// problems to show.
func (p *planner) leave(ctx context.Context, change func(*migration.Run) []migration.Problem) error {
	for {
		run, v, err := p.live(ctx)
		if err != nil {
			return err
		}
		problems := change(&run)
		run.UpdatedAt = p.Now()
		err = p.ledger.CloseRound(ctx, run, v, p.version, problems...)
		if errors.Is(err, migration.ErrConflict) {
			if err := p.stillMine(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("close round %d: %w", p.round.Number, err)
		}
		p.reported(ctx, run.ID, problems)
		p.log.InfoContext(ctx, "round closed", slog.String("event", "RoundClosed"), "run", run.ID, "round", p.round.Number, "kind", p.round.Kind,
			"since", p.round.Span.Since, "till", p.round.Span.Till, "total", p.round.Total, "chunks", p.round.Added)
		if err := p.lookAgain(ctx, run); err != nil {
			return err
		}
		return errYield
	}
}

// lookAgain begins what is due now, and wakes somebody up when the next round must wait.
func (e *Engine) lookAgain(ctx context.Context, run migration.Run) error {
	if wait := run.NextRound.Sub(e.Now()); wait > 0 {
		if err := e.queue.Nudge(ctx, wake, wait); err != nil {
			return fmt.Errorf("nudge for the next round: %w", err)
		}
	}
	run, v, err := e.ledger.Current(ctx)
	if err != nil {
		return fmt.Errorf("read the current run: %w", err)
	}
	if run.Ended() {
		return nil
	}
	return e.advance(ctx, run, v)
}

// countFailed makes the round wait after a question that was not answered. A busy source is no failure.
func (p *planner) countFailed(ctx context.Context, err error) error {
	var fault *fhir.Error
	if !errors.As(err, &fault) {
		return err
	}
	if fault.Busy() {
		p.round.NotBefore = p.Now().Add(max(fault.RetryAfter, p.limits.Poll))
		return p.rest(ctx)
	}
	return p.postpone(ctx, explain(err))
}

// postpone makes the round wait longer with each failure in a row and shows the reason.
func (p *planner) postpone(ctx context.Context, reason string) error {
	p.round.CountFailed(reason, p.Now().Add(p.backOff(p.round.Attempts)))
	return p.rest(ctx, migration.Problem{Detail: "planning waits: " + reason, At: p.Now()})
}

func (p *planner) rest(ctx context.Context, problems ...migration.Problem) error {
	if err := p.save(ctx, problems...); err != nil {
		return err
	}
	if err := p.queue.Nudge(ctx, migration.RoundID, p.round.NotBefore.Sub(p.Now())); err != nil {
		return fmt.Errorf("nudge the round: %w", err)
	}
	return errYield
}

// goOnLater gives the claim back because the visit's time is up.
func (p *planner) goOnLater(ctx context.Context) error {
	p.round.NotBefore = p.Now()
	return p.rest(ctx)
}

// finish is the visit of a closing round: it counts what was written after T, and ends the run.
func (p *planner) finish(ctx context.Context) error {
	problems, err := p.late(ctx)
	if err != nil {
		return err
	}
	unfinished, err := p.ledger.Unfinished(ctx, p.run.ID)
	if err != nil {
		return fmt.Errorf("list unfinished chunks: %w", err)
	}
	ended, over := false, p.run
	err = p.leave(ctx, func(r *migration.Run) []migration.Problem {
		// A cutover may have moved T or asked for the last steps again, or an operator paused, since the round was opened:
		// then it is counted again.
		if ended = r.MayClose(p.limits.Limits, len(unfinished)) && r.End.Equal(p.run.End); !ended {
			return nil
		}
		r.EndRun(migration.Completed, p.Now())
		over = *r
		return problems
	})
	if ended && (err == nil || errors.Is(err, errYield)) {
		p.ended(ctx, over)
	}
	return err
}

// late reports versions written after T. They are not moved, and nobody may learn of it by chance.
func (p *planner) late(ctx context.Context) ([]migration.Problem, error) {
	if p.run.EndedByUntil() {
		return nil, nil
	}
	at := p.run.End.UTC().Format(time.RFC3339Nano)
	unknown := func(reason string) []migration.Problem {
		return []migration.Problem{{At: p.Now(), Doubt: true, Detail: "whether anything was written to the source after " + at +
			" could not be counted (" + reason + "); make sure that the source was read-only"}}
	}
	if p.run.ExportOnly {
		return unknown("the source is deprecated and refuses counts"), nil
	}
	after := fhir.CountQuery{Since: p.run.End.Add(migration.Instant), History: p.run.Settings.AllVersions(), Types: p.run.Settings.Types}
	n, err := p.source.Count(ctx, after)
	var fault *fhir.Error
	switch {
	case err == nil && n == 0:
		return nil, nil
	case err == nil:
		return []migration.Problem{{At: p.Now(), Doubt: true, Detail: fmt.Sprintf("%d versions were written to the source after %s "+
			"(written after cutover) and are not moved; start a new run with since = that instant", n, at)}}, nil
	case deprecated(err):
		if err := p.exportOnly(ctx); err != nil {
			return nil, err
		}
		return unknown("the source is deprecated and refuses counts"), nil
	case errors.As(err, &fault) && p.round.Attempts+1 >= p.limits.MaxFailures:
		return unknown(explain(err)), nil
	}
	return nil, p.countFailed(ctx, err)
}
