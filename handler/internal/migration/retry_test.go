package migration

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// failedForRejects is a chunk of 300 lines in three batches of 100; the second takes it over half.
func failedForRejects(t *testing.T) Chunk {
	t.Helper()
	next := instant().Add(time.Minute)
	c := NewChunk([]string{"A"}, someWindow(), -1, instant())
	must(t, c.ExportIntended(), c.ExportAccepted("https://s/1", instant(), next), c.ExportCompleted(Believed{"m", 3, 300, 0, false}, instant()))
	must(t, c.ImportIntended("b1", 1), c.ImportAccepted("https://d/1", instant(), next), complete(&c, 30, 70))
	if c.State != Exported {
		t.Fatalf("70 of 300 rejected: got %s, want it to go on", c.State)
	}
	must(t, c.ImportIntended("b2", 1), c.ImportAccepted("https://d/2", instant(), next), complete(&c, 0, 100))
	return c
}

// Over half of 100 lines or more rejected fails a chunk once; retry accepts it, and counts the batch once (operator
// contract 3, "clean").
func TestManyRejects(t *testing.T) {
	next := instant().Add(time.Minute)
	c := failedForRejects(t)
	if c.State != Failed || c.FilesDone != 1 || c.Resources.Rejected != 170 || !strings.Contains(c.LastError, "170 of 300") {
		t.Fatalf("got %s, %d files done, %+v, %q; want a failed chunk that tells why", c.State, c.FilesDone, c.Resources, c.LastError)
	}
	must(t, c.RetryImport(instant()))
	if c.State != Exported || c.Resources != (Tally{Exported: 300, Imported: 30, Rejected: 70}) || !c.RejectsTaken {
		t.Fatalf("after retry: got %s %+v, want the batch taken out again", c.State, c.Resources)
	}
	must(t, c.ImportIntended("b2'", 1), c.ImportAccepted("https://d/3", instant(), next), complete(&c, 0, 100))
	must(t, c.ImportIntended("b3", 1), c.ImportAccepted("https://d/4", instant(), next), complete(&c, 0, 100))
	if c.State != Imported || c.Resources != (Tally{Exported: 300, Imported: 30, Rejected: 270}) {
		t.Errorf("got %s %+v, want imported with every line told once", c.State, c.Resources)
	}
	// Accepted once, accepted for good: also when the files are gone and all is exported anew.
	c = failedForRejects(t)
	must(t, c.RetryExport(instant()))
	if c.State != Planned || c.Resources != (Tally{}) || !c.RejectsTaken || Valid(c) != "" {
		t.Errorf("got %s %+v (%s), want a fresh export that may reject", c.State, c.Resources, Valid(c))
	}
}

func TestManyRejectsEdges(t *testing.T) {
	for name, tc := range map[string]struct {
		lines, skipped, rejected int64
		want                     State
	}{
		"99 lines, all rejected":             {99, 0, 99, Imported},
		"100 lines, half rejected":           {100, 0, 50, Imported},
		"100 lines, one more than half":      {100, 0, 51, Failed},
		"SearchParameter lines do not count": {150, 51, 99, Imported},
		"nor do they soften":                 {200, 100, 51, Failed},
	} {
		next := instant().Add(time.Minute)
		c := NewChunk([]string{"A"}, someWindow(), -1, instant())
		must(t, c.ExportIntended(), c.ExportAccepted("https://s/1", instant(), next),
			c.ExportCompleted(Believed{"m", 1, tc.lines, tc.skipped, false}, instant()),
			c.ImportIntended("b", 1), c.ImportAccepted("https://d/1", instant(), next),
			complete(&c, tc.lines-tc.skipped-tc.rejected, tc.rejected))
		if c.State != tc.want {
			t.Errorf("%s: got %s, want %s", name, c.State, tc.want)
		}
	}
}

// Retry gives a chunk all its attempts again, as often as an operator likes; an import needs a believed manifest.
func TestRetry(t *testing.T) {
	l, next := someLimits(), instant().Add(time.Minute)
	c := chunkIn(Planned)
	for round := 1; round <= 2; round++ {
		for range l.MaxFailures {
			must(t, c.Faulted("502", instant(), next, l))
		}
		if c.State != Failed {
			t.Fatalf("round %d: got %s after %d faults", round, c.State, l.MaxFailures)
		}
		before := c
		var illegal *IllegalTransition
		if err := c.RetryImport(instant()); !errors.As(err, &illegal) || c.State != before.State {
			t.Fatalf("round %d: import without a manifest: got %v, %s", round, err, c.State)
		}
		must(t, c.RetryExport(instant()))
		if c.State != Planned || c.Attempts != 0 || c.LastError != "" || !c.NotBefore.Equal(instant()) {
			t.Fatalf("round %d: got %s, %d attempts, %q, not before %s", round, c.State, c.Attempts, c.LastError, c.NotBefore)
		}
		if err := c.RetryExport(instant()); !errors.As(err, &illegal) {
			t.Errorf("round %d: retried twice: %v", round, err)
		}
	}
	// An import whose answers were lost to the last attempt posts the same body again: it may be a job already.
	c = chunkIn(Exported)
	must(t, c.ImportIntended("b", 2))
	for range l.MaxFailures {
		must(t, c.Faulted("no answer", instant(), next, l))
	}
	must(t, c.RetryImport(instant()))
	if c.State != Exported || c.Import.Body != "b" || c.FilesNow != 2 || c.Import.Attempt != 1 {
		t.Errorf("got %s %+v with %d files, want the same body under the same attempt", c.State, c.Import, c.FilesNow)
	}
}

func TestClaim(t *testing.T) {
	c := chunkIn(Exporting)
	c.NotBefore = instant()
	if err := c.Claim(instant().Add(-Instant), instant().Add(time.Hour)); !errors.Is(err, ErrNotDue) || !c.NotBefore.Equal(instant()) {
		t.Errorf("a millisecond early: got %v, not before %s", err, c.NotBefore)
	}
	must(t, c.Claim(instant(), instant().Add(time.Hour)))
	if err := c.Claim(instant().Add(time.Hour-Instant), instant().Add(2*time.Hour)); !errors.Is(err, ErrNotDue) {
		t.Errorf("while another visit holds the claim: got %v", err)
	}
	must(t, c.Claim(instant().Add(time.Hour), instant().Add(2*time.Hour)))
}

// TestConfirmed is invariant 10: only so many equal manifests in a row are believed; any 202 or different manifest
// starts the count again, a poll without an answer does not.
func TestConfirmed(t *testing.T) {
	next := instant().Add(time.Minute)
	const believed, different, working, unanswered = "b", "d", "w", "u"
	for story, want := range map[string]int{ // equal answers in a row at the end of the story
		"b": 1, "bb": 2, "bdb": 1, "bwb": 1, "bub": 2, "ddb": 1, "bbw": 0, "": 0, "dbb": 2,
	} {
		c := chunkIn(Exporting)
		for _, step := range story {
			switch string(step) {
			case working:
				must(t, c.Progressed(1, instant(), next))
			case unanswered:
				must(t, c.Postpone("502", instant(), next))
			default:
				must(t, c.ManifestSeen(string(step), instant(), next))
			}
		}
		for confirmations := 2; confirmations <= 5; confirmations++ {
			if got := c.Confirmed(believed, confirmations); got != (want+1 >= confirmations) {
				t.Errorf("%q: with one answer more Confirmed(%d) = %v, want %v", story, confirmations, got, want+1 >= confirmations)
			}
		}
		if c.Confirmed(different, 2) && !strings.HasSuffix(story, different) {
			t.Errorf("%q: a manifest never seen last is confirmed", story)
		}
	}
}

// Progress of a job is a body that grows; a shrinking or equal one does not push the stall away.
func TestProgressed(t *testing.T) {
	for _, from := range []State{Exporting, Importing} {
		c := chunkIn(from)
		job := func() Job {
			if from == Exporting {
				return c.Export
			}
			return c.Import
		}
		for i, tc := range []struct {
			size int64
			want time.Duration
		}{{5, 1}, {5, 1}, {4, 1}, {6, 4}} {
			now := instant().Add(time.Duration(i + 1))
			must(t, c.Progressed(tc.size, now, now.Add(time.Minute)))
			if got := job().ProgressAt.Sub(instant()); got != tc.want {
				t.Errorf("%s, answer %d: last progress at +%d, want +%d", from, i+1, got, tc.want)
			}
		}
	}
}
