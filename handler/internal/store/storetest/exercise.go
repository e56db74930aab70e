package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"fhirferry/handler/internal/migration"
)

// ExamLedger is the engine's Ledger. It is written down again, as are ExamQueue and ExamStaging, because this package may
// not import the engine that is tested with it; the store's tests hold them to be the same.
type ExamLedger interface {
	Current(ctx context.Context) (migration.Run, migration.Version, error)
	Open(ctx context.Context, run migration.Run, previous string) error
	SaveRun(ctx context.Context, run migration.Run, v migration.Version, problems ...migration.Problem) (migration.Version, error)
	Round(ctx context.Context, runID string) (migration.Round, migration.Version, error)
	OpenRound(ctx context.Context, run migration.Run, v migration.Version, round migration.Round) error
	SaveRound(ctx context.Context, runID string, round migration.Round, v migration.Version, problems ...migration.Problem) (migration.Version, error)
	AddChunks(ctx context.Context, run migration.Run, v migration.Version, round migration.Round, rv migration.Version,
		chunks []migration.Chunk) (migration.Version, migration.Version, error)
	CloseRound(ctx context.Context, run migration.Run, v, rv migration.Version, problems ...migration.Problem) error
	Chunk(ctx context.Context, runID, id string) (migration.Chunk, migration.Version, error)
	SaveChunk(ctx context.Context, runID string, s migration.Save) (migration.Version, error)
	Unfinished(ctx context.Context, runID string) ([]migration.Chunk, error)
	Chunks(ctx context.Context, runID, after string, limit int) (page []migration.Chunk, next string, err error)
	Slots(ctx context.Context, runID string, kind migration.JobKind) (migration.Slots, error)
	ChangeSlots(ctx context.Context, runID string, kind migration.JobKind, change func(*migration.Slots) bool) error
	Totals(ctx context.Context, runID string) (migration.Totals, error)
	Report(ctx context.Context, runID string, problems ...migration.Problem) error
	AddErrand(ctx context.Context, errand migration.Errand) error
	OpenErrand(ctx context.Context, run migration.Run, v migration.Version, errand migration.Errand) error
	Errand(ctx context.Context, runID, id string) (migration.Errand, migration.Version, error)
	Errands(ctx context.Context, runID string) ([]migration.Errand, error)
	SaveErrand(ctx context.Context, errand migration.Errand, v migration.Version, problems ...migration.Problem) (migration.Version, error)
	CloseErrand(ctx context.Context, run migration.Run, v migration.Version, errand migration.Errand, ev migration.Version,
		problems ...migration.Problem) error
	PutDocument(ctx context.Context, runID, name string, content []byte) (kept []byte, err error)
	Document(ctx context.Context, runID, name string) ([]byte, error)
	Prepare(ctx context.Context) error
}

// book is a ledger under examination with one open run.
type book struct {
	*testing.T
	ExamLedger
	run migration.Run
	v   migration.Version
}

// noon is the present of every exam.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func newRun(id string) migration.Run {
	return migration.NewRun(id, migration.Settings{Mode: migration.Continuous}, migration.Settings{}, noon())
}

// openBook opens a run in an empty ledger.
func openBook(t *testing.T, open func(*testing.T) ExamLedger) *book {
	t.Helper()
	b := &book{T: t, ExamLedger: open(t), run: newRun("run-1")}
	b.must(b.Open(t.Context(), b.run, ""))
	b.reread()
	return b
}

func (b *book) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// want checks the error of a call that must be refused.
func (b *book) want(wanted, got error, what string) {
	b.Helper()
	if !errors.Is(got, wanted) {
		b.Errorf("%s: got %v, want %v", what, got, wanted)
	}
}

// reread takes the run's row as it stands.
func (b *book) reread() {
	b.Helper()
	run, v, err := b.Current(b.Context())
	b.must(err)
	b.run, b.v = run, v
}

// openRound opens a round and returns it with its version.
func (b *book) openRound() (migration.Round, migration.Version) {
	b.Helper()
	b.must(b.OpenRound(b.Context(), b.run, b.v, migration.NewRound(b.run, noon())))
	b.reread()
	round, rv, err := b.Round(b.Context(), b.run.ID)
	b.must(err)
	return round, rv
}

// plan adds chunks by a round that is closed again.
func (b *book) plan(chunks ...migration.Chunk) {
	b.Helper()
	round, rv := b.openRound()
	v, rv, err := b.AddChunks(b.Context(), b.run, b.v, round, rv, chunks)
	b.must(err)
	b.must(b.CloseRound(b.Context(), b.run, v, rv))
	b.reread()
}

// chunk returns a chunk of the run with its version.
func (b *book) chunk(id string) (migration.Chunk, migration.Version) {
	b.Helper()
	c, v, err := b.Chunk(b.Context(), b.run.ID, id)
	b.must(err)
	return c, v
}

// save saves a chunk that must not have moved.
func (b *book) save(s migration.Save) migration.Version {
	b.Helper()
	v, err := b.SaveChunk(b.Context(), b.run.ID, s)
	b.must(err)
	return v
}

func (b *book) totals() migration.Totals {
	b.Helper()
	totals, err := b.Totals(b.Context(), b.run.ID)
	b.must(err)
	return totals
}

func (b *book) holders(kind migration.JobKind) []string {
	b.Helper()
	slots, err := b.Slots(b.Context(), b.run.ID, kind)
	b.must(err)
	return slots.Holders
}

// day is a chunk of the n-th day.
func day(n int, types ...string) migration.Chunk {
	if len(types) == 0 {
		types = []string{"Patient"}
	}
	since := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n)
	return migration.NewChunk(types, migration.Window{Since: since, Till: since.AddDate(0, 0, 1)}, int64(n), noon())
}

func days(n int) []migration.Chunk {
	var chunks []migration.Chunk
	for i := range n {
		chunks = append(chunks, day(i))
	}
	return chunks
}

func ids(chunks []migration.Chunk) []string {
	var all []string
	for _, c := range chunks {
		all = append(all, c.ID)
	}
	return all
}

// in is the chunk in another state, as a transition would have left it.
func in(state migration.State, c migration.Chunk) migration.Chunk {
	c.State = state
	return c
}

func problem(format string, args ...any) migration.Problem {
	return migration.Problem{Detail: fmt.Sprintf(format, args...), At: noon()}
}
