package migration

import "time"

// Problem is something an operator should know. Chunk is empty for problems of the whole run.
type Problem struct {
	Chunk  string    `json:"chunk"`
	Detail string    `json:"detail"`
	At     time.Time `json:"at"`
	// Doubt marks a problem that leaves something unverified: the run is not clean any more.
	Doubt bool `json:"-"`
}

// MostProblems is how many problems are kept, newest first; older ones are only counted.
const MostProblems = 100

// longest detail of a problem, in characters: a hundred of them must fit in one table property.
const problemDetail = 300

// Totals are the running counts of a run, changed together with what they count.
type Totals struct {
	Chunks     map[State]int
	Resources  Tally
	Proven     int // believed exports that have proven to be de-identified
	Unverified int // things that could not be verified; more than none: not clean
	Problems   []Problem
	Reported   int // problems ever reported
}

// Moved counts a chunk that changed; before is nil for a new one.
func (t *Totals) Moved(before *Chunk, after Chunk) {
	if t.Chunks == nil {
		t.Chunks = map[State]int{}
	}
	if before != nil {
		t.Chunks[before.State]--
		t.Resources = t.Resources.Minus(before.Resources)
		t.Proven -= before.Proven
	}
	t.Chunks[after.State]++
	t.Resources = t.Resources.Plus(after.Resources)
	t.Proven += after.Proven
}

// Report adds a problem in front. The same text about the same chunk is kept once, with its newest instant: a poll
// that fails for hours must not push everything else out of the list.
func (t *Totals) Report(p Problem) {
	if r := []rune(p.Detail); len(r) > problemDetail {
		p.Detail = string(r[:problemDetail-1]) + "…"
	}
	kept := []Problem{p}
	known := false
	for _, o := range t.Problems {
		if o.Chunk == p.Chunk && o.Detail == p.Detail {
			known = true
			continue
		}
		if len(kept) < MostProblems {
			kept = append(kept, o)
		}
	}
	t.Problems = kept
	if !known {
		t.Reported++
		if p.Doubt {
			t.Unverified++
		}
	}
}

// Clean reports whether nothing was rejected and nothing was left unverified.
func (t Totals) Clean() bool { return t.Resources.Rejected == 0 && t.Unverified == 0 }

// Version is what a row looked like when it was read.
type Version string

// SlotUse says what a save does with the chunk's slot.
type SlotUse int

// The uses of a slot in a save (invariant 15).
const (
	SlotByState SlotUse = iota // given back when the chunk ends at rest or terminal, kept while it is in flight
	SlotTake                   // taken, or kept, in the same transaction
	SlotKeep                   // kept although the chunk is at rest: the visit goes straight on, or its job may exist
)

// Save is a chunk's change with everything that changes in the same transaction.
type Save struct {
	Chunk    Chunk
	Version  Version // the one read, or returned by the previous save
	Slot     SlotUse
	Kind     JobKind   // of the slot to take or keep
	Limit    int       // of the slots of that kind, for SlotTake
	Now      time.Time // for SlotTake
	Children []Chunk   // of a Split chunk
	Problems []Problem
}

// SlotKind tells which kind of slots the save touches, if any: the one it takes, or the one that the chunk may give back
// by the state it had before.
func (s Save) SlotKind(before Chunk) (kind JobKind, touched bool) {
	switch {
	case s.Slot == SlotKeep || s.Slot == SlotByState && s.Chunk.State.InFlight():
		return "", false
	case s.Slot == SlotTake:
		return s.Kind, true
	case before.State == Exported || before.State == Importing:
		return ImportJob, true
	}
	return ExportJob, true
}

// StagedFile is a file in the staging container. ETag is as the storage service gives it, with its quotes.
type StagedFile struct {
	Name string // within the container
	ETag string
	Size int64
}
