package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirferry/local/fhirsim"
	"fhirferry/local/seed"
)

// TestPauseStopStartAgain pauses a run, lets it go on, stops it and starts another one where it ended.
func TestPauseStopStartAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 51, resources: 700, settings: map[string]string{"FERRY_WINDOW": "120d", "FERRY_MAX_EXPORTS": "2"}})
	w.start(1)
	w.refused("pause", nil, http.StatusConflict)
	w.verb("start", nil)
	w.verb("start", nil) // the same values: no effect
	w.until("an export", func(s status) bool { return s.Chunks["exporting"] > 0 })
	if s := w.verb("pause", nil); s.State != "paused" {
		w.Errorf("after pause the state is %q", s.State)
	}
	quiet := w.until("quiet", func(s status) bool { return s.Chunks["exporting"]+s.Chunks["importing"] == 0 })
	jobs := len(w.Source.Jobs()) + len(w.Destination.Jobs())
	ticks := w.Proxies.Table.Counts()["table query"]
	w.poll(patience, func() bool { return w.Proxies.Table.Counts()["table query"] > ticks+6 }, func() string { return "no ticks" })
	if now := len(w.Source.Jobs()) + len(w.Destination.Jobs()); now != jobs || w.look().State != "paused" {
		w.Errorf("a paused run went from %d jobs to %d; status before: %s", jobs, now, display(quiet))
	}
	w.verb("resume", nil)
	first := w.until("the first windows", func(s status) bool { return s.Chunks["imported"] >= 2 && s.Open() > 0 })
	w.verb("stop", nil)
	stopped := w.untilState("stopped")
	if stopped.MigratedTill == nil || stopped.MigratedTill.Before(*first.MigratedTill) || !stopped.MigratedTill.Before(lastInstant()) {
		w.Fatalf("stopped in mid-run with %s", display(stopped))
	}
	for _, job := range append(w.Source.Jobs(), w.Destination.Jobs()...) {
		if !job.AnswerLost && job.Ended.IsZero() {
			w.Errorf("%s %d is still %s after the stop", job.Kind, job.ID, job.State)
		}
	}
	w.refused("resume", nil, http.StatusConflict)
	again := w.verb("start", map[string]any{"since": stopped.MigratedTill})
	if again.Since == nil || !again.Since.Equal(*stopped.MigratedTill) {
		w.Errorf("started again since %v, want %v", again.Since, stopped.MigratedTill)
	}
	w.finish()
}

// TestHaltAndRetry lets the destination refuse imports until the run halts; retry finishes it.
func TestHaltAndRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 52, settings: map[string]string{"FERRY_MAX_FAILURES": "2"}})
	w.start(1)
	if err := w.Destination.Faults().Arm("ServerBusy", fhirsim.Arm{Times: -1, Skip: 1, Status: 400, Route: "POST /$import"}); err != nil {
		t.Fatal(err)
	}
	w.verb("start", nil)
	var halted status
	w.poll(patience, func() bool { halted = w.look(); return halted.State == "halted" }, func() string { return "it never halted: " + display(halted) })
	if halted.Chunks["failed"] == 0 || len(halted.Problems) == 0 || halted.ProblemsTotal == 0 {
		w.Errorf("halted without a word why: %s", display(halted))
	}
	w.poll(patience, func() bool { halted = w.look(); return halted.Chunks["exporting"]+halted.Chunks["importing"] == 0 },
		func() string { return "jobs in flight never landed: " + display(halted) })
	held := halted.MigratedTill
	if s := w.verb("cutover", nil); s.State != "halted" {
		w.Errorf("after a cutover of a halted run the state is %q, want halted", s.State)
	}
	if s := w.look(); held == nil || s.MigratedTill == nil || !s.MigratedTill.Equal(*held) || held.After(lastInstant()) {
		w.Errorf("migratedTill moved from %v to %v although a chunk has failed", held, s.MigratedTill)
	}
	w.Destination.Faults().Reset()
	s := w.verb("retry", nil)
	if s.Reopened == nil || *s.Reopened == 0 {
		w.Errorf("retry reopened nothing: %s", display(s))
	}
	w.completed()
}

// TestCutoverWhilePaused stays paused and goes to its end when resumed.
func TestCutoverWhilePaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 53})
	w.start(1)
	stop := w.write(10)
	w.verb("start", nil)
	w.until("an import", func(s status) bool { return s.Chunks["importing"]+s.Chunks["imported"] > 0 })
	w.verb("pause", nil)
	stop()
	if s := w.verb("cutover", nil); s.State != "paused" {
		w.Errorf("after the cutover of a paused run the state is %q, want paused", s.State)
	}
	if s := w.verb("resume", nil); s.State != "cutover" {
		w.Errorf("resumed after a cutover the state is %q, want cutover", s.State)
	}
	w.completed()
	if s := w.verb("cutover", nil); s.State != "completed" {
		w.Errorf("a cutover in force answers with the state %q, want completed", s.State)
	}
	w.refused("pause", nil, http.StatusConflict)
}

// TestRunsWithAnEnd has one run that ends in the past, one that goes on to an end in the future, and a lift and shift.
func TestRunsWithAnEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 54, resources: 300})
	w.start(1)
	until := firstInstant().Add(300 * 24 * time.Hour)
	if detail := w.refused("start", map[string]any{"since": until, "until": firstInstant()}, http.StatusUnprocessableEntity); !strings.Contains(detail, "until") {
		w.Errorf("until before since is refused with %q", detail)
	}
	w.refused("start", map[string]any{"mode": "sideways"}, http.StatusUnprocessableEntity)
	if s := w.verb("start", map[string]any{"until": until}); s.Until == nil || !s.Until.Equal(until) {
		w.Errorf("started with until %v, want %v", s.Until, until)
	}
	w.untilState("completed")
	w.equal(before(until))
	future := time.Now().Add(4 * time.Second).UTC().Truncate(time.Millisecond)
	w.verb("start", map[string]any{"since": until, "until": future})
	stop := w.write(10)
	w.until("the end to pass", func(s status) bool { return time.Now().After(future.Add(500 * time.Millisecond)) })
	stop()
	s := w.untilState("completed")
	if s.EndedAt == nil || s.EndedAt.Before(future) {
		w.Errorf("ended at %v, before its end at %v", s.EndedAt, future)
	}
	w.equal(before(future))
	w.verb("start", map[string]any{"since": future, "mode": "once"})
	if s := w.completed(); s.Mode != "once" {
		w.Errorf("the mode shown is %q, want once", s.Mode)
	}
	w.equal(func(seed.Version) bool { return true })
}
