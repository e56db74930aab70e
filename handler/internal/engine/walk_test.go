package engine_test

import (
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// The whole walk: a backlog in chunks, new data at the moving edge, a cutover, an equal destination.
func TestWalk(t *testing.T) {
	for name, generation := range map[string]fhirsim.Generation{"gen1": fhirsim.Gen1, "gen2": fhirsim.Gen2} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.generation = generation; w.settings.ChunkLimit = 200 })
			w.load("Patient", 900, at("2022-01-01T00:00:00Z"), time.Hour)
			w.load("Observation", 150, at("2022-06-01T00:00:00Z"), 24*time.Hour)
			w.load("Encounter", 20, at("2023-01-01T00:00:00Z"), time.Minute)
			w.start(engine.Overrides{})
			w.until(12*time.Hour, "caught up", func(s engine.Status) bool {
				return s.Totals.Chunks[migration.Imported] > 3 && !s.MigratedTill.Before(w.Now().Add(-time.Hour))
			})
			w.source.Put("Patient", "late", []byte(`{"resourceType":"Patient","id":"late"}`))
			w.pass(time.Second)
			w.source.Put("Patient", "late", []byte(`{"resourceType":"Patient","id":"late","active":false}`))
			w.pass(time.Second)
			w.source.Delete("Patient", "late")
			s := w.finish()
			w.equal()
			if !s.Totals.Clean() || s.Totals.Resources.Rejected != 0 {
				t.Errorf("not clean: %s", w.tell(s))
			}
			if got, want := s.MigratedTill, s.End; !got.Equal(want) {
				t.Errorf("migratedTill: got %s, want T %s", got, want)
			}
			if most := w.source.MaxConcurrent("export"); most > 4 {
				t.Errorf("exports in flight: got %d, want at most 4", most)
			}
			if most := w.destination.MaxConcurrent("import"); most > 2 {
				t.Errorf("imports in flight: got %d, want at most 2", most)
			}
		})
	}
}
