package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"fhirferry/handler/internal/engine"
)

// Verbs are the engine's methods that requests call. A test can put a function in the place of one of them.
type Verbs struct {
	Tick    func(ctx context.Context) error
	Visit   func(ctx context.Context, id string) error
	Start   func(ctx context.Context, o engine.Overrides) (engine.Status, error)
	Pause   func(ctx context.Context) (engine.Status, error)
	Resume  func(ctx context.Context) (engine.Status, error)
	Stop    func(ctx context.Context) (engine.Status, error)
	CutOver func(ctx context.Context) (engine.Status, error)
	Retry   func(ctx context.Context) (engine.Status, int, error)
	Status  func(ctx context.Context) (engine.Status, error)
	Chunks  func(ctx context.Context, q engine.ChunkQuery) (engine.ChunkPage, error)
	Record  func(ctx context.Context, id string) (engine.ChunkRecord, error)
	Rejects func(ctx context.Context, q engine.RejectQuery) (engine.RejectPage, error)
	Access  func(ctx context.Context) []engine.Check

	StartCheck func(ctx context.Context, o engine.CheckOrder) (engine.CheckResult, error)
	Checks     func(ctx context.Context) ([]engine.CheckResult, error)
	Check      func(ctx context.Context, id string) (engine.CheckResult, error)
}

// Options are what New needs.
type Options struct {
	Verbs    *Verbs                  // nil when the settings are too bad to build an engine
	Settings []engine.SettingProblem // none: every setting is good
	Log      *slog.Logger            // nil: nothing is logged

	// VisitTimeout is the deadline of a tick or a visit; it must lie below the host's functionTimeout, or one slow
	// visit takes its neighbours down with it (host contract 3.8). Zero: five minutes.
	VisitTimeout time.Duration
	// HTTPTimeout is the deadline of an operator's request; Azure ends idle ones after 230 s (host contract 7.2).
	// Zero: 200 seconds.
	HTTPTimeout time.Duration

	Now func() time.Time // stamps the problems of settings; nil: time.Now
}

type server struct {
	Options
}

// New is the whole surface of the handler. The paths of invocations are the names of the folders under functions/ that
// do not take HTTP; the others are the public paths, for the host forwards HTTP as it came (host contract 4.2).
func New(o Options) http.Handler {
	s := &server{Options: o}
	s.complete()

	r := chi.NewRouter()
	r.Use(s.invocationID, s.recoverPanics)
	r.NotFound(s.notFound)
	r.MethodNotAllowed(s.methodNotAllowed)

	r.Get("/", s.ready)
	r.Post("/tick", s.tick)
	r.Post("/visit", s.visit)

	r.Get("/api/migration", s.answer(s.status))
	r.Get("/api/migration/", s.answer(s.status))
	r.Get("/api/migration/chunks", s.answer(s.chunks))
	r.Get("/api/migration/chunks/{id}", s.answer(s.record))
	r.Get("/api/migration/rejects", s.answer(s.rejects))
	r.Get("/api/migration/access", s.answer(s.access))
	r.Get("/api/migration/checks", s.answer(s.checks))
	r.Get("/api/migration/checks/{id}", s.answer(s.check))
	r.Get("/api/migration/openapi.json", s.describe)
	r.Post("/api/migration/checks", s.startCheck)
	r.Post("/api/migration/start", s.answer(s.start))
	r.Post("/api/migration/retry", s.answer(s.retry))
	r.Post("/api/migration/pause", s.verb(func(v *Verbs) verb { return v.Pause }))
	r.Post("/api/migration/resume", s.verb(func(v *Verbs) verb { return v.Resume }))
	r.Post("/api/migration/stop", s.verb(func(v *Verbs) verb { return v.Stop }))
	r.Post("/api/migration/cutover", s.verb(func(v *Verbs) verb { return v.CutOver }))
	return r
}

func (s *server) complete() {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.Log = slog.New(Correlate(s.Log.Handler()))
	if s.VisitTimeout <= 0 {
		s.VisitTimeout = 5 * time.Minute
	}
	if s.HTTPTimeout <= 0 {
		s.HTTPTimeout = 200 * time.Second
	}
	if s.Now == nil {
		s.Now = time.Now
	}
}

// ready answers the host's probe and its pings: any answer means ready, so it must be quick (host contract 2.3).
func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("fhirferry\n"))
}
