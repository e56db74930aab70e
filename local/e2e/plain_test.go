package e2e

import (
	"testing"
	"time"

	"fhirferry/local/fhirsim"
)

func TestMigrationFromAzureAPIForFHIR(t *testing.T) {
	t.Parallel()
	plainRun(newWorld(t, plan{seed: 11, resources: 700}))
}

func TestMigrationFromAnotherFHIRService(t *testing.T) {
	t.Parallel()
	plainRun(newWorld(t, plan{seed: 12, resources: 700, generation: fhirsim.Gen2}))
}

// plainRun migrates while the source is written to, from start to cutover.
func plainRun(w *world) {
	w.start(1)
	if s := w.look(); s.State != "idle" {
		w.Errorf("before the start the state is %q, want idle", s.State)
	}
	stop := w.write(20)
	begun := time.Now()
	w.verb("start", nil)
	w.untilMigrated(lastInstant())
	stop()
	s := w.finish()
	if s.Resources.Imported == 0 || s.Resources.Exported < s.Resources.Imported {
		w.Errorf("the totals do not add up: %+v", s.Resources)
	}
	if s.MigratedTill == nil || s.MigratedTill.Before(begun) {
		w.Errorf("migrated till %v, the cutover was after %v", s.MigratedTill, begun)
	}
	w.edges()
	w.withinLimits(4, 2)
	if s := w.look(); s.State != "completed" || s.EndedAt == nil {
		w.Errorf("after the end: %s", display(s))
	}
}
