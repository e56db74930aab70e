package migration

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// The bounds of a deep check: resources per type and side.
const (
	DefaultSample = 5
	MostSample    = 100
)

// MostFindings is how many findings of one type are kept, and how many paths of one finding; the rest is counted.
const MostFindings = 20

// SampleRow is what a deep check has found of one resource type.
type SampleRow struct {
	Type          string    `json:"type"`
	Verdict       Verdict   `json:"verdict"`
	Reason        string    `json:"reason,omitempty"`
	AtSource      int       `json:"atSource"`      // chosen there
	AtDestination int       `json:"atDestination"` // chosen there
	Same          int       `json:"same"`
	Different     int       `json:"different"`
	Unknown       int       `json:"unknown"`
	Findings      []Finding `json:"findings,omitempty"`
	More          int       `json:"more,omitempty"` // findings that are counted and not kept
}

// Finding is a resource that was not found equal. It names elements and holds no value.
type Finding struct {
	ID          string    `json:"id,omitempty"`
	LastUpdated time.Time `json:"lastUpdated,omitzero"`
	Chosen      Side      `json:"chosen"` // where it was chosen; it was looked up at the other side
	Verdict     Verdict   `json:"verdict"`
	Detail      string    `json:"detail"`
	Paths       []string  `json:"paths,omitempty"`
	MorePaths   int       `json:"morePaths,omitempty"`
}

// Began notes where the span of time begins on this side.
func (e *Errand) Began(oldest time.Time) { e.Check.Oldest, e.Check.From = oldest, oldest }

// Instant is where the next resource is chosen: by chance, within the first of as many equal parts of the time from From
// to AsOf as there are resources still to choose. So the whole span is covered, and the same seed chooses the same.
func (e Errand) Instant() time.Time {
	c := e.Check
	part := e.AsOf.Sub(c.From) / time.Duration(max(e.Sample-c.Taken, 1))
	if c.Filling || part <= 0 {
		return c.From
	}
	name := fmt.Sprintf("%d %s %s %d", e.Seed, e.Types[c.At], c.Side, c.Taken)
	sum := sha256.Sum256([]byte(name))
	var chance uint64
	for _, b := range sum[:8] {
		chance = chance<<8 | uint64(b)
	}
	return c.From.Add(time.Duration(chance % uint64(part))).Truncate(Instant)
}

// Exhausted reports whether the span holds nothing more to choose. Chance passes over what lies close together, so the
// first time it begins again and takes what was left out, until there are as many as asked for.
func (e *Errand) Exhausted() bool {
	if e.Check.Filling {
		return true
	}
	e.Check.Filling, e.Check.From = true, e.Check.Oldest
	return false
}

// Chosen reports whether a resource last updated then was chosen already.
func (e Errand) Chosen(lastUpdated time.Time) bool {
	return slices.ContainsFunc(e.Check.Seen, lastUpdated.Equal)
}

// PassOver goes on after a resource that is not compared.
func (e *Errand) PassOver(lastUpdated time.Time) { e.Check.From = lastUpdated.Add(Instant) }

// passes is how many soft deletes are passed over for each resource to choose: a type may hold a million of them.
const passes = 20

// PassOverDelete goes on after a soft delete where these are not moved, but not one by one for ever.
func (e *Errand) PassOverDelete(lastUpdated time.Time) {
	e.PassOver(lastUpdated)
	if e.Check.Passed++; e.Check.Passed >= passes*max(e.Sample, DefaultSample) {
		e.Unchosen(fmt.Sprintf("given up after %d soft deletes, which are not moved; others could not be found among them", e.Check.Passed))
	}
}

// Compared counts a resource that was chosen and looked up; a nil finding is an equal one. The next is chosen after it.
func (e *Errand) Compared(lastUpdated time.Time, f *Finding) {
	row := &e.Check.Row
	if e.Check.Side == AtSource {
		row.AtSource++
	} else {
		row.AtDestination++
	}
	e.record(f)
	e.Check.Taken++
	e.Done++
	e.Check.Seen = append(e.Check.Seen, lastUpdated)
	e.PassOver(lastUpdated)
	if e.Check.Taken == e.Sample {
		e.turn()
	}
}

// Unchosen notes that no resource could be chosen on this side, or none more; with a reason when it is not known whether
// there are any.
func (e *Errand) Unchosen(reason string) {
	if reason != "" {
		e.record(&Finding{Chosen: e.Check.Side, Verdict: Unknown, Detail: reason})
	}
	e.Done += e.Sample - e.Check.Taken
	e.turn()
}

func (e *Errand) record(f *Finding) {
	row := &e.Check.Row
	if f == nil {
		row.Same++
		e.Same++
		return
	}
	if f.Verdict == Different {
		row.Different++
		e.Different++
	} else {
		row.Unknown++
		e.Unknown++
	}
	if len(row.Findings) == MostFindings {
		row.More++
		return
	}
	f.Detail = Trim(f.Detail)
	if extra := len(f.Paths) - MostFindings; extra > 0 {
		f.Paths, f.MorePaths = f.Paths[:MostFindings], extra
	}
	row.Findings = append(row.Findings, *f)
}

// turn goes on to the other side, or leaves the type finished.
func (e *Errand) turn() {
	c := &e.Check
	c.Taken, c.Seen, c.Oldest, c.From, c.Passed, c.Filling = 0, nil, time.Time{}, time.Time{}, 0, false
	if c.Side == AtSource {
		c.Side = AtDestination
	} else {
		c.Side = ""
	}
}

// Sampled reports whether both sides of the type under way are done.
func (e Errand) Sampled() bool { return e.Check.Side == "" }

// CloseSamples judges the type under way and goes on to the next.
func (e *Errand) CloseSamples() SampleRow {
	row := e.Check.Row
	row.Type = e.Types[e.Check.At]
	switch {
	case row.Different > 0:
		row.Verdict = Different
	case row.Unknown > 0:
		row.Verdict = Unknown
	default:
		row.Verdict = Equal
		if row.Same == 0 {
			row.Reason = "no resources on either side: nothing to compare"
		}
	}
	e.Check.At++
	e.Check.Side, e.Check.Row = AtSource, SampleRow{}
	return row
}
