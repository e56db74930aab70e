package engine_test

import (
	"errors"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// wantRefusal wants a refusal for the reason.
func wantRefusal(t *testing.T, what string, err error, want engine.Reason) {
	t.Helper()
	var refusal *engine.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != want {
		t.Errorf("%s: got %v, want a refusal for reason %d", what, err, want)
	}
}

// Start while running changes nothing with the same values and is refused with others (operator contract 3).
func TestStartTwice(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	first := w.status().RunID
	w.wait(10 * time.Minute)
	w.start(engine.Overrides{})
	if again := w.status().RunID; again != first {
		t.Errorf("run after a second start: got %s, want %s", again, first)
	}
	once, since := string(migration.Once), at("2022-01-01T00:00:00Z")
	for name, o := range map[string]engine.Overrides{
		"mode": {Mode: &once}, "since": {Since: &since}, "types": {Types: []string{"Patient"}},
	} {
		_, err := w.engine.Start(t.Context(), o)
		wantRefusal(t, "start with another "+name, err, engine.WrongState)
	}
	w.finish()
	w.equal()
}

// Values that make no sense are refused and start nothing.
func TestStartWithBadValues(t *testing.T) {
	w := newWorld(t)
	early, late, export := at("2022-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z"), "export"
	for name, o := range map[string]engine.Overrides{
		"until not after since": {Since: &early, Until: &early}, "since in the future": {Since: &late}, "mode": {Mode: &export},
	} {
		_, err := w.engine.Start(t.Context(), o)
		wantRefusal(t, name, err, engine.BadValue)
	}
	if s := w.status(); s.State != migration.ShownIdle {
		t.Errorf("state: got %s, want idle", s.State)
	}
}

// changed is an instance of the app whose settings were changed under the run.
func (w *world) changed(change func(*migration.Settings)) *engine.Engine {
	kept := w.settings
	defer func() { w.settings = kept }()
	change(&w.settings)
	return w.instance(&tap{})
}

// App settings that change under a run start nothing and are told; set back, the run goes on (operator contract 3).
func TestSettingsChangeUnderARun(t *testing.T) {
	for name, change := range map[string]func(*world, *migration.Settings){
		"FERRY_CHUNK_LIMIT": func(_ *world, s *migration.Settings) { s.ChunkLimit = 7 },
		"FERRY_HISTORY":     func(_ *world, s *migration.Settings) { s.History = false },
		"FERRY_SOURCE_URL": func(w *world, s *migration.Settings) {
			_, s.Source = w.serve(fhirsim.Options{Generation: fhirsim.Gen1, Blobs: w.blobs, Now: w.Now})
		},
		"FERRY_DESTINATION_URL": func(w *world, s *migration.Settings) {
			_, s.Destination = w.serve(fhirsim.Options{Generation: fhirsim.Gen2, Blobs: w.blobs, Now: w.Now})
		},
		"FERRY_STAGING_CONTAINER": func(_ *world, s *migration.Settings) { s.Container = "elsewhere" },
	} {
		for when, reached := range map[string]func(*world) bool{
			"before planning":  func(*world) bool { return true },
			"while exporting":  func(w *world) bool { return w.states()[migration.Exporting] > 0 },
			"while importing":  func(w *world) bool { return w.states()[migration.Importing] > 0 },
			"in a round":       func(w *world) bool { return w.source.Faults().Fired()["CountFails"] > 0 },
			"after everything": func(w *world) bool { return w.status().Totals.Chunks[migration.Imported] > 5 },
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(w *world) {
					w.settings.ChunkLimit, w.limits.MaxExports, w.limits.MaxImports = 5, 1, 1
				})
				w.small()
				// The third count fails, so that a round waits in the middle of its questions.
				w.must(w.source.Faults().Arm("CountFails", fhirsim.Arm{Times: 1, Skip: 2, Status: 500}))
				w.start(engine.Overrides{})
				w.until(24*time.Hour, when, func(engine.Status) bool { return reached(w) })
				right := w.engine
				w.engine = w.changed(func(s *migration.Settings) { change(w, s) })
				w.step(time.Minute)
				exports, imports := len(jobs(w.source, "export")), len(jobs(w.destination, "import"))
				w.wait(time.Hour)
				if e, i := len(jobs(w.source, "export"))-exports, len(jobs(w.destination, "import"))-imports; e+i != 0 {
					t.Errorf("jobs started with changed settings: got %d exports and %d imports, want none", e, i)
				}
				w.wantProblem(w.status(), name+" changed under the run: nothing is started")
				if w.status().Totals.Chunks[migration.Failed] > 0 {
					t.Errorf("a chunk failed for the changed settings: %s", w.tell(w.status()))
				}
				w.engine = right
				w.finish()
				w.equal()
			})
		}
	}
}

// A cutover asks the run's source for its clock, and no other.
func TestCutOverWithAnotherSource(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	other, url := w.serve(fhirsim.Options{Generation: fhirsim.Gen1, Blobs: w.blobs, Now: w.Now})
	_, err := w.changed(func(s *migration.Settings) { s.Source = url }).CutOver(t.Context())
	wantRefusal(t, "cutover with another source", err, engine.Unavailable)
	if n := len(other.Requests()); n != 0 {
		t.Errorf("requests to the other source: got %d, want none", n)
	}
	w.finish()
	w.equal()
}
