package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// order starts a check.
func (w *world) order(o engine.CheckOrder) string {
	w.t.Helper()
	c, err := w.engine.StartCheck(w.t.Context(), o)
	if err != nil {
		w.t.Fatalf("start a check: %v", err)
	}
	return c.Errand.ID
}

func (w *world) result(id string) engine.CheckResult {
	w.t.Helper()
	c, err := w.viewer.Check(w.t.Context(), id)
	if err != nil {
		w.t.Fatalf("check %s: %v", id, err)
	}
	return c
}

// ended steps until the check has ended.
func (w *world) ended(id string) engine.CheckResult {
	w.t.Helper()
	for end := w.Now().Add(48 * time.Hour); w.Now().Before(end); w.step(5 * time.Second) {
		if c := w.result(id); c.Errand.Ended() {
			return c
		}
	}
	w.t.Fatalf("check %s has not ended within two days: %s", id, tellCheck(w.result(id)))
	return engine.CheckResult{}
}

func (w *world) checked(o engine.CheckOrder) engine.CheckResult {
	w.t.Helper()
	return w.ended(w.order(o))
}

func tellCheck(c engine.CheckResult) string {
	text, _ := json.MarshalIndent(c, "", " ")
	return string(text)
}

func (w *world) wantVerdict(c engine.CheckResult, want migration.Verdict) {
	w.t.Helper()
	if c.Errand.Verdict != want {
		w.t.Errorf("verdict: got %q, want %q: %s", c.Errand.Verdict, want, tellCheck(c))
	}
}

// countRow is the row of a type in a surface check.
func (w *world) countRow(c engine.CheckResult, name string) migration.CountRow {
	w.t.Helper()
	for _, r := range c.Counts {
		if r.Type == name {
			return r
		}
	}
	w.t.Fatalf("no row for %s: %s", name, tellCheck(c))
	return migration.CountRow{}
}

func (w *world) sampleRow(c engine.CheckResult, name string) migration.SampleRow {
	w.t.Helper()
	for _, r := range c.Samples {
		if r.Type == name {
			return r
		}
	}
	w.t.Fatalf("no row for %s: %s", name, tellCheck(c))
	return migration.SampleRow{}
}

// moved is a world whose small source has been moved once.
func moved(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	w := newWorld(t, append([]func(*world){func(w *world) { w.settings.Mode = migration.Once }}, change...)...)
	w.small()
	w.start(engine.Overrides{})
	w.untilState(24*time.Hour, migration.ShownCompleted)
	return w
}

func surface(o ...string) engine.CheckOrder {
	return engine.CheckOrder{Kind: migration.SurfaceErrand, Types: o}
}

func deep(sample int, seed int64, types ...string) engine.CheckOrder {
	return engine.CheckOrder{Kind: migration.DeepErrand, Sample: &sample, Seed: &seed, Types: types}
}

// copyTo stores a version at the destination as it is in the list, without an import.
func (w *world) copyTo(v ...fhirsim.Version) {
	w.t.Helper()
	w.must(w.destination.Load(v...))
}

func stored(resourceType, id, updated, body string) fhirsim.Version {
	return fhirsim.Version{Type: resourceType, ID: id, VersionID: "1", LastUpdated: at(updated), Body: []byte(body)}
}

// A run that has moved everything ends with a check that says so, before it completes.
func TestFinalCheckEqual(t *testing.T) {
	w := moved(t)
	s := w.status()
	if !s.Totals.Clean() || s.Totals.Reported > 0 {
		t.Errorf("problems, want none: %s", w.tell(s))
	}
	if s.Check.Kind != migration.SurfaceErrand || s.Check.Verdict != migration.Equal || s.Check.Done != s.Check.Total || s.Check.Total != 16 {
		t.Errorf("check in the status: got %+v, want a surface check of 4 types, equal", s.Check)
	}
	c := w.result(s.Check.ID)
	if !c.Errand.AsOf.Equal(s.End.Add(time.Millisecond)) || c.Errand.EndedAt.After(s.EndedAt) {
		t.Errorf("as of %s, ended %s; want one millisecond after T %s, and before the run's end %s", c.Errand.AsOf, c.Errand.EndedAt, s.End, s.EndedAt)
	}
	row := w.countRow(c, "Patient")
	want := []migration.CountAnswer{
		{CountQuestion: migration.CountQuestion{Side: "source", Measure: "current"}, Count: 11},
		{CountQuestion: migration.CountQuestion{Side: "destination", Measure: "current"}, Count: 11},
		{CountQuestion: migration.CountQuestion{Side: "source", Measure: "versions"}, Count: 14},
		{CountQuestion: migration.CountQuestion{Side: "destination", Measure: "versions"}, Count: 14},
	}
	if fmt.Sprint(row.Answers) != fmt.Sprint(want) || row.Verdict != migration.Equal {
		t.Errorf("row of Patient: got %+v, want %+v", row, want)
	}
	if n := len(c.Errand.Documents); n != 1 {
		t.Errorf("documents: got %d, want everything in one", n)
	}
	last := 0
	for i, r := range w.source.Requests() {
		if strings.Contains(r.RawQuery, "_summary=count") {
			if !strings.Contains(r.Header["Prefer"], "handling=strict") {
				t.Errorf("%s without strict handling", r.Route)
			}
			last = i
		}
	}
	if r := w.source.Requests()[last]; strings.Contains(r.RawQuery, "_before") {
		t.Errorf("last count: got %s, want that of what was written after T", r.RawQuery)
	}
}

// Whatever differs is a problem, and the run completes all the same (issue 3).
func TestFinalCheckDiffers(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	// An extra one at the destination, which the source has never had.
	w.copyTo(stored("Condition", "own", "2021-01-01T00:00:00Z", `{"resourceType":"Condition","id":"own"}`))
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.wantProblem(s, "final check: Condition differs: 0 current resources at the source and 1 at the destination, 0 versions at the source and 1 at the destination")
	if s.Totals.Clean() || s.Totals.Reported != 1 || s.Check.Verdict != migration.Different {
		t.Errorf("want one problem, not clean, a check that differs: %s", w.tell(s))
	}
}

// More types than are named one by one are summed up in one problem that names the check.
func TestFinalCheckOfManyTypes(t *testing.T) {
	var types []string
	for _, r := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		types = append(types, "Made"+string(r))
	}
	both := func(o *fhirsim.Options) { o.Types = types }
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.sourceOptions, w.destinationOptions = migration.Once, both, both
	})
	for _, name := range types {
		w.copyTo(stored(name, "own", "2021-01-01T00:00:00Z", `{"resourceType":"`+name+`","id":"own"}`))
	}
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.wantProblem(s, "6 more resource types differ or could not be counted; they are in check "+s.Check.ID)
	if s.Totals.Reported != 21 {
		t.Errorf("problems: got %d, want 20 types and one that sums up: %s", s.Totals.Reported, w.tell(s))
	}
}

// A count that goes on being refused is unknown with its reason, never equal, and does not hold the run up for ever.
func TestFinalCheckRefused(t *testing.T) {
	for _, status := range []int{400, 403, 408, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
			w.small()
			w.beforeRequest(func(line string) bool { return strings.HasPrefix(line, "GET /?_lastUpdated=lt") },
				func() { w.destination.Faults().CountFails(-1, status) })
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			w.equal()
			w.wantProblem(s, "final check: Patient is unknown: the destination could not be counted: count")
			if s.Totals.Clean() || s.Check.Verdict != migration.Unknown || s.Check.Unknown != 4 {
				t.Errorf("want 4 types unknown, not clean: %+v %s", s.Check, w.tell(s))
			}
			tried := 0
			for _, r := range w.destination.Requests() {
				if strings.Contains(r.RawQuery, "_summary=count") && strings.HasSuffix(r.RawQuery, "_type=Condition") {
					tried++
				}
			}
			if status != 408 && tried != w.limits.MaxFailures {
				t.Errorf("first count of the destination: got %d tries, want %d", tried, w.limits.MaxFailures)
			}
		})
	}
}

// A busy server is waited for, however long it is: it is no fault.
func TestCheckWaitsForABusyServer(t *testing.T) {
	w := moved(t)
	w.destination.Faults().ServerBusy(40, fhirsim.FormHeaders)
	c := w.checked(surface())
	w.wantVerdict(c, migration.Equal)
}

// While the source still gets writes a current count may differ for a reason that is no fault; it is unknown and says so.
func TestSurfaceWhileWritten(t *testing.T) {
	w := moved(t)
	id := fmt.Sprintf("patient-%d-3", at("2022-01-01T00:00:00Z").Unix())
	w.source.Put("Patient", id, fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"active":false}`, id))
	c := w.checked(surface())
	w.wantVerdict(c, migration.Unknown)
	row := w.countRow(c, "Patient")
	if row.Verdict != migration.Unknown || !strings.Contains(row.Reason, "the source has 1 versions of a later date") {
		t.Errorf("row: got %+v, want unknown for the later version", row)
	}
	if c.Errand.Same != 3 || c.Errand.Different != 0 {
		t.Errorf("got %+v, want the other three types equal", c.Errand)
	}
	// The same at the destination, after it went live.
	w = moved(t)
	w.destination.Put("Patient", id, fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"active":false}`, id))
	row = w.countRow(w.checked(surface("Patient")), "Patient")
	if row.Verdict != migration.Unknown || !strings.Contains(row.Reason, "the destination has 1 versions of a later date") {
		t.Errorf("row: got %+v, want unknown for the destination's later version", row)
	}
	// Nothing later, and one is missing: it differs.
	w = moved(t)
	w.destination.HardDelete("Patient", id)
	row = w.countRow(w.checked(surface("Patient")), "Patient")
	if row.Verdict != migration.Different {
		t.Errorf("row: got %+v, want different", row)
	}
}

// A deep check names what differs by its path, in both directions, and shows no value.
func TestDeepCheck(t *testing.T) {
	const secret = "Zebra-Quagga"
	body := func(id, family, value string) string {
		return `{"resourceType":"Patient","id":"` + id + `","name":[{"family":"` + family + `"}],"multipleBirthInteger":` + value + `}`
	}
	const updated = "2022-06-01T00:00:00.123Z"
	for name, tc := range map[string]struct {
		source, destination string // bodies; empty: it is not there
		verdict             migration.Verdict
		detail              string
		paths               string
	}{
		"equal":           {source: body("p", secret, "1"), destination: body("p", secret, "1"), verdict: migration.Equal},
		"order":           {source: body("p", secret, "1"), destination: `{"multipleBirthInteger":1,"name":[{"family":"Zebra\u002dQuagga"}],"id":"p","resourceType":"Patient"}`, verdict: migration.Equal},
		"missing":         {source: body("p", secret, "1"), verdict: migration.Different, detail: "missing at the destination"},
		"extra":           {destination: body("p", secret, "1"), verdict: migration.Different, detail: "the destination has it and the source has not"},
		"content":         {source: body("p", secret, "1"), destination: body("p", secret+"x", "1"), verdict: migration.Different, detail: "the content differs", paths: "name[0].family"},
		"text of numbers": {source: body("p", secret, "1.0"), destination: body("p", secret, "1.00"), verdict: migration.Different, detail: "the content differs", paths: "multipleBirthInteger"},
		"one more":        {source: body("p", secret, "1"), destination: body("p", secret+`"},{"text":"`+secret, "1"), verdict: migration.Different, detail: "the content differs", paths: "name[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			w := moved(t, func(w *world) { w.logged = &logged })
			if tc.source != "" {
				w.must(w.source.Load(stored("Patient", "p", updated, tc.source)))
			}
			if tc.destination != "" {
				w.copyTo(stored("Patient", "p", updated, tc.destination))
			}
			c := w.checked(deep(20, 7))
			w.wantVerdict(c, tc.verdict)
			row := w.sampleRow(c, "Patient")
			for _, f := range row.Findings {
				if f.ID != "p" || f.Detail != tc.detail || strings.Join(f.Paths, " ") != tc.paths || !f.LastUpdated.Equal(at(updated)) {
					t.Errorf("finding: got %+v, want %q, paths %q", f, tc.detail, tc.paths)
				}
			}
			found := map[bool]int{true: 1, false: 2}[tc.source == "" || tc.destination == ""]
			if tc.verdict == migration.Equal {
				found = 0
			}
			if len(row.Findings) != found {
				t.Errorf("findings: got %d, want %d: %s", len(row.Findings), found, tellCheck(c))
			}
			// All 14 versions of Patient, the soft delete among them, and p: no gap, nothing twice.
			if want := 14 + min(len(tc.source), 1); row.AtSource != want {
				t.Errorf("chosen at the source: got %d, want %d", row.AtSource, want)
			}
			if condition := w.sampleRow(c, "Condition"); condition.Reason == "" || condition.Verdict != migration.Equal {
				t.Errorf("a type without resources: got %+v, want that to be said", condition)
			}
			w.silentAbout(secret, c, logged.String())
		})
	}
}

// silentAbout wants a text in no document and no answer.
func (w *world) silentAbout(secret string, c engine.CheckResult, logged string) {
	w.t.Helper()
	if text := tellCheck(c); strings.Contains(text, secret) {
		w.t.Errorf("the answer tells %q: %s", secret, text)
	}
	names := w.tap.kept("checks/")
	if len(names) == 0 {
		w.t.Error("no document of a check was written")
	}
	for _, name := range names {
		if strings.Contains(string(w.tap.document(name)), secret) {
			w.t.Errorf("document %s tells %q", name, secret)
		}
	}
	if strings.Contains(logged, secret) || !strings.Contains(logged, `"event":"CheckEnded"`) {
		t := map[bool]string{true: "tells the secret", false: "does not tell the end"}[strings.Contains(logged, secret)]
		w.t.Errorf("the log %s: %s", t, logged)
	}
}
