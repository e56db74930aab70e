package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// What the steps of a run have in common: whether they may start a job, and how long they put up with an answer that is
// none.

// aboutParameters moves search parameters, or reindexes for them, unless that was switched off in mid-run. A reindex that
// is under way then is left to the destination.
func (v *errandVisit) aboutParameters(ctx context.Context) error {
	switch {
	case v.limits.SearchParameters && v.errand.Kind == migration.ReindexErrand:
		return v.reindex(ctx)
	case v.limits.SearchParameters:
		return v.moveParameters(ctx)
	case v.errand.Kind == migration.ReindexErrand:
		v.errand.Dropped = true
		return v.end(ctx, nil, v.problems("search parameters were switched off (FERRY_SEARCH_PARAMETERS) before the destination had "+
			"reindexed: what was moved can be searched by only after a $reindex there")...)
	}
	return v.leaveOff(ctx)
}

// mayStart re-reads what allows a step to start a job (invariant 9).
func (v *errandVisit) mayStart(ctx context.Context) (bool, error) {
	run, _, err := v.ledger.Current(ctx)
	if err != nil {
		return false, fmt.Errorf("read the current run: %w", err)
	}
	if run.ID != v.errand.RunID || run.StopAsked || len(v.changed(run)) > 0 {
		return false, nil
	}
	v.run = run
	unfinished, err := v.ledger.Unfinished(ctx, run.ID)
	if err != nil {
		return false, fmt.Errorf("list unfinished chunks: %w", err)
	}
	return migration.StepGate(v.errand.Kind, run, unfinished, v.limits.Limits, v.Now()), nil
}

// hold makes a step wait until a job may be started: no fault, and nothing that an operator must hear of.
func (v *errandVisit) hold(ctx context.Context) error {
	v.errand.Postpone("", v.Now(), v.Now().Add(10*v.limits.Poll))
	return v.rest(ctx, 10*v.limits.Poll)
}

// patiently decides what follows an answer that is none: another try, later, within bounds, and then giving up. A server
// that asks to wait is waited for as long as FERRY_STALL, faults in a row are borne as often as FERRY_MAX_FAILURES.
func (v *errandVisit) patiently(ctx context.Context, err error, giveUp func(reason string) error) error {
	var fault *fhir.Error
	switch {
	case !errors.As(err, &fault):
		return err
	case fault.Locked() || fault.Changing():
		return v.putOff(ctx, explain(err), fault.RetryAfter, giveUp)
	case fault.Busy():
		if v.waitedTooLong() {
			return giveUp(explain(err))
		}
		return v.unanswered(ctx, err)
	case v.spent():
		return giveUp(explain(err))
	}
	return v.unanswered(ctx, err)
}

// putOff waits for something that an operator should know of, and may have to end.
func (v *errandVisit) putOff(ctx context.Context, reason string, retryAfter time.Duration, giveUp func(reason string) error) error {
	if v.waitedTooLong() {
		return giveUp(reason)
	}
	return v.wait(ctx, max(retryAfter, v.limits.Poll), reason)
}

// waitedTooLong notes when the waiting began, and reports whether that is longer ago than FERRY_STALL.
func (v *errandVisit) waitedTooLong() bool {
	if v.errand.WaitingSince.IsZero() {
		v.errand.WaitingSince = v.Now()
	}
	return v.Now().Sub(v.errand.WaitingSince) >= v.limits.Stall
}

// leaveOff ends a step without its being done, and its job with it.
func (v *errandVisit) leaveOff(ctx context.Context) error {
	if v.errand.Kind.IsCheck() {
		v.errand.Note("the run was stopped before the check had come to its end")
		v.errand.Verdict = migration.Unknown
	}
	var problems []migration.Problem
	if err := v.cancelJob(ctx); err != nil {
		var fault *fhir.Error
		if !errors.As(err, &fault) {
			return err
		}
		if v.errand.Attempts+1 < cancelTries {
			wait := v.backOff(v.errand.Attempts)
			v.errand.Faulted(explain(err), v.Now(), v.Now().Add(wait))
			return v.rest(ctx, wait)
		}
		problems = v.problems("the job of " + string(v.errand.Kind) + " could not be cancelled and may run on at the server: " + explain(err))
	}
	v.errand.Dropped = true
	return v.end(ctx, nil, problems...)
}

// cancelJob cancels the errand's job. A job whose answer was lost is looked for where a server has one at most.
func (v *errandVisit) cancelJob(ctx context.Context) error {
	job := v.errand.Job
	switch {
	case v.errand.Kind == migration.ParametersErrand && job.StatusURL != "":
		return v.source.CancelExport(ctx, job.StatusURL)
	case v.errand.Kind == migration.ReindexErrand && job.Attempt > 0:
		if job.StatusURL == "" && v.elsewhere(v.run) {
			return elsewhereFault("cancel reindex")
		}
		if job.StatusURL == "" {
			active, err := v.destination.ActiveReindex(ctx)
			if err != nil || active == "" {
				return err
			}
			job.StatusURL = active
		}
		return v.destination.CancelReindex(ctx, job.StatusURL)
	}
	return nil
}
