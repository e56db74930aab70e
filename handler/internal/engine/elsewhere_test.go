package engine_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// moveHouse lets the app's settings name another destination than the run's from now on, as after a change of
// FERRY_DESTINATION_URL.
func (w *world) moveHouse() (other *fhirsim.Server) {
	w.t.Helper()
	other, w.settings.Destination = w.serve(fhirsim.Options{
		Generation: fhirsim.Gen2, Blobs: w.blobs, Now: w.Now, Seed: 3, Types: []string{"Patient", "Observation", "Encounter", "Condition", "SearchParameter"},
	})
	w.engine = w.instance(w.tap)
	return other
}

// A stop under settings that name another destination starts nothing there to learn of a job whose answer was lost, and
// cancels nothing there. It tells that the job may run on.
func TestStopWhileSettingsNameAnotherDestination(t *testing.T) {
	for name, c := range map[string]struct {
		world func(t *testing.T) *world
		ask   string // the request whose answer was lost
	}{
		"import": {func(t *testing.T) *world {
			w := newWorld(t, once)
			w.small()
			w.destination.Faults().LoseImportAnswer(1)
			return w
		}, "POST /$import"},
		"reindex": {func(t *testing.T) *world {
			w := withOne(t, slowReindex)
			w.destination.Faults().DropAfter(1, "POST /$reindex")
			return w
		}, "POST /$reindex"},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.world(t)
			w.start(engine.Overrides{})
			w.until(24*time.Hour, "lost", func(engine.Status) bool { return len(requests(w.destination, c.ask)) > 0 })
			other := w.moveHouse()
			answer, err := http.Post(w.settings.Destination+"/$reindex", "application/fhir+json", strings.NewReader(`{"resourceType":"Parameters","parameter":[]}`))
			w.must(err)
			w.must(answer.Body.Close())
			w.stop()
			s := w.untilState(time.Hour, migration.ShownStopped)
			for _, r := range other.Requests() {
				if r.Method != http.MethodGet && r.Path != "/$reindex" {
					t.Errorf("the other destination was asked %s %s", r.Method, r.Path)
				}
			}
			w.wantProblem(s, "could not be cancelled and may run on at the server")
			w.wantProblem(s, "the settings name another service than the run's")
		})
	}
}
