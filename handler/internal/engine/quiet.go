package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"fhirferry/handler/internal/migration"
)

// Quietness tells an operator why nothing is started now, and up to when.
type Quietness struct {
	Now   bool
	Until time.Time // when jobs may be started again; zero: it is not quiet
}

// quietness is nil where no quiet hours are set.
func (e *Engine) quietness() *Quietness {
	if len(e.limits.Quiet) == 0 {
		return nil
	}
	q := &Quietness{Now: e.limits.Quiet.Quiet(e.Now())}
	if q.Now {
		q.Until, _ = e.limits.Quiet.Opening(e.Now()) // settings that never open are refused
	}
	return q
}

// noteQuiet tells when quiet hours begin or end under a run, once, whichever instance's tick sees it first. It returns the
// run as it is then.
func (e *Engine) noteQuiet(ctx context.Context, run migration.Run, v Version) (migration.Run, Version, error) {
	q := e.quietness()
	if quiet := q != nil && q.Now; quiet == run.Quiet {
		return run, v, nil
	}
	noted := run
	noted.Quiet = !run.Quiet
	next, err := e.ledger.SaveRun(ctx, noted, v)
	if errors.Is(err, migration.ErrConflict) {
		return run, v, nil // another tick, or an operator, was faster; the next tick looks again
	}
	if err != nil {
		return run, v, fmt.Errorf("note the quiet hours: %w", err)
	}
	if noted.Quiet {
		e.log.InfoContext(ctx, "quiet hours began", slog.String("event", "QuietHoursBegan"), "run", run.ID, "until", q.Until)
	} else {
		e.log.InfoContext(ctx, "quiet hours ended", slog.String("event", "QuietHoursEnded"), "run", run.ID)
	}
	return noted, next, nil
}

func (a *access) quiet(context.Context) Check {
	q := a.quietness()
	switch {
	case q == nil:
		return passed("none are set: jobs are started at any time")
	case !q.Now:
		return passed("it is not quiet now: jobs are started")
	case a.limits.QuietImports:
		return passed("it is quiet until %s: no export is started, imports go on", q.Until.UTC().Format(time.RFC3339))
	}
	return passed("it is quiet until %s: no job is started, those in flight land", q.Until.UTC().Format(time.RFC3339))
}
