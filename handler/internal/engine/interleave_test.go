package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// stage plays visits and ticks of several instances interleaved: one runs at a time, from one call to storage or to a
// server to the next, in an order that the seed decides.
type stage struct {
	*world
	rng       *rand.Rand
	instances []*engine.Engine
	actors    []*actor
	running   *actor
	waiting   []string // messages that were taken and have no actor yet
	ticked    time.Time
	patience  time.Duration // longest that a visit lasts by the manual clock
}

// actor is one visit or tick under way.
type actor struct {
	began time.Time
	on    chan struct{}
	off   chan bool // true: it stands before its next call; false: it is over
	err   error
}

func newStage(w *world, seed uint64, patience time.Duration) *stage {
	s := &stage{world: w, rng: rand.New(rand.NewPCG(seed, 1)), patience: patience}
	t := &tap{around: func(_ string, do func() error) error {
		if a := s.running; a != nil {
			a.off <- true
			<-a.on
		}
		return do()
	}}
	w.tap = t
	s.instances = []*engine.Engine{w.instance(t), w.instance(t)}
	return s
}

// enter brings an actor onto the stage; it does nothing before it is played.
func (s *stage) enter(act func(*engine.Engine) error) {
	a := &actor{began: s.Now(), on: make(chan struct{}), off: make(chan bool)}
	e := s.instances[s.rng.IntN(len(s.instances))]
	go func() {
		<-a.on
		a.err = act(e)
		a.off <- false
	}()
	s.actors = append(s.actors, a)
}

// play lets one actor go on to its next call.
func (s *stage) play(a *actor) {
	s.t.Helper()
	s.running = a
	a.on <- struct{}{}
	more := <-a.off
	s.running = nil
	if more {
		return
	}
	s.actors = slices.DeleteFunc(s.actors, func(o *actor) bool { return o == a })
	// A conflict that a tick meets is answered 500, and the host comes again.
	if a.err != nil && !errors.Is(a.err, migration.ErrConflict) {
		s.t.Fatal(a.err)
	}
}

// turn is one step of the play: messages are taken, lost and doubled, somebody goes on, or time passes.
func (s *stage) turn() {
	s.t.Helper()
	for _, id := range s.queue.Due() {
		switch n := s.rng.IntN(10); {
		case n == 0: // lost
		case n < 3:
			s.waiting = append(s.waiting, id, id)
		default:
			s.waiting = append(s.waiting, id)
		}
	}
	for len(s.actors) < 6 && len(s.waiting) > 0 {
		i := s.rng.IntN(len(s.waiting))
		id := s.waiting[i]
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.enter(func(e *engine.Engine) error { return e.Visit(s.t.Context(), id) })
	}
	if s.Now().Sub(s.ticked) >= time.Minute {
		s.ticked = s.Now()
		s.enter(func(e *engine.Engine) error { return e.Tick(s.t.Context()) })
	}
	if len(s.actors) > 0 && s.rng.IntN(8) > 0 {
		s.play(s.actors[s.rng.IntN(len(s.actors))])
		return
	}
	// The longer a visit may last, the longer it is left standing.
	pass := time.Duration(1+s.rng.IntN(int(s.patience/(3*time.Second)))) * time.Second
	for _, a := range slices.Clone(s.actors) {
		for s.Now().Add(pass).Sub(a.began) > s.patience && slices.Contains(s.actors, a) {
			s.play(a)
		}
	}
	s.pass(pass)
}

// until plays until the run is as wanted.
func (s *stage) until(what string, done func(engine.Status) bool) engine.Status {
	s.t.Helper()
	for end := s.Now().Add(48 * time.Hour); s.Now().Before(end); {
		for range 50 {
			s.turn()
		}
		if status := s.status(); done(status) {
			for len(s.actors) > 0 {
				s.play(s.actors[0])
			}
			return status
		}
	}
	s.t.Fatalf("not %s within two days: %s", what, s.tell(s.status()))
	return engine.Status{}
}

// interleaved is a run of a dozen chunks, played by two instances.
func interleaved(t *testing.T, seed uint64, patience time.Duration, change ...func(*world)) (*stage, engine.Status) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.settings.ChunkLimit, w.settings.Types = migration.Once, 10, []string{"Encounter", "Observation", "Patient"}
		w.limits.MaxExports, w.limits.MaxImports, w.limits.FilesPerImport, w.limits.MaxFailures = 2, 2, 1, 50
	})
	for _, c := range change {
		c(w) // limits are read when an instance is made
	}
	w.load("Patient", 60, at("2022-01-01T00:00:00Z"), 24*time.Hour)
	w.load("Observation", 30, at("2022-01-15T00:00:00Z"), 24*time.Hour)
	w.load("Encounter", 5, at("2022-02-01T00:00:00Z"), time.Hour)
	s := newStage(w, seed, patience)
	w.start(engine.Overrides{})
	status := s.until("completed", func(s engine.Status) bool { return s.State == migration.ShownCompleted })
	return s, status
}

// lanesInOrder wants the imports that share a resource type to follow each other, in the order of their windows
// (invariant 4).
func (w *world) lanesInOrder() {
	w.t.Helper()
	done := map[string]fhirsim.JobInfo{} // the last import by type
	for _, j := range jobs(w.destination, "import") {
		since := func(j fhirsim.JobInfo) string { return strings.Split(j.InputSource, ":")[3] }
		for _, typ := range j.Types {
			before, ok := done[typ]
			if ok && (before.Ended.After(j.Created) || since(before) > since(j)) {
				w.t.Errorf("%s: import %s began at %s, out of order after %s which ended at %s", typ,
					j.InputSource, j.Created.Format(time.TimeOnly), before.InputSource, before.Ended.Format(time.TimeOnly))
			}
			done[typ] = j
		}
	}
}

// Limits are hard across instances, whatever the order of calls, with messages lost and doubled (invariant 15).
func TestLimitsAcrossInstances(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w, s := interleaved(t, seed, 15*time.Second)
			w.equal()
			w.believedOnly()
			w.lanesInOrder()
			if got := w.source.MaxConcurrent("export"); got > 2 {
				t.Errorf("exports in flight: got %d, want at most 2", got)
			}
			if got := w.destination.MaxConcurrent("import"); got > 2 {
				t.Errorf("imports in flight: got %d, want at most 2", got)
			}
			if !s.Totals.Clean() || s.Totals.Reported > 0 {
				t.Errorf("problems, want none: %s", w.tell(s))
			}
			w.wantJobs(w.source, "export", s.Totals.Chunks[migration.Imported])
		})
	}
}

// Visits that outlive their claims may lose, never overwrite: nothing is missing and nothing counted twice (invariants 6
// and 8).
func TestVisitsThatOutliveTheirClaims(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w, s := interleaved(t, seed, 10*time.Minute)
			w.equal()
			w.believedOnly()
			over := map[string]bool{}
			for _, c := range w.tap.saved() {
				if over[c.ID] {
					t.Errorf("chunk %s was saved as %s after its end", c.ID, c.State)
				}
				over[c.ID] = c.State == migration.Imported
			}
			if got, want := s.Totals.Resources, (migration.Tally{Exported: 95, Imported: 95}); got != want {
				t.Errorf("resources: got %+v, want %+v: %s", got, want, w.tell(s))
			}
		})
	}
}

// Faults of both servers while two instances work. (A job that the source forgets runs on unseen: no limit can count it.)
func TestFaultsAcrossInstances(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w, _ := interleaved(t, seed, 15*time.Second, func(w *world) {
				w.limits.Stall = time.Hour
			}, func(w *world) {
				f, g := w.source.Faults(), w.destination.Faults()
				f.FailExport(2, 500, "Unknown Error.")
				f.SystemCancelExport(2)
				f.PartialManifest(2)
				f.LoseBlob(2)
				f.StickExport(1)
				g.FailImport(3, 500, "InternalServerError")
				g.StickImport(1)
				g.SkipLines(2, 1)
			})
			w.equal()
			w.believedOnly()
			w.lanesInOrder()
			if got := w.source.MaxConcurrent("export"); got > 2 {
				t.Errorf("exports in flight: got %d, want at most 2", got)
			}
			if got := w.destination.MaxConcurrent("import"); got > 2 {
				t.Errorf("imports in flight: got %d, want at most 2", got)
			}
		})
	}
}
