package migration

import (
	"fmt"
	"time"
)

// Measure is what a question of a surface check counts.
type Measure string

// The measures of one resource type at one side, as of an instant.
const (
	CurrentBefore  Measure = "current"  // resources whose current version was last updated before the instant
	VersionsBefore Measure = "versions" // every version and soft delete last updated before the instant
	VersionsSince  Measure = "since"    // every version and soft delete since; asked to explain a difference
)

// CountQuestion is a question about the type under way.
type CountQuestion struct {
	Side    Side    `json:"side"`
	Measure Measure `json:"measure"`
}

// CountAnswer is what came of it.
type CountAnswer struct {
	CountQuestion
	Count   int64  `json:"count"`
	Unknown string `json:"unknown,omitempty"` // why there is no count; empty: Count is one
}

// CountRow is what a surface check has found of one resource type.
type CountRow struct {
	Type    string        `json:"type"`
	Verdict Verdict       `json:"verdict"`
	Reason  string        `json:"reason,omitempty"` // of a verdict that the counts do not explain
	Answers []CountAnswer `json:"answers"`
}

// Answer looks an answer up; known is false when the question was not asked or has no count.
func (r CountRow) Answer(s Side, m Measure) (a CountAnswer, asked, known bool) {
	for _, a := range r.Answers {
		if a.Side == s && a.Measure == m {
			return a, true, a.Unknown == ""
		}
	}
	return CountAnswer{}, false, false
}

// measures are what is compared of each type. Versions tell the same on both sides only where history and soft deletes
// are moved both. Where the run ended at the operator's until, later versions are out of its scope, and current counts
// tell nothing that versions do not: a resource that was updated later is not counted as current before it any more.
func (e Errand) measures() []Measure {
	both := e.Scope.History && e.Scope.Deleted
	ended := !e.Scope.Until.IsZero() && e.AsOf.Equal(e.Scope.Until.Add(Instant))
	switch {
	case both && ended:
		return []Measure{VersionsBefore}
	case both:
		return []Measure{CurrentBefore, VersionsBefore}
	}
	return []Measure{CurrentBefore}
}

// NextCount is the next question about the type under way; false when all are answered.
func (e Errand) NextCount() (CountQuestion, bool) {
	row := CountRow{Answers: e.Check.Answers}
	for _, m := range e.measures() {
		for _, s := range []Side{AtSource, AtDestination} {
			if _, asked, _ := row.Answer(s, m); !asked {
				return CountQuestion{s, m}, true
			}
		}
	}
	if !row.unexplained() {
		return CountQuestion{}, false
	}
	// One later version explains enough; the destination is asked only where the source has none.
	since, asked, known := row.Answer(AtSource, VersionsSince)
	if !asked {
		return CountQuestion{AtSource, VersionsSince}, true
	}
	if _, asked, _ := row.Answer(AtDestination, VersionsSince); !asked && known && since.Count == 0 {
		return CountQuestion{AtDestination, VersionsSince}, true
	}
	return CountQuestion{}, false
}

// compare compares one measure.
func (r CountRow) compare(m Measure) (differ, known bool) {
	s, _, sk := r.Answer(AtSource, m)
	d, _, dk := r.Answer(AtDestination, m)
	return sk && dk && s.Count != d.Count, sk && dk
}

// more reports whether one side has more current resources than the other.
func (r CountRow) more(s Side) bool {
	here, _, known := r.Answer(s, CurrentBefore)
	there, _, both := r.Answer(s.Other(), CurrentBefore)
	return known && both && here.Count > there.Count
}

// unexplained reports whether current counts differ and versions do not: that may be for resources updated since.
func (r CountRow) unexplained() bool {
	current, _ := r.compare(CurrentBefore)
	versions, _ := r.compare(VersionsBefore)
	return current && !versions
}

// Span is what to count next for a question: the whole span, or the part of it whose turn it is. A zero Since or Till is
// no bound.
func (e *Errand) Span(q CountQuestion) Window {
	if len(e.Pending) == 0 {
		whole := Window{e.Scope.Since, e.AsOf}
		if q.Measure == VersionsSince {
			whole = Window{Since: e.AsOf}
		}
		e.Pending, e.Sum = []Window{whole}, 0
	}
	return e.Pending[0]
}

// Counted adds the count of the part whose turn it was; with the last part the question is answered.
func (e *Errand) Counted(q CountQuestion, n int64) {
	e.Sum += n
	if e.Pending = e.Pending[1:]; len(e.Pending) == 0 {
		e.answer(CountAnswer{CountQuestion: q, Count: e.Sum})
	}
}

// CountInParts halves the part whose turn it is, because it holds more than the server can count, or count in time. False
// when it has no end or is no longer than shortest.
func (e *Errand) CountInParts(shortest time.Duration) bool {
	part := e.Pending[0]
	from := part.Since
	if from.IsZero() {
		from = EarliestInstant() // for the middle alone: the lower half keeps no lower bound
	}
	middle := from.Add(part.Till.Sub(from) / 2).Truncate(Instant)
	if part.Till.IsZero() || part.Till.Sub(from) <= shortest || !middle.After(from) || !middle.Before(part.Till) {
		return false
	}
	e.Pending = append([]Window{{part.Since, middle}, {middle, part.Till}}, e.Pending[1:]...)
	return true
}

// GiveUpCount answers a question with the reason why it has no answer.
func (e *Errand) GiveUpCount(q CountQuestion, reason string) {
	e.answer(CountAnswer{CountQuestion: q, Unknown: Trim(reason)})
}

func (e *Errand) answer(a CountAnswer) {
	e.Check.Answers = append(e.Check.Answers, a)
	e.Pending, e.Sum = nil, 0
	if a.Measure != VersionsSince {
		e.Done++
	}
}

// CloseCounts judges the type under way and goes on to the next.
func (e *Errand) CloseCounts() CountRow {
	row := CountRow{Type: e.Types[e.Check.At], Answers: e.Check.Answers}
	row.Verdict, row.Reason = row.judge()
	if row.Verdict == Different && !e.Scope.Deleted && row.more(AtDestination) {
		row.Reason = "soft deletes are not moved: what was deleted at the source stays at the destination where an earlier version came there"
	}
	switch row.Verdict {
	case Equal:
		e.Same++
	case Different:
		e.Different++
	default:
		e.Unknown++
	}
	e.Check.At++
	e.Check.Answers = nil
	return row
}

// judge says what the answers mean. Equal needs every question answered, and every pair the same.
func (r CountRow) judge() (Verdict, string) {
	if versions, _ := r.compare(VersionsBefore); versions {
		return Different, ""
	}
	if r.unexplained() {
		for _, s := range []Side{AtSource, AtDestination} {
			since, asked, known := r.Answer(s, VersionsSince)
			switch {
			case asked && !known:
				return Unknown, "current counts differ, and whether resources were updated since could not be counted: " + since.Unknown
			case asked && since.Count > 0:
				return Unknown, fmt.Sprintf("current counts differ, and the %s has %d versions of a later date: a resource updated "+
					"since is not counted as current before any more; check again when nothing is written", s, since.Count)
			}
		}
		return Different, ""
	}
	for _, a := range r.Answers {
		if a.Unknown != "" {
			return Unknown, fmt.Sprintf("the %s could not be counted: %s", a.Side, a.Unknown)
		}
	}
	return Equal, ""
}
