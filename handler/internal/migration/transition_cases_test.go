package migration

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// must fails the test when an event that the case needs is refused.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The last attempt fails a chunk at rest; a job in flight is never given up for a poll that failed.
func TestLastAttempt(t *testing.T) {
	l, next := someLimits(), instant().Add(time.Minute)
	cases := []struct {
		name string
		from State
		do   func(*Chunk) error
		want State
	}{
		{"fault of a kick-off", Planned, func(c *Chunk) error { return c.Faulted("502", instant(), next, l) }, Failed},
		{"fault of an import's kick-off", Exported, func(c *Chunk) error { return c.Faulted("502", instant(), next, l) }, Failed},
		{"poll of an export", Exporting, func(c *Chunk) error { return c.Faulted("502", instant(), next, l) }, Exporting},
		{"poll of an import", Importing, func(c *Chunk) error { return c.Faulted("502", instant(), next, l) }, Importing},
		{"export lost", Exporting, func(c *Chunk) error { return c.JobLost("dead", instant(), next, l) }, Failed},
		{"import lost", Importing, func(c *Chunk) error { return c.JobLost("dead", instant(), next, l) }, Failed},
		{"export throttled", Exporting, func(c *Chunk) error { return c.ExportThrottled("429", instant(), next, l) }, Failed},
		{"files lost at rest", Exported, func(c *Chunk) error { return c.FilesLost("gone", instant(), next, l) }, Failed},
		{"files lost in flight", Importing, func(c *Chunk) error { return c.FilesLost("gone", instant(), next, l) }, Failed},
		{"short export", Exporting, func(c *Chunk) error { return c.ShortDoubted(9, "short", instant(), next, l) }, Failed},
		{"doubt of an empty one is no fault", Exporting, func(c *Chunk) error { return c.EmptyDoubted(instant()) }, Planned},
		{"waiting is no fault", Planned, func(c *Chunk) error { return c.Postpone("busy", instant(), next) }, Planned},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := chunkIn(tc.from)
			c.Attempts = l.MaxFailures - 1
			must(t, tc.do(&c))
			if c.State != tc.want {
				t.Errorf("got %s, want %s", c.State, tc.want)
			}
			if broken := Valid(c); broken != "" {
				t.Errorf("impossible row: %s", broken)
			}
			fresh := chunkIn(tc.from)
			fresh.Attempts = l.MaxFailures - 2
			must(t, tc.do(&fresh))
			if fresh.State == Failed {
				t.Errorf("failed one attempt before the last")
			}
		})
	}
}

// A job that is accepted and then dies is no progress: else it would be started for ever. An end of a job is.
func TestWhatResetsAttempts(t *testing.T) {
	l, next := someLimits(), instant().Add(time.Minute)
	c := chunkIn(Planned)
	for n := 1; n <= l.MaxFailures; n++ {
		if c.State == Failed {
			t.Fatalf("failed after %d lost jobs, want %d", n-1, l.MaxFailures)
		}
		must(t, c.ExportIntended(), c.ExportAccepted("https://s/1", instant(), next), c.JobLost("dead", instant(), next, l))
		if c.Export.Attempt != n {
			t.Errorf("attempt %d, want %d", c.Export.Attempt, n)
		}
	}
	if c.State != Failed {
		t.Errorf("got %s after %d lost jobs", c.State, l.MaxFailures)
	}
	c = chunkIn(Exporting)
	c.Attempts = 2
	must(t, c.ExportCompleted(Believed{"m", 1, 5, 0, false}, instant()))
	if c.Attempts != 0 {
		t.Errorf("a believed manifest left %d attempts", c.Attempts)
	}
	c = chunkIn(Importing)
	c.Attempts = 2
	must(t, complete(&c, 40, 0))
	if c.Attempts != 0 {
		t.Errorf("an imported batch left %d attempts", c.Attempts)
	}
}

// An export without a file to import is finished: proven empty, or nothing but SearchParameter (invariant 11).
func TestExportCompletedWithoutFiles(t *testing.T) {
	for name, b := range map[string]Believed{
		"empty":                {Manifest: "m"},
		"only SearchParameter": {Manifest: "m", Lines: 7, Skipped: 7},
	} {
		c := chunkIn(Exporting)
		must(t, c.ExportCompleted(b, instant()))
		if c.State != Imported || c.Resources != (Tally{Exported: b.Lines, Skipped: b.Skipped}) {
			t.Errorf("%s: got %s %+v, want imported with its lines skipped", name, c.State, c.Resources)
		}
		if broken := Valid(c); broken != "" {
			t.Errorf("%s: impossible row: %s", name, broken)
		}
	}
}

func TestTooLarge(t *testing.T) {
	w := someWindow()
	cases := []struct {
		name   string
		types  []string
		window Window
		want   []Chunk
	}{
		{"types first", []string{"A", "B", "C"}, w, []Chunk{
			NewChunk([]string{"A"}, w, -1, instant()), NewChunk([]string{"B", "C"}, w, -1, instant())}},
		{"types even within one millisecond", []string{"A", "B"}, Window{w.Since, w.Since.Add(Instant)}, []Chunk{
			NewChunk([]string{"A"}, Window{w.Since, w.Since.Add(Instant)}, -1, instant()),
			NewChunk([]string{"B"}, Window{w.Since, w.Since.Add(Instant)}, -1, instant())}},
		{"then time; children share their edge", []string{"A"}, Window{w.Since, w.Since.Add(2 * time.Hour)}, []Chunk{
			NewChunk([]string{"A"}, Window{w.Since, w.Since.Add(time.Hour)}, -1, instant()),
			NewChunk([]string{"A"}, Window{w.Since.Add(time.Hour), w.Since.Add(2 * time.Hour)}, -1, instant())}},
		{"two milliseconds", []string{"A"}, Window{w.Since, w.Since.Add(2 * Instant)}, []Chunk{
			NewChunk([]string{"A"}, Window{w.Since, w.Since.Add(Instant)}, -1, instant()),
			NewChunk([]string{"A"}, Window{w.Since.Add(Instant), w.Since.Add(2 * Instant)}, -1, instant())}},
		{"one type and one millisecond", []string{"A"}, Window{w.Since, w.Since.Add(Instant)}, nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := NewChunk(tc.types, tc.window, 9, instant())
			got, err := c.TooLarge("413", instant())
			must(t, err)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("children (-want +got):\n%s", diff)
			}
			want := Split
			if tc.want == nil {
				want = Failed
			}
			if c.State != want || !strings.Contains(c.LastError, "413") {
				t.Errorf("got %s %q, want %s and the server's reason", c.State, c.LastError, want)
			}
		})
	}
}

// Off balance: imported again, exported again once, then failed. Progress in between does not reset it (invariant 12).
func TestOffBalance(t *testing.T) {
	next := instant().Add(time.Minute)
	c := chunkIn(Importing)
	must(t, c.OffBalance("one", instant(), next))
	if c.State != Exported || c.Imbalance != 1 || c.Import.Attempt != 2 || c.Import.Body != "" || c.FilesDone != 1 {
		t.Fatalf("first: got %+v; want the batch imported again under a new attempt", c)
	}
	must(t, c.ImportIntended("b2", 1), c.ImportAccepted("https://d/2", instant(), next), complete(&c, 40, 0))
	if c.Imbalance != 1 {
		t.Errorf("a balanced batch has reset the imbalance to %d", c.Imbalance)
	}
	must(t, c.ImportIntended("b3", 1), c.ImportAccepted("https://d/3", instant(), next), c.OffBalance("two", instant(), next))
	if c.State != Planned || c.Manifest != "" || c.FilesDone != 0 || c.Resources != (Tally{}) {
		t.Fatalf("second: got %+v; want the window exported again and nothing counted twice", c)
	}
	must(t, c.ExportIntended(), c.ExportAccepted("https://s/2", instant(), next), c.ExportCompleted(Believed{"m2", 1, 120, 0, false}, instant()),
		c.ImportIntended("b4", 1), c.ImportAccepted("https://d/4", instant(), next), c.OffBalance("file 7", instant(), next))
	if c.State != Failed || c.LastError != "file 7" {
		t.Fatalf("third: got %s %q, want failed with the file named", c.State, c.LastError)
	}
	must(t, c.RetryImport(instant()))
	if c.State != Exported || c.Imbalance != 0 {
		t.Errorf("retry: got %s with imbalance %d, want a fresh start", c.State, c.Imbalance)
	}
}

// Whenever Importing is left other than by completion, the next body carries a new number; a completed batch and a body
// without an answer keep it (invariant 13).
func TestImportAttempt(t *testing.T) {
	l, next := someLimits(), instant().Add(time.Minute)
	for name, tc := range map[string]struct {
		do   func(*Chunk) error
		want int
	}{
		"completed":    {func(c *Chunk) error { return complete(c, 40, 0) }, 1},
		"job lost":     {func(c *Chunk) error { return c.JobLost("dead", instant(), next, l) }, 2},
		"off balance":  {func(c *Chunk) error { return c.OffBalance("x", instant(), next) }, 2},
		"files lost":   {func(c *Chunk) error { return c.FilesLost("x", instant(), next, l) }, 2},
		"rejected":     {func(c *Chunk) error { return c.Rejected("400", instant()) }, 2},
		"many rejects": {func(c *Chunk) error { return complete(c, 10, 90) }, 2},
	} {
		c := chunkIn(Importing)
		must(t, tc.do(&c))
		if c.Import.Attempt != tc.want || c.Import.Body != "" || c.Import.StatusURL != "" || c.FilesNow != 0 {
			t.Errorf("%s: got %+v with %d files now, want attempt %d and nothing of the old job", name, c.Import, c.FilesNow, tc.want)
		}
	}
	c := chunkIn(Exported)
	must(t, c.ImportIntended("b", 2), c.Faulted("no answer", instant(), next, l))
	if c.Import.Attempt != 1 || c.Import.Body != "b" || c.FilesNow != 2 {
		t.Errorf("an answer lost: got %+v with %d files, want the same body posted again", c.Import, c.FilesNow)
	}
}

// What was not intended in the row before cannot be accepted (invariant 14): neither a first job, nor a second one of
// the same attempt, nor an import without a body.
func TestIntentBeforeEffect(t *testing.T) {
	next := instant().Add(time.Minute)
	refused := func(name string, c Chunk, do func(*Chunk) error) {
		t.Helper()
		before := c
		var illegal *IllegalTransition
		if err := do(&c); !errors.As(err, &illegal) || cmp.Diff(before, c) != "" {
			t.Errorf("%s: got %v, want IllegalTransition and an unchanged chunk", name, err)
		}
	}
	export := func(c *Chunk) error { return c.ExportAccepted("https://s/9", instant(), next) }
	refused("export never intended", chunkIn(Planned), export)
	lost := chunkIn(Exporting)
	must(t, lost.JobLost("dead", instant(), next, someLimits()))
	refused("export intended for the job before", lost, export)
	refused("import never intended", chunkIn(Exported), func(c *Chunk) error { return c.ImportAccepted("https://d/9", instant(), next) })
}
