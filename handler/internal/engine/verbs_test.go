package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// on calls act once, just before the first call whose name begins with prefix.
func (w *world) on(prefix string, act func()) {
	done := false
	w.tap.around = func(call string, do func() error) error {
		if !done && strings.HasPrefix(call, prefix) {
			done = true
			act()
		}
		return do()
	}
}

// beforeRequest acts once, just before the first request whose method, path and query fit.
func (w *world) beforeRequest(fits func(line string) bool, act func()) {
	done := false
	w.requests = func(line string) {
		if !done && fits(line) {
			done = true
			act()
		}
	}
}

func (w *world) ask(verb string, do func() (engine.Status, error)) engine.Status {
	w.t.Helper()
	s, err := do()
	if err != nil {
		w.t.Fatalf("%s: %v", verb, err)
	}
	return s
}

func (w *world) stop() engine.Status {
	return w.ask("stop", func() (engine.Status, error) { return w.engine.Stop(w.t.Context()) })
}
func (w *world) pause() engine.Status {
	return w.ask("pause", func() (engine.Status, error) { return w.engine.Pause(w.t.Context()) })
}
func (w *world) resume() engine.Status {
	return w.ask("resume", func() (engine.Status, error) { return w.engine.Resume(w.t.Context()) })
}
func (w *world) cutOver() engine.Status {
	return w.ask("cutover", func() (engine.Status, error) { return w.engine.CutOver(w.t.Context()) })
}

func (w *world) retry(want int) {
	w.t.Helper()
	if _, n, err := w.engine.Retry(w.t.Context()); err != nil || n != want {
		w.t.Fatalf("retry: got %d reopened and %v, want %d", n, err, want)
	}
}

// wait lets d pass in steps.
func (w *world) wait(d time.Duration) {
	w.t.Helper()
	for end := w.Now().Add(d); w.Now().Before(end); {
		w.step(5 * time.Second)
	}
}

// states counts the chunks by state.
func (w *world) states() map[migration.State]int {
	n := map[migration.State]int{}
	for _, c := range w.chunks() {
		n[c.State]++
	}
	return n
}

// A stop that falls into a kick-off: the job that was started all the same is cancelled and never polled (invariant 17).
func TestStopDuringKickOff(t *testing.T) {
	for _, kind := range []string{"export", "import"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.small()
			server, saved := w.source, "SaveChunk exporting"
			if kind == "import" {
				server, saved = w.destination, "SaveChunk importing"
			}
			w.destination.Faults().StickImport(1) // or it would be over before anybody can cancel it
			// Just before the accepted job is saved: the kick-off is at the server already.
			w.on(saved, func() { w.stop() })
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownStopped)
			w.wantJobs(server, kind, 1)
			job := jobs(server, kind)[0]
			if !job.Cancelled || polled(server, job) != 0 {
				t.Errorf("the job of the kick-off: got state %s after %d polls, want cancelled and none", job.State, polled(server, job))
			}
			before := len(w.source.Requests()) + len(w.destination.Requests())
			w.wait(2 * time.Hour)
			if after := len(w.source.Requests()) + len(w.destination.Requests()); after != before {
				t.Errorf("requests after the end: got %d, want none", after-before)
			}
			if got := w.states()[migration.Cancelled]; got != 1 || s.Totals.Reported != 0 {
				t.Errorf("chunks cancelled: got %d, want 1, and no problem: %s", got, w.tell(s))
			}
		})
	}
}

// A stop does not wait for a job's next poll: the job is cancelled as soon as somebody looks.
func TestStopBetweenPolls(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.source.Faults().StickExport(1)
	w.start(engine.Overrides{})
	w.until(24*time.Hour, "the next poll is minutes away", func(engine.Status) bool {
		flying := w.chunks()
		return len(flying) == 1 && flying[0].State == migration.Exporting && flying[0].NotBefore.Sub(w.Now()) > 4*time.Minute
	})
	w.stop()
	w.untilState(15*time.Second, migration.ShownStopped)
	if job := jobs(w.source, "export")[0]; !job.Cancelled {
		t.Errorf("the job: got state %s, want it cancelled", job.State)
	}
}

// Nor does it when the chunk has had faults before, and these cost its job none of the tries to cancel it.
func TestStopAfterFaults(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.source.Faults().StickExport(1)
	w.start(engine.Overrides{})
	w.until(24*time.Hour, "in an export job", func(engine.Status) bool {
		flying := w.chunks()
		return len(flying) == 1 && flying[0].State == migration.Exporting && flying[0].NotBefore.Sub(w.Now()) > 4*time.Minute
	})
	run, _, err := w.ledger.Current(t.Context())
	w.must(err)
	chunk, v, err := w.ledger.Chunk(t.Context(), run.ID, w.chunks()[0].ID)
	w.must(err)
	chunk.Attempts = 3 // jobs of it were lost before
	_, err = w.ledger.SaveChunk(t.Context(), run.ID, migration.Save{Chunk: chunk, Version: v, Now: w.Now()})
	w.must(err)
	w.must(w.source.Faults().Arm("DropBefore", fhirsim.Arm{Times: 1, Route: "DELETE /_operations/"}))
	w.stop()
	s := w.untilState(2*time.Minute, migration.ShownStopped)
	if job := jobs(w.source, "export")[0]; !job.Cancelled || s.Totals.Reported > 0 {
		t.Errorf("the job: got state %s, want it cancelled and no problem: %s", job.State, w.tell(s))
	}
}

// A stop whose import's answer was lost posts the same body once more to learn the job, and cancels it.
func TestStopAfterLostImportAnswer(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.destination.Faults().LoseImportAnswer(1)
	w.destination.Faults().StickImport(1)
	w.start(engine.Overrides{})
	w.until(6*time.Hour, "import posted", func(engine.Status) bool { return len(jobs(w.destination, "import")) > 0 })
	w.stop()
	w.untilState(6*time.Hour, migration.ShownStopped)
	w.wantJobs(w.destination, "import", 1)
	samePosts(2)(w, engine.Status{})
	if j := jobs(w.destination, "import")[0]; !j.Cancelled {
		t.Errorf("the import: got state %s, want cancelled", j.State)
	}
}

// Start after stop, from where the stopped run had come: nothing is lost (operator contract 3).
func TestStartAfterStop(t *testing.T) {
	for _, far := range []int{0, 1, 3} {
		w := newWorld(t, func(w *world) {
			w.settings.Window = 60 * 24 * time.Hour
			w.limits.MaxExports, w.limits.MaxImports = 1, 1
		})
		w.load("Patient", 200, at("2023-01-01T00:00:00Z"), 36*time.Hour)
		w.start(engine.Overrides{})
		w.until(24*time.Hour, "some windows imported", func(s engine.Status) bool { return s.Totals.Chunks[migration.Imported] >= far })
		w.stop()
		s := w.untilState(24*time.Hour, migration.ShownStopped)
		o := engine.Overrides{}
		if !s.MigratedTill.IsZero() {
			o.Since = &s.MigratedTill
		}
		if far > 0 && !s.MigratedTill.After(at("2023-01-02T00:00:00Z")) {
			t.Errorf("migratedTill after %d chunks: got %s, want progress", far, s.MigratedTill)
		}
		w.start(o)
		w.finish()
		w.equal()
	}
}

// A pause during the confirmations: the export lands and nothing starts; resume goes on (invariant 9).
func TestPauseDuringConfirmations(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	w.until(6*time.Hour, "first manifest seen", func(engine.Status) bool {
		return len(jobs(w.source, "export")) > 0 && jobs(w.source, "export")[0].Shown == 1
	})
	s := w.pause()
	if s.State != migration.ShownPaused {
		t.Errorf("state: got %s, want paused", s.State)
	}
	w.wait(6 * time.Hour)
	w.wantJobs(w.source, "export", 1)
	if n := len(jobs(w.destination, "import")); n != 0 {
		t.Errorf("imports started while paused: got %d, want none", n)
	}
	if got := w.states()[migration.Exported]; got != 1 {
		t.Errorf("chunks exported: got %d, want the one that landed: %s", got, w.tell(w.status()))
	}
	w.resume()
	w.finish()
	w.equal()
}

// A cutover while paused or halted is remembered and done afterwards (operator contract 3).
func TestCutOverWhilePaused(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	w.pause()
	w.source.Put("Patient", "last", []byte(`{"resourceType":"Patient","id":"last"}`))
	w.pass(time.Minute)
	if s := w.cutOver(); s.State != migration.ShownPaused {
		t.Errorf("state after a cutover while paused: got %s, want paused", s.State)
	}
	w.wait(3 * time.Hour)
	if n := len(jobs(w.source, "export")); n != 0 {
		t.Errorf("exports started while paused: got %d, want none", n)
	}
	if s := w.resume(); s.State != migration.ShownCutover {
		t.Errorf("state after resume: got %s, want cutover", s.State)
	}
	w.untilState(6*time.Hour, migration.ShownCompleted)
	w.equal()
}

// A second cutover changes nothing; what is written between the two is not moved, and is told.
func TestCutOverTwice(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	w.wait(20 * time.Minute)
	first := w.cutOver().End
	w.pass(time.Minute)
	w.source.Put("Patient", "late", []byte(`{"resourceType":"Patient","id":"late"}`))
	w.pass(time.Minute)
	if second := w.cutOver().End; !second.Equal(first) {
		t.Errorf("T after a second cutover: got %s, want %s", second, first)
	}
	s := w.untilState(6*time.Hour, migration.ShownCompleted)
	w.wantProblem(s, "1 versions were written to the source after")
	if s.Totals.Clean() {
		t.Error("clean: got true, want false: a version was written after the cutover")
	}
	if again := w.cutOver(); again.State != migration.ShownCompleted {
		t.Errorf("cutover of a run that completed by one: got %s, want completed", again.State)
	}
}

// A cutover asks the source for its clock first; without an answer it is refused and nothing changes.
func TestCutOverWithoutSource(t *testing.T) {
	for name, arm := range map[string]func(*fhirsim.Faults){
		"reset":       func(f *fhirsim.Faults) { f.DropBefore(-1, "GET /metadata") },
		"unavailable": func(f *fhirsim.Faults) { f.ServerBusy(-1, fhirsim.FormHTML) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.small()
			w.start(engine.Overrides{})
			w.wait(20 * time.Minute)
			arm(w.source.Faults())
			_, err := w.engine.CutOver(t.Context())
			var refusal *engine.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != engine.Unavailable {
				t.Fatalf("cutover without a source: got %v, want an Unavailable refusal", err)
			}
			if s := w.status(); s.State != migration.ShownRunning || !s.End.IsZero() {
				t.Errorf("after the refusal: got %s with T %s, want running without", s.State, s.End)
			}
			w.source.Faults().Reset()
			w.finish()
			w.equal()
		})
	}
}
