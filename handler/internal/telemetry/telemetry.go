package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/microsoft/ApplicationInsights-Go/appinsights"
)

const (
	// batchTime is how long items are gathered. The host kills its handler without a word (host contract 2.6), and what
	// is being gathered is lost then.
	batchTime = 5 * time.Second
	batchSize = 500
	// answerTime is the patience with one request. The SDK itself has none.
	answerTime = 10 * time.Second
	// closeTime is how long Close may take when its context has no deadline.
	closeTime = 5 * time.Second
)

// Source says who speaks: the cloud role, its instance, and the version of the program.
type Source struct {
	Role, Instance, Version string
}

// Handler is a slog.Handler that turns records into telemetry (see the package comment).
type Handler struct {
	*sink
	attrs  []slog.Attr // given by With, their groups in their names
	prefix string      // groups opened by WithGroup, each with a dot
}

// New makes a handler that sends to the resource of the connection string. It sends nothing by itself, and does not ask
// whether anybody listens.
func New(connectionString string, from Source) (*Handler, error) {
	to, err := parse(connectionString)
	if err != nil {
		return nil, fmt.Errorf("read the connection string of Application Insights: %w", err)
	}
	ended, end := context.WithCancel(context.Background())
	configuration := appinsights.NewTelemetryConfiguration(to.key)
	configuration.EndpointUrl = to.track
	configuration.MaxBatchSize, configuration.MaxBatchInterval = batchSize, batchTime
	configuration.Client = &http.Client{
		Transport: &carrier{next: newTransport(), ended: ended, now: time.Now}, CheckRedirect: redirect, Timeout: answerTime,
	}
	client := appinsights.NewTelemetryClientFromConfig(configuration)
	tags := client.Context().Tags
	tags.Cloud().SetRole(from.Role)
	tags.Cloud().SetRoleInstance(from.Instance)
	tags.Application().SetVer(from.Version)
	return &Handler{sink: &sink{client: client, end: end, budget: budget{now: time.Now}}}, nil
}

// sink is what all handlers made from one share.
type sink struct {
	client appinsights.TelemetryClient
	end    context.CancelFunc // ends the requests under way

	mu     sync.Mutex
	closed bool // nothing is sent to a closed channel of the SDK: that would panic
	budget budget
}

// track hands an item to the SDK, whose own goroutine is always ready to take it.
func (s *sink) track(item appinsights.Telemetry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	_, minor := item.(*appinsights.RemoteDependencyTelemetry)
	admitted, dropped := s.budget.admit(minor)
	if dropped > 0 {
		s.client.Track(droppedEvent(dropped))
	}
	if admitted {
		s.client.Track(item)
	}
}

// Close sends what is gathered and waits until it has arrived or the context ends; then the requests under way are
// ended too. Records that come later are dropped. It may be called again.
//
// An SDK goroutine that keeps the throttle is left behind (v0.4.4 does not answer its own request to stop it), and those
// that wait to try again end within two minutes: harmless where a process closes its telemetry once, at its end.
func (h *Handler) Close(ctx context.Context) error {
	defer h.end()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(closeTime)
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	select {
	case <-h.close(time.Until(deadline) / 2): // half of the time for one more try
		return nil
	case <-ctx.Done():
		return errors.New("telemetry did not all arrive before the handler ended; what is missing is lost")
	}
}

// close gives everything to the SDK and returns what tells of its arrival. Nobody who logs waits for that.
func (s *sink) close(retry time.Duration) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		arrived := make(chan struct{})
		close(arrived)
		return arrived
	}
	if n := s.budget.dropped; n > 0 {
		s.client.Track(droppedEvent(n))
	}
	s.closed = true
	return s.client.Channel().Close(max(retry, time.Millisecond))
}

// Enabled is true for every level: metrics and dependencies are logged at debug level.
func (h *Handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle turns a record into telemetry, or ignores it. It never fails.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	for _, item := range h.read(r).items() {
		h.track(item)
	}
	return nil
}

// WithAttrs returns a handler that adds the attributes to every record.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := slices.Clone(h.attrs)
	for _, a := range attrs {
		more = append(more, flatten(h.prefix, a)...)
	}
	return &Handler{h.sink, more, h.prefix}
}

// WithGroup returns a handler that puts the group's name before those of attributes.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &Handler{h.sink, h.attrs, h.prefix + name + "."}
}
