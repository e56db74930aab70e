package engine_test

import (
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/local/fhirsim"
)

// Whether the destination compares etags with their quotes is unconfirmed (contract 4.2): one import in all may die of
// it for each one in flight, and the rest give the form that it takes.
func TestEtagsInTheFormThatTheDestinationTakes(t *testing.T) {
	for name, plain := range map[string]bool{"with quotes": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) {
				w.settings.ChunkLimit = 50
				w.destinationOptions = func(o *fhirsim.Options) { o.EtagUnquoted = plain }
			})
			w.load("Patient", 400, at("2023-01-01T00:00:00Z"), 12*time.Hour)
			w.start(engine.Overrides{})
			w.finish()
			w.equal()
			failed := 0
			for _, j := range w.destination.Jobs() {
				if j.State == "failed" {
					failed++
				}
			}
			if most := map[bool]int{false: 0, true: 2}[plain]; failed > most {
				t.Errorf("imports that died of an etag: got %d, want at most %d", failed, most)
			}
		})
	}
}
