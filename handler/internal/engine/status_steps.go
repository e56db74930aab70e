package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fhirferry/handler/internal/migration"
)

// StepState is where the step that moves search parameters stands.
type StepState string

// The states of that step.
const (
	StepWaiting    StepState = "waiting" // its turn has not come
	StepRunning    StepState = "running"
	StepDone       StepState = "done"
	StepIncomplete StepState = "incomplete" // something was not moved; problems say what and why
	StepDropped    StepState = "dropped"    // the run was ended before its turn
)

// ReindexState is where the step that reindexes the destination stands; once it has ended, how.
type ReindexState string

// The states of that step. The ends are those of migration.ReindexOutcome.
const (
	ReindexWaiting   ReindexState = "waiting" // its turn has not come
	ReindexRunning   ReindexState = "running"
	ReindexDropped   ReindexState = "dropped" // the run was ended before its turn
	ReindexCompleted ReindexState = "completed"
	ReindexFailed    ReindexState = "failed"    // or given up; a problem says why
	ReindexNeedless  ReindexState = "notNeeded" // nothing was written, and all there is can be searched by
)

// ParametersStatus is what has become of the custom search parameters. Found, present and failed are of the last
// comparison, written is of the whole run.
type ParametersStatus struct {
	State                           StepState
	Found, Written, Present, Failed int
	At                              time.Time // when they were moved last
}

// ReindexStatus is how far the destination's reindex is.
type ReindexStatus struct {
	State       ReindexState
	Done, Total int
	Job         string    // status URL; empty: none was started
	At          time.Time // when it ended
}

// stepStatus tells of search parameters and reindex. Only a step under way costs a read.
func (e *Engine) stepStatus(ctx context.Context, run migration.Run, s *Status) error {
	if !e.limits.SearchParameters {
		return nil
	}
	s.SearchParameters, s.Reindex = parametersStatus(run), reindexStatus(run)
	kind, _, _ := strings.Cut(run.Errand, "-")
	if run.Ended() || kind != string(migration.ParametersErrand) && kind != string(migration.ReindexErrand) {
		return nil
	}
	errand, _, err := e.ledger.Errand(ctx, run.ID, run.Errand)
	if err != nil {
		return fmt.Errorf("read errand %s: %w", run.Errand, err)
	}
	if errand.Kind == migration.ReindexErrand {
		s.Reindex = &ReindexStatus{State: ReindexRunning, Done: errand.Done, Total: errand.Total, Job: errand.Job.StatusURL}
		return nil
	}
	now := errand.Parameters
	if now.Plan == "" {
		now = run.Parameters // nothing is compared anew yet
	} else {
		now.Written += run.Parameters.Written
	}
	s.SearchParameters = &ParametersStatus{State: StepRunning, Found: now.Found, Written: now.Written, Present: now.Present,
		Failed: now.Failed, At: s.SearchParameters.At}
	return nil
}

func parametersStatus(run migration.Run) *ParametersStatus {
	p := run.Parameters
	return &ParametersStatus{State: parametersState(run), Found: p.Found, Written: p.Written, Present: p.Present, Failed: p.Failed,
		At: later(run.ParametersAt, run.ParametersAgainAt)}
}

func parametersState(run migration.Run) StepState {
	switch p := run.Parameters; {
	case !run.ParametersAt.IsZero() && (p.Failed > 0 || p.Undone):
		return StepIncomplete
	case !run.ParametersAt.IsZero():
		return StepDone
	case run.Ended():
		return StepDropped
	}
	return StepWaiting
}

func reindexStatus(run migration.Run) *ReindexStatus {
	r := run.Reindex
	return &ReindexStatus{State: reindexState(run), Done: r.Done, Total: r.Total, Job: r.Job, At: run.ReindexedAt}
}

func reindexState(run migration.Run) ReindexState {
	switch run.Reindex.Result {
	case migration.ReindexCompleted:
		return ReindexCompleted
	case migration.ReindexFailed:
		return ReindexFailed
	case migration.ReindexNeedless:
		return ReindexNeedless
	}
	if run.Ended() {
		return ReindexDropped
	}
	return ReindexWaiting
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
