package e2e

import (
	"slices"
	"strings"
	"testing"

	"fhirferry/local/show"
)

// TestDeprecatedSource migrates from a source that only exports, from the start (contract 0.4).
func TestDeprecatedSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 71, settings: map[string]string{"FERRY_SINCE": "2023-12-01T00:00:00Z"}})
	w.Source.Faults().Deprecate()
	w.start(1)
	w.verb("start", nil)
	w.untilMigrated(lastInstant())
	w.deprecatedEnd()
	w.onlyExports()
}

// TestSourceDeprecatedMeanwhile migrates from a source that stops to answer anything but exports in mid-run.
func TestSourceDeprecatedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 72, resources: 700, settings: map[string]string{"FERRY_WINDOW": "120d"}})
	w.start(1)
	w.verb("start", nil)
	w.until("an export", func(s status) bool { return s.Chunks["exporting"] > 0 })
	w.Source.Faults().Deprecate()
	w.untilMigrated(lastInstant())
	w.deprecatedEnd()
}

// deprecatedEnd cuts over. All arrives, but what such a source cannot prove is said, and so the run is not clean.
func (w *world) deprecatedEnd() {
	w.Helper()
	w.verb("cutover", nil)
	s := w.ended()
	said := slices.ContainsFunc(s.Problems, func(p show.Problem) bool { return strings.Contains(p.Detail, "deprecated") })
	if s.Clean || !said {
		w.Errorf("the end of a run over a deprecated source says nothing of it: %s", display(s))
	}
}

// onlyExports wants no answer of the source but to exports and to the question what it is.
func (w *world) onlyExports() {
	w.Helper()
	allowed := []string{"GET /metadata", "GET /$export", "GET /{Type}/$export", "GET /_operations/export/{id}"}
	for _, r := range w.Source.Requests() {
		if r.Status == 200 && !slices.Contains(allowed, r.Route) {
			w.Errorf("a deprecated source answered %s", r.Route)
		}
	}
}
