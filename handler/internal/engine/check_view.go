package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fhirferry/handler/internal/migration"
)

// CheckResult is a check with what it has found so far.
type CheckResult struct {
	Errand    migration.Errand
	PerMinute float64          // questions or resources per minute; zero: not known
	Remaining time.Duration    // at this rate; zero: not known
	Resources *migration.Tally // of the run that it is about; nil: of none
	Counts    []migration.CountRow
	Samples   []migration.SampleRow
	Access    []Check
}

// Checks lists the checks of the current run, of the runs before it and of the time before the first, newest first,
// without what they have found.
func (e *Engine) Checks(ctx context.Context) ([]CheckResult, error) {
	run, _, err := e.ledger.Current(ctx)
	if err != nil && !errors.Is(err, migration.ErrNotFound) {
		return nil, fmt.Errorf("read the current run: %w", err)
	}
	partitions := append([]string{migration.Idle}, run.Earlier...)
	if run.ID != "" {
		partitions = append(partitions, run.ID)
	}
	var checks []migration.Errand
	for _, runID := range partitions {
		some, err := e.checksOf(ctx, runID)
		if err != nil {
			return nil, err
		}
		checks = append(checks, some...)
	}
	slices.SortStableFunc(checks, newestFirst)
	results := make([]CheckResult, 0, len(checks))
	for _, c := range checks {
		results = append(results, resultOf(c))
	}
	return results, nil
}

func newestFirst(a, b migration.Errand) int { return b.StartedAt.Compare(a.StartedAt) }

func resultOf(errand migration.Errand) CheckResult {
	r := CheckResult{Errand: errand}
	r.PerMinute, r.Remaining = errand.Rate()
	return r
}

func (e *Engine) checksOf(ctx context.Context, runID string) ([]migration.Errand, error) {
	errands, err := e.ledger.Errands(ctx, runID)
	if err != nil {
		return nil, fmt.Errorf("list checks: %w", err)
	}
	return slices.DeleteFunc(errands, func(x migration.Errand) bool { return !x.Kind.IsCheck() }), nil
}

// Check returns one check of any run, with what it has found so far.
func (e *Engine) Check(ctx context.Context, id string) (CheckResult, error) {
	runID, ok := migration.ErrandRun(id)
	if !ok {
		return CheckResult{}, noCheck()
	}
	errand, _, err := e.ledger.Errand(ctx, runID, id)
	switch {
	case errors.Is(err, migration.ErrNotFound), err == nil && !errand.Kind.IsCheck():
		return CheckResult{}, noCheck()
	case err != nil:
		return CheckResult{}, fmt.Errorf("read check: %w", err)
	}
	r := resultOf(errand)
	all, err := e.findings(ctx, errand)
	if err != nil {
		return r, err
	}
	r.Counts, r.Samples, r.Access = all.Counts, all.Samples, all.Access
	if runID == migration.Idle {
		return r, nil
	}
	totals, err := e.ledger.Totals(ctx, runID)
	if err != nil {
		return r, fmt.Errorf("read the totals: %w", err)
	}
	r.Resources = &totals.Resources
	return r, nil
}

func noCheck() *Refusal {
	return &Refusal{NotThere, "there is no check of this id; GET /api/migration/checks lists them"}
}

// shownCheck is the check that the status shows: the last one at the end of the run, else the newest.
func (e *Engine) shownCheck(ctx context.Context, runID string) (migration.Errand, error) {
	checks, err := e.checksOf(ctx, runID)
	if err != nil || len(checks) == 0 {
		return migration.Errand{}, err
	}
	return slices.MinFunc(checks, func(a, b migration.Errand) int {
		if a.Step != b.Step {
			if a.Step {
				return -1
			}
			return 1
		}
		return newestFirst(a, b)
	}), nil
}
