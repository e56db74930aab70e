package migration

import (
	"errors"
	"time"
)

// tick is design 3.6, steps 2 to 5.
func (p *process) tick() error {
	pt, run, v, err := p.readRun()
	if err != nil || run.Ended() {
		return err
	}
	return p.advance(pt, run, v)
}

// advance begins a round, or ends the run, and nudges what may go on.
func (p *process) advance(pt *part, run Run, v Version) error {
	unfinished, err := p.readUnfinished(pt)
	if err != nil {
		return err
	}
	round, rv, err := p.readRound(pt)
	open := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if run.StopAsked {
		return p.windUp(pt, run, v, unfinished, open, rv)
	}
	if !open {
		if round, open, err = p.beginRound(pt, run, v, unfinished); err != nil {
			return err
		}
	}
	if open && !p.clock().Before(round.NotBefore) {
		if err := p.nudge(RoundID, 0); err != nil {
			return err
		}
	}
	return p.admit(pt, run, unfinished)
}

func (p *process) beginRound(pt *part, run Run, v Version, unfinished []Chunk) (Round, bool, error) {
	planned := 0
	for _, c := range unfinished {
		if c.State == Planned {
			planned++
		}
	}
	var round Round
	switch till, due := RoundDue(run, planned, p.rules.settle, p.rules.interval, p.clock()); {
	case due:
		round = NewRound(run, till)
	case run.Reached() && len(unfinished) == 0 && !run.Paused && !p.clock().Before(run.NextRound):
		round = NewRound(run, run.Frontier)
		round.Kind = Closing
	default:
		return round, false, nil
	}
	run.Rounds = round.Number
	err := p.openRound(pt, run, v, round)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrExists) {
		return round, false, nil
	}
	return round, err == nil, err
}

// windUp lets every chunk of a stopping run cancel its job, and ends the run when nothing is left.
func (p *process) windUp(pt *part, run Run, v Version, unfinished []Chunk, open bool, rv Version) error {
	if open {
		if err := p.closeRound(pt, run, v, rv); err != nil {
			return yielded(err)
		}
		var err error
		if pt, run, v, err = p.readRun(); err != nil {
			return err
		}
	}
	if len(unfinished) > 0 {
		return p.admit(pt, run, unfinished)
	}
	if run.Ended() {
		return nil
	}
	run.EndRun(Stopped, p.clock())
	return yielded(p.saveRun(pt, run, v))
}

// admit takes back slots that nobody uses and nudges the chunks that may go on.
func (p *process) admit(pt *part, run Run, unfinished []Chunk) error {
	var slots [2]Slots
	for i, kind := range []JobKind{ExportJob, ImportJob} {
		var err error
		if slots[i], err = p.freeSlots(pt, kind, unfinished); err != nil {
			return err
		}
	}
	for _, id := range Admit(run, unfinished, slots[0], slots[1], p.rules.limits, p.clock()) {
		if err := p.nudge(id, 0); err != nil {
			return err
		}
	}
	return nil
}

// freeSlots takes back slots that nobody uses. The chunk's row is renewed with it: a visit that has outlived its claim
// finds another version and loses, instead of flying without a slot (invariants 6 and 15).
func (p *process) freeSlots(pt *part, kind JobKind, unfinished []Chunk) (Slots, error) {
	slots, err := p.readSlots(pt, kind)
	if err != nil {
		return slots, err
	}
	for _, id := range slots.Stale(unfinished, p.clock()) {
		if err := p.freeSlot(pt, kind, id); err != nil {
			return slots, err
		}
		slots.Release(id)
	}
	return slots, nil
}

func (p *process) freeSlot(pt *part, kind JobKind, id string) error {
	c, v, err := p.readChunk(pt, id)
	if err != nil {
		return err
	}
	if c.State.Unfinished() {
		if (Slots{Kind: kind, Holders: []string{id}}).Stale([]Chunk{c}, p.clock()) == nil {
			return nil
		}
		p.fencing = true
		_, err := p.saveChunk(pt, Save{Chunk: c, Version: v, Now: p.clock()})
		p.fencing = false
		p.met("slot taken back")
		return yielded(err)
	}
	return p.changeSlots(pt, kind, func(s *Slots) (bool, error) { return s.Release(id), nil })
}

// begin puts the world together: the first run, ticks, writers, operators, mishaps.
func (w *world) begin() {
	w.start(w.now.Add(w.skew[0]), time.Time{})
	w.after(w.between(0, time.Minute), w.ticks)
	for range 3 + w.rng.IntN(5) {
		w.after(w.between(0, chaosHours*time.Hour), w.speak)
	}
	w.after(chaosHours*time.Hour, w.supervise)
	w.writer()
	w.after(w.between(0, chaosHours*time.Hour), func() {
		if w.rng.IntN(4) == 0 {
			w.source.deprecated = true
		}
	})
	for range 2 {
		w.after(w.between(0, chaosHours*time.Hour), func() {
			w.outage = [2]time.Time{w.now, w.now.Add(w.between(time.Minute, 12*time.Minute))}
		})
		w.after(w.between(0, chaosHours*time.Hour), w.lose)
	}
}

func (w *world) ticks() {
	w.spawn("tick", (*process).tick, nil)
	w.after(w.between(time.Minute, 9*time.Minute), w.ticks)
}

// writer goes on writing to the source until the operator's cutover.
func (w *world) writer() {
	if !w.cutAt.IsZero() || w.rules.settings.Mode == Once && w.ledger.now().run.ID != "" && w.rng.IntN(10) == 0 || w.calm {
		return
	}
	w.source.write(w.sourceNow())
	w.after(w.between(time.Minute, 50*time.Minute), w.writer)
}

// lose takes a file of a believed export out of the staging container.
func (w *world) lose() {
	for _, c := range w.ledger.now().unfinished() {
		if c.State != Exported && c.State != Importing || w.rng.IntN(2) == 0 || c.Import.Body != "" {
			continue
		}
		files := toImport(w.ledger.current.documents[c.Manifest].(manifest))
		w.met("file vanished")
		files[w.rng.IntN(len(files))].gone = true
		return
	}
	if !w.calm {
		w.after(w.between(0, 20*time.Minute), w.lose)
	}
}
