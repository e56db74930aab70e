package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

var errDied = errors.New("the process died")

// dying is the tap of an engine that dies at its nth call: just before the call, or just after its effect. From then on
// nothing it does reaches anybody.
func dying(n int, after bool) *tap {
	t := &tap{}
	calls := 0
	t.around = func(_ string, do func() error) error {
		calls++
		switch {
		case calls < n:
			return do()
		case calls == n && after:
			_ = do() // nobody learns how it went
		}
		t.dead = true
		return errDied
	}
	return t
}

// brief makes runs short: two files, each with an import of its own.
func brief(w *world) {
	w.settings.Mode = migration.Once
	w.sourceOptions = func(o *fhirsim.Options) { o.Partitions = 1 }
	w.limits.FilesPerImport, w.limits.Confirmations = 1, 2
	w.limits.Settle, w.limits.Interval = time.Minute, time.Minute
	w.limits.Poll, w.limits.ConfirmInterval = 20*time.Second, 20*time.Second
}

// mortal starts a run whose first instance dies as the tap says. Its message is lost with it, and those it had taken;
// from then on another instance works.
func (w *world) mortal(t *tap) (died *bool) {
	died = new(bool)
	w.engine = w.instance(t)
	revive := func() {
		*died = true
		w.engine = w.instance(&tap{around: func(_ string, do func() error) error { return do() }})
	}
	w.broken = func(err error) {
		w.t.Helper()
		if *died || !t.dead {
			w.t.Fatal(err)
		}
		revive()
	}
	if _, err := w.engine.Start(w.t.Context(), engine.Overrides{}); err != nil {
		w.broken(err)
		w.start(engine.Overrides{}) // the operator asks again
	}
	return died
}

// F29: a process that dies at any call, before it or after its effect, costs at most an orphan export. Another instance
// finishes, nothing is missing, no import is made twice (invariants 8, 13 and 14).
func TestDeathAtEveryStep(t *testing.T) {
	for _, after := range []bool{false, true} {
		for part := range 4 {
			t.Run(fmt.Sprintf("after=%t %d", after, part), func(t *testing.T) {
				t.Parallel()
				for n := part + 1; ; n += 4 {
					if !deathAt(t, n, after) {
						if n < 60 {
							t.Errorf("a whole run took %d calls, want more than sixty: is every call tapped?", n)
						}
						return
					}
				}
			})
		}
	}
}

// deathAt plays one run and reports whether it was long enough to die at its nth call.
func deathAt(t *testing.T, n int, after bool) (died bool) {
	t.Helper()
	w := newWorld(t, brief)
	defer w.close()
	w.load("Patient", 2, at("2022-01-01T00:00:00Z"), time.Hour)
	w.load("Encounter", 2, at("2022-01-01T00:00:00Z"), time.Hour)
	dead := w.mortal(dying(n, after))
	s := w.untilState(6*time.Hour, migration.ShownCompleted)
	w.equal()
	if !s.Totals.Clean() || s.Totals.Resources != (migration.Tally{Exported: 4, Imported: 4}) {
		t.Errorf("after a death at call %d: want 4 resources exported and imported, clean: %s", n, w.tell(s))
	}
	w.believedOnly()
	w.wantJobs(w.destination, "import", 2)
	if got := len(jobs(w.source, "export")); got > 2 {
		t.Errorf("after a death at call %d: got %d exports, want one and at most one orphan", n, got)
	}
	if t.Failed() {
		t.Fatalf("death at call %d, after=%t", n, after)
	}
	return *dead
}

// believedOnly wants every input of every import to be a file of one export whose manifest was confirmed.
func (w *world) believedOnly() {
	w.t.Helper()
	var believed []string
	for _, e := range jobs(w.source, "export") {
		if e.Shown >= w.limits.Confirmations {
			believed = append(believed, e.URLs...)
		}
	}
	for _, i := range jobs(w.destination, "import") {
		for _, input := range i.URLs {
			if !slices.Contains(believed, input) {
				w.t.Errorf("import %d read %s, which no confirmed manifest names", i.ID, input)
			}
		}
	}
}

// A process that dies at any call of a stop leaves no job behind that anybody polls, and the run ends.
func TestDeathDuringStop(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				w := newWorld(t, brief)
				w.load("Patient", 2, at("2022-01-01T00:00:00Z"), time.Hour)
				w.source.Faults().StickExport(-1)
				w.start(engine.Overrides{})
				w.until(time.Hour, "exporting", func(s engine.Status) bool { return s.Totals.Chunks[migration.Exporting] > 0 })
				dead := false
				fatal := dying(n, after)
				w.engine = w.instance(fatal)
				w.broken = func(err error) {
					if dead || !fatal.dead {
						t.Fatal(err)
					}
					dead = true
					w.engine = w.instance(&tap{})
				}
				if _, err := w.engine.Stop(t.Context()); err != nil {
					w.broken(err)
					w.stop()
				}
				s := w.untilState(6*time.Hour, migration.ShownStopped)
				for _, j := range jobs(w.source, "export") {
					if !j.Cancelled {
						t.Errorf("death at call %d: export %d is %s, want cancelled", n, j.ID, j.State)
					}
				}
				if s.Totals.Chunks[migration.Cancelled] != 1 {
					t.Errorf("death at call %d: %s", n, w.tell(s))
				}
				w.close()
				if t.Failed() || !dead {
					return
				}
			}
		})
	}
}

// A process that dies at any call of a run with search parameters loses none of them, and the reindex is followed to its
// end: by another instance, which writes and asks again what it cannot know.
func TestDeathWithSearchParameters(t *testing.T) {
	for _, after := range []bool{false, true} {
		for part := range 2 {
			t.Run(fmt.Sprintf("after=%t %d", after, part), func(t *testing.T) {
				t.Parallel()
				for n := part + 1; parametersDeathAt(t, n, after); n += 2 {
				}
			})
		}
	}
}

// Likewise where the search parameters come by an export, which costs an orphan at most: deaths in the first pass.
func TestDeathWithExportedSearchParameters(t *testing.T) {
	const pass = 150 // calls, about
	for part := range 2 {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			for n := part + 1; n < pass; n += 4 {
				parametersDeathAt(t, n, false, deprecate)
				parametersDeathAt(t, n+2, true, deprecate)
			}
		})
	}
}

func parametersDeathAt(t *testing.T, n int, after bool, arm ...func(*world)) (died bool) {
	t.Helper()
	w := newWorld(t, brief, withParameters, func(w *world) {
		w.settings.Types, w.settings.Since = []string{"Patient"}, w.Now().Add(-time.Minute) // one short window
	})
	defer w.close()
	w.define(w.source, "works", "works")
	w.define(w.source, "bad", "gender")
	w.pass(time.Minute)
	for _, a := range arm {
		a(w)
	}
	dead := w.mortal(dying(n, after))
	s := w.untilState(6*time.Hour, migration.ShownCompleted)
	if got := definitions(w.destination); len(got) != 1 || got["works"] == "" {
		t.Errorf("the destination has %v", got)
	}
	if w.search("works=true") != 0 {
		t.Error("what was moved cannot be searched by")
	}
	p := s.SearchParameters
	if p.Found != 2 || p.Present != 1 || p.Failed != 1 || p.Written < 1 || s.Reindex.State != engine.ReindexCompleted {
		t.Errorf("got %+v, %+v", p, s.Reindex)
	}
	w.wantProblem(s, "http://example.org/bad (gender on Patient) was not moved")
	if t.Failed() {
		t.Fatalf("death at call %d, after=%t: %s", n, after, w.tell(s))
	}
	return *dead
}
