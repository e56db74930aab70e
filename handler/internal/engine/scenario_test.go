package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// scenario is one run in mode once over a small source on which something goes wrong. Whatever it is, the run completes
// and the destination ends equal.
type scenario struct {
	name    string
	change  func(*world) // before the services start
	arm     func(*world) // after the source is loaded, before the run starts
	exports int          // export jobs made at the source; 0: any number
	imports int          // import jobs made at the destination; 0: any number
	problem string       // in one of the problems shown; empty: there is none
	unclean bool         // something was rejected or could not be verified
	faults  bool         // whether attempts may be counted: something failed, nobody just asked for patience
	check   func(*world, engine.Status)
}

// play runs the scenarios side by side, each in a world of its own.
func play(t *testing.T, scenarios []scenario) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			sc.play(t)
		})
	}
}

func (sc scenario) play(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode = migration.Once
		if sc.change != nil {
			sc.change(w)
		}
	})
	w.small()
	if sc.arm != nil {
		sc.arm(w)
	}
	w.start(engine.Overrides{})
	s := w.untilState(60*24*time.Hour, migration.ShownCompleted)
	w.equal()
	w.wantJobs(w.source, "export", sc.exports)
	w.wantJobs(w.destination, "import", sc.imports)
	if sc.problem == "" && s.Totals.Reported > 0 {
		t.Errorf("problems shown, none wanted: %s", w.tell(s))
	}
	if sc.problem != "" {
		w.wantProblem(s, sc.problem)
	}
	if got, want := s.Totals.Clean(), !sc.unclean; got != want {
		t.Errorf("clean: got %t, want %t: %s", got, want, w.tell(s))
	}
	for _, c := range w.tap.saved() {
		if c.Attempts > 0 && !sc.faults {
			t.Errorf("an attempt was counted for chunk %s in state %s: %s", c.ID, c.State, c.LastError)
		}
	}
	if sc.check != nil {
		sc.check(w, s)
	}
}

// small loads two dozen resources of three types, with versions and a delete.
func (w *world) small() {
	w.t.Helper()
	w.load("Patient", 12, at("2022-01-01T00:00:00Z"), 24*time.Hour)
	w.load("Observation", 8, at("2022-03-01T00:00:00Z"), time.Hour)
	w.load("Encounter", 4, at("2022-03-02T00:00:00Z"), time.Minute)
	id := fmt.Sprintf("patient-%d-0", at("2022-01-01T00:00:00Z").Unix())
	body := fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"gender":"other"}`, id)
	err := w.source.Load(
		fhirsim.Version{Type: "Patient", ID: id, VersionID: "2", LastUpdated: at("2022-05-01T00:00:00Z"), Body: body},
		fhirsim.Version{Type: "Patient", ID: id, VersionID: "3", LastUpdated: at("2022-05-02T00:00:00Z"), Deleted: true},
	)
	if err != nil {
		w.t.Fatal(err)
	}
}

// smallVersions is how many versions small loads.
const smallVersions = 26

// jobs are the jobs of one kind that a server ever made, oldest first.
func jobs(s *fhirsim.Server, kind string) []fhirsim.JobInfo {
	var list []fhirsim.JobInfo
	for _, j := range s.Jobs() {
		if j.Kind == kind {
			list = append(list, j)
		}
	}
	return list
}

// wantJobs fails unless the server made exactly so many jobs; zero asks nothing.
func (w *world) wantJobs(s *fhirsim.Server, kind string, want int) {
	w.t.Helper()
	got := jobs(s, kind)
	if want == 0 || len(got) == want {
		return
	}
	var b strings.Builder
	for _, j := range got {
		fmt.Fprintf(&b, "\n  %d %s %s to %s, %d %s", j.ID, j.State, j.From.Format(time.RFC3339), j.Before.Format(time.RFC3339), j.Status, j.Reason)
	}
	w.t.Errorf("%s jobs: got %d, want %d%s", kind, len(got), want, b.String())
}

// requests are those a server saw on a route, oldest first.
func requests(s *fhirsim.Server, route string) []fhirsim.Request {
	var list []fhirsim.Request
	for _, r := range s.Requests() {
		if r.Route == route {
			list = append(list, r)
		}
	}
	return list
}

func (w *world) wantProblem(s engine.Status, part string) {
	w.t.Helper()
	for _, p := range s.Totals.Problems {
		if strings.Contains(p.Detail, part) {
			return
		}
	}
	w.t.Errorf("no problem says %q: %s", part, w.tell(s))
}

// polled is how often the status of a job was asked.
func polled(s *fhirsim.Server, j fhirsim.JobInfo) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Method == "GET" && r.Path == fmt.Sprintf("/_operations/%s/%d", j.Kind, j.ID) {
			n++
		}
	}
	return n
}

// neverImported fails when a file of the export was an input of an import.
func (w *world) neverImported(export fhirsim.JobInfo) {
	w.t.Helper()
	for _, i := range jobs(w.destination, "import") {
		for _, input := range i.URLs {
			for _, file := range export.URLs {
				if input == file {
					w.t.Errorf("a file of export %d was imported: %s", export.ID, file)
				}
			}
		}
	}
}
