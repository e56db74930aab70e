package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"fhirferry/handler/internal/migration"
)

// Status tells where the current run stands. It reads the unfinished chunks and the totals, never the finished ones.
func (e *Engine) Status(ctx context.Context) (Status, error) {
	run, _, err := e.ledger.Current(ctx)
	if errors.Is(err, migration.ErrNotFound) {
		s := Status{State: migration.ShownIdle, Mode: e.settings.Mode, Source: e.settings.Source, Destination: e.settings.Destination,
			Quiet: e.quietness()}
		s.Check, err = e.shownCheck(ctx, migration.Idle)
		return s, err
	}
	if err != nil {
		return Status{}, fmt.Errorf("read the current run: %w", err)
	}
	totals, err := e.ledger.Totals(ctx, run.ID)
	if err != nil {
		return Status{}, fmt.Errorf("read the totals: %w", err)
	}
	unfinished, err := e.ledger.Unfinished(ctx, run.ID)
	if err != nil {
		return Status{}, fmt.Errorf("list unfinished chunks: %w", err)
	}
	s := Status{
		State: run.Shown(totals.Chunks[migration.Failed]), RunID: run.ID, Mode: run.Settings.Mode,
		Source: run.Settings.Source, Destination: run.Settings.Destination,
		Since: run.Since, Until: run.Settings.Until, StartedAt: run.StartedAt, UpdatedAt: run.UpdatedAt, EndedAt: run.EndedAt,
		MigratedTill: run.MigratedTill(unfinished), Frontier: run.Frontier, End: run.End, SourceKind: run.SourceKind, ExportOnly: run.ExportOnly, Totals: totals,
		Quiet: e.quietness(),
	}
	if run.Settings.DeIdentified() {
		s.DeIdentification = &DeIdentification{run.Settings.AnonymizationConfig, run.AnonymizationETag, totals.Proven}
	}
	if err := e.stepStatus(ctx, run, &s); err != nil {
		return s, err
	}
	if s.Check, err = e.shownCheck(ctx, run.ID); err != nil {
		return s, err
	}
	for _, c := range unfinished {
		if c.UpdatedAt.After(s.UpdatedAt) {
			s.UpdatedAt = c.UpdatedAt
		}
	}
	round, _, err := e.ledger.Round(ctx, run.ID)
	if err != nil && !errors.Is(err, migration.ErrNotFound) {
		return s, fmt.Errorf("read the round: %w", err)
	}
	if err == nil {
		s.Planning = round.Describe()
	}
	return s, nil
}

// Chunks lists chunks in window order. A page may be short or empty and still have a Next: the filter applies to the
// rows looked at.
func (e *Engine) Chunks(ctx context.Context, q ChunkQuery) (ChunkPage, error) {
	run, _, err := e.ledger.Current(ctx)
	if errors.Is(err, migration.ErrNotFound) {
		return ChunkPage{}, nil
	}
	if err != nil {
		return ChunkPage{}, fmt.Errorf("read the current run: %w", err)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	chunks, next, err := e.ledger.Chunks(ctx, run.ID, q.After, min(limit, 1000))
	if err != nil {
		return ChunkPage{}, fmt.Errorf("list chunks: %w", err)
	}
	chunks = slices.DeleteFunc(chunks, func(c migration.Chunk) bool {
		return q.State != "" && c.State != q.State || q.Type != "" && !slices.Contains(c.ResourceTypes, q.Type)
	})
	return ChunkPage{Chunks: chunks, Next: next}, nil
}
