package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"fhirferry/handler/internal/migration"
)

// TableName and DocumentsContainer are where a ledger keeps its rows and documents.
const (
	TableName          = "fhirferry"
	DocumentsContainer = "fhirferry-documents"
)

// Ledger keeps runs in a table and their documents in a container.
type Ledger struct {
	table     table
	documents *container.Client
}

// NewLedger is a ledger in the given account. Nothing is created before Prepare, or before it is needed.
func NewLedger(tables *aztables.ServiceClient, documents *container.Client) *Ledger {
	return &Ledger{table: table{tables.NewClient(TableName)}, documents: documents}
}

// Prepare creates the table and the container where they are missing.
func (l *Ledger) Prepare(ctx context.Context) error {
	if err := l.table.create(ctx); err != nil {
		return err
	}
	return createContainer(ctx, l.documents)
}

// current is the content of the row that names the current run.
type current struct{ Run string }

// Current returns the run that was opened last; migration.ErrNotFound.
func (l *Ledger) Current(ctx context.Context) (migration.Run, migration.Version, error) {
	named, err := l.table.get(ctx, currentPartition, currentKey)
	if err != nil {
		return migration.Run{}, "", err
	}
	var now current
	if err := named.read(&now); err != nil {
		return migration.Run{}, "", err
	}
	run, r, err := l.run(ctx, now.Run)
	if errors.Is(err, migration.ErrNotFound) {
		return run, "", fmt.Errorf("the row of run %s is gone, which is the current one: it was removed by hand", now.Run)
	}
	return run, r.version, err
}

func (l *Ledger) run(ctx context.Context, id string) (migration.Run, row, error) {
	r, err := l.table.get(ctx, id, runKey)
	if err != nil {
		return migration.Run{}, r, err
	}
	run, err := r.run()
	return run, r, err
}

// Open creates a run and makes it the current one, if previous still is; migration.ErrConflict. A run's id is used once:
// migration.ErrExists.
func (l *Ledger) Open(ctx context.Context, run migration.Run, previous string) error {
	named, err := l.table.get(ctx, currentPartition, currentKey)
	absent := errors.Is(err, migration.ErrNotFound)
	if err != nil && !absent {
		return err
	}
	var now current
	if !absent {
		if err := named.read(&now); err != nil {
			return err
		}
	}
	if now.Run != previous {
		return migration.ErrConflict
	}
	rows, err := newRows(run.ID, map[string]any{
		runKey: run, totalsKey: migration.Totals{},
		slotsKey(migration.ExportJob): migration.Slots{Kind: migration.ExportJob},
		slotsKey(migration.ImportJob): migration.Slots{Kind: migration.ImportJob},
	})
	if err != nil {
		return err
	}
	// The rows of a run that loses the race for the pointer stay behind unused: nothing names them.
	err = l.repeat(ctx, rows[0], func() ([]change, error) {
		var changes []change
		for _, r := range rows {
			switch _, err := l.table.get(ctx, r.partition, r.key); {
			case err == nil:
				return nil, migration.ErrExists
			case !errors.Is(err, migration.ErrNotFound):
				return nil, err
			}
			changes = append(changes, insert(r))
		}
		return changes, nil
	})
	if err != nil {
		return err
	}
	pointer, err := newRow(currentPartition, currentKey, current{run.ID})
	if err != nil {
		return err
	}
	turn := insert(pointer)
	if !absent {
		turn = replace(pointer, named)
	}
	done, err := l.table.commit(ctx, pointer, turn)
	if err == nil && !done {
		err = migration.ErrConflict
	}
	return err
}

func newRows(partition string, values map[string]any) ([]row, error) {
	var rows []row
	for key, value := range values {
		r, err := newRow(partition, key, value)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// repeat commits what make returns, anew whenever a row has moved in between, until it is done or make refuses.
func (l *Ledger) repeat(ctx context.Context, witness row, build func() ([]change, error)) error {
	for {
		changes, err := build()
		if err != nil {
			return err
		}
		done, err := l.table.commit(ctx, witness, changes...)
		if err != nil || done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// SaveRun replaces the run's row; migration.ErrConflict.
func (l *Ledger) SaveRun(ctx context.Context, run migration.Run, v migration.Version, problems ...migration.Problem) (migration.Version, error) {
	next, err := newRow(run.ID, runKey, run)
	if err != nil {
		return "", err
	}
	err = l.repeat(ctx, next, func() ([]change, error) {
		old, err := l.held(ctx, run.ID, runKey, v)
		if err != nil {
			return nil, err
		}
		return l.withProblems(ctx, run.ID, problems, replace(next, old))
	})
	return next.version, err
}

// held reads a row that must still have the version; migration.ErrConflict.
func (l *Ledger) held(ctx context.Context, partition, key string, v migration.Version) (row, error) {
	r, err := l.table.get(ctx, partition, key)
	if errors.Is(err, migration.ErrNotFound) || err == nil && r.version != v {
		return r, migration.ErrConflict
	}
	return r, err
}

// Round returns the open round of a run; migration.ErrNotFound.
func (l *Ledger) Round(ctx context.Context, runID string) (migration.Round, migration.Version, error) {
	r, err := l.table.get(ctx, runID, roundKey)
	if err != nil {
		return migration.Round{}, "", err
	}
	round, err := r.round()
	return round, r.version, err
}

// OpenRound inserts the round and saves the run; migration.ErrConflict, migration.ErrExists.
func (l *Ledger) OpenRound(ctx context.Context, run migration.Run, v migration.Version, round migration.Round) error {
	next, err := newRow(run.ID, runKey, run)
	if err != nil {
		return err
	}
	opened, err := newRow(run.ID, roundKey, round)
	if err != nil {
		return err
	}
	return l.repeat(ctx, next, func() ([]change, error) {
		old, err := l.held(ctx, run.ID, runKey, v)
		if err != nil {
			return nil, err
		}
		switch _, err := l.table.get(ctx, run.ID, roundKey); {
		case err == nil:
			return nil, migration.ErrExists
		case !errors.Is(err, migration.ErrNotFound):
			return nil, err
		}
		return []change{replace(next, old), insert(opened)}, nil
	})
}

// SaveRound replaces the round; migration.ErrConflict.
func (l *Ledger) SaveRound(ctx context.Context, runID string, round migration.Round, v migration.Version, problems ...migration.Problem) (migration.Version, error) {
	next, err := newRow(runID, roundKey, round)
	if err != nil {
		return "", err
	}
	err = l.repeat(ctx, next, func() ([]change, error) {
		old, err := l.held(ctx, runID, roundKey, v)
		if err != nil {
			return nil, err
		}
		return l.withProblems(ctx, runID, problems, replace(next, old))
	})
	return next.version, err
}

// CloseRound removes the round and saves the run; migration.ErrConflict.
func (l *Ledger) CloseRound(ctx context.Context, run migration.Run, v, rv migration.Version, problems ...migration.Problem) error {
	next, err := newRow(run.ID, runKey, run)
	if err != nil {
		return err
	}
	return l.repeat(ctx, next, func() ([]change, error) {
		old, err := l.held(ctx, run.ID, runKey, v)
		if err != nil {
			return nil, err
		}
		round, err := l.held(ctx, run.ID, roundKey, rv)
		if err != nil {
			return nil, err
		}
		return l.withProblems(ctx, run.ID, problems, replace(next, old), remove(round))
	})
}
