package engine_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// tap stands between an engine and everything it calls: it remembers what was written, and lets a test stop, delay or
// break any call.
type tap struct {
	// around is called in place of each call and makes it by do; nil: every call passes. Set it between steps only.
	around func(call string, do func() error) error
	dead   bool // set by an around that lets nothing pass any more

	mu        sync.Mutex
	saves     []migration.Save
	documents map[string][]byte
}

func (t *tap) pass(call string, do func() error) error {
	if t.around == nil {
		return do()
	}
	return t.around(call, do)
}

// saved are the states in which chunks were saved, oldest first.
func (t *tap) saved() []migration.Chunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	var chunks []migration.Chunk
	for _, s := range t.saves {
		chunks = append(chunks, s.Chunk)
	}
	return chunks
}

// kept names the documents that begin with prefix.
func (t *tap) kept(prefix string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for name := range t.documents {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (t *tap) document(name string) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.documents[name]
}

type tappedLedger struct {
	engine.Ledger
	*tap
}

func (l tappedLedger) Current(ctx context.Context) (r migration.Run, v migration.Version, err error) {
	err = l.pass("Current", func() (e error) { r, v, e = l.Ledger.Current(ctx); return })
	return
}

func (l tappedLedger) Open(ctx context.Context, r migration.Run, previous string) error {
	return l.pass("Open", func() error { return l.Ledger.Open(ctx, r, previous) })
}

func (l tappedLedger) SaveRun(ctx context.Context, r migration.Run, v migration.Version, ps ...migration.Problem) (n migration.Version, err error) {
	err = l.pass("SaveRun", func() (e error) { n, e = l.Ledger.SaveRun(ctx, r, v, ps...); return })
	return
}

func (l tappedLedger) Round(ctx context.Context, run string) (r migration.Round, v migration.Version, err error) {
	err = l.pass("Round", func() (e error) { r, v, e = l.Ledger.Round(ctx, run); return })
	return
}

func (l tappedLedger) OpenRound(ctx context.Context, run migration.Run, v migration.Version, r migration.Round) error {
	return l.pass("OpenRound", func() error { return l.Ledger.OpenRound(ctx, run, v, r) })
}

func (l tappedLedger) SaveRound(ctx context.Context, run string, r migration.Round, v migration.Version, ps ...migration.Problem) (n migration.Version, err error) {
	err = l.pass("SaveRound", func() (e error) { n, e = l.Ledger.SaveRound(ctx, run, r, v, ps...); return })
	return
}

func (l tappedLedger) AddChunks(ctx context.Context, run migration.Run, v migration.Version, r migration.Round, rv migration.Version, cs []migration.Chunk) (a, b migration.Version, err error) {
	err = l.pass("AddChunks", func() (e error) { a, b, e = l.Ledger.AddChunks(ctx, run, v, r, rv, cs); return })
	return
}

func (l tappedLedger) CloseRound(ctx context.Context, run migration.Run, v, rv migration.Version, ps ...migration.Problem) error {
	return l.pass("CloseRound", func() error { return l.Ledger.CloseRound(ctx, run, v, rv, ps...) })
}

func (l tappedLedger) Chunk(ctx context.Context, run, id string) (c migration.Chunk, v migration.Version, err error) {
	err = l.pass("Chunk", func() (e error) { c, v, e = l.Ledger.Chunk(ctx, run, id); return })
	return
}

func (l tappedLedger) SaveChunk(ctx context.Context, run string, s migration.Save) (v migration.Version, err error) {
	err = l.pass("SaveChunk "+string(s.Chunk.State), func() (e error) {
		if v, e = l.Ledger.SaveChunk(ctx, run, s); e == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.saves = append(l.saves, s)
		}
		return e
	})
	return
}

func (l tappedLedger) Unfinished(ctx context.Context, run string) (cs []migration.Chunk, err error) {
	err = l.pass("Unfinished", func() (e error) { cs, e = l.Ledger.Unfinished(ctx, run); return })
	return
}

func (l tappedLedger) Slots(ctx context.Context, run string, k migration.JobKind) (s migration.Slots, err error) {
	err = l.pass("Slots", func() (e error) { s, e = l.Ledger.Slots(ctx, run, k); return })
	return
}

func (l tappedLedger) ChangeSlots(ctx context.Context, run string, k migration.JobKind, change func(*migration.Slots) bool) error {
	return l.pass("ChangeSlots", func() error { return l.Ledger.ChangeSlots(ctx, run, k, change) })
}

func (l tappedLedger) Report(ctx context.Context, run string, ps ...migration.Problem) error {
	return l.pass("Report", func() error { return l.Ledger.Report(ctx, run, ps...) })
}

func (l tappedLedger) AddErrand(ctx context.Context, e migration.Errand) error {
	return l.pass("AddErrand", func() error { return l.Ledger.AddErrand(ctx, e) })
}

func (l tappedLedger) OpenErrand(ctx context.Context, run migration.Run, v migration.Version, e migration.Errand) error {
	return l.pass("OpenErrand "+string(e.Kind), func() error { return l.Ledger.OpenErrand(ctx, run, v, e) })
}

func (l tappedLedger) Errand(ctx context.Context, run, id string) (e migration.Errand, v migration.Version, err error) {
	err = l.pass("Errand", func() (x error) { e, v, x = l.Ledger.Errand(ctx, run, id); return })
	return
}

func (l tappedLedger) Errands(ctx context.Context, run string) (es []migration.Errand, err error) {
	err = l.pass("Errands", func() (x error) { es, x = l.Ledger.Errands(ctx, run); return })
	return
}

func (l tappedLedger) SaveErrand(ctx context.Context, e migration.Errand, v migration.Version, ps ...migration.Problem) (n migration.Version, err error) {
	err = l.pass("SaveErrand", func() (x error) { n, x = l.Ledger.SaveErrand(ctx, e, v, ps...); return })
	return
}

func (l tappedLedger) CloseErrand(ctx context.Context, run migration.Run, v migration.Version, e migration.Errand, ev migration.Version, ps ...migration.Problem) error {
	return l.pass("CloseErrand", func() error { return l.Ledger.CloseErrand(ctx, run, v, e, ev, ps...) })
}

func (l tappedLedger) PutDocument(ctx context.Context, run, name string, content []byte) (kept []byte, err error) {
	err = l.pass("PutDocument", func() (e error) {
		if kept, e = l.Ledger.PutDocument(ctx, run, name, content); e == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.documents == nil {
				l.documents = map[string][]byte{}
			}
			l.documents[name] = kept
		}
		return e
	})
	return
}

func (l tappedLedger) Document(ctx context.Context, run, name string) (content []byte, err error) {
	err = l.pass("Document", func() (e error) { content, e = l.Ledger.Document(ctx, run, name); return })
	return
}

type tappedQueue struct {
	engine.Queue
	*tap
}

func (q tappedQueue) Nudge(ctx context.Context, id string, delay time.Duration) error {
	return q.pass("Nudge", func() error { return q.Queue.Nudge(ctx, id, delay) })
}

// tappedTransport lets a test break requests. It is no *http.Transport, so the client makes kick-offs by connections it
// shares, which net/http may repeat by itself when a server resets them: not for tests in which a server does.
type tappedTransport struct {
	*http.Transport
	*tap
}

func (t tappedTransport) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	err = t.pass(r.Method+" "+r.URL.Path, func() (e error) { answer, e = t.Transport.RoundTrip(r); return })
	if err != nil && answer != nil {
		_ = answer.Body.Close() // the test lost this answer
		return nil, err
	}
	return
}
