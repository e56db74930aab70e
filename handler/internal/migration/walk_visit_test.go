package migration

import (
	"errors"
	"time"
)

const wake = "wake"

// visit is design 3.6, step 6: one thing moves one step.
func (p *process) visit(id string) error {
	pt, run, v, err := p.readRun()
	switch {
	case err != nil || run.Ended():
		return err
	case id == wake || id == RoundID && run.StopAsked:
		return p.advance(pt, run, v)
	case id == RoundID:
		return yielded(p.visitRound())
	}
	chunk, cv, err := p.readChunk(pt, id)
	if errors.Is(err, ErrNotFound) || err == nil && p.clock().Before(chunk.NotBefore) && !(run.StopAsked && chunk.Cancellable(p.clock())) {
		return nil
	}
	if err != nil {
		return err
	}
	x := &visitor{process: p, pt: pt, run: run, chunk: chunk, v: cv}
	if err := yielded(x.step()); err != nil || !x.saved {
		return err
	}
	return x.schedule()
}

func yielded(err error) error {
	if errors.Is(err, errYield) || errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// visitor is the visit of a chunk: the row, and the version that every save of it carries (invariant 6).
type visitor struct {
	*process
	pt      *part
	run     Run
	chunk   Chunk
	v       Version
	saved   bool
	holding bool
}

func (x *visitor) step() error {
	switch x.chunk.Next(x.run, Gate{Exports: true, Imports: true}) {
	case StartExport:
		return x.goExport()
	case CheckExport:
		return x.checkExport()
	case StartImport:
		return x.goImport()
	case CheckImport:
		return x.checkImport()
	case ReadRejects:
		return x.goOnReading()
	case CancelChunk:
		return x.cancel()
	}
	return nil
}

func (x *visitor) save(s Save) error {
	s.Chunk, s.Version, s.Now = x.chunk, x.v, x.clock()
	if s.Slot == SlotKeep {
		s.Kind = ImportJob
	}
	v, err := x.saveChunk(x.pt, s)
	if err != nil {
		return err
	}
	if x.logf != nil {
		x.trace("%p %s: %s (attempts %d, files %d/%d, answers %d %s, empty %d, %s)", x.process, x.name, x.chunk.State, x.chunk.Attempts, x.chunk.FilesDone, x.chunk.Files,
			x.chunk.Export.Answers, x.chunk.Export.Digest, x.chunk.EmptySeen, x.chunk.LastError)
	}
	x.v, x.saved = v, true
	return nil
}

func (x *visitor) claim() error { return x.claimBy(x.chunk.Claim) }

func (x *visitor) claimBy(claim func(now, until time.Time) error) error {
	if err := claim(x.clock(), x.clock().Add(x.rules.claim)); err != nil {
		return errYield
	}
	return x.save(Save{Slot: x.keepSlot()})
}

// keepSlot keeps the slot of a chunk at rest whose next batch follows at once, or whose import may be known to the
// destination already.
func (x *visitor) keepSlot() SlotUse {
	if x.holding || x.chunk.State == Exported && x.chunk.Import.Body != "" {
		return SlotKeep
	}
	return SlotByState
}

// gate reads again what allows a kick-off: the run, the slots, the lanes.
func (x *visitor) gate(kind JobKind) (bool, error) {
	pt, run, _, err := x.readRun()
	if err != nil || pt != x.pt {
		return false, err
	}
	x.run = run
	slots, err := x.readSlots(pt, kind)
	if err != nil {
		return false, err
	}
	unfinished, err := x.readUnfinished(pt)
	if err != nil {
		return false, err
	}
	gate := GateOf(run, unfinished, x.rules.limits, x.clock())
	if kind == ExportJob {
		return gate.Exports && MayExport(x.chunk, unfinished, slots, x.rules.limits, x.clock()), nil
	}
	return gate.Imports && MayImport(x.chunk, unfinished, slots, x.rules.limits, x.clock()), nil
}

func (x *visitor) goExport() error {
	may, err := x.gate(ExportJob)
	if err != nil || !may {
		return err
	}
	if err := x.chunk.Claim(x.clock(), x.clock().Add(x.rules.claim)); err != nil {
		return errYield
	}
	if err := x.chunk.ExportIntended(); err != nil {
		return err
	}
	if err := x.save(Save{Slot: SlotTake, Kind: ExportJob, Limit: x.rules.limits.MaxExports}); err != nil {
		if errors.Is(err, ErrNoSlot) {
			return errYield
		}
		return err
	}
	var types []string // all types without a filter, when the chunk has them all
	if len(x.chunk.ResourceTypes) < len(x.run.Types) {
		types = x.chunk.ResourceTypes
	}
	win := x.chunk.Window
	if x.rules.exclusive && win.Till.Equal(x.run.End) {
		win.Till = win.Till.Add(Instant)
	}
	url, err := x.startExport(x.chunk, types, win)
	if err != nil {
		return x.refused(ExportJob, err)
	}
	if err := x.chunk.ExportAccepted(url, x.clock(), x.clock().Add(x.rules.limits.Poll)); err != nil {
		return err
	}
	err = x.save(Save{})
	if errors.Is(err, ErrConflict) {
		_ = x.cancelExport(url) // best effort: nobody follows it
	}
	return err // a save whose answer was lost may follow the job: it is left alone
}

func (x *visitor) backOff() time.Time {
	poll := x.rules.limits.Poll
	return x.clock().Add(min(poll<<min(x.chunk.Attempts, 4), 10*poll))
}

// refused turns a kick-off that was not accepted into an event.
func (x *visitor) refused(kind JobKind, err error) error {
	if errors.Is(err, errPermanent) {
		if err := x.chunk.Rejected(err.Error(), x.clock()); err != nil {
			return err
		}
		return x.save(Save{})
	}
	var until time.Time
	serr := x.changeSlots(x.pt, kind, func(s *Slots) (bool, error) {
		s.SlowDown(0, x.rules.limits.Poll, x.clock())
		until = s.NotBefore
		return true, nil
	})
	if serr != nil {
		return serr
	}
	if errors.Is(err, errBusy) {
		if err := x.chunk.Postpone("", x.clock(), until); err != nil {
			return err
		}
		return x.save(Save{})
	}
	next := x.backOff()
	if next.Before(until) {
		next = until
	}
	if err := x.chunk.Faulted(err.Error(), x.clock(), next, x.rules.limits); err != nil {
		return err
	}
	s := Save{}
	if x.chunk.State == Exported {
		s.Slot = SlotKeep // its job may exist
	}
	return x.save(s)
}

// schedule is design 3.6, step 12: what is in flight nudges itself; what ended at rest makes room for others.
func (x *visitor) schedule() error {
	wait := x.chunk.NotBefore.Sub(x.clock())
	if x.chunk.State.InFlight() {
		return x.nudge(x.chunk.ID, wait)
	}
	if x.chunk.State.Open() && wait > 0 {
		if err := x.nudge(wake, wait); err != nil {
			return err
		}
	}
	pt, run, v, err := x.readRun()
	if err != nil || pt != x.pt || run.Ended() {
		return err
	}
	return x.advance(pt, run, v)
}

func (x *visitor) checkExport() error {
	if err := x.claim(); err != nil {
		return err
	}
	done, m, size, err := x.exportStatus(x.chunk.Export.StatusURL)
	now := x.clock()
	switch {
	case err == nil && done:
		return x.seeManifest(m)
	case errors.Is(err, errTooLarge), errors.Is(err, errThrottled) && x.chunk.Throttled > 0:
		children, err := x.chunk.TooLarge(err.Error(), now)
		if err != nil {
			return err
		}
		if children != nil {
			x.met("chunk split")
		}
		return x.save(Save{Children: children})
	case errors.Is(err, errThrottled):
		err = x.chunk.ExportThrottled(err.Error(), now, x.backOff(), x.rules.limits)
	case errors.Is(err, errJobFailed), errors.Is(err, errGone):
		err = x.chunk.JobLost(err.Error(), now, x.backOff(), x.rules.limits)
	default:
		if now.Sub(x.chunk.Export.ProgressAt) >= x.rules.stall {
			if err := x.cancelExport(x.chunk.Export.StatusURL); err != nil {
				x.trace("cancel: %v", err)
			}
			err = x.chunk.JobLost("stalled", x.clock(), x.backOff(), x.rules.limits)
		} else if err != nil {
			err = x.chunk.Postpone(err.Error(), now, x.nextPoll(x.chunk.Export))
		} else {
			err = x.chunk.Progressed(size, now, x.nextPoll(x.chunk.Export))
		}
	}
	if err != nil {
		return err
	}
	return x.save(Save{})
}

func (x *visitor) nextPoll(j Job) time.Time {
	poll := x.rules.limits.Poll
	return x.clock().Add(min(max(x.clock().Sub(j.Started)/10, poll), 10*poll))
}

// seeManifest counts equal answers and believes the last one that is needed, when it is proven.
func (x *visitor) seeManifest(m manifest) error {
	name := "manifests/" + x.chunk.Export.StatusURL + "/" + m.digest
	if _, err := x.putDocument(x.pt, name, m); err != nil {
		return err
	}
	if !x.chunk.Confirmed(m.digest, x.rules.limits.Confirmations) {
		if err := x.chunk.ManifestSeen(m.digest, x.clock(), x.clock().Add(x.rules.confirm)); err != nil {
			return err
		}
		return x.save(Save{})
	}
	lines, skipped := m.lines()
	if lines == 0 {
		if err := x.proveEmpty(); err != nil {
			return err
		}
	}
	if moved := lines - skipped; lines > 0 && moved < x.chunk.Expected && x.chunk.ShortSum != moved+1 {
		if err := x.chunk.ShortDoubted(moved+1, "short", x.clock(), x.backOff(), x.rules.limits); err != nil {
			return err
		}
		return x.save(Save{})
	}
	files := len(toImport(m))
	if err := x.chunk.ExportCompleted(Believed{name, files, lines, skipped, false}, x.clock()); err != nil {
		return err
	}
	return x.save(Save{})
}

func toImport(m manifest) []*file {
	var files []*file
	for _, f := range m.files {
		if f.kind != searchParameter {
			files = append(files, f)
		}
	}
	return files
}

// proveEmpty returns nil when the chunk is empty; else it has saved what happens instead (invariant 11).
func (x *visitor) proveEmpty() error {
	if !x.run.ExportOnly {
		var sum int64
		var err error
		for _, kind := range x.chunk.ResourceTypes {
			var n int64
			if n, err = x.count(x.run, kind, x.chunk.Window); err != nil {
				break
			}
			sum += n
		}
		switch {
		case errors.Is(err, errDeprecated):
			if x.run, err = x.exportOnly(); err != nil {
				return err
			}
		case err != nil:
			return x.instead(x.chunk.Postpone(err.Error(), x.clock(), x.nextPoll(x.chunk.Export)))
		case sum > 0:
			return x.instead(x.chunk.JobLost("empty by mistake", x.clock(), x.backOff(), x.rules.limits))
		default:
			return nil
		}
	}
	if x.chunk.EmptySeen > 0 {
		return nil
	}
	return x.instead(x.chunk.EmptyDoubted(x.clock()))
}

func (x *visitor) instead(err error) error {
	if err == nil {
		err = x.save(Save{})
	}
	if err == nil {
		err = errYield
	}
	return err
}

func (p *process) exportOnly() (Run, error) {
	return p.changeRun(func(_ *part, r *Run) bool {
		changed := !r.ExportOnly && !r.Ended()
		r.ExportOnly = true
		return changed
	})
}
