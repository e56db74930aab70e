package engine_test

import (
	"fmt"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// Each kind of source is recognised, and its own rule for the upper bound of an export applied (contract 1.4): AHDS to
// AHDS, and gen1 to AHDS, with history, soft deletes and a resource exactly on every edge, T included. Where the bound is
// inclusive what lies on an inner edge crosses twice, else once; either way the destination ends equal.
func TestKindsOfSources(t *testing.T) {
	const days = 6
	for _, tc := range []struct {
		name       string
		generation fhirsim.Generation
		parallel   bool
		kind       migration.SourceKind
		exclusive  bool
	}{
		{"gen1", fhirsim.Gen1, false, migration.AzureAPIForFHIR, false},
		{"gen1 parallel", fhirsim.Gen1, true, migration.AzureAPIForFHIR, false},
		{"AHDS", fhirsim.Gen2, false, migration.AHDS, false},
		{"AHDS parallel", fhirsim.Gen2, true, migration.AHDS, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.generation, w.limits.Parallel = tc.generation, tc.parallel
				w.settings.Mode, w.settings.Window = migration.Once, 24*time.Hour
			})
			if s := w.status(); s.SourceKind != "" {
				t.Errorf("kind before the first run: got %s, want none", s.SourceKind)
			}
			first := w.Now().Add(-days * 24 * time.Hour)
			edges := 0
			for edge := first; !edge.After(w.Now()); edge = edge.Add(24 * time.Hour) {
				id := fmt.Sprintf("on-%d", edges)
				w.must(w.source.Load(version(id, "1", edge)))
				w.must(w.source.Load(fhirsim.Version{Type: "Observation", ID: id, VersionID: "1", LastUpdated: edge.Add(-time.Hour),
					Body: fmt.Appendf(nil, `{"resourceType":"Observation","id":%q}`, id)}))
				w.must(w.source.Load(fhirsim.Version{Type: "Observation", ID: id, VersionID: "2", LastUpdated: edge, Deleted: true}))
				edges++
			}
			w.must(w.source.Load(version("oldest", "1", first.Add(-24*time.Hour)))) // the windows begin a day earlier
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			w.equal()
			if s.SourceKind != tc.kind {
				t.Errorf("kind: got %s, want %s", s.SourceKind, tc.kind)
			}
			twice := int64(2 * (edges - 1)) // a patient and a delete on each inner edge
			if tc.exclusive {
				twice = 0
			}
			if got, want := s.Totals.Resources.Exported, int64(len(contents(w.source)))+twice; got != want {
				t.Errorf("lines exported: got %d, want %d, of which %d twice", got, want, twice)
			}
			exports := jobs(w.source, "export")
			// One for each day, and one for what had not settled when the run was started.
			if len(exports) != days+2 || s.Totals.Reported > 0 || !s.Totals.Clean() {
				t.Errorf("exports: got %d, want %d, and no problem: %s", len(exports), days+2, w.tell(s))
			}
			for i, e := range exports[1:] {
				if shared := exports[i].Before.After(e.From); shared == tc.exclusive || e.From.After(exports[i].Before) {
					t.Errorf("export %d begins at %s after one before %s: shares its edge %t, want %t", i+1, e.From, exports[i].Before, shared, !tc.exclusive)
				}
			}
		})
	}
}
