package funchost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// generation is one start of the host's inner part: the app as read from disk, one
// handler port, the listeners. A host that has given up and is started again gets a
// new one.
type generation struct {
	config       config
	functions    []function
	storage      storage
	dispatcher   *dispatcher
	client       *http.Client
	log          *slog.Logger
	now          func() time.Time
	chunked      bool
	messageLease time.Duration
	timerLease   time.Duration
	drainLimit   time.Duration

	// life ends when nothing may touch storage any more: after the drain, or at a
	// sudden death.
	life context.Context
	end  context.CancelFunc
	// failed gets the error with which the host stops by itself.
	failed chan error

	handler   sync.WaitGroup // the dispatcher's loop
	mu        sync.Mutex
	deafen    context.CancelFunc // stops the listeners; nil when they are stopped
	listeners sync.WaitGroup
	work      sync.WaitGroup // what track has started
	inFlight  int
	closed    bool // track starts nothing more
}

// load reads the app and prepares a generation; nothing runs yet.
func (h *Host) load() (*generation, error) {
	s := h.settings
	file, err := readHostJSON(h.options.AppRoot, s)
	if err != nil {
		return nil, err
	}
	c, err := newConfig(h.options.AppRoot, file, s)
	if err != nil {
		return nil, err
	}
	functions, broken, err := loadFunctions(h.options.AppRoot, c, s, h.options.Now())
	if err != nil {
		return nil, err
	}
	for _, err := range broken {
		h.options.Log.Error("a function is left out", "error", err)
	}
	store, err := newStorage(h.connection, h.options.HostID)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	g := &generation{config: c, functions: functions, storage: store, log: h.options.Log, now: h.options.Now,
		chunked: h.options.Chunked, messageLease: h.options.MessageLease, timerLease: h.options.TimerLease,
		drainLimit: h.options.DrainLimit, failed: make(chan error, 1)}
	g.life, g.end = context.WithCancel(context.Background())
	g.client = newClient(c)
	g.dispatcher = &dispatcher{client: g.client, log: h.options.Log, now: h.options.Now, giveUp: g.fail, started: h.countStart,
		launch: launch{config: c, root: h.options.AppRoot, env: s.environ(), port: port,
			console: &console{out: h.options.HandlerOut, strict: c.strictError}}}
	return g, nil
}

// newClient calls the handler; its own limit lies above functionTimeout (host contract
// 3.8). With forwarding on it follows no redirect.
func newClient(c config) *http.Client {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	if c.timeout > 0 {
		client.Timeout = c.timeout + time.Minute
	}
	if c.forwards {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client
}

// start starts the handler and the listeners; without any function there is no handler.
func (g *generation) start() error {
	if len(g.functions) == 0 {
		g.log.Error("no function was found, the handler is not started")
		return nil
	}
	if err := g.listen(); err != nil {
		return err
	}
	g.handler.Go(func() { g.dispatcher.run(g.life) })
	return nil
}

// listen starts a listener per enabled timer and queue function, unless they run.
func (g *generation) listen() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.deafen != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(g.life)
	for _, f := range g.functions {
		switch {
		case f.disabled:
		case f.queue != "":
			l, err := newQueueListener(g, f)
			if err != nil {
				cancel()
				return err
			}
			g.listeners.Go(func() { l.run(ctx) })
		case f.isTimer():
			l := &timerListener{g: g, f: f}
			g.listeners.Go(func() { l.run(ctx) })
		}
	}
	g.deafen = cancel
	return nil
}

// deaf stops the listeners and leaves what runs alone (host contract 5.8).
func (g *generation) deaf() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.deafen != nil {
		g.deafen()
		g.deafen = nil
	}
}

// track runs an invocation that a stop waits for, in a goroutine of its own; false when
// the generation is ending.
func (g *generation) track(run func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inFlight++
	g.work.Go(func() {
		defer func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.inFlight--
		}()
		run()
	})
	return true
}

func (g *generation) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// stop is an orderly end: listeners first, then the drain, then SIGKILL (H9).
func (g *generation) stop(ctx context.Context) {
	g.deaf()
	drained := make(chan struct{})
	go func() {
		g.listeners.Wait()
		g.shut()
		g.work.Wait()
		close(drained)
	}()
	limit, cancel := context.WithTimeout(ctx, g.drainLimit)
	defer cancel()
	select {
	case <-drained:
	case <-limit.Done():
		g.log.Warn("invocations are still in flight, the handler is killed")
	}
	g.die()
	<-drained
}

// die ends the handler and everything else at once. What was in flight keeps its
// leases in storage.
func (g *generation) die() {
	g.end()
	g.deaf()
	g.handler.Wait()
	g.listeners.Wait()
	g.shut()
	g.work.Wait()
	g.client.CloseIdleConnections()
}

// fail asks the host to stop by itself; the first reason counts.
func (g *generation) fail(err error) {
	select {
	case g.failed <- err:
	default:
	}
}

// find looks a function up without regard to case.
func (g *generation) find(name string) (function, bool) {
	for _, f := range g.functions {
		if strings.EqualFold(f.name, name) {
			return f, true
		}
	}
	return function{}, false
}

func checkRoot(root string) error {
	info, err := os.Stat(root)
	if err != nil {
		return fmt.Errorf("find the app root: %w", err)
	}
	if !info.IsDir() {
		return errors.New("the app root " + root + " is not a folder; run make dist")
	}
	return nil
}
