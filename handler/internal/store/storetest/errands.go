package storetest

import (
	"context"
	"maps"
	"slices"

	"fhirferry/handler/internal/migration"
)

func cloneErrand(e migration.Errand) migration.Errand {
	e.Types, e.Pending, e.Documents = slices.Clone(e.Types), slices.Clone(e.Pending), slices.Clone(e.Documents)
	return e
}

func (l *Ledger) insertErrand(e migration.Errand) error {
	if _, there := l.errands[e.RunID][e.ID]; there {
		return migration.ErrExists
	}
	if l.errands[e.RunID] == nil {
		l.errands[e.RunID] = map[string]versioned[migration.Errand]{}
	}
	l.errands[e.RunID][e.ID] = versioned[migration.Errand]{cloneErrand(e), l.next()}
	return nil
}

// AddErrand inserts an errand.
func (l *Ledger) AddErrand(_ context.Context, errand migration.Errand) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.insertErrand(errand)
}

// OpenErrand inserts a step and saves the run.
func (l *Ledger) OpenErrand(_ context.Context, saved migration.Run, v migration.Version, errand migration.Errand) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.hold(saved.ID, v)
	if err != nil {
		return err
	}
	if err := l.insertErrand(errand); err != nil {
		return err
	}
	r.row = versioned[migration.Run]{cloneRun(saved), l.next()}
	return nil
}

// Errand returns an errand.
func (l *Ledger) Errand(_ context.Context, runID, id string) (migration.Errand, migration.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, there := l.errands[runID][id]
	if !there {
		return migration.Errand{}, "", migration.ErrNotFound
	}
	return cloneErrand(e.value), e.version, nil
}

// Errands returns the errands of a run in the order of their ids.
func (l *Ledger) Errands(_ context.Context, runID string) ([]migration.Errand, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	errands := []migration.Errand{}
	for _, id := range slices.Sorted(maps.Keys(l.errands[runID])) {
		errands = append(errands, cloneErrand(l.errands[runID][id].value))
	}
	return errands, nil
}

// SaveErrand replaces an errand.
func (l *Ledger) SaveErrand(_ context.Context, errand migration.Errand, v migration.Version, problems ...migration.Problem) (migration.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.holdErrand(errand, v); err != nil {
		return "", err
	}
	r, there := l.runs[errand.RunID]
	if len(problems) > 0 {
		if !there {
			return "", migration.ErrNotFound
		}
		r.report(problems)
	}
	next := versioned[migration.Errand]{cloneErrand(errand), l.next()}
	l.errands[errand.RunID][errand.ID] = next
	return next.version, nil
}

func (l *Ledger) holdErrand(e migration.Errand, v migration.Version) error {
	if old, there := l.errands[e.RunID][e.ID]; !there || old.version != v {
		return migration.ErrConflict
	}
	return nil
}

// CloseErrand saves a step and its run.
func (l *Ledger) CloseErrand(_ context.Context, saved migration.Run, v migration.Version, errand migration.Errand, ev migration.Version,
	problems ...migration.Problem,
) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.hold(saved.ID, v)
	if err != nil {
		return err
	}
	if err := l.holdErrand(errand, ev); err != nil {
		return err
	}
	r.row = versioned[migration.Run]{cloneRun(saved), l.next()}
	l.errands[errand.RunID][errand.ID] = versioned[migration.Errand]{cloneErrand(errand), l.next()}
	r.report(problems)
	return nil
}
