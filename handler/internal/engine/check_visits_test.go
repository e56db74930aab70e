package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// good is how many requests of a server were answered well since.
func good(s *fhirsim.Server, from int) int {
	n := 0
	for _, r := range s.Requests()[from:] {
		if r.Status == 200 {
			n++
		}
	}
	return n
}

// A check that is told to wait again and again goes on where it stood: no question that was answered is asked again, and
// the result is that of a check that was never held up.
func TestChecksOverManyVisits(t *testing.T) {
	for _, o := range []engine.CheckOrder{surface(), deep(4, 9)} {
		w := moved(t)
		source, destination := len(w.source.Requests()), len(w.destination.Requests())
		want := w.checked(o)
		asked := []int{good(w.source, source), good(w.destination, destination)}
		for _, s := range []*fhirsim.Server{w.source, w.destination} {
			w.must(s.Faults().Arm("ServerBusy", fhirsim.Arm{Probability: 0.4}))
		}
		source, destination = len(w.source.Requests()), len(w.destination.Requests())
		parts := len(w.tap.kept("checks/"))
		got := w.checked(o)
		if diff := cmp.Diff([]any{want.Counts, want.Samples, want.Errand.Verdict}, []any{got.Counts, got.Samples, got.Errand.Verdict}); diff != "" {
			t.Errorf("%s, held up (-want +got):\n%s", o.Kind, diff)
		}
		if o.Kind == migration.SurfaceErrand {
			if now := []int{good(w.source, source), good(w.destination, destination)}; !slices.Equal(now, asked) {
				t.Errorf("questions answered: got %v, want each once, %v", now, asked)
			}
		}
		if n := len(w.tap.kept("checks/")) - parts; n < 2 || len(got.Errand.Documents) != 1 {
			t.Errorf("%s: got %d documents, %d of them read; want a part at least, and one of all", o.Kind, n, len(got.Errand.Documents))
		}
		for _, c := range w.tap.kept("checks/") {
			if !strings.HasPrefix(c, "checks/"+want.Errand.ID) && !strings.HasPrefix(c, "checks/"+got.Errand.ID) && !strings.HasPrefix(c, "checks/"+w.status().Check.ID) {
				t.Errorf("document %s belongs to no check", c)
			}
		}
	}
}

// A server that is away does not hold a check up for days, and nothing about it is called equal.
func TestCheckOfAServerThatIsAway(t *testing.T) {
	for _, o := range []engine.CheckOrder{surface(), deep(4, 9)} {
		for _, side := range []migration.Side{migration.AtSource, migration.AtDestination} {
			w := moved(t, func(w *world) {
				all := func(o *fhirsim.Options) {
					for _, r := range "ABCDEFGHIJKLMNOPQRST" {
						o.Types = append(o.Types, "Made"+string(r))
					}
				}
				w.sourceOptions, w.destinationOptions = all, all
			})
			server := map[migration.Side]*fhirsim.Server{migration.AtSource: w.source, migration.AtDestination: w.destination}[side]
			w.must(server.Faults().Arm("DropBefore", fhirsim.Arm{Times: -1}))
			begun, tries := w.Now(), len(server.Requests())
			c := w.checked(o)
			if tries = len(server.Requests()) - tries; tries > w.limits.MaxFailures+11 {
				t.Errorf("%s with the %s away: got %d tries, want no more when all were in vain", o.Kind, side, tries)
			}
			w.wantVerdict(c, migration.Unknown)
			if took := w.Now().Sub(begun); took > 2*time.Hour {
				t.Errorf("%s with the %s away: took %s, want not much longer than %d tries", o.Kind, side, took, w.limits.MaxFailures)
			}
			if c.Errand.Different > 0 {
				t.Errorf("%s with the %s away: got %d different, want none", o.Kind, side, c.Errand.Different)
			}
			if o.Kind == migration.SurfaceErrand && c.Errand.Same > 0 {
				t.Errorf("%s with the %s away: got %d equal, want none", o.Kind, side, c.Errand.Same)
			}
			if text := tellCheck(c); !strings.Contains(text, "check the URL, the network") {
				t.Errorf("%s with the %s away: the reason is not told: %s", o.Kind, side, text)
			}
		}
	}
}

// Faults are counted in a row: a question that was answered in the end forgives those before it.
func TestFaultsOfChecksInARow(t *testing.T) {
	w := moved(t)
	w.source.Faults().CountFails(4, 500)
	w.must(w.source.Faults().Arm("CountFails", fhirsim.Arm{Times: 4, Status: 500, Skip: 1}))
	w.wantVerdict(w.checked(surface()), migration.Equal)
	if fired := w.source.Faults().Fired()["CountFails"]; fired != 8 {
		t.Errorf("counts that failed: got %d, want 8", fired)
	}
}

// A check whose nudge was lost is found by a tick, whatever run it was asked in, and so is the one at the end of a run.
func TestLostNudgesOfChecks(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	lost := []string{w.order(surface("Patient"))}
	forget := func() { _ = w.queue.Due() }
	forget()
	for range 2 {
		w.start(engine.Overrides{})
		w.untilState(24*time.Hour, migration.ShownCompleted)
		lost = append(lost, w.order(surface("Patient")))
		forget()
	}
	w.wait(time.Hour)
	for _, id := range lost {
		if c := w.result(id); !c.Errand.Ended() {
			t.Errorf("check %s has not ended: %+v", id, c.Errand)
		}
	}
}

// With de-identification only the presence of resources is compared, and that is said.
func TestDeepCheckOfDeIdentified(t *testing.T) {
	w := moved(t)
	w.settings.AnonymizationConfig = "rules.json"
	w.settings.Staging = "http://elsewhere.example" // so that the check is about the settings, not about the run
	w.engine = w.instance(&tap{})
	w.must(w.source.Load(stored("Patient", "p", "2022-06-01T00:00:00Z", `{"resourceType":"Patient","id":"p","gender":"male"}`),
		stored("Patient", "q", "2022-07-01T00:00:00Z", `{"resourceType":"Patient","id":"q"}`)))
	w.copyTo(stored("Patient", "p", "2022-06-01T00:00:00Z", `{"resourceType":"Patient","id":"p"}`))
	c := w.checked(deep(30, 1, "Patient"))
	w.wantVerdict(c, migration.Unknown)
	row := w.sampleRow(c, "Patient")
	if len(row.Findings) != 1 || row.Findings[0].ID != "q" || row.Findings[0].Verdict != migration.Unknown {
		t.Errorf("findings: got %+v, want that q was not found, and no difference", row.Findings)
	}
	if notes := c.Errand.Check.Notes; len(notes) != 1 || !strings.Contains(notes[0], "their content is not") {
		t.Errorf("notes: got %q", notes)
	}
}

// What was written after migratedTill is not compared with a destination that cannot have it yet.
func TestDeepCheckDuringARun(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	w.until(6*time.Hour, "caught up", caughtUp(w))
	w.pause()
	w.source.Put("Patient", "new", []byte(`{"resourceType":"Patient","id":"new"}`))
	w.pass(10 * time.Second)
	now := w.Now()
	o := deep(30, 1, "Patient")
	o.AsOf = &now
	c := w.checked(o)
	w.wantVerdict(c, migration.Unknown)
	row := w.sampleRow(c, "Patient")
	if len(row.Findings) != 1 || row.Findings[0].ID != "new" || !strings.Contains(row.Findings[0].Detail, "after what has been migrated so far") {
		t.Errorf("findings: got %+v, want that the new one was not compared", row.Findings)
	}
	// By itself a check looks at what is migrated.
	c = w.checked(deep(30, 1, "Patient"))
	w.wantVerdict(c, migration.Equal)
	if s := w.status(); !c.Errand.AsOf.Equal(s.MigratedTill) {
		t.Errorf("as of %s, want migratedTill %s", c.Errand.AsOf, s.MigratedTill)
	}
}
