package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// lives loads resources with eventful lives: updated within one window and over several, deleted, deleted and written
// anew, deleted after the bounds of some cases below.
func (w *world) lives() {
	w.t.Helper()
	for i := range 6 {
		id, born := fmt.Sprintf("life-%d", i), at("2022-01-05T00:00:00Z").Add(time.Duration(i)*24*time.Hour)
		for n, step := range []struct {
			after   time.Duration
			deleted bool
			lives   string // of which resources
		}{
			{0, false, "012345"}, {time.Hour, false, "0123"}, {20 * 24 * time.Hour, false, "0345"}, {40 * 24 * time.Hour, true, "245"},
			{41 * 24 * time.Hour, false, "5"}, {100 * 24 * time.Hour, false, "05"}, {200 * 24 * time.Hour, true, "03"},
		} {
			if !strings.Contains(step.lives, fmt.Sprint(i)) {
				continue
			}
			v := version(id, fmt.Sprint(n+1), born.Add(step.after))
			if v.Deleted = step.deleted; v.Deleted {
				v.Body = nil
			}
			w.must(w.source.Load(v))
		}
	}
}

// movable is what the destination must hold: the versions in scope, of which the settings leave some out. Without
// history a source exports the current version; a gen2 source that exports in parallel goes back in time for it, to the
// end of the window (contract 1.4); what was replaced by then may also be left out of the plan, where only current
// versions are counted.
func (w *world) movable(s engine.Status) map[string]bool {
	w.t.Helper()
	var all []fhirsim.Version
	w.source.Versions(func(v fhirsim.Version) bool { all = append(all, v); return true })
	travels := w.generation == fhirsim.Gen2 && w.limits.Parallel
	moved := map[string]bool{}
	for _, c := range w.chunks() {
		if c.State != migration.Imported {
			continue
		}
		last := c.Window.Till.Equal(s.End)
		for _, v := range all {
			inside := c.Window.Contains(v.LastUpdated) && (last || v.LastUpdated.Before(c.Window.Till))
			if !inside || !slices.Contains(c.ResourceTypes, v.Type) || v.Deleted && !w.settings.Deleted {
				continue
			}
			replaced := false
			for _, o := range all {
				later := o.Type == v.Type && o.ID == v.ID && o.LastUpdated.After(v.LastUpdated)
				replaced = replaced || later && (!travels || o.LastUpdated.Before(c.Window.Till) || last && o.LastUpdated.Equal(c.Window.Till))
			}
			if w.settings.History || !replaced {
				moved[fmt.Sprintf("%s/%s/%s %s deleted=%t", v.Type, v.ID, v.VersionID, v.LastUpdated.UTC().Format(time.RFC3339Nano), v.Deleted)] = true
			}
		}
	}
	return moved
}

// Every setting of what is moved and how it is cut, against both generations of source: the destination holds exactly
// what the settings ask for.
func TestSettingsMatrix(t *testing.T) {
	since, until := at("2022-01-08T00:00:00Z"), at("2022-04-20T01:00:00Z")
	cuts := map[string]func(*world){
		"plain":                     func(*world) {},
		"maxCount 2, chunk limit 4": func(w *world) { w.limits.MaxCount, w.settings.ChunkLimit = 2, 4 },
		"window, since, until":      func(w *world) { w.settings.Window, w.settings.Since, w.settings.Until = 30*24*time.Hour, since, until },
		"until, window, limit, maxCount": func(w *world) {
			w.settings.Until, w.settings.Window, w.settings.ChunkLimit, w.limits.MaxCount = until, 45*24*time.Hour, 7, 3
		},
		"since, chunk limit": func(w *world) { w.settings.Since, w.settings.ChunkLimit = since, 6 },
	}
	for name, cut := range cuts {
		for bits := range 16 {
			generation, parallel, history, deleted := fhirsim.Gen1, bits&2 > 0, bits&4 > 0, bits&8 > 0
			if bits&1 > 0 {
				generation = fhirsim.Gen2
			}
			t.Run(fmt.Sprintf("%s, gen%d parallel=%t history=%t deleted=%t", name, generation, parallel, history, deleted), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(w *world) {
					w.generation, w.limits.Parallel, w.settings.History, w.settings.Deleted = generation, parallel, history, deleted
					w.settings.Mode = migration.Once
					cut(w)
				})
				w.small()
				w.lives()
				w.must(w.source.Load(version("on-until", "1", until), version("past-until", "1", until.Add(time.Millisecond)),
					version("on-since", "1", since), version("before-since", "1", since.Add(-time.Millisecond))))
				w.start(engine.Overrides{})
				s := w.untilState(60*24*time.Hour, migration.ShownCompleted)
				want, got := w.movable(s), contents(w.destination)
				for k := range want {
					if !got[k] {
						t.Errorf("missing at the destination: %s", k)
					}
				}
				for k := range got {
					if !want[k] {
						t.Errorf("extra at the destination: %s", k)
					}
				}
				w.scoped(want)
				w.doubtful(s)
				for _, e := range jobs(w.source, "export") {
					if sent := strings.Contains(e.Request, fmt.Sprintf("_maxCount=%d", w.limits.MaxCount)); sent != (w.limits.MaxCount > 0) ||
						!strings.Contains(e.Request, fmt.Sprintf("_isParallel=%t", parallel)) {
						t.Errorf("export asked with %s, want _isParallel=%t and _maxCount %d", e.Request, parallel, w.limits.MaxCount)
					}
				}
			})
		}
	}
}

// doubtful wants the final check to tell where both sides do not hold the same current resources, for the settings leave
// out soft deletes, or what came after until, and no other problem.
func (w *world) doubtful(s engine.Status) {
	w.t.Helper()
	current := func(server *fhirsim.Server) int {
		heads, n := map[string]fhirsim.Version{}, 0
		server.Versions(func(v fhirsim.Version) bool { heads[v.Type+"/"+v.ID] = v; return true })
		for _, v := range heads {
			if !v.Deleted && v.Type == "Patient" && !v.LastUpdated.Before(w.settings.Since) && !v.LastUpdated.After(s.End) {
				n++
			}
		}
		return n
	}
	byVersions := w.settings.History && w.settings.Deleted // which tell all that there is to tell, where until ends the run
	differ := current(w.source) != current(w.destination) && (!byVersions || w.settings.Until.IsZero())
	for _, p := range s.Totals.Problems {
		if !differ || !strings.HasPrefix(p.Detail, "final check: Patient ") {
			w.t.Errorf("problem not wanted: %s", w.tell(s))
		}
	}
	if s.Totals.Clean() == differ {
		w.t.Errorf("clean: got %t; %d current patients at the source and %d at the destination: %s", s.Totals.Clean(), current(w.source), current(w.destination), w.tell(s))
	}
}

// scoped checks the expectation by the settings alone: it reaches from since to until, and no current resource of the
// scope is left out.
func (w *world) scoped(want map[string]bool) {
	w.t.Helper()
	heads := map[string]fhirsim.Version{}
	w.source.Versions(func(v fhirsim.Version) bool { heads[v.Type+"/"+v.ID] = v; return true })
	within := func(t time.Time) bool {
		return !t.Before(w.settings.Since) && (w.settings.Until.IsZero() || !t.After(w.settings.Until))
	}
	for _, v := range heads {
		key := fmt.Sprintf("%s/%s/%s %s deleted=%t", v.Type, v.ID, v.VersionID, v.LastUpdated.UTC().Format(time.RFC3339Nano), v.Deleted)
		if moved := within(v.LastUpdated) && (w.settings.Deleted || !v.Deleted); want[key] != moved {
			w.t.Errorf("the current version %s is expected at the destination: %t, want %t", key, want[key], moved)
		}
	}
	for _, c := range w.chunks() {
		limit, length := w.settings.ChunkLimit, w.settings.Window
		if c.Expected > limit || length > 0 && c.Window.Length() > length {
			w.t.Errorf("chunk %s holds %d over %s, want at most %d over %s", c.ID, c.Expected, c.Window.Length(), limit, length)
		}
	}
}
