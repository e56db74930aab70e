package migration

import (
	"slices"
	"time"
)

// Checks are errands that compare, or look, and change nothing. Verdict and counts of one are in its row; what it has
// found in detail is in documents.

// IsCheck reports whether errands of this kind are checks.
func (k ErrandKind) IsCheck() bool { return slices.Contains(CheckKinds(), k) }

// CheckKinds lists the kinds that an operator may ask for.
func CheckKinds() []ErrandKind { return []ErrandKind{SurfaceErrand, DeepErrand, AccessErrand} }

// The verdicts of an access check, which compares nothing.
const (
	Passed Verdict = "passed"
	Faulty Verdict = "failed"
)

// Side is one of the two services that are compared.
type Side string

// The sides.
const (
	AtSource      Side = "source"
	AtDestination Side = "destination"
)

// Other is the side that this one is compared with.
func (s Side) Other() Side {
	if s == AtSource {
		return AtDestination
	}
	return AtSource
}

// CheckProgress is how far a check under way has come. It is saved at least once per visit, so that a visit that dies
// repeats its own questions and no others.
type CheckProgress struct {
	Planned     bool     // types and total are known
	At          int      // index in Types of the type under way
	ExportOnly  bool     // the source is deprecated and answers no question (contract 0.4)
	Source      Patience // with the source
	Destination Patience
	Notes       []string // said of the whole check

	Answers []CountAnswer // surface: to the questions about the type under way

	// Deep, all of them of the type under way:
	Side    Side        // where resources are chosen now; empty: both sides are done
	Taken   int         // chosen on this side so far
	Seen    []time.Time // when these were last updated
	Oldest  time.Time   // where the span of time begins on this side; zero: not known yet
	From    time.Time   // the next one is chosen from here on
	Passed  int         // soft deletes passed over on this side, for they are not moved
	Filling bool        // chance has come to the end of the span, and what it left out is taken in order
	Row     SampleRow   // what was found
}

// Patience counts what a server leaves unanswered. A question is given up after as many faults in a row as
// FERRY_MAX_FAILURES allows; from then on each question is asked once, until one is answered, so that a server that is
// away does not hold a check up for days.
type Patience struct {
	Faults  int // tries in a row that failed
	Silence int // of these, the last in a row without any answer
}

// unheard is after how many tries without an answer a server is not asked any more, besides those that are allowed.
const unheard = 10

// Fault counts a try that failed, and reports whether the question is given up.
func (p *Patience) Fault(silent bool, l Limits) (givenUp bool) {
	p.Faults++
	p.Silence++
	if !silent {
		p.Silence = 0
	}
	return p.Faults >= l.MaxFailures
}

// Spent reports whether faults in a row have used up what is allowed.
func (p Patience) Spent(l Limits) bool { return p.Faults >= l.MaxFailures }

// Unheard reports whether asking the server anything more would be in vain.
func (p Patience) Unheard(l Limits) bool { return p.Silence >= l.MaxFailures+unheard }

// PatienceWith is the patience with one side.
func (e *Errand) PatienceWith(s Side) *Patience {
	if s == AtSource {
		return &e.Check.Source
	}
	return &e.Check.Destination
}

// Note says something of the whole check, once.
func (e *Errand) Note(text string) {
	if !slices.Contains(e.Check.Notes, text) {
		e.Check.Notes = append(e.Check.Notes, Trim(text))
	}
}

// PlanCheck fixes the resource types and with them how much there is to do.
func (e *Errand) PlanCheck(types []string) {
	e.Check.Planned, e.Types = true, types
	if e.Kind == DeepErrand {
		e.Check.Side, e.Check.Row = AtSource, SampleRow{}
		e.Total = len(types) * 2 * e.Sample
		return
	}
	e.Total = len(types) * 2 * len(e.measures())
}

// Conclude counts the verdicts of what was compared. Unknown is never equal.
func (e *Errand) Conclude() {
	switch {
	case e.Kind == AccessErrand && e.Different > 0:
		e.Verdict = Faulty
	case e.Kind == AccessErrand:
		e.Verdict = Passed
	case e.Different > 0:
		e.Verdict = Different
	case e.Unknown > 0 || e.Check.ExportOnly || !e.Check.Planned || len(e.Types) == 0:
		e.Verdict = Unknown
	default:
		e.Verdict = Equal
	}
}

// Rate is how much was done per minute so far, and how much time the rest will take at this rate; zero: not known.
func (e Errand) Rate() (perMinute float64, remaining time.Duration) {
	took := e.UpdatedAt.Sub(e.StartedAt)
	if e.Done == 0 || took <= 0 {
		return 0, 0
	}
	perMinute = float64(e.Done) / took.Minutes()
	if !e.Ended() {
		remaining = time.Duration(float64(took) / float64(e.Done) * float64(max(e.Total-e.Done, 0))).Round(time.Second)
	}
	return perMinute, remaining
}
