package migration

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// instant is the present of these tests; nothing happens before it.
func instant() time.Time { return time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC) }

func someLimits() Limits {
	return Limits{MaxExports: 4, MaxImports: 2, MaxFailures: 3, Confirmations: 3, Poll: 30 * time.Second}
}

func someWindow() Window {
	return Window{instant().AddDate(-1, 0, 0), instant().AddDate(0, -1, 0)}
}

// chunkIn is a chunk in the given state as a run leaves it there: two types, 120 lines in three files of which the
// first was imported.
func chunkIn(s State) Chunk {
	c := NewChunk([]string{"Patient", "Observation"}, someWindow(), 120, instant())
	if s == Planned {
		return c
	}
	c.Export = Job{Attempt: 1, StatusURL: "https://source/export/1", Started: instant(), ProgressAt: instant()}
	switch s {
	case Exported, Importing, Imported:
		c.Manifest, c.Files, c.FilesDone = "manifests/1.json", 3, 1
		c.Resources = Tally{Exported: 120, Imported: 40}
		c.Batches = []ImportBatch{{Files: 1, Attempt: 1, Result: "results/0.json"}}
	}
	switch s {
	case Importing:
		c.Import = Job{Attempt: 1, Body: "imports/1.json", StatusURL: "https://destination/import/1", Started: instant(), ProgressAt: instant()}
		c.FilesNow = 1
	case Imported:
		c.FilesDone, c.Resources.Imported = 3, 120
		c.Batches = append(c.Batches, ImportBatch{From: 1, Files: 2, Attempt: 1, Result: "results/1.json"})
	}
	c.State = s
	return c
}

// tableEvent is a row of the table: what happens, and the state it leads to from each state it fits.
type tableEvent struct {
	name string
	do   func(*Chunk) error
	to   map[State]State
}

func toItself(states ...State) map[State]State {
	to := map[State]State{}
	for _, s := range states {
		to[s] = s
	}
	return to
}

func tableEvents() []tableEvent {
	next, l := instant().Add(time.Minute), someLimits()
	return []tableEvent{
		{"Claim", func(c *Chunk) error { return c.Claim(instant(), next) }, toItself(Planned, Exporting, Exported, Importing, Failed)},
		{"ExportIntended", (*Chunk).ExportIntended, toItself(Planned)},
		{"ExportAccepted", func(c *Chunk) error { return c.ExportAccepted("https://source/export/2", instant(), next) },
			map[State]State{Planned: Exporting}},
		{"ManifestSeen", func(c *Chunk) error { return c.ManifestSeen("digest", instant(), next) }, toItself(Exporting)},
		{"ManifestDoubted", (*Chunk).ManifestDoubted, toItself(Exporting)},
		{"ExportCompleted", func(c *Chunk) error {
			return c.ExportCompleted(Believed{Manifest: "m", Files: 2, Lines: 80}, instant())
		}, map[State]State{Exporting: Exported}},
		{"TooLarge", func(c *Chunk) error { _, err := c.TooLarge("413", instant()); return err },
			map[State]State{Planned: Split, Exporting: Split}},
		{"FilesLost", func(c *Chunk) error { return c.FilesLost("gone", instant(), next, l) },
			map[State]State{Exported: Planned, Importing: Planned}},
		{"ImportIntended", func(c *Chunk) error { return c.ImportIntended("imports/2.json", 2) }, toItself(Exported)},
		{"ImportAccepted", func(c *Chunk) error { return c.ImportAccepted("https://destination/import/2", instant(), next) },
			map[State]State{Exported: Importing}},
		{"ResultKept", func(c *Chunk) error { return c.ResultKept("results/1.json", instant()) }, toItself(Importing)},
		{"RejectsRead", func(c *Chunk) error {
			if c.State == Importing {
				c.Import.Result = "results/1.json"
			}
			return c.RejectsRead(Reading{Unit: 1, Pages: 1, Rejects: Rejects{Benign: 2, Other: 1}}, instant(), next)
		}, toItself(Importing)},
		{"ImportCompleted", func(c *Chunk) error {
			if c.State == Importing {
				c.Import.Result = "results/1.json" // else it is a refusal of its own, see TestResultBeforeCompletion
			}
			return c.ImportCompleted(40, 0, instant())
		}, map[State]State{Importing: Exported}},
		{"OffBalance", func(c *Chunk) error { return c.OffBalance("one line missing", instant(), next) },
			map[State]State{Importing: Exported}},
		{"Postpone", func(c *Chunk) error { return c.Postpone("busy", instant(), next) }, toItself(Planned, Exporting, Exported, Importing)},
		{"Progressed", func(c *Chunk) error { return c.Progressed(7, instant(), next) }, toItself(Exporting, Importing)},
		{"Faulted", func(c *Chunk) error { return c.Faulted("502", instant(), next, l) }, toItself(Planned, Exporting, Exported, Importing)},
		{"JobLost", func(c *Chunk) error { return c.JobLost("dead", instant(), next, l) },
			map[State]State{Exporting: Planned, Importing: Exported}},
		{"Rejected", func(c *Chunk) error { return c.Rejected("400", instant()) },
			map[State]State{Planned: Failed, Exporting: Failed, Exported: Failed, Importing: Failed}},
		{"CancelFaulted", func(c *Chunk) error { return c.CancelFaulted("502", instant(), next) }, toItself(Planned, Exporting, Exported, Importing)},
		{"Cancel", func(c *Chunk) error { return c.Cancel(instant()) },
			map[State]State{Planned: Cancelled, Exporting: Cancelled, Exported: Cancelled, Importing: Cancelled, Failed: Cancelled}},
		{"RetryExport", func(c *Chunk) error { return c.RetryExport(instant()) }, map[State]State{Failed: Planned}},
		{"RetryImport", func(c *Chunk) error {
			if c.State == Failed {
				c.Manifest, c.Files = "manifests/1.json", 3 // else it is a failure of its own, see TestRetry
			}
			return c.RetryImport(instant())
		}, map[State]State{Failed: Exported}},
		{"EmptyDoubted", func(c *Chunk) error { return c.EmptyDoubted(instant()) }, map[State]State{Exporting: Planned}},
		{"ShortDoubted", func(c *Chunk) error { return c.ShortDoubted(100, "short", instant(), next, l) },
			map[State]State{Exporting: Planned}},
		{"ExportThrottled", func(c *Chunk) error { return c.ExportThrottled("429", instant(), next, l) },
			map[State]State{Exporting: Planned}},
		{"ImportMissedETag", func(c *Chunk) error { return c.ImportMissedETag(QuotedETags, "412", instant(), next, l) },
			map[State]State{Importing: Exported}},
		{"ImportStalled", func(c *Chunk) error { return c.ImportStalled("no progress", instant(), next) }, toItself(Importing)},
	}
}

// TestTransitions walks every cell of the table of design 3.5: the state each event leads to, and IllegalTransition
// with an unchanged chunk everywhere else.
func TestTransitions(t *testing.T) {
	for _, e := range tableEvents() {
		for _, from := range States() {
			t.Run(e.name+"/"+string(from), func(t *testing.T) {
				c := chunkIn(from)
				if e.name == "ExportAccepted" {
					c.Export = Job{Attempt: 1}
				}
				if e.name == "ImportAccepted" && from == Exported {
					c.Import, c.FilesNow = Job{Attempt: 1, Body: "imports/1.json"}, 2
				}
				before := c
				err := e.do(&c)
				want, legal := e.to[from]
				if !legal {
					var illegal *IllegalTransition
					if !errors.As(err, &illegal) {
						t.Fatalf("got %v, want IllegalTransition", err)
					}
					if illegal.Chunk != before.ID || illegal.State != from || illegal.Event == "" {
						t.Errorf("the refusal %+v does not name chunk, state and event", illegal)
					}
					if diff := cmp.Diff(before, c); diff != "" {
						t.Errorf("the refused event changed the chunk (-before +after):\n%s", diff)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if c.State != want {
					t.Errorf("got state %s, want %s", c.State, want)
				}
				if broken := Valid(c); broken != "" {
					t.Errorf("impossible row: %s\n%+v", broken, c)
				}
			})
		}
	}
}

// Every State is known by the table, and only those that are written can be read.
func TestParseState(t *testing.T) {
	for _, s := range States() {
		if got, ok := ParseState(string(s)); !ok || got != s {
			t.Errorf("ParseState(%q) = %q, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "Planned", "done", "imported "} {
		if _, ok := ParseState(s); ok {
			t.Errorf("ParseState(%q) knows a state that does not exist", s)
		}
	}
	kinds := map[State][4]bool{ // in flight, at rest, open, unfinished
		Planned: {false, true, true, true}, Exporting: {true, false, true, true}, Exported: {false, true, true, true},
		Importing: {true, false, true, true}, Imported: {}, Split: {}, Failed: {false, false, false, true}, Cancelled: {},
	}
	for _, s := range States() {
		if got := [4]bool{s.InFlight(), s.AtRest(), s.Open(), s.Unfinished()}; got != kinds[s] {
			t.Errorf("%s: in flight, at rest, open, unfinished = %v, want %v", s, got, kinds[s])
		}
	}
}
