package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"fhirferry/handler/internal/migration"
)

// chunkRows are the chunk's row and its marker; both hold the whole chunk, so that the unfinished ones are read without
// the finished ones. The chunk's row alone is guarded; a marker is put over whatever stands there, for one that was left
// behind would refuse its insertion for ever.
func chunkRows(runID string, c migration.Chunk) (chunk, marker row, err error) {
	chunk, err = newRow(runID, chunkPrefix+c.ID, c)
	if err != nil {
		return chunk, marker, err
	}
	chunk.columns = map[string]string{
		"State": string(c.State), "Since": c.Window.Since.UTC().Format(time.RFC3339Nano),
		"Till": c.Window.Till.UTC().Format(time.RFC3339Nano),
	}
	marker = chunk
	marker.key = markerPrefix + c.ID
	return chunk, marker, nil
}

// chunkName is what the id of a chunk looks like. A message may say anything, and some of it no key may hold.
var chunkName = regexp.MustCompile(`^[0-9A-Za-z._-]{1,200}$`)

// Chunk returns a chunk; migration.ErrNotFound.
func (l *Ledger) Chunk(ctx context.Context, runID, id string) (migration.Chunk, migration.Version, error) {
	if !chunkName.MatchString(id) {
		return migration.Chunk{}, "", migration.ErrNotFound
	}
	r, err := l.table.get(ctx, runID, chunkPrefix+id)
	if err != nil {
		return migration.Chunk{}, "", err
	}
	c, err := r.chunk()
	return c, r.version, err
}

// Unfinished returns the unfinished chunks of a run in window order.
func (l *Ledger) Unfinished(ctx context.Context, runID string) ([]migration.Chunk, error) {
	rows, _, err := l.table.list(ctx, runID, markerPrefix, after(markerPrefix), 0)
	if err != nil {
		return nil, err
	}
	return chunksOf(rows)
}

// Chunks returns a page of all chunks in window order, after the given id.
func (l *Ledger) Chunks(ctx context.Context, runID, afterID string, limit int) ([]migration.Chunk, string, error) {
	rows, more, err := l.table.list(ctx, runID, chunkPrefix+afterID, after(chunkPrefix), limit)
	if err != nil {
		return nil, "", err
	}
	chunks, err := chunksOf(rows)
	if err != nil || !more || len(rows) == 0 {
		return chunks, "", err
	}
	return chunks, strings.TrimPrefix(rows[len(rows)-1].key, chunkPrefix), nil
}

func chunksOf(rows []row) ([]migration.Chunk, error) {
	chunks := make([]migration.Chunk, 0, len(rows))
	for _, r := range rows {
		c, err := r.chunk()
		if err != nil {
			return nil, err
		}
		chunks = append(chunks, c)
	}
	return chunks, nil
}

// SaveChunk saves a chunk with its marker, the totals, a slot and the children of a split in one transaction.
// migration.ErrConflict says that the chunk itself has moved; shared rows that moved are read again. A child that is
// there already is refused with migration.ErrExists.
func (l *Ledger) SaveChunk(ctx context.Context, runID string, s migration.Save) (migration.Version, error) {
	next, marker, err := chunkRows(runID, s.Chunk)
	if err != nil {
		return "", err
	}
	err = l.repeat(ctx, next, func() ([]change, error) {
		old, err := l.held(ctx, runID, next.key, s.Version)
		if err != nil {
			return nil, err
		}
		before, err := old.chunk()
		if err != nil {
			return nil, err
		}
		changes := []change{replace(next, old)}
		if s.Chunk.State.Unfinished() {
			changes = append(changes, put(marker))
		} else if before.State.Unfinished() {
			changes, err = l.withoutMarker(ctx, marker, changes)
		}
		if err == nil {
			changes, err = l.withChunks(ctx, runID, s.Children, changes)
		}
		if err == nil {
			changes, err = l.withSlot(ctx, runID, before, s, changes)
		}
		if err != nil || before.State == s.Chunk.State && before.Resources == s.Chunk.Resources && len(s.Problems)+len(s.Children) == 0 {
			return changes, err
		}
		return l.withTotals(ctx, runID, func(t *migration.Totals) {
			t.Moved(&before, s.Chunk)
			for _, child := range s.Children {
				t.Moved(nil, child)
			}
			for _, p := range s.Problems {
				t.Report(p)
			}
		}, changes...)
	})
	return next.version, err
}

// withoutMarker adds the removal of a marker. One that is not there needs none, and would refuse the transaction for
// ever.
func (l *Ledger) withoutMarker(ctx context.Context, marker row, changes []change) ([]change, error) {
	old, err := l.table.get(ctx, marker.partition, marker.key)
	switch {
	case errors.Is(err, migration.ErrNotFound):
		return changes, nil
	case err != nil:
		return nil, err
	}
	return append(changes, remove(old)), nil
}

// withChunks adds the rows of new chunks; migration.ErrExists.
func (l *Ledger) withChunks(ctx context.Context, runID string, chunks []migration.Chunk, changes []change) ([]change, error) {
	for _, c := range chunks {
		chunk, marker, err := chunkRows(runID, c)
		if err != nil {
			return nil, err
		}
		switch _, err := l.table.get(ctx, runID, chunk.key); {
		case err == nil:
			return nil, fmt.Errorf("chunk %s: %w", c.ID, migration.ErrExists)
		case !errors.Is(err, migration.ErrNotFound):
			return nil, err
		}
		changes = append(changes, insert(chunk), put(marker))
	}
	return changes, nil
}

// withSlot adds what the save does with the chunk's slot.
func (l *Ledger) withSlot(ctx context.Context, runID string, before migration.Chunk, s migration.Save, changes []change) ([]change, error) {
	kind, touched := s.SlotKind(before)
	if !touched {
		return changes, nil
	}
	slots, old, err := l.slots(ctx, runID, kind)
	if err != nil {
		return nil, err
	}
	if s.Slot == migration.SlotTake {
		// Saved even when it was held before: whoever takes slots back sees that this one is in use again.
		if err := slots.Take(s.Chunk.ID, s.Limit, s.Now); err != nil {
			return nil, err
		}
	} else if !slots.Release(s.Chunk.ID) {
		return changes, nil
	}
	next, err := newRow(runID, slotsKey(kind), slots)
	if err != nil {
		return nil, err
	}
	return append(changes, replace(next, old)), nil
}

// AddChunks inserts those chunks that are not there yet and saves round and run; migration.ErrConflict.
func (l *Ledger) AddChunks(ctx context.Context, run migration.Run, v migration.Version, round migration.Round, rv migration.Version,
	chunks []migration.Chunk,
) (runVersion, roundVersion migration.Version, err error) {
	nextRun, err := newRow(run.ID, runKey, run)
	if err != nil {
		return "", "", err
	}
	nextRound, err := newRow(run.ID, roundKey, round)
	if err != nil {
		return "", "", err
	}
	added, tried := chunks, false
	err = l.repeat(ctx, nextRound, func() ([]change, error) {
		oldRun, err := l.held(ctx, run.ID, runKey, v)
		if err != nil {
			return nil, err
		}
		oldRound, err := l.held(ctx, run.ID, roundKey, rv)
		if err != nil {
			return nil, err
		}
		if tried { // chunks are rarely there: they are looked for when the transaction has been refused
			if added, err = l.missing(ctx, run.ID, chunks); err != nil {
				return nil, err
			}
		}
		tried = true
		changes := []change{replace(nextRun, oldRun), replace(nextRound, oldRound)}
		for _, c := range added {
			row, marker, err := chunkRows(run.ID, c)
			if err != nil {
				return nil, err
			}
			changes = append(changes, insert(row), put(marker))
		}
		return l.withTotals(ctx, run.ID, func(t *migration.Totals) {
			for _, c := range added {
				t.Moved(nil, c)
			}
		}, changes...)
	})
	return nextRun.version, nextRound.version, err
}

// missing are the chunks that have no row yet.
func (l *Ledger) missing(ctx context.Context, runID string, chunks []migration.Chunk) ([]migration.Chunk, error) {
	var absent []migration.Chunk
	for _, c := range chunks {
		switch _, err := l.table.get(ctx, runID, chunkPrefix+c.ID); {
		case errors.Is(err, migration.ErrNotFound):
			absent = append(absent, c)
		case err != nil:
			return nil, err
		}
	}
	return absent, nil
}
