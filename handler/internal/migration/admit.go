package migration

import (
	"slices"
	"strings"
	"time"
)

// JobKind is one of the two kinds of server jobs; each has its own limit and its own slots row.
type JobKind string

// The kinds of jobs.
const (
	ExportJob JobKind = "export"
	ImportJob JobKind = "import"
)

// Slots are the rights to have a job of one kind in flight (invariant 15), and the wait that a busy server asked for.
type Slots struct {
	Kind      JobKind
	Holders   []string  // ids of the chunks that hold one
	NotBefore time.Time // server busy: no kick-off earlier than this
	Busy      int       // busy answers in a row, for the growing wait
}

// Holds reports whether the chunk has a slot.
func (s Slots) Holds(id string) bool { return slices.Contains(s.Holders, id) }

// Take gives the chunk a slot, or keeps the one it has. ErrNoSlot when all are taken or the server asked for a pause.
func (s *Slots) Take(id string, limit int, now time.Time) error {
	if now.Before(s.NotBefore) {
		return ErrNoSlot
	}
	if s.Holds(id) {
		return nil
	}
	if len(s.Holders) >= limit {
		return ErrNoSlot
	}
	s.Holders = append(slices.Clone(s.Holders), id)
	return nil
}

// Release gives a slot back and reports whether there was one.
func (s *Slots) Release(id string) bool {
	if !s.Holds(id) {
		return false
	}
	s.Holders = slices.DeleteFunc(slices.Clone(s.Holders), func(h string) bool { return h == id })
	return true
}

// SlowDown makes every kick-off of the kind wait: as long as the server said, else longer with each answer in a row.
func (s *Slots) SlowDown(retryAfter, poll time.Duration, now time.Time) {
	s.Busy++
	wait := retryAfter
	if wait <= 0 {
		wait = poll << min(s.Busy-1, 4)
		wait = min(wait, 10*poll)
	}
	if until := now.Add(wait); until.After(s.NotBefore) {
		s.NotBefore = until
	}
}

// Stale lists the holders whose slot a tick takes back: chunks that are finished, or at rest past their NotBefore
// without an import whose job may exist. A holder whose import answer was lost keeps its slot, for the server may be
// working on it: the same body is posted again under the same slot.
func (s Slots) Stale(unfinished []Chunk, now time.Time) []string {
	var stale []string
	for _, id := range s.Holders {
		i := slices.IndexFunc(unfinished, func(c Chunk) bool { return c.ID == id })
		if i < 0 {
			stale = append(stale, id)
			continue
		}
		c := unfinished[i]
		busy := c.State == Exporting && s.Kind == ExportJob || c.State == Importing && s.Kind == ImportJob ||
			c.State == Exported && s.Kind == ImportJob && c.Import.Body != ""
		if !busy && !now.Before(c.NotBefore) {
			stale = append(stale, id)
		}
	}
	return stale
}

// Action is the next step of a chunk's visit.
type Action int

// The steps of a visit.
const (
	Nothing Action = iota
	StartExport
	CheckExport
	StartImport
	CheckImport
	ReadRejects
	CancelChunk
)

// Next names what a visit of the chunk may do. Whether a slot, a lane or the bound on waiting chunks stands in the way
// is MayExport's and MayImport's answer.
func (c Chunk) Next(r Run, g Gate) Action {
	switch {
	case r.Ended():
		return Nothing
	case r.StopAsked:
		if c.State.Unfinished() {
			return CancelChunk
		}
		return Nothing
	}
	switch c.State {
	case Exporting:
		return CheckExport
	case Importing:
		if c.Import.Result != "" {
			return ReadRejects // the job is over
		}
		return CheckImport
	case Planned:
		if g.Exports {
			return StartExport
		}
	case Exported:
		if g.Imports {
			return StartImport
		}
	}
	return Nothing
}

// Gate says which kick-offs are allowed at all (invariant 9).
type Gate struct{ Exports, Imports bool }

// GateOf closes both gates while the run is paused, halted (a chunk has failed) or over, and before its custom search
// parameters have been moved: what is imported after them is indexed as it is written (contract 8.3). In quiet hours it
// closes that of exports, and that of imports unless they may go on. A reindex and an import do not go together either
// (contract 8.3).
func GateOf(r Run, unfinished []Chunk, l Limits, now time.Time) Gate {
	halted := slices.ContainsFunc(unfinished, func(c Chunk) bool { return c.State == Failed })
	awaited := l.SearchParameters && r.ParametersAt.IsZero()
	open := !r.Ended() && !r.StopAsked && !r.Paused && !halted && !awaited
	quiet := l.Quiet.Quiet(now)
	reindexing := strings.HasPrefix(r.Errand, string(ReindexErrand)+"-")
	return Gate{Exports: open && !quiet, Imports: open && (!quiet || l.QuietImports) && !reindexing}
}

// StepGate reports whether a step of the run may start a job now: by the rules of chunks, but for those that are about
// steps.
func StepGate(kind ErrandKind, r Run, unfinished []Chunk, l Limits, now time.Time) bool {
	if l.Hushed(kind, now) {
		return false
	}
	l.SearchParameters, l.Quiet = false, nil
	return GateOf(r, unfinished, l, now).Exports
}

// Head reports whether no earlier unfinished chunk shares a lane with c: only then may it be imported (invariant 4).
func Head(c Chunk, unfinished []Chunk) bool {
	return !slices.ContainsFunc(unfinished, func(o Chunk) bool {
		return o.ID != c.ID && o.Compare(c) < 0 && o.Shares(c)
	})
}

// MayExport reports whether c may take an export slot: exports run ahead of imports, up to twice the export limit of
// waiting exported chunks; the bound never holds back a chunk at the head of all its lanes.
func MayExport(c Chunk, unfinished []Chunk, s Slots, l Limits, now time.Time) bool {
	if s.Take(c.ID, l.MaxExports, now) != nil {
		return false
	}
	return ahead(unfinished) < 2*l.MaxExports || Head(c, unfinished)
}

// MayImport reports whether c may take an import slot: the head of all its lanes, with a slot free.
func MayImport(c Chunk, unfinished []Chunk, s Slots, l Limits, now time.Time) bool {
	return s.Take(c.ID, l.MaxImports, now) == nil && Head(c, unfinished)
}

func ahead(unfinished []Chunk) int {
	n := 0
	for _, c := range unfinished {
		if c.State == Exported {
			n++
		}
	}
	return n
}

// Admit chooses the chunks that a tick, or a visit that ends at rest, nudges (design 3.6, step 4). The slots are copies
// that Admit fills as it goes, so that it nudges no more chunks than can start.
func Admit(r Run, unfinished []Chunk, exports, imports Slots, l Limits, now time.Time) []string {
	var ids []string
	if r.Ended() {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(unfinished), Chunk.Compare)
	if r.StopAsked {
		for _, c := range sorted {
			if c.Cancellable(now) {
				ids = append(ids, c.ID)
			}
		}
		return ids
	}
	waiting := ahead(sorted)
	gate := GateOf(r, sorted, l, now)
	for _, c := range sorted {
		switch c.Next(r, gate) {
		case CheckExport, CheckImport, ReadRejects:
			// A job in flight nudges itself; it is overdue when that nudge must have been lost.
			if now.Before(c.NotBefore.Add(2 * l.Poll)) {
				continue
			}
		case StartExport:
			if now.Before(c.NotBefore) || waiting >= 2*l.MaxExports && !Head(c, sorted) ||
				exports.Take(c.ID, l.MaxExports, now) != nil {
				continue
			}
			waiting++
		case StartImport:
			if now.Before(c.NotBefore) || !Head(c, sorted) || imports.Take(c.ID, l.MaxImports, now) != nil {
				continue
			}
		default:
			continue
		}
		ids = append(ids, c.ID)
	}
	return ids
}
