package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
	"fhirferry/handler/internal/store/storetest"
	"fhirferry/local/fhirsim"
)

// clock is turned by hand: hours of a migration pass in milliseconds.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// blobs lets the engine see the files that the simulated source writes.
type blobs struct {
	*fhirsim.MemoryBlobs
	container string
	broken    func(container string) error // why files of a container cannot be read; nil: they can
}

func (b blobs) Container() string                 { return b.container }
func (b blobs) Prepare(ctx context.Context) error { return b.CreateContainer(ctx, b.container) }
func (b blobs) Probe(context.Context) error       { return nil }
func (b blobs) Folder(ctx context.Context, folder string) ([]migration.StagedFile, error) {
	listed, err := b.List(ctx, b.container, folder)
	var files []migration.StagedFile
	for _, i := range listed {
		files = append(files, migration.StagedFile{Name: i.Name, ETag: i.Etag, Size: i.Size})
	}
	return files, err
}

func (b blobs) ETag(ctx context.Context, container, name string) (string, error) {
	info, err := b.Stat(ctx, container, name)
	return info.Etag, absent(err)
}

func (b blobs) Open(ctx context.Context, container, name string, offset int64) (io.ReadCloser, error) {
	if b.broken != nil {
		if err := b.broken(container); err != nil {
			return nil, err
		}
	}
	data, _, err := b.Get(ctx, container, name, offset)
	if err != nil {
		return nil, absent(err)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func absent(err error) error {
	if errors.Is(err, fhirsim.ErrBlobNotFound) {
		return migration.ErrNotFound
	}
	return err
}

// world is a source, a destination, storage in memory and an engine between them, all by one clock.
type world struct {
	*clock
	t                   *testing.T
	source, destination *fhirsim.Server
	blobs               blobs
	ledger              engine.Ledger
	queue               *storetest.Queue
	tap                 *tap        // of the engine below
	broken              func(error) // what a tick or a visit that fails means; the end of the test unless set
	engine              *engine.Engine
	viewer              *engine.Engine // tells status and chunks; it works on nothing
	settings            migration.Settings
	limits              engine.Limits
	generation          fhirsim.Generation
	fronts              []*httptest.Server
	hears               slog.Handler                                  // gets the records of engines; nil: logged does
	requests            func(line string)                             // sees each request before a server does; nil: nobody looks
	logged              io.Writer                                     // lines of the engines; nil: shown with -v, else dropped
	instead             func(http.ResponseWriter, *http.Request) bool // answers in a server's place when it returns true
	sourceOptions       func(*fhirsim.Options)
	destinationOptions  func(*fhirsim.Options)
	unreadable          func(container string) error // see blobs
	tune                func(*engine.Engine)         // changes each instance; nil: none
}

// newWorld starts both services; change may alter anything before they start.
func newWorld(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	w := &world{
		clock: &clock{now: at("2024-03-01T00:00:00Z")}, t: t, generation: fhirsim.Gen1,
		blobs: blobs{fhirsim.NewMemoryBlobs("http://staging.example"), "fhirferry", nil},
		settings: migration.Settings{
			Staging: "http://staging.example", Container: "fhirferry", Mode: migration.Continuous,
			ChunkLimit: 1000, History: true, Deleted: true,
		},
		limits: engine.Limits{
			Limits:         migration.Limits{MaxExports: 4, MaxImports: 2, MaxFailures: 5, Confirmations: 3, Poll: 30 * time.Second},
			FilesPerImport: 10000, Parallel: true, Settle: 5 * time.Minute, Interval: 15 * time.Minute,
			ConfirmInterval: 30 * time.Second, Stall: 24 * time.Hour, RequestTimeout: 10 * time.Second,
		},
	}
	for _, c := range change {
		c(w)
	}
	t.Cleanup(w.close)
	types := []string{"Patient", "Observation", "Encounter", "Condition", "SearchParameter"}
	source := fhirsim.Options{Generation: w.generation, Blobs: w.blobs, Now: w.Now, Seed: 1, Types: types}
	destination := fhirsim.Options{Generation: fhirsim.Gen2, Blobs: w.blobs, Now: w.Now, Seed: 2, Types: types}
	if w.sourceOptions != nil {
		w.sourceOptions(&source)
	}
	if w.destinationOptions != nil {
		w.destinationOptions(&destination)
	}
	w.source, w.settings.Source = w.serve(source)
	w.destination, w.settings.Destination = w.serve(destination)
	w.ledger, w.queue = storetest.NewLedger(), storetest.NewQueue()
	w.queue.Now = w.Now
	w.tap = &tap{}
	w.engine, w.viewer = w.instance(w.tap), w.instance(&tap{})
	w.broken = func(err error) { w.t.Helper(); w.t.Fatal(err) }
	if err := w.engine.Prepare(t.Context()); err != nil {
		t.Fatalf("prepare: %v", err)
	}
	return w
}

func (w *world) serve(o fhirsim.Options) (*fhirsim.Server, string) {
	w.t.Helper()
	s := fhirsim.New(o)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.requests != nil {
			w.requests(r.Method + " " + r.URL.RequestURI())
		}
		if w.instead == nil || !w.instead(rw, r) {
			s.ServeHTTP(rw, r)
		}
	}))
	w.fronts = append(w.fronts, front)
	return s, front.URL
}

// close ends both services; a test that makes many worlds calls it itself.
func (w *world) close() {
	for _, f := range w.fronts {
		f.Close()
	}
	w.fronts = nil
}

// instance is one more engine over the same storage, as another instance of the app would be.
func (w *world) instance(t *tap) *engine.Engine {
	w.t.Helper()
	clients := make([]*fhir.Client, 2)
	for i, url := range []string{w.settings.Source, w.settings.Destination} {
		o := fhir.Options{Timeout: w.limits.RequestTimeout}
		if t.around != nil {
			o.Transport = tappedTransport{&http.Transport{}, t}
		}
		c, err := fhir.New(url, o)
		if err != nil {
			w.t.Fatal(err)
		}
		clients[i] = c
	}
	e := engine.New(clients[0], clients[1], tappedLedger{w.ledger, t}, tappedQueue{w.queue, t},
		blobs{w.blobs.MemoryBlobs, w.settings.Container, w.unreadable}, slog.New(w.log()), w.settings, w.limits)
	e.Now = w.Now
	if w.tune != nil {
		w.tune(e)
	}
	return e
}

func (w *world) log() slog.Handler {
	switch {
	case w.hears != nil:
		return w.hears
	case w.logged != nil:
		return slog.NewJSONHandler(w.logged, nil)
	case testing.Verbose():
		return slog.NewJSONHandler(w.t.Output(), nil)
	}
	return slog.NewJSONHandler(io.Discard, nil)
}

// step lets d pass, delivers what is due and ticks once a minute.
func (w *world) step(d time.Duration) {
	w.t.Helper()
	before := w.Now()
	w.pass(d)
	if before.Truncate(time.Minute) != w.Now().Truncate(time.Minute) {
		if err := w.engine.Tick(w.t.Context()); err != nil {
			w.broken(fmt.Errorf("tick: %w", err))
		}
	}
	for range 1000 {
		due := w.queue.Due()
		if len(due) == 0 {
			return
		}
		for _, id := range due {
			if err := w.engine.Visit(w.t.Context(), id); err != nil {
				w.broken(fmt.Errorf("visit %s: %w", id, err))
			}
		}
	}
	w.t.Fatal("nudges never end: something nudges itself without waiting")
}

// until steps until the status is as wanted, for at most the given time.
func (w *world) until(limit time.Duration, what string, done func(engine.Status) bool) engine.Status {
	w.t.Helper()
	end := w.Now().Add(limit)
	for {
		s := w.status()
		if done(s) {
			return s
		}
		if w.Now().After(end) {
			w.t.Fatalf("not %s within %s: %s", what, limit, w.tell(s))
		}
		w.step(5 * time.Second)
	}
}

func (w *world) untilState(limit time.Duration, state migration.Shown) engine.Status {
	w.t.Helper()
	return w.until(limit, string(state), func(s engine.Status) bool { return s.State == state })
}

func (w *world) status() engine.Status {
	w.t.Helper()
	s, err := w.viewer.Status(w.t.Context())
	if err != nil {
		w.t.Fatalf("status: %v", err)
	}
	return s
}

func (w *world) tell(s engine.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, till %s, chunks %v, %+v", s.State, s.MigratedTill, s.Totals.Chunks, s.Totals.Resources)
	for _, p := range s.Totals.Problems {
		fmt.Fprintf(&b, "\n  %s %s: %s", p.At.Format(time.TimeOnly), p.Chunk, p.Detail)
	}
	for _, c := range w.chunks() {
		if c.State.Unfinished() {
			fmt.Fprintf(&b, "\n  %s %s attempts %d, not before %s: %s", c.State, c.ID, c.Attempts, c.NotBefore.Format(time.TimeOnly), c.LastError)
		}
	}
	return b.String()
}

func (w *world) start(o engine.Overrides) {
	w.t.Helper()
	if _, err := w.engine.Start(w.t.Context(), o); err != nil {
		w.t.Fatalf("start: %v", err)
	}
}

// finish cuts over and runs to the end.
func (w *world) finish() engine.Status {
	w.t.Helper()
	if _, err := w.engine.CutOver(w.t.Context()); err != nil {
		w.t.Fatalf("cutover: %v", err)
	}
	return w.untilState(6*time.Hour, migration.ShownCompleted)
}

func (w *world) chunks() []migration.Chunk {
	w.t.Helper()
	page, err := w.viewer.Chunks(w.t.Context(), engine.ChunkQuery{Limit: 1000})
	if err != nil {
		w.t.Fatalf("chunks: %v", err)
	}
	return page.Chunks
}

// equal fails unless the destination holds every version of the source, and nothing else.
func (w *world) equal() {
	w.t.Helper()
	want, got := contents(w.source), contents(w.destination)
	for k := range want {
		if !got[k] {
			w.t.Errorf("missing at the destination: %s", k)
		}
	}
	for k := range got {
		if !want[k] {
			w.t.Errorf("extra at the destination: %s", k)
		}
	}
}

func contents(s *fhirsim.Server) map[string]bool {
	all := map[string]bool{}
	s.Versions(func(v fhirsim.Version) bool {
		if v.Type != "SearchParameter" {
			all[fmt.Sprintf("%s/%s/%s %s deleted=%t", v.Type, v.ID, v.VersionID, v.LastUpdated.UTC().Format(time.RFC3339Nano), v.Deleted)] = true
		}
		return true
	})
	return all
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// load loads n resources of a type, one every so often from since on.
func (w *world) load(resourceType string, n int, since time.Time, every time.Duration) {
	w.t.Helper()
	versions := make([]fhirsim.Version, 0, n)
	for i := range n {
		id := fmt.Sprintf("%s-%d-%d", strings.ToLower(resourceType), since.Unix(), i)
		versions = append(versions, fhirsim.Version{
			Type: resourceType, ID: id, VersionID: "1", LastUpdated: since.Add(time.Duration(i) * every),
			Body: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"active":true}`, resourceType, id),
		})
	}
	if err := w.source.Load(versions...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
