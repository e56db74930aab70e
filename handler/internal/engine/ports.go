package engine

import (
	"context"
	"io"
	"time"

	"fhirferry/handler/internal/migration"
)

// Version is what a row looked like when it was read; a save with it fails with migration.ErrConflict when the row has
// moved since (invariant 6).
type Version = migration.Version

// Ledger keeps runs, rounds, chunks, slots, totals and documents. Rows of one run change together in one transaction.
// Every method returns migration.ErrNotFound, ErrExists, ErrConflict or ErrNoSlot where its comment says so, and any
// other error for a storage that cannot be reached.
type Ledger interface {
	// Current returns the run that start made last; ErrNotFound when there was none.
	Current(ctx context.Context) (migration.Run, Version, error)
	// Open creates a run, with its totals and slots, and makes it the current one. Previous is the id of the run that
	// was current, empty for none; ErrConflict when another start was faster.
	Open(ctx context.Context, run migration.Run, previous string) error
	// SaveRun replaces the run's row; ErrConflict. Problems are added to the totals in the same transaction.
	SaveRun(ctx context.Context, run migration.Run, v Version, problems ...migration.Problem) (Version, error)

	// Round returns the open round; ErrNotFound when there is none.
	Round(ctx context.Context, runID string) (migration.Round, Version, error)
	// OpenRound inserts the round together with the run's row (whose version it checks); ErrConflict, ErrExists.
	OpenRound(ctx context.Context, run migration.Run, v Version, round migration.Round) error
	// SaveRound replaces the round; ErrConflict.
	SaveRound(ctx context.Context, runID string, round migration.Round, v Version, problems ...migration.Problem) (Version, error)
	// AddChunks inserts chunks of the round's plan that are not there yet and saves the round, with the run's version
	// checked and renewed, in one transaction; at most 48 chunks, two rows each. Chunks that are there already, in any
	// state, are left alone. ErrConflict.
	AddChunks(ctx context.Context, run migration.Run, v Version, round migration.Round, rv Version, chunks []migration.Chunk) (Version, Version, error)
	// CloseRound removes the round and saves the run (its frontier moved, or its end), in one transaction; ErrConflict.
	CloseRound(ctx context.Context, run migration.Run, v Version, rv Version, problems ...migration.Problem) error

	// Chunk returns a chunk; ErrNotFound.
	Chunk(ctx context.Context, runID, id string) (migration.Chunk, Version, error)
	// SaveChunk saves a chunk and what changes with it; ErrConflict when the chunk itself has moved, ErrNoSlot.
	SaveChunk(ctx context.Context, runID string, s migration.Save) (Version, error)
	// Unfinished returns every unfinished chunk, failed ones included, without reading the finished ones.
	Unfinished(ctx context.Context, runID string) ([]migration.Chunk, error)
	// Chunks lists chunks in window order, after the given id (empty: from the first), at most limit rows looked at.
	// A next that is not empty asks for the following page.
	Chunks(ctx context.Context, runID, after string, limit int) (page []migration.Chunk, next string, err error)

	// Slots returns the slots of a kind.
	Slots(ctx context.Context, runID string, kind migration.JobKind) (migration.Slots, error)
	// ChangeSlots reads the slots, applies change, and saves them when it returns true, again and again until no one
	// else was faster.
	ChangeSlots(ctx context.Context, runID string, kind migration.JobKind, change func(*migration.Slots) bool) error

	// Totals returns the running totals.
	Totals(ctx context.Context, runID string) (migration.Totals, error)
	// Report adds problems to the totals.
	Report(ctx context.Context, runID string, problems ...migration.Problem) error

	// AddErrand inserts an errand that an operator asked for; ErrExists.
	AddErrand(ctx context.Context, errand migration.Errand) error
	// OpenErrand inserts a step together with the run's row (whose version it checks); ErrConflict, ErrExists.
	OpenErrand(ctx context.Context, run migration.Run, v Version, errand migration.Errand) error
	// Errand returns an errand of a run, or of migration.Idle; ErrNotFound.
	Errand(ctx context.Context, runID, id string) (migration.Errand, Version, error)
	// Errands returns every errand of a run, or of migration.Idle, in the order of their ids.
	Errands(ctx context.Context, runID string) ([]migration.Errand, error)
	// SaveErrand replaces an errand; ErrConflict. Problems are added to the totals of its run, which must exist then.
	SaveErrand(ctx context.Context, errand migration.Errand, v Version, problems ...migration.Problem) (Version, error)
	// CloseErrand saves a step and its run in one transaction; ErrConflict when either has moved.
	CloseErrand(ctx context.Context, run migration.Run, v Version, errand migration.Errand, ev Version, problems ...migration.Problem) error

	// PutDocument writes a document once. When one of that name is there already it is returned instead of written:
	// what is written once is followed.
	PutDocument(ctx context.Context, runID, name string, content []byte) (kept []byte, err error)
	// Document reads a document; ErrNotFound.
	Document(ctx context.Context, runID, name string) ([]byte, error)

	// Prepare creates the tables and the container of documents where they are missing.
	Prepare(ctx context.Context) error
}

// Queue carries nudges: ids, never state.
type Queue interface {
	// Nudge makes the id visible after the delay, which is rounded up to a whole second.
	Nudge(ctx context.Context, id string, delay time.Duration) error
	// Prepare creates the queue where it is missing.
	Prepare(ctx context.Context) error
}

// Staging is the container that the source writes and the destination reads.
type Staging interface {
	// Endpoint is the blob endpoint, and Container the container; a file's URL is endpoint/container/name.
	Endpoint() string
	Container() string
	// Folder lists the files whose names begin with the folder, a name that ends in a slash.
	Folder(ctx context.Context, folder string) ([]migration.StagedFile, error)
	// ETag returns the etag, with its quotes, of a file in any container of the account; ErrNotFound.
	ETag(ctx context.Context, container, name string) (etag string, err error)
	// Open reads a file in any container of the account, from the offset on; ErrNotFound. The caller closes it.
	Open(ctx context.Context, container, name string, offset int64) (io.ReadCloser, error)
	// Prepare creates the container where it is missing.
	Prepare(ctx context.Context) error
	// Probe writes and removes a small file of its own.
	Probe(ctx context.Context) error
}
