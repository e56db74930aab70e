package migration

import (
	"slices"
	"strconv"
)

// ledger is the table: rows with versions, transactions that do all or nothing, documents written once.
type ledger struct {
	*world
	current *part
	parts   []*part
	count   int
}

// part is the partition of one run.
type part struct {
	run       Run
	runV      Version
	round     *Round
	roundV    Version
	chunks    map[string]*chunkRow
	order     []string // ids in the order in which they were added
	markers   []Chunk
	slots     map[JobKind]Slots
	slotsV    map[JobKind]Version
	totals    Totals
	documents map[string]any
}

type chunkRow struct {
	chunk Chunk
	v     Version
	owner *process // whose claim it is
}

func (l *ledger) now() *part {
	if l.current == nil {
		return &part{}
	}
	return l.current
}

func (l *ledger) version() Version {
	l.count++
	return Version(strconv.Itoa(l.count))
}

// open makes a new run the current one.
func (l *ledger) open(r Run) {
	l.current = &part{
		run: r, runV: l.version(), chunks: map[string]*chunkRow{}, documents: map[string]any{},
		slots:  map[JobKind]Slots{ExportJob: {Kind: ExportJob}, ImportJob: {Kind: ImportJob}},
		slotsV: map[JobKind]Version{},
	}
	l.parts = append(l.parts, l.current)
}

// unfinished reads the markers. Nobody changes what it returns, so it is made anew only after a save.
func (pt *part) unfinished() []Chunk {
	if pt.markers == nil {
		pt.markers = make([]Chunk, 0, len(pt.order))
		for _, id := range pt.order {
			if row := pt.chunks[id]; row.chunk.State.Unfinished() {
				pt.markers = append(pt.markers, row.chunk)
			}
		}
	}
	return pt.markers
}

func (pt *part) failed() int { return pt.totals.Chunks[Failed] }

// readRun and its like are what a process sees: each takes its time, and fails in an outage.
func (p *process) readRun() (*part, Run, Version, error) {
	if err := p.read(); err != nil {
		return nil, Run{}, "", err
	}
	pt := p.ledger.current
	return pt, pt.run, pt.runV, nil
}

func (p *process) readRound(pt *part) (Round, Version, error) {
	if err := p.read(); err != nil {
		return Round{}, "", err
	}
	if pt.round == nil {
		return Round{}, "", ErrNotFound
	}
	r := *pt.round
	r.Pieces = slices.Clone(r.Pieces)
	return r, pt.roundV, nil
}

func (p *process) readChunk(pt *part, id string) (Chunk, Version, error) {
	if err := p.read(); err != nil {
		return Chunk{}, "", err
	}
	row := pt.chunks[id]
	if row == nil {
		return Chunk{}, "", ErrNotFound
	}
	return row.chunk, row.v, nil
}

func (p *process) readUnfinished(pt *part) ([]Chunk, error) {
	if err := p.read(); err != nil {
		return nil, err
	}
	return pt.unfinished(), nil
}

func (p *process) readSlots(pt *part, kind JobKind) (Slots, error) {
	if err := p.read(); err != nil {
		return Slots{}, err
	}
	return pt.slots[kind], nil
}

// putDocument writes a document once and returns the one that is kept.
func (p *process) putDocument(pt *part, name string, content any) (any, error) {
	err := p.write(func() error {
		if _, there := pt.documents[name]; !there {
			pt.documents[name] = content
		} else if name[0] == 'p' {
			p.met("plan written twice")
		}
		return nil
	})
	return pt.documents[name], err
}

func (p *process) document(pt *part, name string) (any, error) {
	err := p.read()
	p.require(0, err != nil || pt.documents[name] != nil, "document %s is missing", name)
	return pt.documents[name], err
}

// saveRun replaces the run's row.
func (p *process) saveRun(pt *part, r Run, v Version) error {
	return p.write(func() error {
		if pt.runV != v {
			return ErrConflict
		}
		p.setRun(pt, r)
		return nil
	})
}

func (w *world) setRun(pt *part, r Run) {
	before := pt.run
	pt.run, pt.runV = r, w.ledger.version()
	w.checkRun(pt, before)
}

// changeRun applies change until nobody else was faster; a run that is over or not the current one is left alone.
func (p *process) changeRun(change func(*part, *Run) bool) (Run, error) {
	for {
		pt, run, v, err := p.readRun()
		if err != nil || !change(pt, &run) {
			return run, err
		}
		if err := p.saveRun(pt, run, v); err != ErrConflict {
			return run, err
		}
	}
}

func (p *process) openRound(pt *part, run Run, v Version, round Round) error {
	return p.write(func() error {
		if pt.round != nil {
			return ErrExists
		}
		if pt.runV != v {
			return ErrConflict
		}
		pt.round, pt.roundV = &round, p.ledger.version()
		p.setRun(pt, run)
		return nil
	})
}

func (p *process) saveRound(pt *part, round Round, v Version) (next Version, err error) {
	err = p.write(func() error {
		if pt.round == nil || pt.roundV != v {
			return ErrConflict
		}
		round.Pieces = slices.Clone(round.Pieces)
		pt.round, pt.roundV = &round, p.ledger.version()
		next = pt.roundV
		return nil
	})
	return next, err
}

// addChunks inserts what is not there yet of the round's plan, with the run's version renewed.
func (p *process) addChunks(pt *part, run Run, v Version, round Round, rv Version, chunks []Chunk) (next Version, err error) {
	err = p.write(func() error {
		if pt.runV != v || pt.round == nil || pt.roundV != rv {
			return ErrConflict
		}
		for _, c := range chunks {
			if pt.chunks[c.ID] == nil {
				p.insert(pt, c)
			}
		}
		p.setRun(pt, run)
		pt.round, pt.roundV = &round, p.ledger.version()
		next = pt.roundV
		return nil
	})
	return next, err
}

func (w *world) insert(pt *part, c Chunk) {
	w.require(3, pt.chunks[c.ID] == nil, "chunk %s is added twice", c.ID)
	pt.chunks[c.ID] = &chunkRow{chunk: c, v: w.ledger.version()}
	pt.order, pt.markers = append(pt.order, c.ID), nil
	pt.totals.Moved(nil, c)
	w.checkNew(pt, c)
}

// closeRound removes the round and saves the run.
func (p *process) closeRound(pt *part, run Run, v, rv Version) error {
	return p.write(func() error {
		if pt.runV != v || pt.round == nil || pt.roundV != rv {
			return ErrConflict
		}
		round := *pt.round
		pt.round = nil
		p.checkClosed(pt, round, run)
		p.setRun(pt, run)
		return nil
	})
}

// saveChunk saves a chunk with its slot, the totals and the children of a split in one transaction. Claim says that the
// save is one that the chunk's next visit must respect.
func (p *process) saveChunk(pt *part, s Save) (next Version, err error) {
	err = p.write(func() error {
		row := pt.chunks[s.Chunk.ID]
		if row.v != s.Version {
			return ErrConflict
		}
		if err := p.saveSlot(pt, row.chunk, s); err != nil {
			return err
		}
		before := *row
		row.chunk, row.v, pt.markers = s.Chunk, p.ledger.version(), nil
		next = row.v
		pt.totals.Moved(&before.chunk, s.Chunk)
		for _, child := range s.Children {
			p.insert(pt, child)
		}
		p.checkSaved(pt, before, row, s)
		return nil
	})
	return next, err
}

// saveSlot is what a save does with the chunk's slot (invariant 15).
func (p *process) saveSlot(pt *part, before Chunk, s Save) error {
	kind, touched := s.SlotKind(before)
	if !touched {
		return nil
	}
	slots := pt.slots[kind]
	if s.Slot == SlotTake {
		if err := slots.Take(s.Chunk.ID, s.Limit, s.Now); err != nil {
			p.met("no slot")
			return err
		}
	} else if !slots.Release(s.Chunk.ID) {
		return nil
	}
	pt.slots[kind], pt.slotsV[kind] = slots, p.ledger.version()
	return nil
}

// changeSlots applies change until nobody else was faster.
func (p *process) changeSlots(pt *part, kind JobKind, change func(*Slots) (bool, error)) error {
	for {
		if err := p.read(); err != nil {
			return err
		}
		s, v := pt.slots[kind], pt.slotsV[kind]
		changed, err := change(&s)
		if err != nil || !changed {
			return err
		}
		err = p.write(func() error {
			if pt.slotsV[kind] != v {
				return ErrConflict
			}
			pt.slots[kind], pt.slotsV[kind] = s, p.ledger.version()
			return nil
		})
		if err != ErrConflict {
			return err
		}
	}
}
