package migration

import (
	"slices"
	"strings"
	"time"
)

// ErrandKind is what an errand does.
type ErrandKind string

// The kinds of errands. Parameters, reindex and a surface check are steps of every run; an operator asks for checks at
// any time.
const (
	ParametersErrand ErrandKind = "parameters" // moves custom search parameters (contract 8.1, 8.2)
	ReindexErrand    ErrandKind = "reindex"    // makes them usable at the destination (contract 8.3)
	SurfaceErrand    ErrandKind = "surface"    // compares counts by resource type
	DeepErrand       ErrandKind = "deep"       // compares the content of resources chosen by chance
	AccessErrand     ErrandKind = "access"     // the preflight, kept
)

// ErrandKinds lists every kind.
func ErrandKinds() []ErrandKind {
	return []ErrandKind{ParametersErrand, ReindexErrand, SurfaceErrand, DeepErrand, AccessErrand}
}

// Idle stands for the run in the errands that an operator asks for before there is one.
const Idle = "idle"

// Verdict is what a check has found.
type Verdict string

// The verdicts. Unknown is never equal: something could not be asked.
const (
	Equal     Verdict = "equal"
	Different Verdict = "different"
	Unknown   Verdict = "unknown"
)

// Errand is a piece of work of a run besides its rounds and chunks. A visit moves it one step; what it waits for, and
// how far it has come, is in its row. Its results are documents.
type Errand struct {
	ID        string // see ErrandID
	Kind      ErrandKind
	RunID     string    // Idle when there was no run
	Step      bool      // of the run's own order, which waits for its end; false: an operator asked for it
	NotBefore time.Time // no visit earlier than this; doubles as the claim of the visit under way
	// ClaimedTill equals NotBefore while that is a claim and no mere wait.
	ClaimedTill  time.Time
	Attempts     int       // consecutive faults; any progress resets it
	WaitingSince time.Time // it has been asked to wait ever since, without progress; zero: it was not
	StartedAt    time.Time
	UpdatedAt    time.Time
	EndedAt      time.Time // zero: under way
	Done         int       // questions answered, or resources looked at
	Total        int       // of so many; 0: not known yet
	LastError    string

	Types  []string  // of a check: resource types; empty: those of the run
	AsOf   time.Time // of a check: what was last updated before this instant; of a step after the last import: T + 1 ms
	Sample int       // of a deep check: resources per type and side
	Seed   int64     // of a deep check: chooses the resources
	Scope  Settings  // of a check: what its run moves and between which services, as frozen for the run

	Job       Job      // at a server, followed by this errand
	Pending   []Window // spans still to be counted of the question under way
	Sum       int64    // counted of it so far
	Documents []string // results, in order
	Same      int      // compared and found equal
	Different int      // compared and found different
	Unknown   int      // could not be compared
	Verdict   Verdict  // of a check that has ended

	Check CheckProgress // of a check under way

	BatchSize  int        // of parameters: entries in one batch, after one was refused as a whole; 0: as many as a server takes
	EmptySeen  int        // of parameters: empty exports seen
	Lost       int        // jobs of it that came to nothing
	Parameters Parameters // of parameters: what has become of them so far
	Dropped    bool       // the step was left off, not done: the run is stopping, or does not want it any more
}

// ErrandID names an errand. The run's id is part of it, so that the errands of earlier runs are found. The number has no
// hyphen.
func ErrandID(kind ErrandKind, runID, number string) string {
	return string(kind) + "-" + runID + "-" + number
}

// ErrandRun tells from an id which run an errand belongs to; false for what is no errand's id.
func ErrandRun(id string) (runID string, ok bool) {
	kind, rest, ok := strings.Cut(id, "-")
	end := strings.LastIndex(rest, "-")
	if !ok || end < 1 || end == len(rest)-1 || !slices.Contains(ErrandKinds(), ErrandKind(kind)) {
		return "", false
	}
	return rest[:end], true
}

// NewErrand begins an errand.
func NewErrand(kind ErrandKind, runID, number string, now time.Time) Errand {
	return Errand{ID: ErrandID(kind, runID, number), Kind: kind, RunID: runID, StartedAt: now, UpdatedAt: now}
}

// Ended reports whether the errand is over.
func (e Errand) Ended() bool { return !e.EndedAt.IsZero() }

// Claim reserves the errand for the visit under way; it lapses by itself. ErrNotDue when it waits, is over, or another
// visit holds it.
func (e *Errand) Claim(now, until time.Time) error {
	if e.Ended() || now.Before(e.NotBefore) {
		return ErrNotDue
	}
	e.NotBefore, e.ClaimedTill, e.UpdatedAt = until, until, now
	return nil
}

// ClaimToCancel reserves the step of a run that is stopping. It waits for a visit under way and, after a fault, as long
// as that says, but not for the next look at its job. A check has no job to cancel, so its faults are no reason to wait.
func (e *Errand) ClaimToCancel(now, until time.Time) error {
	if e.Cancellable(now) {
		e.NotBefore = now
	}
	return e.Claim(now, until)
}

// Cancellable reports whether a stop may visit the errand now.
func (e Errand) Cancellable(now time.Time) bool {
	return !e.Ended() && (!now.Before(e.NotBefore) || (e.Attempts == 0 || e.Kind.IsCheck()) && !e.NotBefore.Equal(e.ClaimedTill))
}

// Progressed counts what a visit has done and lets the next one in.
func (e *Errand) Progressed(now, next time.Time) {
	e.Attempts, e.LastError, e.NotBefore, e.UpdatedAt = 0, "", next, now
	e.WaitingSince = time.Time{}
}

// Postpone makes the errand wait without counting a fault, as a busy server asks.
func (e *Errand) Postpone(reason string, now, next time.Time) {
	e.LastError, e.NotBefore, e.UpdatedAt = Trim(reason), next, now
}

// Faulted counts a fault.
func (e *Errand) Faulted(reason string, now, next time.Time) {
	e.Attempts++
	e.Postpone(reason, now, next)
}

// End ends the errand.
func (e *Errand) End(now time.Time) { e.EndedAt, e.UpdatedAt, e.NotBefore = now, now, time.Time{} }

// Overdue reports whether the nudge for the errand's next visit must have been lost.
func (e Errand) Overdue(l Limits, now time.Time) bool {
	return !e.Ended() && !now.Before(e.NotBefore.Add(2*l.Poll))
}

// NextStep is the errand that the run needs now, if any. One step is under way at a time.
func (r Run) NextStep(l Limits, unfinished int) (ErrandKind, bool) {
	if r.Ended() || r.StopAsked || r.Errand != "" {
		return "", false
	}
	if l.SearchParameters && r.ParametersAt.IsZero() {
		return ParametersErrand, true
	}
	if !r.Reached() || unfinished > 0 || r.Paused {
		return "", false
	}
	switch {
	case l.SearchParameters && r.ParametersAgainAt.IsZero():
		return ParametersErrand, true // what was changed or added meanwhile
	case l.SearchParameters && r.ReindexedAt.IsZero():
		return ReindexErrand, true
	case r.VerifiedAt.IsZero():
		return SurfaceErrand, true
	}
	return "", false
}

// MayClose reports whether nothing but the closing round is left: everything up to T is moved, and every step has ended.
func (r Run) MayClose(l Limits, unfinished int) bool {
	_, due := r.NextStep(l, unfinished)
	return r.Reached() && unfinished == 0 && !r.Paused && r.Errand == "" && !due
}

// NewStep makes the errand of a step. What comes after the last import is for this end of the run: a cutover may move it
// while the step is under way.
func (r Run) NewStep(kind ErrandKind, number string, now time.Time) Errand {
	e := NewErrand(kind, r.ID, number, now)
	e.Step, e.Scope = true, r.Settings
	if r.Reached() {
		e.AsOf = r.afterEnd()
	}
	return e
}

// ForThisEnd reports whether a step that came after the last import was for the run's end as it is now.
func (r Run) ForThisEnd(e Errand) bool { return e.AsOf.IsZero() || e.AsOf.Equal(r.afterEnd()) }

// afterEnd is the first instant after T.
func (r Run) afterEnd() time.Time { return r.End.Add(Instant) }

// StepBegun notes the step that is under way.
func (r *Run) StepBegun(e Errand) { r.Errand, r.Errands = e.ID, r.Errands+1 }

// StepEnded notes that the step under way is over: the run goes on with the next. One for an end that a cutover has moved
// since does not count, nor does one that was left off.
func (r *Run) StepEnded(e Errand, now time.Time) {
	if r.Errand != e.ID {
		return
	}
	r.Errand, r.UpdatedAt = "", now
	if e.Dropped {
		return
	}
	if e.Kind == ParametersErrand {
		r.Parameters = r.Parameters.after(e.Parameters)
	}
	switch {
	case e.Kind == ParametersErrand && r.ParametersAt.IsZero():
		r.ParametersAt = now
	case !r.ForThisEnd(e):
	case e.Kind == ParametersErrand:
		r.ParametersAgainAt = now
	case e.Kind == ReindexErrand:
		r.ReindexedAt = now
	case e.Kind == SurfaceErrand:
		r.VerifiedAt = now
	}
}
