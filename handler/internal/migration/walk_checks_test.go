package migration

import (
	"slices"
	"time"
)

// finished reports whether the last run has completed and nobody is at work any more.
func (w *world) finished() bool {
	return w.ledger.now().run.Outcome == Completed && len(w.live) == 0
}

// checkRun looks at each change of the run's row.
func (w *world) checkRun(pt *part, before Run) {
	r := pt.run
	w.require(17, !before.Ended(), "%s is over and was changed", r.ID)
	w.require(2, before.End.IsZero() || before.End.Equal(r.End) || !before.CutOverAsked, "T of a cutover moved from %s to %s", before.End, r.End)
	if r.CutOverAsked && !before.CutOverAsked {
		for _, v := range w.source.data {
			w.require(2, !v.stamp.After(r.End), "a version written before the cutover is stamped %s, after T %s", v.stamp, r.End)
		}
	}
	w.require(1, !r.Frontier.Before(before.Frontier), "the frontier went back from %s to %s", before.Frontier, r.Frontier)
	switch {
	case r.Paused && !before.Paused:
		w.pausedAt = w.order
	case !r.Paused:
		w.pausedAt = 0
	}
	if r.Ended() {
		w.met("run " + string(r.Outcome))
		w.require(17, len(pt.unfinished()) == 0 && pt.round == nil, "the run has ended with work left")
	}
	if r.StopAsked && !before.StopAsked {
		w.checkMigrated(pt, r.StoppedTill)
	}
	w.checkMigrated(pt, r.MigratedTill(pt.unfinished()))
}

// checkMigrated holds migratedTill to its promise: every version before it has arrived or is counted as rejected.
func (w *world) checkMigrated(pt *part, till time.Time) {
	for _, v := range w.source.data {
		if v.kind != searchParameter && v.stamp.Before(till) && slices.Contains(pt.run.Types, v.kind) {
			if w.destination.arrived[v.id] || w.destination.rejected[v.id] {
				continue
			}
			w.fail(4, "migratedTill is %s, and version %d of %s (%s) is not there", till, v.id, v.kind, v.stamp)
		}
	}
}

// checkNew looks at a chunk when it is added: settled by both clocks, within one lane order, as it was planned.
func (w *world) checkNew(pt *part, c Chunk) {
	if broken := Valid(c); broken != "" {
		w.fail(0, "%s: %s", c.ID, broken)
	}
	own := w.now.Add(max(w.skew[0], w.skew[1]))
	w.require(2, !c.Window.Till.After(w.sourceNow().Add(-w.rules.settle)) && !c.Window.Till.After(own.Add(-w.rules.settle)),
		"%s ends less than settle before now, %s", c.ID, w.now)
	for _, id := range pt.order {
		o := pt.chunks[id].chunk
		w.require(1, o.ID == c.ID || o.State == Split || !o.Shares(c) || !o.Window.Since.Before(c.Window.Till) || !c.Window.Since.Before(o.Window.Till),
			"%s overlaps %s", c.ID, id)
	}
}

// checkClosed looks at the end of a round: the plan that was written is what was added, and it leaves nothing out.
func (w *world) checkClosed(pt *part, round Round, after Run) {
	if after.Frontier.Equal(pt.run.Frontier) {
		return
	}
	if round.Plan != "" {
		for _, c := range pt.documents[round.Plan].([]Chunk) {
			row := pt.chunks[c.ID]
			w.require(3, row != nil && row.chunk.Window.Equal(c.Window), "chunk %s of %s was never added", c.ID, round.Plan)
		}
	}
	for _, v := range w.source.data {
		if v.kind == searchParameter || v.stamp.Before(round.Span.Since) || !v.stamp.Before(round.Span.Till) && !round.Span.Till.Equal(after.End) || v.stamp.After(round.Span.Till) {
			continue
		}
		if !slices.ContainsFunc(pt.order, func(id string) bool {
			c := pt.chunks[id].chunk
			return c.State != Split && c.Window.Contains(v.stamp) && slices.Contains(c.ResourceTypes, v.kind)
		}) {
			w.fail(1, "version %d of %s (%s) lies in no chunk of the round %v", v.id, v.kind, v.stamp, round.Span)
		}
	}
}

// checkSaved looks at each change of a chunk.
func (p *process) checkSaved(pt *part, before chunkRow, row *chunkRow, s Save) {
	was, is := before.chunk, row.chunk
	if broken := Valid(is); broken != "" {
		p.fail(0, "%s went from %s to an impossible row: %s", is.ID, was.State, broken)
	}
	p.require(17, !pt.run.Ended() && was.State != Cancelled, "%s was changed after it was cancelled", is.ID)
	// A save is a claim, or belongs to the visit whose claim was the last (invariant 6); retry claims by reopening.
	if p.fencing {
		if row.owner != nil {
			row.owner.lost = true
		}
		row.owner = nil
		p.checkLimits(pt)
		return
	}
	claims := !is.ClaimedTill.Equal(was.ClaimedTill) && is.State == was.State && is.CancelFaults == was.CancelFaults
	if claims || was.State == Failed {
		if before.owner != nil && before.owner != p {
			before.owner.lost = true
		}
		row.owner, p.holds, p.lost = p, is.ID, false
		p.require(5, was.State == Failed || !p.clock().Before(was.NotBefore) || pt.run.StopAsked && was.Cancellable(p.clock()), "%s was claimed while another visit held it", is.ID)
	} else {
		p.require(6, before.owner == p && !p.lost, "%s: a save of %s by a visit that does not hold the claim", is.ID, is.State)
	}
	switch {
	case was.State != Failed && is.State == Failed:
		p.met("chunk failed")
		if p.haltedAt == 0 {
			p.haltedAt = p.order
		}
	case pt.failed() == 0:
		p.haltedAt = 0
	}
	p.checkLimits(pt)
	p.checkStep(pt, was, is, s)
}

// checkStep looks at what a transition claims about the servers.
func (p *process) checkStep(pt *part, was, is Chunk, s Save) {
	switch {
	case is.State == Split:
		lanes := map[string][]Window{}
		for _, child := range s.Children {
			for _, kind := range child.ResourceTypes {
				lanes[kind] = append(lanes[kind], child.Window)
			}
		}
		for _, kind := range is.ResourceTypes {
			p.require(1, covers(is.Window, lanes[kind]), "the children of %s do not cover %s", is.ID, kind)
		}
	case was.State == Exporting && is.State == Exporting && was.Export.Answers > 0 && is.Export.Answers == 0:
		clear(p.source.jobs[is.Export.StatusURL].equal) // a 202 starts the count again
	case was.State == Exporting && (is.State == Exported || is.State == Imported):
		job := p.source.jobs[is.Export.StatusURL]
		m := pt.documents[is.Manifest].(manifest)
		p.require(10, job.equal[m.digest] >= p.rules.limits.Confirmations, "%s is believed after %d equal answers", is.ID, job.equal[m.digest])
		p.require(10, m.digest == job.truth().digest, "%s believes a manifest that was not the last word: %s", is.ID, m.digest)
		least := job.least(pt.run.End)
		p.require(11, is.Resources.Exported > 0 || least == 0, "%s is taken for empty and holds %d lines", is.ID, least)
		p.require(12, is.Resources.Exported >= least, "%s exported %d of %d lines", is.ID, is.Resources.Exported, least)
	case is.State == Importing && was.State != Importing:
		p.require(13, !p.left[is.Import.StatusURL], "%s follows an import that was given up", is.ID)
		for _, o := range pt.unfinished() {
			p.require(4, o.ID == is.ID || !o.Shares(is) || o.Compare(is) > 0, "%s is imported before %s", is.ID, o.ID)
		}
	case was.State == Importing && is.State != Importing:
		p.left[was.Import.StatusURL] = true
	}
	if is.State == Imported && is.Manifest != "" {
		for _, f := range toImport(pt.documents[is.Manifest].(manifest)) {
			for _, v := range f.items {
				p.require(12, p.destination.arrived[v.id] || p.destination.rejected[v.id], "%s is imported without version %d of %s", is.ID, v.id, f.url)
			}
		}
	}
}

// checkLimits: what is in flight is within the limits, and each chunk in flight holds its slot (invariant 15).
func (w *world) checkLimits(pt *part) {
	var flying [2]int
	for id, row := range pt.chunks {
		kind, i := ExportJob, 0
		switch row.chunk.State {
		case Importing:
			kind, i = ImportJob, 1
		case Exporting:
		default:
			continue
		}
		flying[i]++
		if !pt.slots[kind].Holds(id) {
			w.fail(15, "%s is %s without a slot", id, row.chunk.State)
		}
	}
	for i, kind := range []JobKind{ExportJob, ImportJob} {
		limit := []int{w.rules.limits.MaxExports, w.rules.limits.MaxImports}[i]
		w.require(15, flying[i] <= limit && len(pt.slots[kind].Holders) <= limit, "%d %ss in flight, %d slots, limit %d", flying[i], kind, len(pt.slots[kind].Holders), limit)
	}
}

// checkPost looks at each kick-off request.
func (p *process) checkPost(pt *part, id string) *chunkRow {
	row := pt.chunks[id]
	p.require(5, p.holds == id, "%s: a kick-off by a visit without a claim", id)
	apart := max(p.skew[0]-p.skew[1], p.skew[1]-p.skew[0])
	if p.world.now.Sub(p.began)+apart < p.rules.claim {
		p.require(7, row.owner == p && !p.lost, "%s: a visit in time has lost its claim", id)
	}
	return row
}

// checkStart: nothing is started by a visit that began after the pause was saved, or while a chunk was Failed, or that
// lies within quiet hours by its own clock, unless they are for exports alone.
func (p *process) checkStart(id string, kind JobKind) {
	l := p.rules.limits
	if opening, ok := l.Quiet.Opening(p.began.Add(p.clock().Sub(p.world.now))); kind == ExportJob || !l.QuietImports {
		p.require(9, ok && !p.clock().Before(opening), "%s: an %s was started in quiet hours", id, kind)
	} else if l.Quiet.Quiet(p.clock()) {
		p.met("import in quiet hours")
	}
	p.require(9, p.pausedAt == 0 || p.pausedAt > p.birth, "%s: started while paused", id)
	p.require(9, p.haltedAt == 0 || p.haltedAt > p.birth, "%s: started while halted", id)
}

func (p *process) checkExportPost(c Chunk) {
	pt := p.ledger.current
	if pt.chunks[c.ID] == nil {
		return // a late visit of a run that is over
	}
	row := p.checkPost(pt, c.ID)
	p.checkStart(c.ID, ExportJob)
	p.require(14, row.chunk.Export.Attempt >= c.Export.Attempt, "%s: attempt %d was not saved before its kick-off", c.ID, c.Export.Attempt)
	key := pt.run.ID + c.ID + string(rune('0'+c.Export.Attempt))
	p.require(14, !p.posted[key], "%s: attempt %d is posted twice", c.ID, c.Export.Attempt)
	p.posted[key] = true
}

func (p *process) checkImportPost(pt *part, c Chunk, b body) {
	row := p.checkPost(pt, c.ID)
	name := "imports/" + b.text
	p.require(13, pt.documents[name] != nil && c.Import.Body == name, "%s: the body was not saved before it was posted", c.ID)
	if !pt.run.StopAsked {
		p.checkStart(c.ID, ImportJob)
	}
	if row.owner != p {
		return
	}
	p.require(14, row.chunk.Import.Body == name, "%s: the row does not know the body that is posted", c.ID)
	believed := toImport(pt.documents[row.chunk.Manifest].(manifest))
	for _, f := range b.files {
		p.require(14, slices.Contains(believed, f) && !f.job.cancelled, "%s: %s is imported and not believed", c.ID, f.url)
	}
}

// checkPoll: a chunk that was cancelled before this visit began is asked about no more (invariant 17).
func (p *process) checkPoll(id string) {
	for _, pt := range p.ledger.parts {
		row := pt.chunks[id]
		p.require(17, row == nil || row.chunk.State != Cancelled || row.chunk.UpdatedAt.Add(-p.skew[0]-p.skew[1]).After(p.began.Add(-10*time.Minute)) || pt != p.ledger.current,
			"%s: polled after it was cancelled", id)
	}
}

// checkEnd looks at the whole when the last run has completed.
func (w *world) checkEnd() {
	pt := w.ledger.current
	for _, v := range w.source.data {
		if v.kind == searchParameter || v.stamp.After(pt.run.End) {
			continue
		}
		w.require(8, w.destination.arrived[v.id] || w.destination.rejected[v.id], "version %d of %s (%s) never arrived", v.id, v.kind, v.stamp)
		w.require(8, w.destination.arrived[v.id] != v.bad, "version %d of %s: arrived %v, bad %v", v.id, v.kind, w.destination.arrived[v.id], v.bad)
	}
	var totals Totals
	for _, id := range pt.order {
		totals.Moved(nil, pt.chunks[id].chunk)
	}
	w.require(12, totals.Resources == pt.totals.Resources, "totals %+v, rows %+v", pt.totals.Resources, totals.Resources)
	for _, s := range States() {
		w.require(12, totals.Chunks[s] == pt.totals.Chunks[s], "%d chunks %s, counted %d", totals.Chunks[s], s, pt.totals.Chunks[s])
	}
	w.require(12, totals.Resources.Exported == totals.Resources.Imported+totals.Resources.Rejected+totals.Resources.Benign+totals.Resources.Skipped, "books of the run: %+v", totals.Resources)
	for _, kind := range []JobKind{ExportJob, ImportJob} {
		w.require(15, len(pt.slots[kind].Holders) == 0, "%s slots are held after the end: %v", kind, pt.slots[kind].Holders)
	}
}
