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

// Before anything has been migrated there is nothing to compare, and nothing is called equal.
func TestCheckBeforeAnythingIsMigrated(t *testing.T) {
	for _, o := range []engine.CheckOrder{surface(), surface("Patient"), deep(3, 1, "Patient")} {
		w := newWorld(t, func(w *world) { w.settings.Since = at("2022-01-01T00:00:00Z") })
		w.small()
		w.source.Faults().Arm("ServerBusy", fhirsim.Arm{Times: 3, Route: "GET /metadata"})
		w.start(engine.Overrides{})
		c := w.checked(o)
		w.wantVerdict(c, migration.Unknown)
		if notes := c.Errand.Check.Notes; len(notes) != 1 || !strings.Contains(notes[0], "nothing") {
			t.Errorf("notes: got %q, want the reason", notes)
		}
	}
}

// A check that a busy server holds up says what it waits for.
func TestBusyCheckTellsWhy(t *testing.T) {
	w := moved(t)
	w.must(w.source.Faults().Arm("ServerBusy", fhirsim.Arm{Times: -1}))
	id := w.order(surface("Patient"))
	w.step(time.Second)
	if e := w.result(id).Errand; e.Ended() || e.Attempts != 0 || !strings.Contains(e.LastError, "503") && !strings.Contains(e.LastError, "429") {
		t.Errorf("got %q after %d attempts, want the answer it waits for and no fault", e.LastError, e.Attempts)
	}
}

// Soft deletes that are not moved are passed over, but not one by one for ever.
func TestDeepCheckAmongManyDeletes(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode, w.settings.Deleted = migration.Once, false })
	var deleted []fhirsim.Version
	for n := range 3000 {
		v := stored("Patient", "gone", "2022-01-01T00:00:00Z", "")
		v.ID, v.Deleted, v.LastUpdated = fmt.Sprintf("gone-%d", n), true, v.LastUpdated.Add(time.Duration(n)*time.Minute)
		deleted = append(deleted, v)
	}
	w.must(w.source.Load(deleted...))
	w.start(engine.Overrides{})
	w.untilState(24*time.Hour, migration.ShownCompleted)
	from := len(w.source.Requests())
	c := w.checked(deep(3, 1, "Patient"))
	if n := len(w.source.Requests()) - from; n > 1500 {
		t.Errorf("got %d requests for a sample of three", n)
	}
	w.wantVerdict(c, migration.Unknown)
}
