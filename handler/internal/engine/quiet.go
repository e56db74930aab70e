package engine

import (
	"context"
	"time"
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
