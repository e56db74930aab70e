package migration

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// planner is the visit of a round (design 3.6, step 7).
type planner struct {
	*process
	pt    *part
	run   Run
	round Round
	v     Version
}

// The run is read after the round, or a visit that was held up could meet a round that is ahead of the run it knows:
// one whose types it has not heard of.
func (p *process) visitRound() error {
	pt, _, _, err := p.readRun()
	if err != nil {
		return err
	}
	round, v, err := p.readRound(pt)
	if err != nil || p.clock().Before(round.NotBefore) {
		return err
	}
	now, run, _, err := p.readRun()
	if err != nil || now != pt || run.Ended() || run.StopAsked {
		return err
	}
	x := &planner{process: p, pt: pt, run: run, round: round, v: v}
	x.round.NotBefore = p.clock().Add(p.rules.claim)
	if err := x.save(); err != nil {
		return err
	}
	if round.Kind == Closing {
		return x.finish()
	}
	return x.plan()
}

func (x *planner) save() error {
	v, err := x.saveRound(x.pt, x.round, x.v)
	if err == nil {
		x.v = v
	}
	return err
}

func (x *planner) plan() error {
	if x.round.Plan == "" {
		if err := x.span(); err != nil {
			return err
		}
		if err := x.counts(); err != nil {
			return err
		}
		if err := x.writePlan(); err != nil {
			return err
		}
	}
	return x.addAll()
}

// span shortens the round to what is settled and finds where the first one begins.
func (x *planner) span() error {
	if !x.round.Fixed {
		date, err := x.date()
		if err != nil {
			return x.failed(err)
		}
		if len(x.run.Types) == 0 {
			types, _ := PlanTypes(nil, x.source.kinds)
			run, err := x.changeRun(func(_ *part, r *Run) bool { r.Types = types; return !r.Ended() })
			if err != nil {
				return err
			}
			x.run = run
		}
		if !x.round.Fix(x.run, date, x.rules.settle) {
			return x.leave(func(r *Run) { r.NextRound = x.clock().Add(x.rules.limits.Poll) })
		}
		if err := x.save(); err != nil {
			return err
		}
	}
	if !x.round.Span.Since.IsZero() {
		return nil
	}
	at, found, err := x.oldest()
	switch {
	case errors.Is(err, errDeprecated):
		at, found = EarliestInstant(), true
		if x.run, err = x.exportOnly(); err != nil {
			return err
		}
	case err != nil:
		return x.failed(err)
	}
	if !found || !at.Before(x.round.Span.Till) {
		at = x.round.Span.Till
	}
	x.round.Begin(at)
	x.run, err = x.changeRun(func(_ *part, r *Run) bool {
		if !r.Since.IsZero() || r.Ended() {
			return false
		}
		r.Since, r.Frontier = x.round.Span.Since, x.round.Span.Since
		return true
	})
	if err != nil {
		return err
	}
	x.round.Begin(x.run.Since)
	if x.round.Span.Empty() {
		return x.leave(func(r *Run) { r.NextRound = x.clock().Add(x.rules.limits.Poll) })
	}
	return x.save()
}

func (x *planner) failed(err error) error {
	if errors.Is(err, errStorage) {
		return err
	}
	x.round.CountFailed(err.Error(), x.clock().Add(x.rules.limits.Poll))
	return x.rest()
}

func (x *planner) rest() error {
	if err := x.save(); err != nil {
		return err
	}
	if err := x.nudge(RoundID, x.round.NotBefore.Sub(x.clock())); err != nil {
		return err
	}
	return errYield
}

func (x *planner) counts() error {
	limit := x.run.Settings.ChunkLimit
	if x.round.Total == Unasked && !x.run.ExportOnly {
		x.round.Shorten(x.run.Settings.Window)
	}
	for {
		q, more := x.round.Next(x.run.Types, limit)
		if !more {
			return nil
		}
		if x.run.ExportOnly {
			x.round.CountsRefused()
			continue
		}
		if x.chance(0.02) { // near the visit's deadline
			x.round.NotBefore = x.clock()
			return x.rest()
		}
		n, err := x.count(x.run, q.Type, q.Window)
		pieces, span := len(x.round.Pieces), x.round.Span
		switch {
		case errors.Is(err, errDeprecated):
			if x.run, err = x.exportOnly(); err != nil {
				return err
			}
			continue
		case errors.Is(err, errOverflow):
			x.round.CountOverflowed(q)
		case err != nil:
			return x.failed(err)
		default:
			x.round.Counted(q, n, limit)
		}
		if len(x.round.Pieces) > pieces || !x.round.Span.Equal(span) {
			x.met("round halved a span")
		}
		if err := x.save(); err != nil {
			return err
		}
	}
}

func (x *planner) writePlan() error {
	var byTime func(Window) []Window
	if x.run.ExportOnly {
		byTime = func(win Window) []Window { return ByTime(win, x.run.Settings.Window) }
		x.round.ShortenUncounted(byTime)
	}
	chunks := x.round.Cut(x.run.Types, x.run.Settings.ChunkLimit, byTime, x.clock())
	if len(chunks) == 0 {
		return x.moveFrontier()
	}
	name := fmt.Sprintf("plans/%06d", x.round.Number)
	if _, err := x.putDocument(x.pt, name, chunks); err != nil {
		return err
	}
	x.round.Plan = name
	return x.save()
}

func (x *planner) addAll() error {
	written, err := x.document(x.pt, x.round.Plan)
	if err != nil {
		return err
	}
	plan := written.([]Chunk)
	for x.round.Added < len(plan) {
		next := x.round
		chunks := plan[next.Added:min(next.Added+3, len(plan))] // few at once: a crash in between must not matter
		next.Added += len(chunks)
		err := x.locked(func(run Run, v Version) error {
			rv, err := x.addChunks(x.pt, run, v, next, x.v, slices.Clone(chunks))
			if err == nil {
				x.round, x.v = next, rv
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return x.moveFrontier()
}

// locked does what needs the run's row unchanged, again and again while only an operator was faster.
func (x *planner) locked(do func(Run, Version) error) error {
	for {
		pt, run, v, err := x.readRun()
		if err != nil {
			return err
		}
		if pt != x.pt || run.Ended() || run.StopAsked {
			return errYield
		}
		if err := do(run, v); !errors.Is(err, ErrConflict) {
			return err
		}
		_, now, err := x.readRound(x.pt)
		if err != nil || now != x.v {
			return errors.Join(errYield, err)
		}
	}
}

func (x *planner) moveFrontier() error {
	return x.leave(func(r *Run) { r.Frontier, r.NextRound = x.round.Span.Till, time.Time{} })
}

// leave removes the round with a change of the run, and looks for what is due.
func (x *planner) leave(change func(*Run)) error {
	err := x.locked(func(run Run, v Version) error {
		change(&run)
		return x.closeRound(x.pt, run, v, x.v)
	})
	if err != nil {
		return err
	}
	pt, run, v, err := x.readRun()
	if err != nil {
		return err
	}
	if run.Ended() {
		return errYield
	}
	if wait := run.NextRound.Sub(x.clock()); wait > 0 {
		if err := x.nudge(wake, wait); err != nil {
			return err
		}
	}
	if err := x.advance(pt, run, v); err != nil {
		return err
	}
	return errYield
}

// finish is the visit of a closing round: it counts what was written after T, and ends the run.
func (x *planner) finish() error {
	if !x.run.ExportOnly {
		_, err := x.count(x.run, "", Window{x.run.End.Add(Instant), x.clock().Add(time.Hour)})
		if err != nil && !errors.Is(err, errDeprecated) && x.round.Attempts+1 < x.rules.limits.MaxFailures {
			return x.failed(err)
		}
	}
	unfinished, err := x.readUnfinished(x.pt)
	if err != nil {
		return err
	}
	return x.leave(func(r *Run) {
		if r.Reached() && len(unfinished) == 0 && !r.Paused {
			r.EndRun(Completed, x.clock())
		}
	})
}
