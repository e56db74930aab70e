package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"fhirferry/handler/internal/migration"
)

// CheckOrder is what an operator asks of a check; nil pointers and empty lists leave the choice to us.
type CheckOrder struct {
	Kind   migration.ErrandKind
	Types  []string
	AsOf   *time.Time
	Sample *int
	Seed   *int64
}

// StartCheck keeps a check of the current run and wakes it up; it asks no FHIR server anything. Without a run, or when the
// settings name other services than a run that is over, the check is about what the settings say.
func (e *Engine) StartCheck(ctx context.Context, o CheckOrder) (CheckResult, error) {
	if err := e.Prepare(ctx); err != nil {
		return CheckResult{}, fmt.Errorf("prepare storage: %w", err)
	}
	run, _, err := e.ledger.Current(ctx)
	if err != nil && !errors.Is(err, migration.ErrNotFound) {
		return CheckResult{}, fmt.Errorf("read the current run: %w", err)
	}
	if run.ID != "" && e.elsewhere(run) {
		if !run.Ended() {
			return CheckResult{}, &Refusal{BadValue, "the settings name other services than the run under way; set them back, or stop the run"}
		}
		run = migration.Run{}
	}
	for {
		errand, err := e.newCheck(ctx, run, o)
		if err != nil {
			return CheckResult{}, err
		}
		err = e.ledger.AddErrand(ctx, errand)
		if errors.Is(err, migration.ErrExists) {
			continue // another check of the same name by chance
		}
		if err != nil {
			return CheckResult{}, fmt.Errorf("keep check %s: %w", errand.ID, err)
		}
		e.logBegin(ctx, errand)
		if err := e.nudge(ctx, errand.ID); err != nil {
			return CheckResult{}, err
		}
		return CheckResult{Errand: errand}, nil
	}
}

// newCheck fixes what a check is about, so that nothing that changes meanwhile changes it.
func (e *Engine) newCheck(ctx context.Context, run migration.Run, o CheckOrder) (migration.Errand, error) {
	runID, scope := run.ID, run.Settings
	if runID == "" {
		runID, scope = migration.Idle, e.settings
	}
	var chance [8]byte
	_, _ = rand.Read(chance[:]) // never fails, says its documentation
	number := e.Now().UTC().Format("20060102T150405Z") + strconv.FormatUint(uint64(binary.BigEndian.Uint32(chance[:])), 36)
	errand := migration.NewErrand(o.Kind, runID, number, e.Now())
	errand.Scope = scope
	if o.Kind == migration.AccessErrand {
		return errand, nil
	}
	errand.Types = slices.Compact(slices.Sorted(slices.Values(o.Types)))
	asOf, err := e.asOf(ctx, run, o.AsOf)
	if err != nil {
		return errand, err
	}
	errand.AsOf = asOf
	if o.Kind == migration.DeepErrand {
		errand.Sample, errand.Seed = migration.DefaultSample, int64(binary.BigEndian.Uint32(chance[4:])&math.MaxInt32)
		if o.Sample != nil {
			errand.Sample = *o.Sample
		}
		if o.Seed != nil {
			errand.Seed = *o.Seed
		}
	}
	return errand, nil
}

// asOf is the instant before which both sides are compared: as asked; after the end of a run T + 1 ms; in a run what is
// migrated; else what has settled.
func (e *Engine) asOf(ctx context.Context, run migration.Run, asked *time.Time) (time.Time, error) {
	if asked != nil {
		at := asked.UTC().Truncate(migration.Instant)
		if at.After(e.Now()) {
			return at, &Refusal{BadValue, fmt.Sprintf("asOf %s lies in the future", at.Format(time.RFC3339Nano))}
		}
		return at, nil
	}
	settled := e.Now().Add(-e.limits.Settle).UTC().Truncate(migration.Instant)
	if run.ID == "" {
		return settled, nil
	}
	if run.Outcome == migration.Completed {
		return run.End.Add(migration.Instant), nil
	}
	unfinished, err := e.ledger.Unfinished(ctx, run.ID)
	if err != nil {
		return time.Time{}, fmt.Errorf("list unfinished chunks: %w", err)
	}
	if till := run.MigratedTill(unfinished); !till.IsZero() {
		return till, nil
	}
	return settled, nil // nothing is known of the run yet
}
