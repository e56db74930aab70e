package storetest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"

	"fhirferry/handler/internal/migration"
)

// Ledger keeps everything in memory, with the versions and refusals of the real one.
type Ledger struct {
	mu        sync.Mutex
	current   string
	runs      map[string]*run
	errands   map[string]map[string]versioned[migration.Errand] // by run and id
	documents map[string][]byte                                 // by run and name
	saves     int
}

// run is everything that lives under one run's id.
type run struct {
	row    versioned[migration.Run]
	round  *versioned[migration.Round]
	chunks map[string]versioned[migration.Chunk]
	slots  map[migration.JobKind]versioned[migration.Slots]
	totals migration.Totals
}

type versioned[T any] struct {
	value   T
	version migration.Version
}

// NewLedger is an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{runs: map[string]*run{}, errands: map[string]map[string]versioned[migration.Errand]{}, documents: map[string][]byte{}}
}

func (l *Ledger) next() migration.Version {
	l.saves++
	return migration.Version(strconv.Itoa(l.saves))
}

// Prepare does nothing: memory is there.
func (l *Ledger) Prepare(context.Context) error { return nil }

// Current returns the run that was opened last.
func (l *Ledger) Current(context.Context) (migration.Run, migration.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.runs[l.current]
	if !ok {
		return migration.Run{}, "", migration.ErrNotFound
	}
	return cloneRun(r.row.value), r.row.version, nil
}

// Open creates a run and makes it the current one.
func (l *Ledger) Open(_ context.Context, opened migration.Run, previous string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != previous {
		return migration.ErrConflict
	}
	if _, there := l.runs[opened.ID]; there {
		return migration.ErrExists
	}
	r := &run{
		row: versioned[migration.Run]{cloneRun(opened), l.next()}, chunks: map[string]versioned[migration.Chunk]{},
		slots: map[migration.JobKind]versioned[migration.Slots]{},
	}
	for _, kind := range []migration.JobKind{migration.ExportJob, migration.ImportJob} {
		r.slots[kind] = versioned[migration.Slots]{migration.Slots{Kind: kind}, l.next()}
	}
	l.runs[opened.ID], l.current = r, opened.ID
	return nil
}

// hold returns a run whose row has the version.
func (l *Ledger) hold(id string, v migration.Version) (*run, error) {
	r, ok := l.runs[id]
	if !ok || r.row.version != v {
		return nil, migration.ErrConflict
	}
	return r, nil
}

func (r *run) report(problems []migration.Problem) {
	for _, p := range problems {
		r.totals.Report(p)
	}
	for i := range r.totals.Problems {
		r.totals.Problems[i].Doubt = false // counted, not kept
	}
}

// SaveRun replaces the run's row.
func (l *Ledger) SaveRun(_ context.Context, saved migration.Run, v migration.Version, problems ...migration.Problem) (migration.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.hold(saved.ID, v)
	if err != nil {
		return "", err
	}
	r.row = versioned[migration.Run]{cloneRun(saved), l.next()}
	r.report(problems)
	return r.row.version, nil
}

// Round returns the open round.
func (l *Ledger) Round(_ context.Context, runID string) (migration.Round, migration.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.runs[runID]
	if !ok || r.round == nil {
		return migration.Round{}, "", migration.ErrNotFound
	}
	return cloneRound(r.round.value), r.round.version, nil
}

func cloneRun(r migration.Run) migration.Run {
	r.Types, r.Settings.Types, r.AppSettings.Types = slices.Clone(r.Types), slices.Clone(r.Settings.Types), slices.Clone(r.AppSettings.Types)
	return r
}

func cloneRound(r migration.Round) migration.Round {
	r.Pieces = slices.Clone(r.Pieces)
	return r
}

// OpenRound inserts the round and saves the run.
func (l *Ledger) OpenRound(_ context.Context, saved migration.Run, v migration.Version, round migration.Round) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.hold(saved.ID, v)
	if err != nil {
		return err
	}
	if r.round != nil {
		return migration.ErrExists
	}
	r.row = versioned[migration.Run]{cloneRun(saved), l.next()}
	r.round = &versioned[migration.Round]{cloneRound(round), l.next()}
	return nil
}

// SaveRound replaces the round.
func (l *Ledger) SaveRound(_ context.Context, runID string, round migration.Round, v migration.Version, problems ...migration.Problem) (migration.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.runs[runID]
	if !ok || r.round == nil || r.round.version != v {
		return "", migration.ErrConflict
	}
	r.round = &versioned[migration.Round]{cloneRound(round), l.next()}
	r.report(problems)
	return r.round.version, nil
}

// AddChunks inserts the chunks that are not there yet.
func (l *Ledger) AddChunks(_ context.Context, saved migration.Run, v migration.Version, round migration.Round, rv migration.Version,
	chunks []migration.Chunk,
) (migration.Version, migration.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.hold(saved.ID, v)
	if err != nil {
		return "", "", err
	}
	if r.round == nil || r.round.version != rv {
		return "", "", migration.ErrConflict
	}
	for _, c := range chunks {
		if _, there := r.chunks[c.ID]; !there {
			l.insert(r, c)
		}
	}
	r.row = versioned[migration.Run]{cloneRun(saved), l.next()}
	r.round = &versioned[migration.Round]{cloneRound(round), l.next()}
	return r.row.version, r.round.version, nil
}

func (l *Ledger) insert(r *run, c migration.Chunk) {
	r.chunks[c.ID] = versioned[migration.Chunk]{cloneChunk(c), l.next()}
	r.totals.Moved(nil, c)
}

func cloneChunk(c migration.Chunk) migration.Chunk {
	c.ResourceTypes, c.Batches = slices.Clone(c.ResourceTypes), slices.Clone(c.Batches)
	return c
}

// CloseRound removes the round and saves the run.
func (l *Ledger) CloseRound(_ context.Context, saved migration.Run, v, rv migration.Version, problems ...migration.Problem) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.hold(saved.ID, v)
	if err != nil {
		return err
	}
	if r.round == nil || r.round.version != rv {
		return migration.ErrConflict
	}
	r.row, r.round = versioned[migration.Run]{cloneRun(saved), l.next()}, nil
	r.report(problems)
	return nil
}

// Totals returns the running totals.
func (l *Ledger) Totals(_ context.Context, runID string) (migration.Totals, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.runs[runID]
	if !ok {
		return migration.Totals{}, migration.ErrNotFound
	}
	t := r.totals
	t.Chunks, t.Problems = maps.Clone(t.Chunks), slices.Clone(t.Problems)
	return t, nil
}

// Report adds problems to the totals.
func (l *Ledger) Report(_ context.Context, runID string, problems ...migration.Problem) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.runs[runID]
	if !ok {
		return migration.ErrNotFound
	}
	r.report(problems)
	return nil
}

// PutDocument writes a document once.
func (l *Ledger) PutDocument(_ context.Context, runID, name string, content []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name = runID + "/" + name
	if _, there := l.documents[name]; !there {
		l.documents[name] = slices.Clone(content)
	}
	return slices.Clone(l.documents[name]), nil
}

// Document reads a document.
func (l *Ledger) Document(_ context.Context, runID, name string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	content, there := l.documents[runID+"/"+name]
	if !there {
		return nil, migration.ErrNotFound
	}
	return slices.Clone(content), nil
}
