package migration

import (
	"slices"
	"time"
)

// Mode is what a run is for (operator contract, FERRY_MODE).
type Mode string

// The modes that are in force.
const (
	Continuous Mode = "continuous" // copies new data until cut over or stopped
	Once       Mode = "once"       // ends when everything up to the start instant has been moved
)

// Settings are frozen by start: a change of the app settings in mid-run starts nothing and is shown as a problem.
type Settings struct {
	Source, Destination string
	Staging, Container  string
	Mode                Mode
	Since, Until        time.Time // zero: from the oldest resource, without end
	Types               []string  // sorted; empty: every type of the source's capability statement
	Window              time.Duration
	ChunkLimit          int64
	History, Deleted    bool
	AnonymizationConfig string // blob that exports are de-identified by; empty: they are not
	AnonymizationETag   string // that the blob must have at the start, without quotes; empty: any
}

// DeIdentified reports whether nothing but de-identified exports may be moved.
func (s Settings) DeIdentified() bool { return s.AnonymizationConfig != "" }

// AllVersions reports whether counts come from _history: a plain search sees current resources only, and a window
// whose resources were all updated later would look empty and be lost.
func (s Settings) AllVersions() bool { return s.History || s.Deleted }

// Comparable reports whether a count tells exactly what an export yields: with one of history and deletes on, the
// count includes versions that are not exported.
func (s Settings) Comparable() bool { return s.History == s.Deleted }

// Differences names the settings, by their app setting's name, in which o is not s.
func (s Settings) Differences(o Settings) []string {
	var names []string
	differ := func(name string, same bool) {
		if !same {
			names = append(names, name)
		}
	}
	differ("FERRY_SOURCE_URL", s.Source == o.Source)
	differ("FERRY_DESTINATION_URL", s.Destination == o.Destination)
	differ("FERRY_STAGING_URL", s.Staging == o.Staging)
	differ("FERRY_STAGING_CONTAINER", s.Container == o.Container)
	differ("FERRY_MODE", s.Mode == o.Mode)
	differ("FERRY_SINCE", s.Since.Equal(o.Since))
	differ("FERRY_UNTIL", s.Until.Equal(o.Until))
	differ("FERRY_RESOURCE_TYPES", slices.Equal(s.Types, o.Types))
	differ("FERRY_WINDOW", s.Window == o.Window)
	differ("FERRY_CHUNK_LIMIT", s.ChunkLimit == o.ChunkLimit)
	differ("FERRY_HISTORY", s.History == o.History)
	differ("FERRY_DELETED", s.Deleted == o.Deleted)
	differ("FERRY_ANONYMIZATION_CONFIG", s.AnonymizationConfig == o.AnonymizationConfig)
	differ("FERRY_ANONYMIZATION_CONFIG_ETAG", s.AnonymizationETag == o.AnonymizationETag)
	return names
}

// Outcome is how a run ended.
type Outcome string

// The ends of a run.
const (
	Stopped   Outcome = "stopped"
	Completed Outcome = "completed"
)

// Run is one migration from its start to its end. Every row and document of it lives under its ID.
type Run struct {
	ID                string
	Settings          Settings // with the overrides of the start request
	AppSettings       Settings // as the app had them at the start: a change under the run closes its gates
	StartedAt         time.Time
	UpdatedAt         time.Time
	Paused            bool
	StopAsked         bool
	CutOverAsked      bool
	StoppedTill       time.Time  // migratedTill when stop was asked: cancelled chunks cannot be asked later
	End               time.Time  // T, the last instant to move; zero: none
	Types             []string   // planned types, found by the first round; never SearchParameter
	Since             time.Time  // start of the first window, found by the first round
	Frontier          time.Time  // every type is planned up to here
	SourceKind        SourceKind // found by the first round; empty: not known yet
	ETags             ETagForm   // that the destination takes, learned from imports that end well; empty: not known, quoted
	AnonymizationETag string     // of the configuration when the run was started; every export is asked to use this one
	Quiet             bool       // as the last tick found it, so that each change is told once
	ExportOnly        bool       // the source turned out to be deprecated (contract 0.4)
	Errand            string     // id of the step under way; empty: none
	Errands           int        // steps begun so far; numbers the next
	ParametersAt      time.Time  // when the custom search parameters had been moved; zero: not yet
	ParametersAgainAt time.Time  // when those changed meanwhile had been moved, after the last import
	VerifiedAt        time.Time  // when the surface check at the end had ended
	Earlier           []string   // ids of the runs before, newest first, at most KeptRuns
	Parameters        Parameters // what has become of the custom search parameters
	ReindexedAt       time.Time  // when the destination had ended its $reindex, or it was known not to be needed
	Reindex           Reindex    // how that ended
	Rounds            int        // rounds begun so far; numbers the next
	NextRound         time.Time  // no round earlier than this: the last one found nothing it could plan
	EndedAt           time.Time
	Outcome           Outcome // empty until EndedAt is set
}

// NewRun starts a run with frozen settings. In once mode the end is the start instant, or until when that is earlier.
func NewRun(id string, s, app Settings, now time.Time) Run {
	now = now.Truncate(Instant)
	r := Run{ID: id, Settings: s, AppSettings: app, StartedAt: now, UpdatedAt: now, End: s.Until}
	if s.Mode == Once && (r.End.IsZero() || r.End.After(now)) {
		r.End = now
	}
	if !s.Since.IsZero() {
		r.Since, r.Frontier = s.Since, s.Since
	}
	return r
}

// KeptRuns is how many earlier runs a run remembers.
const KeptRuns = 20

// Follow notes the run that was current before; a zero one is none.
func (r *Run) Follow(before Run) {
	if before.ID != "" {
		r.Earlier = append([]string{before.ID}, before.Earlier[:min(len(before.Earlier), KeptRuns-1)]...)
	}
}

// Ended reports whether the run is over.
func (r Run) Ended() bool { return !r.EndedAt.IsZero() }

// Shown is the state an operator sees. It is derived, never stored (operator contract 3).
type Shown string

// The states of a run as shown.
const (
	ShownIdle      Shown = "idle"
	ShownRunning   Shown = "running"
	ShownPaused    Shown = "paused"
	ShownCutover   Shown = "cutover"
	ShownStopping  Shown = "stopping"
	ShownStopped   Shown = "stopped"
	ShownHalted    Shown = "halted"
	ShownCompleted Shown = "completed"
)

// Shown derives the state; failed is the number of failed chunks.
func (r Run) Shown(failed int) Shown {
	switch {
	case r.Ended() && r.Outcome == Stopped:
		return ShownStopped
	case r.Ended():
		return ShownCompleted
	case r.StopAsked:
		return ShownStopping
	case r.Paused:
		return ShownPaused
	case failed > 0:
		return ShownHalted
	case r.CutOverAsked:
		return ShownCutover
	default:
		return ShownRunning
	}
}

// Verb is what an operator asks of a run.
type Verb string

// The verbs that change a run that exists. Start makes a new one.
const (
	VerbStart   Verb = "start"
	VerbPause   Verb = "pause"
	VerbResume  Verb = "resume"
	VerbStop    Verb = "stop"
	VerbCutOver Verb = "cutover"
	VerbRetry   Verb = "retry"
)

// Answer is what a verb means in a state.
type Answer int

// Answers to a verb.
const (
	Refused Answer = iota // 409
	Allowed               // does something
	InForce               // its effect is there already: 202, nothing changes
)

// Ask looks a verb up in the operator contract's table of verbs by state. Whether a second start carries the same
// values is the caller's question: start while running is InForce only then.
func Ask(v Verb, s Shown, cutOver bool) Answer {
	live := s == ShownRunning || s == ShownCutover || s == ShownPaused || s == ShownHalted
	switch v {
	case VerbStart:
		switch {
		case s == ShownIdle || s == ShownStopped || s == ShownCompleted:
			return Allowed
		case s == ShownRunning:
			return InForce
		}
	case VerbPause:
		switch s {
		case ShownRunning, ShownCutover, ShownHalted:
			return Allowed
		case ShownPaused:
			return InForce
		}
	case VerbResume:
		switch s {
		case ShownPaused:
			return Allowed
		case ShownRunning, ShownCutover, ShownHalted:
			return InForce
		}
	case VerbStop:
		switch {
		case live:
			return Allowed
		case s == ShownStopping || s == ShownStopped:
			return InForce
		}
	case VerbCutOver:
		switch {
		case live && cutOver:
			return InForce
		case live:
			return Allowed
		case s == ShownCompleted && cutOver:
			return InForce
		}
	case VerbRetry:
		switch {
		case live:
			return Allowed
		}
	}
	return Refused
}

// CutOver freezes the last instant to move (invariant 2): the later of both clocks, the source's plus the second that
// its Date header hides, but not past until. A second cutover changes nothing.
func (r *Run) CutOver(now, source time.Time) {
	if r.CutOverAsked {
		return
	}
	end := now
	if s := source.Add(time.Second); s.After(end) {
		end = s
	}
	end = end.Add(Instant - 1).Truncate(Instant)
	if !r.Settings.Until.IsZero() && r.Settings.Until.Before(end) {
		end = r.Settings.Until
	}
	r.CutOverAsked, r.End, r.UpdatedAt = true, end, now
	r.NextRound = time.Time{}
	// More is to come.
	r.ParametersAgainAt, r.ReindexedAt, r.VerifiedAt, r.Reindex = time.Time{}, time.Time{}, time.Time{}, Reindex{}
}

// Stop asks for the end of the run. What is migrated is fixed now, for the chunks that are cancelled afterwards are
// among the finished ones; a chunk that still lands makes the promise too small, never too large.
func (r *Run) Stop(unfinished []Chunk) {
	if r.StopAsked {
		return
	}
	r.StoppedTill = r.MigratedTill(unfinished)
	r.StopAsked = true
}

// EndedByUntil reports whether T is the operator's until: then versions after it are out of scope, not late writes.
func (r Run) EndedByUntil() bool { return !r.Settings.Until.IsZero() && r.End.Equal(r.Settings.Until) }

// Reached reports whether everything up to T is planned.
func (r Run) Reached() bool {
	return !r.End.IsZero() && !r.Frontier.IsZero() && !r.Frontier.Before(r.End)
}

// MigratedTill is the instant before which every version in scope was accepted or is counted as rejected: the smallest
// Since among unfinished chunks, else the frontier (invariant 4). Zero: nothing is known yet.
func (r Run) MigratedTill(unfinished []Chunk) time.Time {
	if r.StopAsked {
		return r.StoppedTill
	}
	till := r.Frontier
	for _, c := range unfinished {
		if c.Window.Since.Before(till) {
			till = c.Window.Since
		}
	}
	return till
}

// EndRun ends the run.
func (r *Run) EndRun(o Outcome, now time.Time) {
	r.EndedAt, r.UpdatedAt, r.Outcome = now, now, o
}
