package migration

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// State is what a chunk is doing. Its text is what operators see and what the table keeps.
type State string

// The states of a chunk (design 3.5). Only this package assigns them.
const (
	Planned   State = "planned"   // at rest: nothing asked of either server
	Exporting State = "exporting" // in flight: the source accepted $export
	Exported  State = "exported"  // at rest: manifest believed and kept, files left to import
	Importing State = "importing" // in flight: the destination accepted $import
	Imported  State = "imported"  // terminal: every file of the manifest imported, books balanced
	Split     State = "split"     // terminal: replaced by smaller chunks
	Failed    State = "failed"    // terminal until an operator retries; still unfinished
	Cancelled State = "cancelled" // terminal: the run was stopped
)

// States lists every state in the order of the walk.
func States() []State {
	return []State{Planned, Exporting, Exported, Importing, Imported, Split, Failed, Cancelled}
}

// ParseState reads a state; an unknown one is an error, for a row we do not understand must not be acted on.
func ParseState(s string) (State, bool) {
	return State(s), slices.Contains(States(), State(s))
}

// InFlight reports whether a server works on a job of this state: the states that nudge themselves.
func (s State) InFlight() bool { return s == Exporting || s == Importing }

// AtRest reports whether a chunk of this state waits for admission.
func (s State) AtRest() bool { return s == Planned || s == Exported }

// Open reports whether work is left that needs no operator.
func (s State) Open() bool { return s.AtRest() || s.InFlight() }

// Unfinished reports whether a chunk of this state holds migratedTill back. Cancelled chunks do too while their run
// lasts, but have no marker: a run with cancelled chunks is over.
func (s State) Unfinished() bool { return s.Open() || s == Failed }

// Tally counts lines. Exported counts the believed manifest; Imported what the destination accepted; Rejected what
// it refused; Skipped the SearchParameter lines, which a step of their own moves; Benign what it refused and was seen to
// hold already.
type Tally struct {
	Exported, Imported, Rejected, Skipped, Benign int64
}

// Plus adds two tallies.
func (t Tally) Plus(o Tally) Tally {
	return Tally{t.Exported + o.Exported, t.Imported + o.Imported, t.Rejected + o.Rejected, t.Skipped + o.Skipped, t.Benign + o.Benign}
}

// Minus subtracts o.
func (t Tally) Minus(o Tally) Tally {
	return Tally{t.Exported - o.Exported, t.Imported - o.Imported, t.Rejected - o.Rejected, t.Skipped - o.Skipped, t.Benign - o.Benign}
}

// Job is one of the server's jobs, or the intent to start one.
type Job struct {
	Attempt    int       // its number; an import's is bumped whenever Importing is left other than by completion (invariant 13)
	StatusURL  string    // where its progress is asked; empty: no answer seen
	Body       string    // import only: document with the bytes that were, or will be, posted
	Started    time.Time // when the server accepted it
	ProgressAt time.Time // when it last showed progress
	Progress   int64     // bytes of its last 202 body
	Digest     string    // of the manifest seen last
	Answers    int       // equal 200 answers in a row
	CancelAt   time.Time // when we asked to cancel it as stalled; zero: not asked
	EndedAt    time.Time // when we learned that it is over, or gave it up
	Result     string    // import only: document of its result, once the books balance
}

// ETagForm is how an import gives the etags of its files.
type ETagForm string

// The forms of etags; which one a destination compares is unconfirmed (contract 4.2).
const (
	QuotedETags ETagForm = "quoted"
	PlainETags  ETagForm = "plain"
)

// Other is the form to try when this one was refused.
func (f ETagForm) Other() ETagForm {
	if f == PlainETags {
		return QuotedETags
	}
	return PlainETags
}

// Chunk is one or more resource types times one window: the unit of work.
type Chunk struct {
	ID            string
	ResourceTypes []string // sorted
	Window        Window
	Expected      int64 // versions counted when it was planned; negative: not counted
	State         State
	NotBefore     time.Time // no visit earlier than this; doubles as the claim of the visit under way
	ClaimedTill   time.Time // equal to NotBefore while that is a claim and no mere wait
	CancelFaults  int       // tries to cancel its job that failed
	Attempts      int       // consecutive faults; any progress resets it
	Export        Job
	Import        Job
	Manifest      string // document of the believed manifest
	Files         int    // files of it to import
	FilesDone     int    // files imported
	FilesNow      int    // files in the import job in flight or intended
	Resources     Tally
	Rejects       Rejects       // lines that the destination rejected, by class; those of Batches together
	Batches       []ImportBatch // imported, in the order of their files
	Reading       Reading       // of the rejected lines of the import that has ended
	Batch         Tally         // lines of the batch whose rejects failed the chunk: retry takes them out again
	Imbalance     int           // batches off balance so far; progress does not reset it
	Proven        int           // believed exports that have proven to be de-identified
	Throttled     int           // exports that died of throttling
	Lost          int           // manifests whose files were gone: their windows were exported again
	EmptySeen     int           // empty exports seen
	EmptyTypes    int           // of the types, in their order, those counted as empty to prove this attempt's empty export
	ShortSum      int64         // sum of an export that was below Expected; 0: none seen
	ETags         ETagForm      // of the next import, since the last one died of its etags; empty: as the run has learned
	RejectsTaken  bool          // set by retry: a chunk with many rejects is accepted
	LastError     string
	CreatedAt     time.Time
	ImportStarted time.Time // when the first import of the believed export was accepted
	LastImport    Job       // the import job that was left last, for the record
	UpdatedAt     time.Time
}

const stamp = "20060102T150405.000Z"

// ChunkID names a chunk by what it moves, so that adding it twice adds it once (design H6).
func ChunkID(types []string, w Window) string {
	sorted := slices.Sorted(slices.Values(types))
	sum := sha256.Sum256([]byte(strings.Join(sorted, ",")))
	return w.Since.UTC().Format(stamp) + "_" + w.Till.UTC().Format(stamp) + "_" + hex.EncodeToString(sum[:4])
}

// NewChunk plans a chunk. A negative expected means that its resources were not counted.
func NewChunk(types []string, w Window, expected int64, now time.Time) Chunk {
	sorted := slices.Sorted(slices.Values(types))
	return Chunk{
		ID: ChunkID(sorted, w), ResourceTypes: sorted, Window: w, Expected: expected,
		State: Planned, CreatedAt: now, UpdatedAt: now,
		Export: Job{}, Import: Job{Attempt: 1},
	}
}

// Compare orders chunks by window, so that a lane is worked off in time order.
func (c Chunk) Compare(o Chunk) int {
	if n := c.Window.Since.Compare(o.Window.Since); n != 0 {
		return n
	}
	if n := c.Window.Till.Compare(o.Window.Till); n != 0 {
		return n
	}
	return strings.Compare(c.ID, o.ID)
}

// Shares reports whether two chunks have a lane in common.
func (c Chunk) Shares(o Chunk) bool {
	i, j := 0, 0
	for i < len(c.ResourceTypes) && j < len(o.ResourceTypes) {
		switch strings.Compare(c.ResourceTypes[i], o.ResourceTypes[j]) {
		case 0:
			return true
		case -1:
			i++
		default:
			j++
		}
	}
	return false
}

// Trim keeps an error text to what a row may hold: 1,000 characters.
func Trim(s string) string {
	if r := []rune(s); len(r) > 1000 {
		return string(r[:1000])
	}
	return s
}
