package store

import (
	"context"

	"fhirferry/handler/internal/migration"
)

func slotsKey(kind migration.JobKind) string { return slotsPrefix + string(kind) }

func (l *Ledger) slots(ctx context.Context, runID string, kind migration.JobKind) (migration.Slots, row, error) {
	var s migration.Slots
	r, err := l.table.get(ctx, runID, slotsKey(kind))
	if err != nil {
		return s, r, err
	}
	return s, r, r.read(&s)
}

// Slots returns the slots of a kind.
func (l *Ledger) Slots(ctx context.Context, runID string, kind migration.JobKind) (migration.Slots, error) {
	s, _, err := l.slots(ctx, runID, kind)
	return s, err
}

// ChangeSlots applies change to the slots until no one else was faster.
func (l *Ledger) ChangeSlots(ctx context.Context, runID string, kind migration.JobKind, change func(*migration.Slots) bool) error {
	for {
		s, old, err := l.slots(ctx, runID, kind)
		if err != nil {
			return err
		}
		if !change(&s) {
			return nil
		}
		next, err := newRow(runID, slotsKey(kind), s)
		if err != nil {
			return err
		}
		if done, err := l.table.commit(ctx, next, replace(next, old)); err != nil || done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// Totals returns the running totals of a run.
func (l *Ledger) Totals(ctx context.Context, runID string) (migration.Totals, error) {
	var t migration.Totals
	r, err := l.table.get(ctx, runID, totalsKey)
	if err != nil {
		return t, err
	}
	return t, r.read(&t)
}

// Report adds problems to the totals.
func (l *Ledger) Report(ctx context.Context, runID string, problems ...migration.Problem) error {
	for {
		changes, err := l.withProblems(ctx, runID, problems)
		if err != nil || len(changes) == 0 {
			return err
		}
		if done, err := l.table.commit(ctx, changes[0].row, changes...); err != nil || done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (l *Ledger) withProblems(ctx context.Context, runID string, problems []migration.Problem, changes ...change) ([]change, error) {
	if len(problems) == 0 {
		return changes, nil
	}
	return l.withTotals(ctx, runID, func(t *migration.Totals) {
		for _, p := range problems {
			t.Report(p)
		}
	}, changes...)
}

// withTotals adds a change of the totals to a transaction.
func (l *Ledger) withTotals(ctx context.Context, runID string, apply func(*migration.Totals), changes ...change) ([]change, error) {
	var t migration.Totals
	old, err := l.table.get(ctx, runID, totalsKey)
	if err != nil {
		return nil, err
	}
	if err := old.read(&t); err != nil {
		return nil, err
	}
	apply(&t)
	next, err := newRow(runID, totalsKey, t)
	if err != nil {
		return nil, err
	}
	return append(changes, replace(next, old)), nil
}
