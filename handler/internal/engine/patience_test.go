package engine_test

import (
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// A server that asks for patience gets it: no attempt is counted, no problem shown, no job made twice (design 3.8).
func TestBusyServers(t *testing.T) {
	var scenarios []scenario
	for _, form := range []fhirsim.Form{fhirsim.FormHeaders, fhirsim.FormPlain, fhirsim.FormHTML} {
		throttled := func(n int) func(*world) {
			return func(w *world) {
				w.source.Faults().ThrottleKickoff(n, form)
				w.destination.Faults().ThrottleKickoff(n, form)
			}
		}
		scenarios = append(scenarios,
			scenario{name: "F1 kick-offs throttled once, " + string(form), arm: throttled(1), exports: 1, imports: 1},
			scenario{name: "F1 kick-offs throttled twenty times, " + string(form), arm: throttled(20), exports: 1, imports: 1},
			scenario{name: "everything busy, " + string(form), arm: func(w *world) {
				w.must(w.source.Faults().Arm("ServerBusy", fhirsim.Arm{Probability: 0.8, Status: 503, Form: form}))
				w.must(w.destination.Faults().Arm("ServerBusy", fhirsim.Arm{Times: 5, Status: 503, Form: form}))
			}, exports: 1, imports: 1},
			scenario{name: "polls throttled, " + string(form), arm: func(w *world) {
				for _, f := range []*fhirsim.Faults{w.source.Faults(), w.destination.Faults()} {
					w.must(f.Arm("ServerBusy", fhirsim.Arm{Times: 6, Status: 429, Form: form, Route: "GET /_operations/"}))
				}
			}, exports: 1, imports: 1})
	}
	play(t, scenarios)
}

// A poll that tells nothing of its job is no failure of the job: it is shown and asked again (design 3.8).
func TestOddPollAnswers(t *testing.T) {
	var scenarios []scenario
	for _, odd := range []struct {
		name   string
		status int
		body   string
		kind   string
		length int64
	}{
		{"HTML", 200, "<html>welcome</html>", "text/html", 0},
		{"empty", 200, "", "application/json", 0},
		{"truncated JSON", 200, `{"transactionTime":"2024-03-01T00:00:00Z","output":[{"type":`, "application/json", 0},
		{"another JSON", 200, `{"resourceType":"Bundle"}`, "application/json", 0},
		{"a list", 200, `[]`, "application/json", 0},
		{"5 GB announced", 200, `{`, "application/json", 5 << 30},
		{"gateway", 502, "<html>bad gateway</html>", "text/html", 0},
		{"gateway time-out", 504, "", "", 0},
		{"F25 401", 401, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"login","diagnostics":"Authentication failed."}]}`, "application/fhir+json", 0},
		{"403", 403, "", "", 0},
		{"500 without a job's text", 500, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception"}]}`, "application/fhir+json", 0},
		{"redirect", 302, "", "", 0},
	} {
		scenarios = append(scenarios, scenario{name: odd.name, arm: func(w *world) {
			w.source.Faults().PollStatus(3, odd.status, odd.body, odd.kind, odd.length)
			w.destination.Faults().PollStatus(3, odd.status, odd.body, odd.kind, odd.length)
		}, exports: 1, imports: 1, problem: "export", check: func(w *world, s engine.Status) { w.wantProblem(s, "import") }})
	}
	play(t, scenarios)
}

// F25: a token that expires in mid-run makes a poll a 401; nothing is lost and nothing given up.
func TestExpiredToken(t *testing.T) {
	play(t, []scenario{{name: "F25", arm: func(w *world) {
		w.must(w.source.Faults().Arm("ExpireToken", fhirsim.Arm{Times: 4, Route: "GET /_operations/"}))
		w.must(w.destination.Faults().Arm("ExpireToken", fhirsim.Arm{Times: 4, Route: "GET /_operations/"}))
	}, exports: 1, imports: 1, problem: "401"}})
}

// A kick-off answer whose status URL leads elsewhere, or is missing, is of unknown outcome: an export starts anew and its
// orphan is never read, an import is posted again with the same body (design 3.8, invariant 16).
func TestOddContentLocation(t *testing.T) {
	play(t, []scenario{
		{name: "foreign, export", arm: func(w *world) { w.source.Faults().ForeignContentLocation(1) },
			exports: 2, imports: 1, faults: true, problem: "not to this server"},
		{name: "missing, export", arm: func(w *world) { w.source.Faults().MissingContentLocation(1) },
			exports: 2, imports: 1, faults: true, problem: "Content-Location"},
		{name: "foreign, import", arm: func(w *world) { w.destination.Faults().ForeignContentLocation(1) },
			exports: 1, imports: 1, faults: true, problem: "not to this server", check: samePosts(2)},
		{name: "missing, import", arm: func(w *world) { w.destination.Faults().MissingContentLocation(1) },
			exports: 1, imports: 1, faults: true, problem: "Content-Location", check: samePosts(2)},
	})
}

// F27: a destination in initial import mode holds the run up with a problem that names the setting; nothing is lost, and
// it goes on by itself once the lock is gone.
func TestLockedDestination(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	// The lock of contract 4.6 lets $import through; a build that does not is the harder case.
	w.must(w.destination.Faults().Arm("ServerBusy", fhirsim.Arm{Times: -1, Status: 423, Form: fhirsim.FormPlain, Route: "POST /$import"}))
	w.start(engine.Overrides{})
	w.wait(2 * time.Hour)
	s := w.status()
	w.wantProblem(s, "turn initial import mode off")
	if s.State != migration.ShownRunning || s.Totals.Chunks[migration.Exported] != 1 {
		t.Errorf("while locked: got %s, want running with the chunk exported", w.tell(s))
	}
	if s.Totals.Reported != 1 {
		t.Errorf("problems reported: got %d, want the same one counted once: %s", s.Totals.Reported, w.tell(s))
	}
	w.destination.Faults().Reset()
	w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	w.wantJobs(w.source, "export", 1)
	w.wantJobs(w.destination, "import", 1)
}
