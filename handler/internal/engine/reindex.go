package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// reindex makes the moved search parameters usable (contract 8.3): it starts the destination's reindex where one is
// needed, and follows it to its end.
func (v *errandVisit) reindex(ctx context.Context) error {
	switch {
	case !v.run.ForThisEnd(v.errand): // a cutover brings more: it is done again after that
		return v.leaveOff(ctx)
	case v.errand.Job.StatusURL != "":
		return v.checkReindex(ctx)
	case v.errand.Job.Attempt == 0:
		needed, err := v.reindexNeeded(ctx)
		if err != nil {
			return err
		}
		if !needed {
			return v.endReindex(ctx, migration.ReindexNeedless)
		}
	}
	return v.startReindex(ctx)
}

// reindexNeeded reports whether a search parameter of the run cannot be searched by yet: one was written, or one that was
// there already is not in use. Unknown is needed.
func (v *errandVisit) reindexNeeded(ctx context.Context) (bool, error) {
	if v.run.Parameters.Written > 0 {
		return true, nil
	}
	unused, err := v.unused(ctx)
	var fault *fhir.Error
	if !errors.As(err, &fault) {
		return len(unused) > 0, err
	}
	needed := false
	err = v.patiently(ctx, err, func(string) error { needed = true; return nil })
	if needed {
		v.errand.Attempts, v.errand.WaitingSince = 0, time.Time{}
		return true, nil
	}
	return false, instead(err)
}

// unused are the urls of search parameters of the run, as they were compared last, that the destination does not let be
// searched by.
func (v *errandVisit) unused(ctx context.Context) ([]string, error) {
	if v.run.Parameters.Plan == "" {
		return nil, nil
	}
	pass, _, err := v.ledger.Errand(ctx, v.errand.RunID, v.run.Parameters.Plan)
	if err != nil {
		return nil, fmt.Errorf("read errand %s: %w", v.run.Parameters.Plan, err)
	}
	var plan parametersPlan
	if found, err := v.errandDocument(ctx, pass, "plan", &plan); err != nil || !found {
		return nil, errors.Join(err, missing(found, documentName(pass, "plan")))
	}
	results, err := v.parameterResults(ctx, pass)
	if err != nil {
		return nil, err
	}
	urls := slices.Clone(plan.Present)
	for _, r := range results {
		if r.Outcome == parameterWritten {
			urls = append(urls, r.URL)
		}
	}
	if len(urls) == 0 {
		return nil, nil
	}
	searchable, err := v.searchable(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(urls, func(url string) bool { return searchable[url] }), nil
}

func missing(found bool, name string) error {
	if found {
		return nil
	}
	return fmt.Errorf("document %s is gone", name)
}

// searchable tells by url what the destination lets be searched by: by its $status, or where that is refused by what its
// capability statement lists (contract 7.6, 8.1).
func (v *errandVisit) searchable(ctx context.Context) (map[string]bool, error) {
	enabled, err := v.destination.EnabledParameters(ctx)
	var fault *fhir.Error
	if err == nil || !errors.As(err, &fault) || fault.Busy() || fault.Transport() || fault.TimedOut() {
		return enabled, err
	}
	listed, err := v.destination.Definitions(ctx)
	if err != nil {
		return nil, err
	}
	enabled = map[string]bool{}
	for _, d := range listed {
		enabled[d.URL] = true
	}
	return enabled, nil
}

// startReindex starts the job, or finds the one that is active: an answer that was lost costs nothing. The attempt is
// saved before the request (invariant 14).
func (v *errandVisit) startReindex(ctx context.Context) error {
	may, err := v.mayStart(ctx)
	if err != nil {
		return err
	}
	if !may {
		return v.hold(ctx)
	}
	v.errand.Job.Attempt++
	if err := v.save(ctx); err != nil {
		return err
	}
	statusURL, err := v.destination.StartReindex(ctx)
	if err != nil {
		return v.patiently(ctx, err, func(reason string) error { return v.reindexFailed(ctx, "could not be started: "+reason) })
	}
	v.errand.Job.StatusURL, v.errand.Job.Started, v.errand.Job.ProgressAt = statusURL, v.Now(), v.Now()
	if err := v.follow(ctx, v.limits.Poll); !errors.Is(err, errYield) {
		return err // the job is found again by the next try
	}
	v.log.InfoContext(ctx, "reindex started", slog.String("event", "ReindexStarted"), "run", v.run.ID, "step", v.errand.ID)
	return errYield
}

func (v *errandVisit) checkReindex(ctx context.Context) error {
	job := &v.errand.Job
	r, err := v.destination.ReindexStatus(ctx, job.StatusURL)
	var fault *fhir.Error
	switch {
	case err == nil && r.Over():
		v.errand.Done, v.errand.Total = int(r.Done), int(r.Total)
		if r.Status == fhir.ReindexCompleted {
			return v.seeReindexed(ctx)
		}
		return v.reindexFailed(ctx, "ended as "+string(r.Status)+": "+r.Detail)
	case err == nil:
		if shown := fmt.Sprintf("%s %d of %d", r.Status, r.Done, r.Total); shown != job.Digest {
			job.Digest, job.ProgressAt = shown, v.Now()
		}
		v.errand.Done, v.errand.Total = int(r.Done), int(r.Total)
		if v.stalled() {
			return v.reindexStalled(ctx)
		}
		return v.follow(ctx, v.pollWait(0, job.Started))
	case !errors.As(err, &fault):
		return err
	case fault.Gone():
		v.errand.Job, v.errand.Lost = migration.Job{Attempt: job.Attempt}, v.errand.Lost+1
		if v.errand.Lost >= v.limits.MaxFailures {
			return v.reindexFailed(ctx, "is not known to the destination any more")
		}
		return v.wait(ctx, v.backOff(v.errand.Lost-1), "the destination does not know the job any more; it is started again")
	case v.stalled():
		return v.reindexStalled(ctx)
	case fault.Busy():
		return v.unanswered(ctx, err)
	}
	return v.wait(ctx, v.pollWait(fault.RetryAfter, job.Started), explain(err))
}

func (v *errandVisit) reindexStalled(ctx context.Context) error {
	return v.reindexFailed(ctx, fmt.Sprintf("showed no progress for %s (FERRY_STALL) and is followed no longer; it may still run", v.limits.Stall))
}

// seeReindexed makes sure that the reindex did what it was for. Instances of a service learn of it one after the other, so
// a first look may come too early.
func (v *errandVisit) seeReindexed(ctx context.Context) error {
	unused, err := v.unused(ctx)
	var fault *fhir.Error
	switch {
	case errors.As(err, &fault):
		return v.patiently(ctx, err, func(reason string) error {
			return v.endReindex(ctx, migration.ReindexCompleted, v.doubt("the destination has reindexed; whether the moved search "+
				"parameters can be searched by could not be asked: "+reason)...)
		})
	case err != nil:
		return err
	case len(unused) == 0:
		return v.endReindex(ctx, migration.ReindexCompleted)
	case v.spent():
		return v.endReindex(ctx, migration.ReindexCompleted, v.doubt(fmt.Sprintf("the destination has reindexed, and yet %d search "+
			"parameters cannot be searched by: %s; look at GET /SearchParameter/$status there", len(unused), some(unused)))...)
	}
	wait := v.backOff(v.errand.Attempts)
	v.errand.Faulted(fmt.Sprintf("%d search parameters cannot be searched by yet", len(unused)), v.Now(), v.Now().Add(wait))
	return v.rest(ctx, wait)
}

// reindexFailed ends the step without a reindex that is known to be complete. The run goes on, and tells.
func (v *errandVisit) reindexFailed(ctx context.Context, how string) error {
	return v.endReindex(ctx, migration.ReindexFailed, v.doubt("the destination's $reindex "+how+"; the moved search parameters can be "+
		"searched by only after one that completes: send POST /$reindex to the destination and follow it")...)
}

func (v *errandVisit) endReindex(ctx context.Context, outcome migration.ReindexOutcome, problems ...migration.Problem) error {
	ended := migration.Reindex{Result: outcome, Job: v.errand.Job.StatusURL, Done: v.errand.Done, Total: v.errand.Total}
	return v.end(ctx, func(r *migration.Run) {
		if !r.ReindexedAt.IsZero() { // a cutover in between has it done again
			r.Reindex = ended
		}
	}, problems...)
}

func (v *errandVisit) doubt(detail string) []migration.Problem {
	return []migration.Problem{{At: v.Now(), Doubt: true, Detail: detail}}
}
