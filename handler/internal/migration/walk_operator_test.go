package migration

import (
	"fmt"
	"time"
)

func newWorld(seed uint64) *world {
	w := &world{
		rng: newRand(seed), now: instant(), live: map[*process]bool{}, tally: map[string]int{}, left: map[string]bool{},
		posted: map[string]bool{},
	}
	w.calmAt = w.now.Add(chaosHours * time.Hour)
	for i := range w.skew {
		w.skew[i] = w.between(-140*time.Second, 140*time.Second)
	}
	w.sourceSkew = w.between(-140*time.Second, 140*time.Second)
	weight := int64(1)
	if w.rng.IntN(4) == 0 {
		weight = 30 // enough lines for the rule of many rejects
	}
	w.rules = rules{
		limits: Limits{
			MaxExports: 1 + w.rng.IntN(4), MaxImports: 1 + w.rng.IntN(3), MaxFailures: 3 + w.rng.IntN(3),
			Confirmations: 2 + w.rng.IntN(2), Poll: 30 * time.Second,
		},
		settle: 5 * time.Minute, interval: 15 * time.Minute, confirm: 30 * time.Second, stall: 45 * time.Minute,
		claim: 300 * time.Second, visit: 200 * time.Second, filesPerImport: 1 + w.rng.IntN(4), exclusive: w.rng.IntN(3) == 0,
	}
	w.rules.limits.Quiet, w.rules.limits.QuietImports = quietHours(seed, w.now)
	w.rules.settings = Settings{Mode: Continuous, ChunkLimit: weight * (10 + w.rng.Int64N(50)), History: true, Deleted: true}
	if w.rng.IntN(3) == 0 {
		w.rules.settings.Mode = Once
	}
	if w.rng.IntN(5) == 0 {
		w.rules.settings.Window = w.between(60*24*time.Hour, 900*24*time.Hour)
	}
	w.ledger = &ledger{world: w}
	w.source = &source{
		world: w, kinds: []string{"Encounter", "Observation", "Patient", searchParameter, "Task"}[:2+w.rng.IntN(4)],
		jobs: map[string]*exportJob{}, lied: map[string]int{}, most: w.rules.settings.ChunkLimit * 4,
	}
	w.destination = &destination{
		world: w, byURL: map[string]*importJob{}, byBody: map[string]*importJob{}, arrived: map[int]bool{},
		rejected: map[int]bool{}, offs: map[string]int{},
	}
	group := w.now.Add(-time.Duration(w.rng.IntN(700)) * 24 * time.Hour)
	for range w.rng.IntN(36) {
		at := group // a transaction's versions carry one instant
		if w.rng.IntN(3) > 0 {
			at = w.now.Add(-w.between(0, 1100*24*time.Hour))
		}
		w.source.write(at.Add(w.sourceSkew))
	}
	bad := w.rng.IntN(4) == 0
	for i := range w.source.data {
		w.source.data[i].lines *= weight
		w.source.data[i].bad = w.source.data[i].bad || bad && w.rng.IntN(4) > 0
	}
	return w
}

// start makes a new run.
func (w *world) start(now, since time.Time) {
	w.runs++
	s := w.rules.settings
	s.Since = since
	w.ledger.open(NewRun(fmt.Sprintf("run%d", w.runs), s, s, now))
	w.pausedAt, w.haltedAt = 0, 0
}

// speak says a word at a random moment.
func (w *world) speak() {
	verbs := []Verb{VerbPause, VerbResume, VerbPause, VerbResume, VerbRetry, VerbCutOver}
	verb := verbs[w.rng.IntN(len(verbs))]
	if w.rng.IntN(12) == 0 && !w.quiet {
		verb = VerbStop
	}
	w.command(verb)
}

func (w *world) command(verb Verb) {
	w.spawn(string(verb), func(p *process) error { return p.say(verb) }, nil)
}

// supervise is the operator of a calm world: whatever hinders completion is lifted.
func (w *world) supervise() {
	pt := w.ledger.now()
	switch pt.run.Shown(pt.failed()) {
	case ShownPaused:
		w.command(VerbResume)
	case ShownHalted:
		w.command(VerbRetry)
	case ShownRunning:
		w.command(VerbCutOver)
	case ShownStopped:
		w.met("run stopped")
		w.quiet = true
		w.start(w.now.Add(w.skew[1]), pt.run.StoppedTill)
	}
	w.after(10*time.Minute, w.supervise)
}

// say is an operator's verb (design 3.6, "Operators").
func (p *process) say(verb Verb) error {
	pt, run, _, err := p.readRun()
	if err != nil || Ask(verb, run.Shown(pt.failed()), run.CutOverAsked) != Allowed {
		return err
	}
	p.met(string(verb))
	p.trace("operator: %s", verb)
	var source time.Time
	switch verb {
	case VerbRetry:
		return p.retry(pt)
	case VerbCutOver:
		if p.cutAt.IsZero() {
			p.source.write(p.sourceNow()) // at the last moment
			p.cutAt = p.world.now         // the source is read-only from now on
		}
		if source, err = p.date(); err != nil {
			return err
		}
	}
	_, err = p.changeRun(func(now *part, r *Run) bool {
		if now != pt || r.Ended() {
			return false
		}
		switch verb {
		case VerbPause:
			r.Paused = true
		case VerbResume:
			r.Paused = false
		case VerbCutOver:
			r.CutOver(p.clock(), source)
		case VerbStop:
			if p.read() != nil { // the row first, then what is unfinished: what is planned in between renews the row
				return false
			}
			r.Stop(pt.unfinished())
		}
		return true
	})
	if err != nil {
		return err
	}
	return p.nudge(wake, 0)
}

// retry reopens failed chunks, from the import when all files of the manifest are still there.
func (p *process) retry(pt *part) error {
	unfinished, err := p.readUnfinished(pt)
	if err != nil {
		return err
	}
	for _, c := range unfinished {
		if c.State != Failed {
			continue
		}
		now, v, err := p.readChunk(pt, c.ID)
		if err != nil || now.State != Failed {
			return err
		}
		there := now.Manifest != ""
		if there {
			for _, f := range toImport(pt.documents[now.Manifest].(manifest)) {
				there = there && !f.gone
			}
		}
		if there {
			err = now.RetryImport(p.clock())
		} else {
			err = now.RetryExport(p.clock())
		}
		if err != nil {
			return err
		}
		if _, err := p.saveChunk(pt, Save{Chunk: now, Version: v, Now: p.clock()}); err != nil {
			return err
		}
	}
	return p.nudge(wake, 0)
}
