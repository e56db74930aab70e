package engine_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// slowReindex makes a reindex of small's patients take hours.
func slowReindex(w *world) {
	w.settings.Mode = migration.Once
	w.destinationOptions = func(o *fhirsim.Options) { o.ReindexRate = 0.001 }
}

func (w *world) untilReindexing() engine.Status {
	w.t.Helper()
	return w.until(24*time.Hour, "reindexing", func(s engine.Status) bool {
		return s.Reindex != nil && s.Reindex.Job != "" && s.Reindex.State == engine.ReindexRunning
	})
}

// withOne makes a run that has a search parameter to move.
func withOne(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	w := newWorld(t, append([]func(*world){withParameters}, change...)...)
	w.small()
	w.define(w.source, "works", "works")
	return w
}

// A long reindex is followed, and its progress shown; no problem says that it takes its time.
func TestReindexIsFollowed(t *testing.T) {
	w := withOne(t, slowReindex)
	w.start(engine.Overrides{})
	w.untilReindexing()
	s := w.until(24*time.Hour, "half done", func(s engine.Status) bool { return s.Reindex.Done > 4 && s.Reindex.Done < s.Reindex.Total })
	if s.State != migration.ShownRunning || !s.Reindex.At.IsZero() {
		t.Errorf("got %s, %+v, want the run to wait for its end", s.State, s.Reindex)
	}
	s = w.untilState(24*time.Hour, migration.ShownCompleted)
	if s.Totals.Reported > 0 || len(requests(w.destination, "POST /$reindex")) != 1 {
		t.Errorf("want one reindex and no problem: %s", w.tell(s))
	}
	if polls := len(requests(w.destination, "GET /_operations/reindex/{id}")); polls > 200 {
		t.Errorf("%d polls, want the waits to grow", polls)
	}
}

// A reindex that comes to nothing is a problem with its remedy; the run ends all the same.
func TestReindexFails(t *testing.T) {
	for name, c := range map[string]struct {
		arm     func(*world)
		problem string
		state   engine.ReindexState
	}{
		"failed": {func(w *world) { w.destination.Faults().FailReindex(-1, "out of space") }, "$reindex ended as failed: out of space", engine.ReindexFailed},
		"stuck":  {func(w *world) { w.destination.Faults().StickReindex(-1) }, "showed no progress for 24h0m0s (FERRY_STALL)", engine.ReindexFailed},
		"refused": {func(w *world) {
			_ = w.destination.Faults().Arm("ServerBusy", fhirsim.Arm{Times: -1, Status: 403, Route: "POST /$reindex"})
		}, "FHIR Data Contributor", engine.ReindexFailed},
		"cancelled by somebody": {func(w *world) {
			w.destination.Faults().StickReindex(1)
			w.beforeRequest(func(line string) bool { return strings.HasPrefix(line, "GET /_operations/reindex/") }, func() { w.cancelReindex() })
		}, "$reindex ended as canceled", engine.ReindexFailed},
		"never in use": {func(w *world) {
			w.instead = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/SearchParameter/$status" {
					_, _ = fmt.Fprint(rw, `{"resourceType":"Parameters","parameter":[{"name":"x","part":[{"name":"url","valueUrl":"http://example.org/works"},{"name":"status","valueString":"Supported"}]}]}`)
					return true
				}
				return false
			}
		}, "1 search parameters cannot be searched by: http://example.org/works", engine.ReindexCompleted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := withOne(t, func(w *world) { w.settings.Mode = migration.Once })
			c.arm(w)
			w.start(engine.Overrides{})
			s := w.untilState(72*time.Hour, migration.ShownCompleted)
			w.equal()
			w.wantProblem(s, c.problem)
			if s.Totals.Clean() || s.Reindex.State != c.state {
				t.Errorf("got %+v, want %s and the run not clean: %s", s.Reindex, c.state, w.tell(s))
			}
		})
	}
}

// cancelReindex cancels the run's reindex as somebody at the destination would.
func (w *world) cancelReindex() {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodDelete, w.status().Reindex.Job, nil)
	w.must(err)
	answer, err := http.DefaultClient.Do(r)
	w.must(err)
	w.must(answer.Body.Close())
}

// A lost answer, and faults on the way, cost nothing: the next try finds the active job.
func TestReindexFaultsOnTheWay(t *testing.T) {
	for name, arm := range map[string]func(*fhirsim.Faults){
		"the answer is lost": func(f *fhirsim.Faults) { f.DropAfter(2, "POST /$reindex") },
		"nothing arrives":    func(f *fhirsim.Faults) { f.DropBefore(2, "POST /$reindex") },
		"busy": func(f *fhirsim.Faults) {
			_ = f.Arm("ServerBusy", fhirsim.Arm{Times: 3, Status: 429, Route: "POST /$reindex"})
		},
		"polls fail": func(f *fhirsim.Faults) {
			_ = f.Arm("ServerBusy", fhirsim.Arm{Times: 8, Status: 500, Route: "GET /_operations/reindex"})
		},
		"polls are busy": func(f *fhirsim.Faults) {
			_ = f.Arm("ServerBusy", fhirsim.Arm{Times: 8, Status: 429, Route: "GET /_operations/reindex"})
		},
		"the job is forgotten": func(f *fhirsim.Faults) {
			_ = f.Arm("ServerBusy", fhirsim.Arm{Times: 1, Status: 404, Route: "GET /_operations/reindex"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := withOne(t, slowReindex)
			arm(w.destination.Faults())
			w.start(engine.Overrides{})
			s := w.untilState(72*time.Hour, migration.ShownCompleted)
			w.equal()
			if w.search("works=true") != 11 || !s.Totals.Clean() || s.Reindex.State != engine.ReindexCompleted {
				t.Errorf("got %+v: %s", s.Reindex, w.tell(s))
			}
			jobs := map[string]bool{}
			for _, r := range requests(w.destination, "GET /_operations/reindex/{id}") {
				jobs[r.Path] = true
			}
			if len(jobs) != 1 {
				t.Errorf("%d reindexes were made, want one", len(jobs))
			}
		})
	}
}

// Nothing is started while the run is paused or it is quiet; what runs is followed.
func TestReindexWaitsForItsTime(t *testing.T) {
	w := withOne(t, func(w *world) { w.settings.Mode = migration.Once })
	w.after("OpenErrand reindex", func() {
		_, err := w.viewer.Pause(t.Context())
		w.must(err)
	})
	w.start(engine.Overrides{})
	w.untilState(24*time.Hour, migration.ShownPaused)
	for range 120 {
		w.step(time.Minute)
	}
	if s := w.status(); len(requests(w.destination, "POST /$reindex")) > 0 || s.State != migration.ShownPaused {
		t.Errorf("paused: a reindex was started; %+v", s.Reindex)
	}
	w.resume()
	if s := w.untilState(24*time.Hour, migration.ShownCompleted); s.Totals.Reported > 0 {
		t.Errorf("problems shown, none wanted: %s", w.tell(s))
	}
}

func TestReindexWaitsForQuietHoursToEnd(t *testing.T) {
	var quiet migration.QuietHours
	w := withOne(t, func(w *world) { w.settings.Mode = migration.Once })
	w.start(engine.Overrides{})
	w.beforeRequest(func(line string) bool { return strings.HasPrefix(line, "GET /_operations/import/") }, func() {
		all := [7]bool{true, true, true, true, true, true, true}
		quiet = migration.QuietHours{{Days: all, Begin: 0, End: 60, Zone: time.UTC}}
	})
	w.until(24*time.Hour, "importing", func(engine.Status) bool { return quiet != nil })
	w.limits.Quiet = quiet
	w.engine = w.instance(&tap{})
	w.until(12*time.Hour, "reindexed", func(s engine.Status) bool { return len(requests(w.destination, "POST /$reindex")) > 0 })
	if hour := w.Now().Hour(); hour != 1 {
		t.Errorf("reindexed at %s, want after one", w.Now().Format(time.TimeOnly))
	}
	if s := w.untilState(24*time.Hour, migration.ShownCompleted); s.Totals.Reported > 0 {
		t.Errorf("problems shown, none wanted: %s", w.tell(s))
	}
}

// A stop cancels the reindex without waiting for its next poll, also one whose answer was lost.
func TestStopDuringReindex(t *testing.T) {
	for name, lose := range map[string]bool{"followed": false, "answer lost": true} {
		t.Run(name, func(t *testing.T) {
			w := withOne(t, slowReindex)
			if lose {
				w.destination.Faults().DropAfter(1, "POST /$reindex")
			}
			w.start(engine.Overrides{})
			if lose {
				w.until(24*time.Hour, "started", func(engine.Status) bool { return len(requests(w.destination, "POST /$reindex")) > 0 })
			} else {
				w.untilReindexing()
				w.until(24*time.Hour, "half done", func(s engine.Status) bool { return s.Reindex.Done > 4 }) // the next poll is minutes away
			}
			before := w.Now()
			w.stop()
			s := w.untilState(time.Hour, migration.ShownStopped)
			if wait := w.Now().Sub(before); wait > 30*time.Second {
				t.Errorf("the stop took %s", wait)
			}
			answer, err := http.Get(w.settings.Destination + "/$reindex")
			w.must(err)
			w.must(answer.Body.Close())
			if answer.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("a reindex is active after the stop: %s", answer.Status)
			}
			if s.Reindex.State != engine.ReindexDropped {
				t.Errorf("got %+v, want it dropped", s.Reindex)
			}
		})
	}
}

// A cutover during the reindex of a run in mode once brings more: imports and reindex do not run at once, and both the
// parameters and the reindex come again after it.
func TestCutOverDuringReindex(t *testing.T) {
	w := withOne(t, slowReindex)
	w.start(engine.Overrides{})
	w.untilReindexing()
	w.pass(time.Minute)
	w.source.Put("Patient", "late", []byte(`{"resourceType":"Patient","id":"late","active":true}`))
	w.define(w.source, "late", "late")
	lines := w.listen()
	w.cutOver()
	s := w.untilState(96*time.Hour, migration.ShownCompleted)
	w.equal()
	w.sameDefinitions()
	if w.search("late=true") != 12 || s.Reindex.State != engine.ReindexCompleted || !s.Totals.Clean() {
		t.Errorf("got %+v: %s", s.Reindex, w.tell(s))
	}
	cancelled, _ := positions(*lines, "DELETE /_operations/reindex/")
	imported, _ := positions(*lines, "POST /$import")
	again, _ := positions(*lines, "POST /$reindex")
	if cancelled < 0 || imported < cancelled || again < imported {
		t.Errorf("cancelled at %d, imported at %d, reindexed at %d: want this order", cancelled, imported, again)
	}
}

// Two instances at once do each step once: one of them moves it, the other finds that it is held or done.
func TestStepsByTwoInstances(t *testing.T) {
	w := withOne(t, slowReindex)
	other := w.instance(&tap{})
	w.beforeRequest(func(line string) bool { return strings.HasPrefix(line, "GET /SearchParameter") }, func() {
		for _, id := range w.errands() {
			w.must(other.Visit(t.Context(), id))
		}
		w.must(other.Tick(t.Context()))
	})
	w.start(engine.Overrides{})
	end := w.Now().Add(48 * time.Hour)
	for w.status().State != migration.ShownCompleted && w.Now().Before(end) {
		for _, id := range w.errands() {
			w.must(other.Visit(t.Context(), id))
		}
		w.must(other.Tick(t.Context()))
		w.step(5 * time.Second)
	}
	s := w.status()
	w.equal()
	w.sameDefinitions()
	if len(requests(w.destination, "POST /")) != 1 || len(requests(w.destination, "POST /$reindex")) != 1 || !s.Totals.Clean() || s.SearchParameters.Written != 1 {
		t.Errorf("%d batches, %d reindexes: %s", len(requests(w.destination, "POST /")), len(requests(w.destination, "POST /$reindex")), w.tell(s))
	}
	if n := len(w.errands()); n != 4 {
		t.Errorf("%d errands, want the parameters twice, the reindex and the check once", n)
	}
}

// errands are the ids of all errands of the run.
func (w *world) errands() []string {
	w.t.Helper()
	list, err := w.ledger.Errands(w.t.Context(), w.status().RunID)
	w.must(err)
	var ids []string
	for _, e := range list {
		ids = append(ids, e.ID)
	}
	return ids
}
