package store

import (
	"context"
	"errors"

	"fhirferry/handler/internal/migration"
)

func errandRow(e migration.Errand) (row, error) { return newRow(e.RunID, errandPrefix+e.ID, e) }

// AddErrand inserts an errand; migration.ErrExists.
func (l *Ledger) AddErrand(ctx context.Context, errand migration.Errand) error {
	next, err := errandRow(errand)
	if err != nil {
		return err
	}
	return l.repeat(ctx, next, func() ([]change, error) {
		if err := l.absent(ctx, next); err != nil {
			return nil, err
		}
		return []change{insert(next)}, nil
	})
}

// absent makes sure that a row is not there; migration.ErrExists.
func (l *Ledger) absent(ctx context.Context, r row) error {
	switch _, err := l.table.get(ctx, r.partition, r.key); {
	case err == nil:
		return migration.ErrExists
	case !errors.Is(err, migration.ErrNotFound):
		return err
	}
	return nil
}

// OpenErrand inserts a step and saves the run; migration.ErrConflict, migration.ErrExists.
func (l *Ledger) OpenErrand(ctx context.Context, run migration.Run, v migration.Version, errand migration.Errand) error {
	next, err := newRow(run.ID, runKey, run)
	if err != nil {
		return err
	}
	opened, err := errandRow(errand)
	if err != nil {
		return err
	}
	return l.repeat(ctx, next, func() ([]change, error) {
		old, err := l.held(ctx, run.ID, runKey, v)
		if err != nil {
			return nil, err
		}
		if err := l.absent(ctx, opened); err != nil {
			return nil, err
		}
		return []change{replace(next, old), insert(opened)}, nil
	})
}

// Errand returns an errand; migration.ErrNotFound.
func (l *Ledger) Errand(ctx context.Context, runID, id string) (migration.Errand, migration.Version, error) {
	if !chunkName.MatchString(runID) || !chunkName.MatchString(id) {
		return migration.Errand{}, "", migration.ErrNotFound
	}
	r, err := l.table.get(ctx, runID, errandPrefix+id)
	if err != nil {
		return migration.Errand{}, "", err
	}
	e, err := r.errand()
	return e, r.version, err
}

// Errands returns every errand of a run in the order of their ids.
func (l *Ledger) Errands(ctx context.Context, runID string) ([]migration.Errand, error) {
	rows, _, err := l.table.list(ctx, runID, errandPrefix, after(errandPrefix), 0)
	if err != nil {
		return nil, err
	}
	errands := make([]migration.Errand, 0, len(rows))
	for _, r := range rows {
		e, err := r.errand()
		if err != nil {
			return nil, err
		}
		errands = append(errands, e)
	}
	return errands, nil
}

// SaveErrand replaces an errand; migration.ErrConflict.
func (l *Ledger) SaveErrand(ctx context.Context, errand migration.Errand, v migration.Version, problems ...migration.Problem) (migration.Version, error) {
	next, err := errandRow(errand)
	if err != nil {
		return "", err
	}
	err = l.repeat(ctx, next, func() ([]change, error) {
		old, err := l.held(ctx, errand.RunID, next.key, v)
		if err != nil {
			return nil, err
		}
		return l.withProblems(ctx, errand.RunID, problems, replace(next, old))
	})
	return next.version, err
}

// CloseErrand saves a step and its run; migration.ErrConflict.
func (l *Ledger) CloseErrand(ctx context.Context, run migration.Run, v migration.Version, errand migration.Errand, ev migration.Version,
	problems ...migration.Problem,
) error {
	next, err := newRow(run.ID, runKey, run)
	if err != nil {
		return err
	}
	closed, err := errandRow(errand)
	if err != nil {
		return err
	}
	return l.repeat(ctx, next, func() ([]change, error) {
		old, err := l.held(ctx, run.ID, runKey, v)
		if err != nil {
			return nil, err
		}
		before, err := l.held(ctx, run.ID, closed.key, ev)
		if err != nil {
			return nil, err
		}
		return l.withProblems(ctx, run.ID, problems, replace(next, old), replace(closed, before))
	})
}
