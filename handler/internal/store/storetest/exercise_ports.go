package storetest

import (
	"context"
	"strings"
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

// ExerciseStaging examines a staging container. Open returns an empty one, and a way to write a file into it.
func ExerciseStaging(t *testing.T, open func(*testing.T) (ExamStaging, func(name string, content []byte))) {
	staging, put := open(t)
	folder := func(name string) map[string]migration.StagedFile {
		t.Helper()
		files, err := staging.Folder(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]migration.StagedFile{}
		for _, f := range files {
			if _, twice := byName[f.Name]; twice {
				t.Errorf("folder %s: %s is listed twice", name, f.Name)
			}
			if len(f.ETag) < 3 || f.ETag[0] != '"' || !strings.HasSuffix(f.ETag, `"`) || strings.Count(f.ETag, `"`) != 2 {
				t.Errorf("%s: got etag %s, want one in quotes", f.Name, f.ETag)
			}
			byName[f.Name] = f
		}
		return byName
	}
	if got := folder("job-1/"); len(got) > 0 {
		t.Errorf("folder of an empty container: got %v", got)
	}
	if err := staging.Prepare(t.Context()); err != nil { // there already
		t.Fatal(err)
	}
	sizes := map[string]int64{"job-1/Patient-1.ndjson": 3, "job-1/a b+ä&%.ndjson": 0, "job-1/deep/er.ndjson": 100_000}
	for name, size := range sizes {
		put(name, make([]byte, size))
	}
	for _, beside := range []string{"job-10/Patient-1.ndjson", "job-1", "Job-1/x", "other/job-1/y"} {
		put(beside, []byte("{}\n"))
	}
	first := folder("job-1/")
	got := map[string]int64{}
	for name, f := range first {
		got[name] = f.Size
	}
	if diff := cmp.Diff(sizes, got); diff != "" {
		t.Errorf("sizes (-want +got): %s", diff)
	}
	const changed = "job-1/Patient-1.ndjson"
	put(changed, []byte("other"))
	for name, f := range folder("job-1/") {
		if (f.ETag == first[name].ETag) != (name != changed) {
			t.Errorf("%s: got etag %s after %s, want another one only for what has changed", name, f.ETag, first[name].ETag)
		}
	}
	before := len(folder(""))
	if err := staging.Probe(t.Context()); err != nil {
		t.Errorf("probe: %v", err)
	}
	if got := len(folder("")); got != before || before != 7 {
		t.Errorf("files: got %d before the probe and %d after it, want 7", before, got)
	}
	if strings.HasSuffix(staging.Endpoint(), "/") || staging.Endpoint() == "" || staging.Container() == "" {
		t.Errorf("got endpoint %q, container %q; want both, no slash at the end", staging.Endpoint(), staging.Container())
	}
}
