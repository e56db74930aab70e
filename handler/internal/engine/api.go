package engine

import (
	"time"

	"fhirferry/handler/internal/migration"
)

// Refusal is an answer to an operator that is not a failure of ours: a verb that does not fit the state, a value that
// does not make sense, a source that does not answer.
type Refusal struct {
	Reason Reason
	Detail string // names the thing, the cause and the remedy
}

func (r *Refusal) Error() string { return r.Detail }

// Reason tells refusals apart; the server maps them to statuses.
type Reason int

// The reasons of refusals.
const (
	WrongState  Reason = iota + 1 // 409
	BadValue                      // 422
	Unavailable                   // 503
	NotThere                      // 404
)

// Overrides are the values of a start request that replace settings for one run; nil pointers keep the setting.
type Overrides struct {
	Mode   *string
	Since  *time.Time
	Until  *time.Time
	Types  []string // nil: the setting's
	Window *time.Duration
}

// Status is what an operator sees of the current run (operator contract 3). Zero times are unknown or not set.
type Status struct {
	State               migration.Shown
	RunID               string
	Mode                migration.Mode
	Source, Destination string
	Since, Until        time.Time
	StartedAt           time.Time
	UpdatedAt           time.Time
	EndedAt             time.Time
	MigratedTill        time.Time
	Frontier            time.Time            // planned up to here
	End                 time.Time            // T, the last instant to move
	SourceKind          migration.SourceKind // empty: not known yet
	ExportOnly          bool
	Planning            string            // what the open round is doing; empty: none is open
	Quiet               *Quietness        // nil: there are no quiet hours
	DeIdentification    *DeIdentification // nil: the run's exports are not de-identified
	SearchParameters    *ParametersStatus // nil: switched off, or no run
	Reindex             *ReindexStatus    // likewise
	Totals              migration.Totals
	Check               migration.Errand // the one at the end of the run, else its newest; zero: none
}

// SettingProblem is something wrong with one app setting.
type SettingProblem struct {
	Setting, Detail, Remedy string
}

// ChunkQuery selects chunks for an operator. Empty fields select everything.
type ChunkQuery struct {
	State migration.State
	Type  string
	Limit int // rows looked at; 0: 100, at most 1,000
	After string
}

// ChunkPage is one page of chunks. It may be short or empty and still have a Next.
type ChunkPage struct {
	Chunks []migration.Chunk
	Next   string
}

// RejectQuery selects rejected lines for an operator. Empty fields select everything.
type RejectQuery struct {
	Class migration.RejectClass
	Type  string
	Chunk string
	Limit int    // lines returned, at most; 0: 100, at most 1,000
	After string // the Next of the page before
}

// RejectPage is one page of rejected lines in the order of their chunks. It may be short or empty and still have a Next.
type RejectPage struct {
	Rejects []Reject
	Next    string
}

// Reject is a line that the destination did not accept.
type Reject struct {
	Chunk     string `json:",omitempty"`
	Class     migration.RejectClass
	Type, ID  string // empty: not known
	Text      string // what the destination says, without anything from the resource
	File      string // input file, within the staging container
	Offset    int64  // where the line begins in it, in bytes; negative: not found
	Line      int64  // as the destination counts: within a slice of the file, without blank lines; 0: not known
	ErrorFile string // container and name
}

// ChunkRecord is all that is known of a chunk.
type ChunkRecord struct {
	Chunk           migration.Chunk
	TransactionTime time.Time    // of the believed manifest; zero: none is believed
	Files           []FileRecord // of the believed manifest, in the order in which they are imported
}

// FileRecord is a file of a chunk's export.
type FileRecord struct {
	Name               string // within the staging container
	Type               string
	Lines              int64 // as the export counts
	Imported           bool
	Accepted, Rejected int64 // as the import counts, when Imported; benign lines are among the rejected
}

// Check is one line of the preflight.
type Check struct {
	Name, Detail, Remedy string
	OK                   bool
}
