package storetest

import (
	"context"
	"fmt"
	"slices"

	"fhirferry/handler/internal/migration"
)

// Chunk returns a chunk.
func (l *Ledger) Chunk(_ context.Context, runID, id string) (migration.Chunk, migration.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.runs[runID]; ok {
		if c, there := r.chunks[id]; there {
			return cloneChunk(c.value), c.version, nil
		}
	}
	return migration.Chunk{}, "", migration.ErrNotFound
}

// SaveChunk saves a chunk and what changes with it.
func (l *Ledger) SaveChunk(_ context.Context, runID string, s migration.Save) (migration.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.runs[runID]
	if !ok {
		return "", migration.ErrConflict
	}
	before, there := r.chunks[s.Chunk.ID]
	if !there || before.version != s.Version {
		return "", migration.ErrConflict
	}
	for _, child := range s.Children {
		if _, there := r.chunks[child.ID]; there {
			return "", fmt.Errorf("chunk %s: %w", child.ID, migration.ErrExists)
		}
	}
	if err := l.useSlot(r, before.value, s); err != nil {
		return "", err
	}
	saved := versioned[migration.Chunk]{cloneChunk(s.Chunk), l.next()}
	r.chunks[s.Chunk.ID] = saved
	r.totals.Moved(&before.value, s.Chunk)
	for _, child := range s.Children {
		l.insert(r, child)
	}
	r.report(s.Problems)
	return saved.version, nil
}

func (l *Ledger) useSlot(r *run, before migration.Chunk, s migration.Save) error {
	kind, touched := s.SlotKind(before)
	if !touched {
		return nil
	}
	slots := r.slots[kind].value
	slots.Holders = slices.Clone(slots.Holders)
	if s.Slot == migration.SlotTake {
		if err := slots.Take(s.Chunk.ID, s.Limit, s.Now); err != nil {
			return err
		}
	} else if !slots.Release(s.Chunk.ID) {
		return nil
	}
	r.slots[kind] = versioned[migration.Slots]{slots, l.next()}
	return nil
}

func (l *Ledger) sorted(runID string, keep func(migration.Chunk) bool) []migration.Chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	var chunks []migration.Chunk
	if r, ok := l.runs[runID]; ok {
		for _, c := range r.chunks {
			if keep(c.value) {
				chunks = append(chunks, cloneChunk(c.value))
			}
		}
	}
	slices.SortFunc(chunks, migration.Chunk.Compare)
	return chunks
}

// Unfinished returns every unfinished chunk in window order.
func (l *Ledger) Unfinished(_ context.Context, runID string) ([]migration.Chunk, error) {
	return l.sorted(runID, func(c migration.Chunk) bool { return c.State.Unfinished() }), nil
}

// Chunks lists chunks in window order after the given id.
func (l *Ledger) Chunks(_ context.Context, runID, after string, limit int) ([]migration.Chunk, string, error) {
	all := l.sorted(runID, func(c migration.Chunk) bool { return c.ID > after })
	if limit > 0 && len(all) > limit {
		return all[:limit], all[limit-1].ID, nil
	}
	return all, "", nil
}

// Slots returns the slots of a kind.
func (l *Ledger) Slots(_ context.Context, runID string, kind migration.JobKind) (migration.Slots, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.runs[runID]
	if !ok {
		return migration.Slots{}, migration.ErrNotFound
	}
	s := r.slots[kind].value
	s.Holders = slices.Clone(s.Holders)
	return s, nil
}

// ChangeSlots applies change until no one else was faster. Change may use the ledger.
func (l *Ledger) ChangeSlots(ctx context.Context, runID string, kind migration.JobKind, change func(*migration.Slots) bool) error {
	for {
		l.mu.Lock()
		r, ok := l.runs[runID]
		if !ok {
			l.mu.Unlock()
			return migration.ErrNotFound
		}
		old := r.slots[kind]
		l.mu.Unlock()
		s := old.value
		s.Holders = slices.Clone(s.Holders)
		if !change(&s) {
			return nil
		}
		l.mu.Lock()
		if r.slots[kind].version == old.version {
			r.slots[kind] = versioned[migration.Slots]{s, l.next()}
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
