package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// haste makes each instance keep few lines at once, and its visits end after every nth line.
func haste(perPage, atOnce, lines int) func(*world) {
	return func(w *world) {
		w.tune = func(e *engine.Engine) {
			n := 0
			e.ReadSlowly(perPage, atOnce, func() bool { n++; return n%lines == 0 })
		}
	}
}

// mixed rejects lines in every way, some of them wrongly told as duplicates.
func mixed(_, id string, line int) string {
	switch line % 4 {
	case 1:
		return fmt.Sprintf("Failed to import duplicate resource, resource id: %s, line: %d", id, line)
	case 2:
		return fmt.Sprintf("Failed to import resource with version conflict, resource id: %s, line: %d", id, line)
	case 3:
		return "Unexpected end of JSON"
	}
	return ""
}

// The reading of rejected lines goes on where the visit before stopped, wherever that was: within a page, between two
// pages, between two looks into the error file, between two error files.
func TestReadingGoesOn(t *testing.T) {
	for _, h := range [][3]int{{1, 1, 1}, {3, 4, 1}, {4, 3, 2}, {2, 100, 5}, {100, 2, 7}, {7, 5, 3}} {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, one, haste(h[0], h[1], h[2]))
			w.load("Patient", 20, at("2022-01-01T00:00:00Z"), time.Hour)
			w.load("Encounter", 9, at("2022-01-01T00:00:00Z"), time.Hour)
			w.must(w.destination.Load(w.sourceVersions()[:4]...))
			w.destination.Faults().RejectLines(mixed)
			w.destination.Faults().RepeatErrorLines(1)
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			all := w.listed(s, migration.Rejects{Benign: 1, Duplicate: 7, Conflict: 7, Malformed: 7})
			once := map[string]bool{}
			for _, r := range all {
				once[r.Type+r.ID] = true
			}
			if len(once) != len(all) {
				t.Errorf("listed %d lines of %d resources, want each once", len(all), len(once))
			}
			for _, name := range w.tap.kept("rejects/") {
				if n := bytes.Count(w.tap.document(name), []byte(`"ErrorFile"`)); n > h[0] {
					t.Errorf("page %s lists %d lines, want at most %d", name, n, h[0])
				}
			}
			w.wantJobs(w.destination, "import", 1)
		})
	}
}

// A line far down in a long file is reached over several visits.
func TestFarLine(t *testing.T) {
	w := newWorld(t, one, func(w *world) { w.settings.ChunkLimit = 10_000 }, haste(10, 10, 1))
	w.load("Patient", 4500, at("2022-01-01T00:00:00Z"), time.Second)
	w.destination.Faults().RejectLines(conflicting(4400))
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.listed(s, migration.Rejects{Conflict: 1})
	places := map[int64]bool{}
	for _, c := range w.tap.saved() {
		places[c.Reading.Line] = true
	}
	if len(places) < 5 {
		t.Errorf("places saved on the way: got %v, want one for each thousand lines", places)
	}
}

// A process that dies at any call of the reading, before it or after its effect, counts and lists every line once.
func TestDeathWhileReading(t *testing.T) {
	for _, after := range []bool{false, true} {
		for part := range 4 {
			t.Run(fmt.Sprintf("after=%t %d", after, part), func(t *testing.T) {
				t.Parallel()
				for n := part + 1; ; n += 4 {
					w := newWorld(t, brief, haste(2, 3, 3))
					w.load("Patient", 7, at("2022-01-01T00:00:00Z"), time.Hour)
					w.load("Encounter", 4, at("2022-01-01T00:00:00Z"), time.Hour)
					w.must(w.destination.Load(w.sourceVersions()...))
					w.destination.Faults().RejectLines(mixed)
					dead := w.mortal(dying(n, after))
					s := w.untilState(6*time.Hour, migration.ShownCompleted)
					w.listed(s, migration.Rejects{Benign: 3, Conflict: 3, Malformed: 3})
					w.wantJobs(w.destination, "import", 2)
					w.close()
					if t.Failed() {
						t.Fatalf("death at call %d, after=%t", n, after)
					}
					if !*dead {
						if n < 80 {
							t.Errorf("a whole run took %d calls, want more than eighty: is every call tapped?", n)
						}
						return
					}
				}
			})
		}
	}
}

// A page that a visit wrote before it died is followed, although the next visit would have cut and judged it otherwise.
func TestPageOfADeadVisitIsFollowed(t *testing.T) {
	w := newWorld(t, one)
	w.load("Patient", 12, at("2022-01-01T00:00:00Z"), time.Hour)
	w.must(w.destination.Load(w.sourceVersions()...))
	w.destination.Faults().RejectLines(mixed)
	fatal := &tap{}
	fatal.around = func(_ string, do func() error) error {
		if fatal.dead {
			return errDied
		}
		if err := do(); err != nil {
			return err
		}
		if fatal.dead = len(fatal.kept("rejects/")) > 0; fatal.dead {
			return errDied
		}
		return nil
	}
	w.tune = func(e *engine.Engine) { e.ReadSlowly(5, 100, func() bool { return false }) }
	w.mortal(fatal)
	w.tune = func(e *engine.Engine) { e.ReadSlowly(2, 100, func() bool { return false }) }
	w.until(24*time.Hour, "dead", func(engine.Status) bool { return fatal.dead })
	// And what the first visit judged cannot be judged at once any more.
	w.must(w.destination.Faults().Arm("ServerBusy", fhirsim.Arm{Times: 3, Route: "GET /{Type}/{id}/_history"}))
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.listed(s, migration.Rejects{Benign: 3, Conflict: 3, Malformed: 3})
	pages := fatal.kept("rejects/")
	if n := bytes.Count(fatal.document(pages[0]), []byte(`"ErrorFile"`)); len(pages) != 1 || n != 5 {
		t.Errorf("the dead visit wrote %v, the first with %d lines; want one with 5", pages, n)
	}
}

// A stop in the middle of the reading ends the chunk like any other; nobody asks for its job any more.
func TestStopWhileReading(t *testing.T) {
	w := newWorld(t, one, haste(1, 10, 1))
	w.load("Patient", 20, at("2022-01-01T00:00:00Z"), time.Hour)
	w.destination.Faults().RejectLines(mixed)
	w.start(engine.Overrides{})
	held := false
	w.tap.around = func(call string, do func() error) error {
		if err := do(); err != nil {
			return err
		}
		if saved := w.tap.saved(); !held && len(saved) > 0 && saved[len(saved)-1].Reading.Pages == 2 {
			held = true
			_, err := w.viewer.Stop(t.Context())
			return err
		}
		return nil
	}
	s := w.untilState(24*time.Hour, migration.ShownStopped)
	if !held || s.Totals.Chunks[migration.Cancelled] != 1 || len(s.Totals.Problems) > 0 {
		t.Errorf("stopped while reading: %v, %s", held, w.tell(s))
	}
}

// A pause lets the reading go on to its end, for it starts no job.
func TestPauseWhileReading(t *testing.T) {
	w := newWorld(t, one, haste(1, 10, 1))
	w.load("Patient", 8, at("2022-01-01T00:00:00Z"), time.Hour)
	w.destination.Faults().RejectLines(mixed)
	w.start(engine.Overrides{})
	w.until(24*time.Hour, "importing", func(s engine.Status) bool { return s.Totals.Chunks[migration.Importing] == 1 })
	if _, err := w.engine.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := w.until(24*time.Hour, "imported", func(s engine.Status) bool { return s.Totals.Chunks[migration.Imported] == 1 })
	w.listed(s, migration.Rejects{Duplicate: 2, Conflict: 2, Malformed: 2})
}

// Files that cannot be read, for want of a role or of a connection, make the rejected lines wait; a problem says what is
// missing, without the signature that a storage address may carry. Nothing is counted meanwhile.
func TestUnreadableFilesWait(t *testing.T) {
	for _, container := range []string{"fhirlogs", "fhirferry"} {
		t.Run(container, func(t *testing.T) {
			t.Parallel()
			failures := 5
			w := newWorld(t, one, func(w *world) {
				w.unreadable = func(asked string) error {
					if asked != container || failures == 0 {
						return nil
					}
					failures--
					return fmt.Errorf("read a file: %w", &url.Error{Op: "Get", URL: "https://x.example/f?sig=SECRET", Err: errors.New("403 not allowed\nmore")})
				}
			})
			w.load("Patient", 8, at("2022-01-01T00:00:00Z"), time.Hour)
			w.destination.Faults().RejectLines(mixed)
			w.start(engine.Overrides{})
			s := w.until(24*time.Hour, "waiting", func(s engine.Status) bool { return len(s.Totals.Problems) > 0 })
			w.wantProblem(s, "cannot be read: 403 not allowed; the app's identity needs the role Storage Blob Data Reader")
			if s.Totals.Resources.Imported > 0 || w.chunks()[0].State != migration.Importing {
				t.Errorf("counted before it was read: %s", w.tell(s))
			}
			s = w.untilState(24*time.Hour, migration.ShownCompleted)
			w.listed(s, migration.Rejects{Duplicate: 2, Conflict: 2, Malformed: 2})
			if told := w.tell(s); failures > 0 || strings.Contains(told, "SECRET") {
				t.Errorf("%d failures left: %s", failures, told)
			}
		})
	}
}

// Input files that are gone when their rejected lines are read: the lines are listed without a place, and none is benign.
func TestInputGoneBeforeReading(t *testing.T) {
	w := newWorld(t, one)
	w.load("Patient", 8, at("2022-01-01T00:00:00Z"), time.Hour)
	w.must(w.destination.Load(w.sourceVersions()...))
	w.destination.Faults().RejectLines(mixed)
	w.start(engine.Overrides{})
	w.tap.around = func(call string, do func() error) error {
		if strings.HasPrefix(call, "GET /_operations/import") {
			for _, f := range jobs(w.destination, "import")[0].URLs {
				name := strings.TrimPrefix(f, "http://staging.example/fhirferry/")
				if n := jobs(w.destination, "import")[0]; n.State == "completed" {
					_ = w.blobs.Delete(t.Context(), "fhirferry", name)
				}
			}
		}
		return do()
	}
	w.engine = w.instance(w.tap)
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	if got := w.chunks()[0].Rejects; got != (migration.Rejects{Duplicate: 2, Conflict: 2, Malformed: 2}) || s.Totals.Clean() {
		t.Errorf("got %+v, want nothing benign: %s", got, w.tell(s))
	}
	for _, r := range w.rejects(engine.RejectQuery{}) {
		if r.Offset >= 0 || r.Line == 0 {
			t.Errorf("reject %+v points into a file that is gone", r)
		}
	}
}
