package storetest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/migration"
)

// ExamQueue is the engine's Queue.
type ExamQueue interface {
	Nudge(ctx context.Context, id string, delay time.Duration) error
	Prepare(ctx context.Context) error
}

// ExamStaging is the engine's Staging.
type ExamStaging interface {
	Endpoint() string
	Container() string
	Folder(ctx context.Context, folder string) ([]migration.StagedFile, error)
	ETag(ctx context.Context, container, name string) (etag string, err error)
	Open(ctx context.Context, container, name string, offset int64) (io.ReadCloser, error)
	Prepare(ctx context.Context) error
	Probe(ctx context.Context) error
}

// ExerciseQueue examines a queue. Open returns an empty one, and a look at what lies in it: each message's id, and how
// long it stays hidden from the moment it was sent.
func ExerciseQueue(t *testing.T, open func(*testing.T) (ExamQueue, func(*testing.T) map[string]time.Duration)) {
	queue, look := open(t)
	delays := map[string][2]time.Duration{ // as asked, as kept
		"at-once": {0, 0}, "late-already": {-time.Minute, 0}, "a-blink": {time.Nanosecond, time.Second},
		"a-second": {time.Second, time.Second}, "and-a-bit": {time.Second + time.Millisecond, 2 * time.Second},
		"hours": {5*time.Hour + 1, 5*time.Hour + time.Second}, "six-hours": {6 * time.Hour, 6 * time.Hour},
		"days": {72 * time.Hour, 6 * time.Hour}, "round": {90 * time.Second, 90 * time.Second},
		day(1).ID: {3 * time.Second, 3 * time.Second},
	}
	want := map[string]time.Duration{}
	for id, delay := range delays {
		if err := queue.Nudge(t.Context(), id, delay[0]); err != nil {
			t.Fatal(err)
		}
		want[id] = delay[1]
	}
	if err := queue.Prepare(t.Context()); err != nil { // there already, with messages
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, look(t)); diff != "" {
		t.Errorf("hidden for (-want +got): %s", diff)
	}
}
