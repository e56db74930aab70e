package migration

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// world is everything around the rules: time, chance, storage, queue, servers, operators.
type world struct {
	rng    *rand.Rand
	now    time.Time // true time; nobody in the world knows it
	calm   bool
	calmAt time.Time
	events events
	order  int
	live   map[*process]bool
	idle   []*worker
	tally  map[string]int
	logf   func(string, ...any)

	skew       [2]time.Duration // of the instances' clocks
	sourceSkew time.Duration
	outage     [2]time.Time // storage is away between the two
	rules      rules

	ledger      *ledger
	source      *source
	destination *destination

	runs     int
	cutAt    time.Time       // when the operator asked for the cutover: nothing is written after it
	quiet    bool            // the operator stops no more runs
	pausedAt int             // order of the event that paused the run; 0: not paused
	haltedAt int             // order of the event that halted it; 0: not halted
	left     map[string]bool // imports that were given up
	posted   map[string]bool // export attempts that were posted
}

// rules are what settings would say.
type rules struct {
	limits                                  Limits
	settings                                Settings
	settle, interval, confirm, stall, claim time.Duration
	visit                                   time.Duration
	filesPerImport                          int
	exclusive                               bool // the source's _till
}

type event struct {
	at    time.Time
	order int
	do    func()
}

type events []event

func (e events) before(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	return e[i].order < e[j].order
}

// push and pop keep the earliest event first; container/heap would box every event.
func (e *events) push(x event) {
	*e = append(*e, x)
	h := *e
	for i := len(h) - 1; i > 0 && h.before(i, (i-1)/2); i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
}

func (e *events) pop() event {
	h := *e
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	*e = h[:last]
	h = *e
	for i := 0; ; {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(h) && h.before(child, least) {
				least = child
			}
		}
		if least == i {
			return first
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

func (w *world) at(t time.Time, do func()) {
	w.order++
	w.events.push(event{t, w.order, do})
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

func (w *world) next() {
	e := w.events.pop()
	if e.at.After(w.now) {
		w.now = e.at
	}
	if !w.calm && !w.now.Before(w.calmAt) {
		w.calm = true
	}
	e.do()
}

func (w *world) met(what string) { w.tally[what]++ }

func (w *world) trace(format string, args ...any) {
	if w.logf != nil {
		w.logf("%s  %s", w.now.Format("15:04:05.000"), fmt.Sprintf(format, args...))
	}
}

func (w *world) require(invariant int, ok bool, format string, args ...any) {
	if !ok {
		w.fail(invariant, format, args...)
	}
}

// fail ends the schedule; where it is quick, the question comes before the words.
func (w *world) fail(invariant int, format string, args ...any) {
	panic(violation{invariant, fmt.Sprintf(format, args...)})
}

func (w *world) sourceNow() time.Time { return w.now.Add(w.sourceSkew) }

// between draws a duration.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rng.Int64N(int64(high-low)+1))
}

var (
	errStorage = errors.New("storage is away")
	errYield   = errors.New("visit over")
)

// killed unwinds a process that dies.
type killed struct{}

// process is one visit, tick or operator's call. It runs as a coroutine: whenever it waits for an answer the others go
// on, and it may never wake up again.
type process struct {
	*world
	*worker
	name     string
	instance int
	began    time.Time
	birth    int    // order of the event that began it
	holds    string // chunk whose claim it saved last
	lost     bool   // somebody else claimed that chunk since
	fencing  bool   // it takes a slot back
	dying    bool
	err      error
	body     func(*process) error
	result   func(error)
}

// worker is a coroutine that runs one process after another: a new one for each would spend its time growing stacks.
type worker struct {
	yield  func(time.Duration) bool
	resume func() (time.Duration, bool)
	stop   func()
	next   *process
}

// over is what a worker yields when its process has ended.
const over = time.Duration(-1)

func (w *world) worker() *worker {
	if n := len(w.idle); n > 0 {
		free := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return free
	}
	k := &worker{}
	k.resume, k.stop = iter.Pull(func(yield func(time.Duration) bool) {
		k.yield = yield
		for k.next.run(); yield(over); k.next.run() {
		}
	})
	return k
}

func (p *process) run() {
	if p.dying {
		return // before its first line
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
		}
	}()
	p.err = p.body(p)
}

// spawn starts a process on one of the instances; result hears its error, or errKilled.
func (w *world) spawn(name string, body func(*process) error, result func(error)) {
	p := &process{
		world: w, worker: w.worker(), name: name, instance: w.rng.IntN(len(w.skew)), began: w.now, birth: w.order,
		body: body, result: result,
	}
	p.worker.next = p
	w.live[p] = true
	p.step()
}

// step lets the process go on until it waits, ends or dies.
func (p *process) step() {
	if p.chance(0.008) {
		p.met("visit died")
		p.trace("%s dies", p.name)
		p.dying, p.err = true, errKilled
	}
	wait, alive := p.resume()
	if alive && wait != over {
		p.after(wait, p.step)
		return
	}
	p.idle = append(p.idle, p.worker)
	delete(p.live, p)
	if p.result != nil {
		p.result(p.err)
	}
}

var errKilled = errors.New("killed")

func (w *world) stopAll() {
	for p := range w.live {
		p.stop()
	}
	for _, k := range w.idle {
		k.stop()
	}
}

// clock is the time as the process's instance tells it.
func (p *process) clock() time.Time { return p.world.now.Add(p.skew[p.instance]) }

// wait lets an answer take its time. Most are quick, some slow, and now and then a whole machine freezes for so long
// that a claim lapses.
func (p *process) wait() {
	if p.rng.IntN(5) > 1 {
		return // so quick that nobody else got a word in
	}
	d := p.between(time.Millisecond, 50*time.Millisecond)
	switch {
	case p.chance(0.1):
		d = p.between(time.Second, 40*time.Second)
	case p.chance(0.025):
		d = p.between(time.Minute, 12*time.Minute)
	}
	if !p.yield(d) || p.dying {
		panic(killed{})
	}
}

// late reports whether the process has lived longer than a visit may.
func (p *process) late() bool { return p.world.now.Sub(p.began) > p.rules.visit }

// read waits for storage; an outage is an error.
func (p *process) read() error {
	p.wait()
	if p.away() || p.chance(0.003) {
		p.met("storage outage")
		return errStorage
	}
	return nil
}

func (w *world) away() bool { return !w.calm && w.now.After(w.outage[0]) && w.now.Before(w.outage[1]) }

// write commits a transaction whose answer may be lost.
func (p *process) write(commit func() error) error {
	if err := p.read(); err != nil {
		return err
	}
	err := commit()
	if errors.Is(err, ErrConflict) {
		p.met("save lost to a newer version")
		if p.late() {
			p.met("late save lost")
		}
	}
	if err == nil && p.chance(0.005) {
		p.met("save done, answer lost")
		return errStorage
	}
	return err
}

// nudge puts an id onto the queue: rounded up to a whole second, at least once, or not at all.
func (p *process) nudge(id string, delay time.Duration) error {
	if err := p.read(); err != nil {
		return err
	}
	p.send(id, delay, 0)
	return nil
}

func (w *world) send(id string, delay time.Duration, tries int) {
	delay = max(0, delay+time.Second-1).Truncate(time.Second)
	if w.chance(0.06) {
		w.met("message lost")
		return
	}
	if w.chance(0.06) {
		w.met("message doubled")
		w.after(delay+w.between(0, 2*time.Minute), func() { w.deliver(id, tries) })
	}
	if w.chance(0.05) {
		delay += w.between(0, 15*time.Minute)
	}
	w.after(delay+w.between(time.Millisecond, 2*time.Second), func() { w.deliver(id, tries) })
}

// deliver begins a visit; one that fails or dies is delivered again, five times in all.
func (w *world) deliver(id string, tries int) {
	w.spawn("visit of "+id, func(p *process) error { return p.visit(id) }, func(err error) {
		if err != nil && tries < 4 {
			w.after(30*time.Second, func() { w.deliver(id, tries+1) })
		}
	})
}
