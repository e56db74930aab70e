package migration

import (
	"slices"
	"time"
)

// Instant is the precision of everything we plan: both stores stamp meta.lastUpdated in whole milliseconds
// (contract 0.2).
const Instant = time.Millisecond

// Window is a span of meta.lastUpdated. Neighbours share their edge (invariant 1): the source's lower bound is
// inclusive, and its upper bound may be, so a resource exactly on an edge can cross twice, harmlessly, and never not
// at all.
type Window struct {
	Since, Till time.Time
}

// Contains reports whether t lies in the window, both edges included.
func (w Window) Contains(t time.Time) bool { return !t.Before(w.Since) && !t.After(w.Till) }

// Equal reports whether both edges are the same instants.
func (w Window) Equal(o Window) bool { return w.Since.Equal(o.Since) && w.Till.Equal(o.Till) }

// Length is the time between the edges.
func (w Window) Length() time.Duration { return w.Till.Sub(w.Since) }

// Empty reports whether nothing lies between the edges.
func (w Window) Empty() bool { return !w.Since.Before(w.Till) }

// Tile cuts the window at the given instants; those outside are ignored. The pieces cover the window without a gap
// and share their edges (invariant 1).
func (w Window) Tile(edges ...time.Time) []Window {
	cuts := []time.Time{w.Since}
	sorted := slices.Clone(edges)
	slices.SortFunc(sorted, time.Time.Compare)
	for _, e := range sorted {
		if e.After(cuts[len(cuts)-1]) && e.Before(w.Till) {
			cuts = append(cuts, e)
		}
	}
	cuts = append(cuts, w.Till)
	tiles := make([]Window, 0, len(cuts)-1)
	for i := 1; i < len(cuts); i++ {
		tiles = append(tiles, Window{cuts[i-1], cuts[i]})
	}
	return tiles
}

// Halve cuts the window in the middle, on a whole millisecond. It returns false when the window is too short to have
// a millisecond strictly inside.
func (w Window) Halve() (first, second Window, ok bool) {
	middle := w.Since.Add(w.Length() / 2).Truncate(Instant)
	if !middle.After(w.Since) || !middle.Before(w.Till) {
		return Window{}, Window{}, false
	}
	return Window{w.Since, middle}, Window{middle, w.Till}, true
}

// Every cuts the window into pieces no longer than length, which must be positive. When most pieces are cut, what
// remains is one more piece, however long.
func (w Window) Every(length time.Duration, most int) []Window {
	var edges []time.Time
	for t := w.Since.Add(length); t.Before(w.Till) && len(edges) < most; t = t.Add(length) {
		edges = append(edges, t)
	}
	return w.Tile(edges...)
}
