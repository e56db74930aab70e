package migration

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// complete ends an import whose rejected lines are none of the special classes.
func complete(c *Chunk, accepted, rejected int64) error {
	return completeWith(c, accepted, rejected, Rejects{Other: rejected})
}

// completeWith ends an import whose rejected lines were read as these.
func completeWith(c *Chunk, accepted, rejected int64, read Rejects) error {
	if err := c.ResultKept("results/x.json", instant()); err != nil {
		return err
	}
	if err := c.RejectsRead(Reading{Pages: 1, Rejects: read}, instant(), instant()); err != nil {
		return err
	}
	return c.ImportCompleted(accepted, rejected, instant())
}

// Rejected lines are counted only after they have been read, and nothing is counted twice.
func TestResultBeforeCompletion(t *testing.T) {
	c := chunkIn(Importing)
	refused := func(name string, do func(*Chunk) error) {
		t.Helper()
		before := c
		var illegal *IllegalTransition
		if err := do(&c); !errors.As(err, &illegal) || cmp.Diff(before, c) != "" {
			t.Errorf("%s: got %v, want IllegalTransition and an unchanged chunk", name, err)
		}
	}
	done := func(rejected int64) func(*Chunk) error {
		return func(c *Chunk) error { return c.ImportCompleted(40-rejected, rejected, instant()) }
	}
	read := func(r Reading) func(*Chunk) error {
		return func(c *Chunk) error { return c.RejectsRead(r, instant(), instant()) }
	}
	refused("completed without a result", done(0))
	refused("read without a result", read(Reading{Unit: 1}))
	refused("a result without a document", func(c *Chunk) error { return c.ResultKept("", instant()) })
	must(t, c.ResultKept("results/1.json", instant()))
	if c.Next(Run{}, Gate{}) != ReadRejects {
		t.Error("the job that is over would be polled again")
	}
	refused("a second result", func(c *Chunk) error { return c.ResultKept("results/2.json", instant()) })
	refused("rejected lines that nobody read", done(3))
	must(t, c.RejectsRead(Reading{Unit: 1, Listed: 2, Pages: 1, Rejects: Rejects{Benign: 1, Conflict: 1}}, instant(), instant()))
	for name, r := range map[string]Reading{
		"an earlier error file": {Pages: 1, Rejects: Rejects{Benign: 1, Conflict: 1}},
		"fewer lines":           {Unit: 1, Listed: 1, Pages: 1, Rejects: Rejects{Benign: 1, Conflict: 1}},
		"fewer pages":           {Unit: 1, Listed: 2, Rejects: Rejects{Benign: 1, Conflict: 1}},
		"fewer of a class":      {Unit: 2, Listed: 9, Pages: 2, Rejects: Rejects{Benign: 9}},
	} {
		refused(name, read(r))
	}
	refused("more rejected than read", done(3))
	must(t, done(2)(&c))
	want := Tally{Exported: 120, Imported: 78, Rejected: 1, Benign: 1}
	if c.Resources != want || c.Rejects != (Rejects{Benign: 1, Conflict: 1}) || Valid(c) != "" {
		t.Errorf("got %+v and %+v (%s), want %+v", c.Resources, c.Rejects, Valid(c), want)
	}
	if c.LastImport.StatusURL != "https://destination/import/1" || !c.LastImport.EndedAt.Equal(instant()) {
		t.Errorf("the record of the import: got %+v", c.LastImport)
	}
}

// What is benign is no reason to fail, and an error file that tells too much never makes a rejected line benign.
func TestBenignLines(t *testing.T) {
	for name, tc := range map[string]struct {
		rejected int64
		read     Rejects
		want     State
		tally    Tally
	}{
		"150 of 200 benign":          {150, Rejects{Benign: 150}, Imported, Tally{Exported: 200, Imported: 50, Benign: 150}},
		"over half, benign left out": {150, Rejects{Benign: 50, Conflict: 100}, Imported, Tally{Exported: 200, Imported: 50, Benign: 50, Rejected: 100}},
		"over half harmful":          {150, Rejects{Benign: 49, Malformed: 101}, Failed, Tally{Exported: 200, Imported: 50, Benign: 49, Rejected: 101}},
		"told more than rejected":    {10, Rejects{Benign: 8, Conflict: 5}, Imported, Tally{Exported: 200, Imported: 190, Benign: 5, Rejected: 5}},
		"harmful told too often":     {10, Rejects{Benign: 8, Conflict: 50}, Imported, Tally{Exported: 200, Imported: 190, Rejected: 10}},
	} {
		c := NewChunk([]string{"Patient"}, someWindow(), 200, instant())
		must(t, c.ExportIntended(), c.ExportAccepted("https://s/1", instant(), instant()), c.ExportCompleted(Believed{Manifest: "m", Files: 1, Lines: 200}, instant()),
			c.ImportIntended("b", 1), c.ImportAccepted("https://d/1", instant(), instant()), completeWith(&c, 200-tc.rejected, tc.rejected, tc.read))
		if c.State != tc.want || c.Resources != tc.tally || c.Rejects != tc.read || Valid(c) != "" {
			t.Errorf("%s: got %s %+v %+v (%s), want %s %+v %+v", name, c.State, c.Resources, c.Rejects, Valid(c), tc.want, tc.tally, tc.read)
		}
		if tc.want != Failed {
			continue
		}
		must(t, c.RetryImport(instant().Add(time.Hour)))
		if c.Resources != (Tally{Exported: 200}) || c.Rejects != (Rejects{}) || len(c.Batches) != 0 || !c.RejectsTaken || Valid(c) != "" {
			t.Errorf("%s: retried: got %+v, want the batch taken back", name, c)
		}
	}
}

func TestParseRejectClass(t *testing.T) {
	var r Rejects
	for n, class := range RejectClasses() {
		if got, ok := ParseRejectClass(string(class)); !ok || got != class {
			t.Errorf("ParseRejectClass(%q) = %q, %v", class, got, ok)
		}
		r.Add(class, int64(n)+1)
	}
	if r != (Rejects{1, 2, 3, 4, 5, 6}) || r.Harmful() != 20 || r.Plus(r).Minus(r) != r {
		t.Errorf("got %+v, %d harmful", r, r.Harmful())
	}
	for _, s := range []string{"", "Benign", "searchparameter"} {
		if _, ok := ParseRejectClass(s); ok {
			t.Errorf("ParseRejectClass(%q) knows a class that does not exist", s)
		}
	}
}
