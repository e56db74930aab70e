package engine_test

import (
	"fmt"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// version is one version of a small patient.
func version(id, versionID string, lastUpdated time.Time) fhirsim.Version {
	return fhirsim.Version{Type: "Patient", ID: id, VersionID: versionID, LastUpdated: lastUpdated,
		Body: fmt.Appendf(nil, `{"resourceType":"Patient","id":%q}`, id)}
}

// F21: resources exactly on the edges of windows, many of them in one millisecond, and some between two milliseconds,
// are all at the destination, once (invariant 1).
func TestWindowEdges(t *testing.T) {
	for name, generation := range map[string]fhirsim.Generation{"gen1": fhirsim.Gen1, "gen2": fhirsim.Gen2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.generation = generation
				w.settings.Mode, w.settings.Window = migration.Once, 24*time.Hour
			})
			start := at("2024-02-20T00:00:00Z")
			w.load("Patient", 6, start, 24*time.Hour) // the first one sets the first edge, the others lie on the next
			for i := range 20 {
				edge := start.Add(time.Duration(i%6) * 24 * time.Hour)
				w.must(w.source.Load(
					version(fmt.Sprintf("on-%d", i), "1", edge),
					version(fmt.Sprintf("before-%d", i), "1", edge.Add(-time.Millisecond)),
					version(fmt.Sprintf("after-%d", i), "1", edge.Add(time.Millisecond)),
				))
				if generation == fhirsim.Gen1 { // older rows carry ticks of 100 ns (contract 0.2)
					w.must(w.source.Load(version(fmt.Sprintf("between-%d", i), "1", edge.Add(-400*time.Microsecond))))
				}
			}
			w.start(engine.Overrides{})
			w.untilState(24*time.Hour, migration.ShownCompleted)
			if generation == fhirsim.Gen1 {
				w.equalIDs() // an import cuts ticks to milliseconds (contract 6.1)
				return
			}
			w.equal()
		})
	}
}

// equalIDs compares ids only.
func (w *world) equalIDs() {
	w.t.Helper()
	ids := func(s *fhirsim.Server) map[string]int {
		n := map[string]int{}
		s.Versions(func(v fhirsim.Version) bool { n[v.Type+"/"+v.ID+" "+v.VersionID]++; return true })
		return n
	}
	want, got := ids(w.source), ids(w.destination)
	for k, n := range want {
		if got[k] != n {
			w.t.Errorf("%s at the destination: got %d, want %d", k, got[k], n)
		}
	}
	if len(got) > len(want) {
		w.t.Errorf("versions at the destination: got %d, want %d", len(got), len(want))
	}
}

// The last window includes T: a resource stamped exactly on it arrives, also where _till is exclusive (invariant 2).
func TestResourceOnTheLastInstant(t *testing.T) {
	for name, generation := range map[string]fhirsim.Generation{"gen1": fhirsim.Gen1, "gen2": fhirsim.Gen2} {
		for _, parallel := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s parallel=%t", name, parallel), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(w *world) {
					w.generation, w.settings.Mode, w.limits.Parallel = generation, migration.Once, parallel
				})
				w.small()
				w.must(w.source.Load(version("last", "1", w.Now()), version("beyond", "1", w.Now().Add(time.Millisecond))))
				w.start(engine.Overrides{})
				s := w.untilState(24*time.Hour, migration.ShownCompleted)
				w.wantProblem(s, "1 versions were written to the source after")
				got := contents(w.destination)
				if !got["Patient/last/1 2024-03-01T00:00:00Z deleted=false"] {
					t.Error("the resource exactly on T is missing at the destination")
				}
				if got["Patient/beyond/1 2024-03-01T00:00:00.001Z deleted=false"] {
					t.Error("the resource after T was moved")
				}
			})
		}
	}
}

// F22: a write that is dated before a window's end and becomes visible later is covered by the settle time.
func TestWriteVisibleLate(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.start(engine.Overrides{})
	w.until(6*time.Hour, "caught up", func(s engine.Status) bool { return !s.MigratedTill.Before(w.Now().Add(-30 * time.Minute)) })
	w.source.Faults().LateVisibility(40, 4*time.Minute)
	for i := range 40 {
		w.source.Put("Patient", fmt.Sprintf("slow-%d", i), []byte(fmt.Sprintf(`{"resourceType":"Patient","id":"slow-%d"}`, i)))
		w.wait(2 * time.Minute)
	}
	w.wait(5 * time.Minute)
	w.finish()
	w.equal()
}

// A resource that is updated after its window was exported arrives, whatever is moved with it.
func TestUpdateAfterItsWindow(t *testing.T) {
	for name, generation := range map[string]fhirsim.Generation{"gen1": fhirsim.Gen1, "gen2": fhirsim.Gen2} {
		for _, what := range []struct{ history, deleted bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
			t.Run(fmt.Sprintf("%s history=%t deleted=%t", name, what.history, what.deleted), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(w *world) {
					w.generation, w.settings.History, w.settings.Deleted = generation, what.history, what.deleted
				})
				w.small()
				w.start(engine.Overrides{})
				w.until(6*time.Hour, "caught up", func(s engine.Status) bool { return !s.MigratedTill.Before(w.Now().Add(-30 * time.Minute)) })
				old := fmt.Sprintf("patient-%d-", at("2022-01-01T00:00:00Z").Unix())
				body := func(id string) []byte {
					return fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"gender":"male"}`, id)
				}
				w.source.Put("Patient", old+"3", body(old+"3"))
				w.wait(20 * time.Minute)
				w.source.Put("Patient", old+"3", body(old+"3"))
				w.source.Put("Patient", old+"4", body(old+"4"))
				w.source.Delete("Patient", old+"5")
				w.wait(time.Minute)
				w.finish()
				if what.history && what.deleted {
					w.equal()
					return
				}
				w.equalHeads(what.deleted)
			})
		}
	}
}

// equalHeads compares the current version of every resource; deleted says whether soft deletes were moved.
func (w *world) equalHeads(deleted bool) {
	w.t.Helper()
	heads := func(s *fhirsim.Server) map[string]string {
		m := map[string]string{}
		s.Versions(func(v fhirsim.Version) bool {
			m[v.Type+"/"+v.ID] = fmt.Sprintf("%s %s deleted=%t", v.VersionID, v.LastUpdated, v.Deleted)
			if v.Deleted && !deleted {
				delete(m, v.Type+"/"+v.ID)
			}
			return true
		})
		return m
	}
	got := heads(w.destination)
	for id, want := range heads(w.source) {
		if got[id] != want {
			w.t.Errorf("%s: got version %q, want %q", id, got[id], want)
		}
	}
}

// With one of history and deletes on, a count tells more than an export holds: a window with nothing but what is not
// moved is proven empty by a second export (invariant 11).
func TestUnevenWindowIsProvenTwice(t *testing.T) {
	for _, what := range []struct {
		name             string
		history, deleted bool
		load             func(w *world, start time.Time)
	}{
		{"history only, a window of deletes", true, false, func(w *world, start time.Time) {
			for i := range 5 {
				w.must(w.source.Load(fhirsim.Version{Type: "Patient", ID: fmt.Sprintf("gone-%d", i), VersionID: "2", Deleted: true,
					LastUpdated: start.Add(time.Duration(i) * time.Hour)}))
			}
		}},
		{"deletes only, a window of old versions", false, true, func(w *world, start time.Time) {
			w.must(w.source.Load(version("x", "1", start), version("x", "2", start.Add(time.Hour)), version("x", "3", w.Now())))
		}},
	} {
		t.Run(what.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.settings.History, w.settings.Deleted, w.settings.Mode = what.history, what.deleted, migration.Once
				w.settings.Window = 10 * 24 * time.Hour
			})
			what.load(w, at("2024-02-01T00:00:00Z"))
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			first := 0
			for _, j := range jobs(w.source, "export") {
				if j.From.Equal(at("2024-02-01T00:00:00Z")) {
					first++
				}
			}
			if first != 2 {
				t.Errorf("exports of the window that yields nothing: got %d, want 2", first)
			}
			if s.Totals.Reported > 0 || !s.Totals.Clean() {
				t.Errorf("problems or doubts, want none: %s", w.tell(s))
			}
			w.equalHeads(what.deleted)
		})
	}
}
