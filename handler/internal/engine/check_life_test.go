package engine_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// limited makes both servers refuse, or run out of time for, counts above a limit.
func (w *world) limited(most int, status int, diagnostics string) (refused *int) {
	refused = new(int)
	inside := map[string]*fhirsim.Server{strings.TrimPrefix(w.settings.Source, "http://"): w.source,
		strings.TrimPrefix(w.settings.Destination, "http://"): w.destination}
	w.instead = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("_summary") != "count" {
			return false
		}
		trial := httptest.NewRecorder()
		inside[r.Host].ServeHTTP(trial, r)
		var total int
		if _, after, ok := strings.Cut(trial.Body.String(), `"total":`); ok {
			_, _ = fmt.Sscanf(after, "%d", &total)
		}
		if total > most {
			*refused++
			rw.Header().Set("Content-Type", "application/fhir+json")
			rw.WriteHeader(status)
			_, _ = fmt.Fprintf(rw, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden","diagnostics":%q}]}`, diagnostics)
			return true
		}
		rw.WriteHeader(trial.Code)
		_, _ = rw.Write(trial.Body.Bytes())
		return true
	}
	return refused
}

// Totals that a server cannot tell at once are counted in parts and summed; what overflows is never taken for a count.
func TestCountsInParts(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		text   string
	}{
		"too many": {403, "Search count returned 9 and exceeds the maximum defined limit of 3."},
		"too slow": {408, "The request timed out."},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
			w.load("Patient", 12, at("2022-01-01T00:00:00Z"), 3*24*time.Hour)
			w.start(engine.Overrides{})
			w.untilState(24*time.Hour, migration.ShownCompleted)
			refused := w.limited(3, tc.status, tc.text)
			c := w.checked(surface())
			w.wantVerdict(c, migration.Equal)
			if *refused < 8 {
				t.Errorf("counts refused: got %d, want some on both sides", *refused)
			}
			for _, a := range w.countRow(c, "Patient").Answers {
				if a.Count != 12 || a.Unknown != "" {
					t.Errorf("got %+v, want 12", a)
				}
			}
		})
	}
}

// Parts that cannot be made smaller are unknown.
func TestCountsThatNoPartMends(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.load("Patient", 6, at("2022-01-01T00:00:00Z"), 0)
	w.start(engine.Overrides{})
	w.untilState(24*time.Hour, migration.ShownCompleted)
	for status, text := range map[int]string{403: "Search count returned 9 and exceeds the maximum defined limit of 3.", 408: "late"} {
		w.limited(3, status, text)
		c := w.checked(surface("Patient", "Encounter"))
		w.wantVerdict(c, migration.Unknown)
		if row := w.countRow(c, "Patient"); row.Verdict != migration.Unknown || !strings.Contains(row.Reason, text) {
			t.Errorf("%d: got %+v, want unknown with the server's reason", status, row)
		}
		if row := w.countRow(c, "Encounter"); row.Verdict != migration.Equal {
			t.Errorf("%d: got %+v, want the other type equal", status, row)
		}
	}
}

// A source that answers nothing: everything is unknown, one problem says why, and the destination is counted all the same.
func TestChecksOfADeprecatedSource(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode, w.settings.Window = migration.Once, 20*365*24*time.Hour })
	w.small()
	w.source.Faults().Deprecate()
	w.start(engine.Overrides{})
	s := w.untilState(40*24*time.Hour, migration.ShownCompleted)
	told := 0
	for _, p := range s.Totals.Problems {
		if strings.HasPrefix(p.Detail, "final check: ") {
			told++
		}
	}
	w.wantProblem(s, "final check: the counts could not be checked: the source is deprecated")
	if told != 1 || s.Check.Verdict != migration.Unknown {
		t.Errorf("problems of the final check: got %d, want one; %+v", told, s.Check)
	}
	row := w.countRow(w.result(s.Check.ID), "Patient")
	if n, _, known := row.Answer(migration.AtDestination, migration.VersionsBefore); !known || n.Count != 14 {
		t.Errorf("the destination's versions: got %+v, want 14", row)
	}
	// A check that learns of it by itself.
	w = moved(t)
	w.source.Faults().Deprecate()
	c := w.checked(surface())
	w.wantVerdict(c, migration.Unknown)
	if row := w.countRow(c, "Patient"); !strings.Contains(row.Reason, "the source is deprecated") {
		t.Errorf("row: got %+v, want the reason", row)
	}
	c = w.checked(deep(3, 1))
	w.wantVerdict(c, migration.Unknown)
	if len(c.Errand.Check.Notes) != 1 || !strings.Contains(c.Errand.Check.Notes[0], "the source is deprecated") {
		t.Errorf("notes: got %q, want the reason once", c.Errand.Check.Notes)
	}
}

// chosen are the lookups at one server, in order.
func lookups(s *fhirsim.Server, from int) []string {
	var list []string
	for _, r := range s.Requests()[from:] {
		if r.Route == "GET /{Type}/{id}/_history" {
			list = append(list, r.Path)
		}
	}
	return list
}

// The same seed chooses the same resources, another one others.
func TestSeedsReproduce(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.load("Patient", 300, at("2018-01-01T00:00:00Z"), 5*24*time.Hour)
	w.start(engine.Overrides{})
	w.untilState(24*time.Hour, migration.ShownCompleted)
	play := func(seed int64) []string {
		from := len(w.destination.Requests())
		c := w.checked(deep(5, seed, "Patient"))
		w.wantVerdict(c, migration.Equal)
		if c.Errand.Same != 10 || c.Errand.Seed != seed {
			t.Errorf("got %+v, want five compared on each side", c.Errand)
		}
		return lookups(w.destination, from)
	}
	first, again, other := play(1), play(1), play(2)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same seed (-first +again):\n%s", diff)
	}
	if cmp.Equal(first, other) {
		t.Errorf("another seed chose the same: %v", other)
	}
	// They lie in the five parts of the span.
	if len(first) != 5 || !slices.IsSorted(numbers(first)) || numbers(first)[0] > 100 || numbers(first)[4] < 200 {
		t.Errorf("chosen: got %v, want five over the whole span", first)
	}
	// Without a seed one is made and told.
	if c := w.result(w.order(engine.CheckOrder{Kind: migration.DeepErrand})); c.Errand.Sample != 5 || c.Errand.Seed == 0 {
		t.Errorf("got sample %d, seed %d; want five and a seed", c.Errand.Sample, c.Errand.Seed)
	}
}

func numbers(paths []string) []int {
	var list []int
	for _, p := range paths {
		var seconds, n int
		_, _ = fmt.Sscanf(p, "/Patient/patient-%d-%d/_history", &seconds, &n)
		list = append(list, n)
	}
	return list
}

// Where earlier versions are not moved current resources are compared; deletes that are not moved are passed over.
func TestDeepCheckOfWhatIsMoved(t *testing.T) {
	for _, tc := range []struct {
		history, deleted bool
		compared         int // of Patient at the source
	}{{true, true, 14}, {true, false, 13}, {false, true, 11}, {false, false, 11}} {
		t.Run(fmt.Sprintf("history=%t deleted=%t", tc.history, tc.deleted), func(t *testing.T) {
			t.Parallel()
			w := moved(t, func(w *world) { w.settings.History, w.settings.Deleted = tc.history, tc.deleted })
			c := w.checked(deep(30, 3, "Patient"))
			w.wantVerdict(c, migration.Equal)
			if row := w.sampleRow(c, "Patient"); row.AtSource != tc.compared || row.Same != 2*tc.compared {
				t.Errorf("got %+v, want %d compared on each side", row, tc.compared)
			}
			// With history and without deletes a deleted resource lives on at the destination: nobody may learn of it by chance.
			s, lives := w.status(), tc.history && !tc.deleted
			if s.Totals.Clean() == lives {
				t.Errorf("clean: got %t, want %t: %s", s.Totals.Clean(), !lives, w.tell(s))
			}
			if lives {
				w.wantProblem(s, "final check: Patient differs: 11 current resources at the source and 12 at the destination, soft deletes are not moved")
			}
		})
	}
}

// A GUID-like versionId is renumbered by an import (contract 6.1); a number is kept and compared.
func TestDeepCheckOfRenumberedVersions(t *testing.T) {
	body := `{"resourceType":"Patient","id":"p"}`
	for source, verdict := range map[string]migration.Verdict{"f3b1": migration.Equal, "7": migration.Different} {
		w := moved(t)
		v := stored("Patient", "p", "2022-06-01T00:00:00.5Z", body)
		w.copyTo(v)
		v.VersionID = source
		w.must(w.source.Load(v))
		c := w.checked(deep(30, 3, "Patient"))
		w.wantVerdict(c, verdict)
		for _, f := range w.sampleRow(c, "Patient").Findings {
			if strings.Join(f.Paths, " ") != "meta.versionId" {
				t.Errorf("versionId %s: got %+v, want meta.versionId", source, f)
			}
		}
	}
}

// Before there is a run a check compares what the settings say; it is found later, beside those of two runs.
func TestChecksAreKept(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode, w.settings.Types = migration.Once, []string{"Encounter", "Patient"} })
	w.small()
	c := w.checked(surface())
	w.wantVerdict(c, migration.Different)
	if got := c.Errand; got.RunID != migration.Idle || !got.AsOf.Equal(w.Now().Add(-w.limits.Settle)) && got.AsOf.After(w.Now().Add(-w.limits.Settle)) || len(c.Counts) != 2 {
		t.Errorf("got %+v, want the two types of the settings, as of what has settled", c)
	}
	access := w.checked(engine.CheckOrder{Kind: migration.AccessErrand})
	w.wantVerdict(access, migration.Passed)
	if len(access.Access) < 9 || access.Errand.Same != len(access.Access) {
		t.Errorf("access: got %+v, want every line of the preflight", access)
	}
	if s := w.status(); s.Check.ID != access.Errand.ID {
		t.Errorf("status without a run: got check %q, want the newest", s.Check.ID)
	}
	for range 2 {
		w.start(engine.Overrides{})
		w.untilState(24*time.Hour, migration.ShownCompleted)
		w.pass(time.Hour)
	}
	mine := w.order(surface("Patient"))
	list, err := w.viewer.Checks(t.Context())
	w.must(err)
	var kinds []string
	for i, c := range list {
		kinds = append(kinds, fmt.Sprintf("%s %t", c.Errand.Kind, c.Errand.Step))
		if i > 0 && c.Errand.StartedAt.After(list[i-1].Errand.StartedAt) {
			t.Errorf("check %d is newer than the one before it", i)
		}
		if _, err := w.viewer.Check(t.Context(), c.Errand.ID); err != nil {
			t.Errorf("check %s: %v", c.Errand.ID, err)
		}
	}
	if diff := cmp.Diff([]string{"surface false", "surface true", "surface true", "access false", "surface false"}, kinds); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	last := w.ended(mine)
	w.wantVerdict(last, migration.Equal)
	if s := w.status(); !last.Errand.AsOf.Equal(s.End.Add(time.Millisecond)) {
		t.Errorf("after the end of a run: as of %s, want T %s and a millisecond", last.Errand.AsOf, s.End)
	}
	for _, id := range []string{"", "nothing", "surface-idle-1", "parameters-idle-1", "../x"} {
		var refusal *engine.Refusal
		if _, err := w.viewer.Check(t.Context(), id); !errors.As(err, &refusal) || refusal.Reason != engine.NotThere {
			t.Errorf("check %q: got %v, want that there is none", id, err)
		}
	}
}

// Starting a check asks no server anything.
func TestStartCheckOnlyKeepsIt(t *testing.T) {
	w := moved(t)
	before := len(w.source.Requests()) + len(w.destination.Requests())
	for _, kind := range migration.CheckKinds() {
		w.order(engine.CheckOrder{Kind: kind})
	}
	if n := len(w.source.Requests()) + len(w.destination.Requests()) - before; n != 0 {
		t.Errorf("requests: got %d, want none", n)
	}
	future := w.Now().Add(time.Second)
	var refusal *engine.Refusal
	if _, err := w.engine.StartCheck(t.Context(), engine.CheckOrder{Kind: migration.SurfaceErrand, AsOf: &future}); !errors.As(err, &refusal) || refusal.Reason != engine.BadValue {
		t.Errorf("asOf in the future: got %v, want it refused", err)
	}
	// All of them end, side by side.
	list, err := w.viewer.Checks(t.Context())
	w.must(err)
	for _, c := range list {
		w.ended(c.Errand.ID)
	}
}

// A process that dies at any call of a check, before it or after its effect, repeats what its visit has asked and no more;
// what is found is the same.
func TestDeathDuringChecks(t *testing.T) {
	for _, o := range []engine.CheckOrder{surface("Encounter", "Patient"), deep(3, 5, "Encounter", "Patient")} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s after=%t", o.Kind, after), func(t *testing.T) {
				t.Parallel()
				w := moved(t)
				want := w.checked(o)
				for n := 1; ; n++ {
					id := w.order(o)
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
					got := w.ended(id)
					if diff := cmp.Diff([]any{want.Counts, want.Samples, want.Errand.Verdict, want.Errand.Same, want.Errand.Done},
						[]any{got.Counts, got.Samples, got.Errand.Verdict, got.Errand.Same, got.Errand.Done}); diff != "" {
						t.Fatalf("death at call %d (-want +got):\n%s", n, diff)
					}
					if !dead {
						if n < 10 {
							t.Errorf("a check took %d calls, want more than ten", n)
						}
						return
					}
				}
			})
		}
	}
}

// A stop ends the final check at once; a cutover in its midst is followed by another one for the new end.
func TestVerbsDuringTheFinalCheck(t *testing.T) {
	begin := func(t *testing.T) *world {
		w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
		w.small()
		w.destination.Faults().Arm("ServerBusy", fhirsim.Arm{Times: 1000, Route: "GET /?_summary=count"})
		w.start(engine.Overrides{})
		w.until(24*time.Hour, "in the final check", func(s engine.Status) bool { return s.Check.ID != "" && s.Check.Done > 0 })
		return w
	}
	t.Run("stop", func(t *testing.T) {
		w := begin(t)
		w.stop()
		s := w.untilState(30*time.Minute, migration.ShownStopped)
		if notes := s.Check.Check.Notes; s.Check.Verdict != migration.Unknown || !s.Check.Ended() || len(notes) != 1 {
			t.Errorf("check: got %+v, want it ended, unknown, and why", s.Check)
		}
	})
	t.Run("cutover", func(t *testing.T) {
		w := begin(t)
		w.source.Put("Patient", "late", []byte(`{"resourceType":"Patient","id":"late"}`))
		w.pass(time.Minute)
		w.cutOver()
		w.destination.Faults().Reset()
		s := w.untilState(24*time.Hour, migration.ShownCompleted)
		w.equal()
		list, err := w.viewer.Checks(t.Context())
		w.must(err)
		if len(list) != 2 || !list[0].Errand.AsOf.Equal(s.End.Add(time.Millisecond)) || list[0].Errand.Verdict != migration.Equal {
			t.Errorf("checks: got %+v, want a second one for the new end, equal", list)
		}
		if old := list[len(list)-1].Errand; old.Verdict != migration.Unknown || old.Done == old.Total {
			t.Errorf("the check for the end before: got %+v, want it given up", old)
		}
		if !s.Totals.Clean() {
			t.Errorf("not clean: %s", w.tell(s))
		}
	})
}

// Settings that name other services in mid-run stop no check that nobody waits for, and none compares the wrong services.
func TestCheckOfOtherServices(t *testing.T) {
	w := moved(t)
	id := w.order(surface())
	other := newWorld(t)
	w.settings.Source = other.settings.Source
	w.engine = w.instance(&tap{})
	c := w.ended(id)
	w.wantVerdict(c, migration.Unknown)
	if len(c.Errand.Check.Notes) != 1 || len(other.source.Requests()) != 0 {
		t.Errorf("got notes %q and %d requests, want the reason and none", c.Errand.Check.Notes, len(other.source.Requests()))
	}
	// A new one is about the services that the settings name, not about the run that is over.
	if c := w.checked(surface("Patient")); c.Errand.RunID != migration.Idle {
		t.Errorf("run: got %q, want none", c.Errand.RunID)
	}
}
