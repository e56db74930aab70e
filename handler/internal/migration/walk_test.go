package migration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// The walk runs the whole pure core in a simulated world: rows with versions, a queue that loses, doubles and delays,
// visits that die at any line or outlive their claim, servers that misbehave, operators that speak at any moment, two
// instances whose clocks differ. There is no engine and no HTTP: walk_visit_test.go, walk_plan_test.go and
// walk_tick_test.go are the walk of design 3.6 written against the rules alone. Every schedule is a function of its
// seed; after the chaos the world calms down, and the run must complete with every version moved.
//
// Where the engine and this walk differ, this walk is the rule: it is what was shown to hold.
//
// Each check carries the number of the invariant of design 3.5 that it guards; walk_checks_test.go holds most of them.
// Invariant 16 (same origin) is the wire's and has no part in the core.

// hours of chaos, and the longest a calm world may take to complete.
const (
	chaosHours = 2
	calmHours  = 120
	mostEvents = 60_000
)

// TestMain adds the flags by which one schedule is run again: go test -run TestWalk -walk.seed=17 -walk.trace -v.
func TestMain(m *testing.M) {
	flag.Uint64("walk.seed", 0, "run this one schedule of the walk")
	flag.Uint64("walk.count", schedules, "how many schedules to walk")
	flag.Bool("walk.trace", false, "print every event of the schedule")
	os.Exit(m.Run())
}

func walkFlag(name string) string { return flag.Lookup(name).Value.String() }

func walkNumber(name string) uint64 {
	n, _ := strconv.ParseUint(walkFlag(name), 10, 64) // the flag has refused what is no number
	return n
}

func TestWalk(t *testing.T) {
	if seed := walkNumber("walk.seed"); seed != 0 {
		if _, err := walk(seed, walkFlag("walk.trace") == "true", t.Logf); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // small heaps, collected all the time
	const shards = 4
	count := walkNumber("walk.count")
	var tallies [shards]map[string]int
	t.Run("shard", func(t *testing.T) {
		for shard := range shards {
			tallies[shard] = map[string]int{}
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				failed := 0
				for seed := uint64(shard) + 1; seed <= count; seed += shards {
					tally, err := walk(seed, false, nil)
					for what, n := range tally {
						tallies[shard][what] += n
					}
					if err == nil {
						continue
					}
					t.Errorf("seed %d: %v (again: go test -run TestWalk -walk.seed=%d -walk.trace -v)", seed, err, seed)
					if failed++; failed == 5 {
						t.Fatal("too many broken schedules")
					}
				}
			})
		}
	})
	if count < 1000 {
		return
	}
	// A world without trouble proves nothing: what the schedules must have met.
	for _, what := range mustHappen() {
		sum := 0
		for _, tally := range tallies {
			sum += tally[what]
		}
		if sum == 0 {
			t.Errorf("no schedule has met %q", what)
		}
		t.Logf("%-32s %d", what, sum)
	}
}

func mustHappen() []string {
	return []string{
		"visit died", "save lost to a newer version", "late save lost", "save done, answer lost", "storage outage", "message lost", "message doubled",
		"export accepted", "export answer lost", "export job died", "export job stalled", "export empty by mistake",
		"export short by mistake", "export short at first", "export server busy", "import server busy",
		"import accepted", "import answer lost", "import job died", "import job stalled", "import off balance",
		"same body posted again", "file vanished", "reading of rejects taken up again", "chunk split", "chunk failed", "slot taken back", "no slot",
		"round halved a span", "count overflowed", "counts refused", "plan written twice", "many rejects",
		"pause", "resume", "stop", "retry", "cutover", "run stopped", "run completed",
		"import in quiet hours",
	}
}

// violation is a broken invariant, or 0 for a promise of the whole.
type violation struct {
	invariant int
	text      string
}

func (v violation) Error() string { return fmt.Sprintf("invariant %d: %s", v.invariant, v.text) }

// walk runs one schedule to its end.
func walk(seed uint64, trace bool, logf func(string, ...any)) (tally map[string]int, err error) {
	w := newWorld(seed)
	if trace {
		w.logf = logf
	}
	defer func() {
		tally = w.tally
		if r := recover(); r != nil {
			broken, ok := r.(violation)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("at %s: %w", w.now.Format("15:04:05.000"), broken)
		}
		w.stopAll()
	}()
	w.begin()
	for n := 0; !w.finished(); n++ {
		w.require(0, n < mostEvents, "no end after %d events; run %+v", n, w.ledger.now().run)
		w.require(0, w.now.Before(w.calmAt.Add(calmHours*time.Hour)), "not completed %d hours after all trouble ended", calmHours)
		w.next()
	}
	w.checkEnd()
	return w.tally, nil
}

// quietHours are those of every fourth schedule: a few hours around or after its begin. They come from dice of their
// own.
func quietHours(seed uint64, begin time.Time) (hours QuietHours, imports bool) {
	dice := rand.New(rand.NewPCG(seed, 0x9137))
	if dice.IntN(4) > 0 {
		return nil, false
	}
	from := begin.Hour()*60 + begin.Minute() + dice.IntN(180) - 60
	every := [7]bool{true, true, true, true, true, true, true}
	window := QuietWindow{Days: every, Begin: (from + minutesPerDay) % minutesPerDay, Zone: time.UTC}
	window.End = (window.Begin + 20 + dice.IntN(400)) % minutesPerDay
	return QuietHours{window}, dice.IntN(2) == 0
}

// chance is a draw that is never lucky once the world is calm.
func (w *world) chance(p float64) bool {
	return !w.calm && w.rng.Float64() < p
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5eed)) }
