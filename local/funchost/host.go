package funchost

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say what to run and how. Only AppRoot and a storage connection are needed.
type Options struct {
	// AppRoot is the packaged app: host.json, the handler, one folder per function.
	AppRoot string
	// Env is the complete environment of the host as NAME=value, that is the app
	// settings. Nothing else is inherited but PATH and HOME. Values of a
	// local.settings.json in AppRoot are added where Env does not name them.
	Env []string
	// Addr is the public listener; "" is 127.0.0.1:0.
	Addr string
	// StorageConnection is the host's own connection for locks and timer status; "" is
	// the app setting AzureWebJobsStorage, which the queue listeners use in any case.
	StorageConnection string
	// HostID names the app in storage; "" is the app setting
	// AzureFunctionsWebHost__hostid, else made from the machine and AppRoot.
	HostID string
	// InstanceID tells log records of several hosts apart.
	InstanceID string
	// EnableAuth enforces the keys below; without it every call is let through, as Core
	// Tools does. HostKey opens every function, FunctionKeys the one they are named by.
	EnableAuth         bool
	MasterKey, HostKey string
	FunctionKeys       map[string]string
	// Chunked sends invocations chunked, as in Azure; otherwise with Content-Length, as
	// under Core Tools.
	Chunked bool
	// HandlerOut gets the handler's lines behind the level at which the host logs them,
	// "Information: text". It need not be safe for concurrent use.
	HandlerOut io.Writer
	// Log gets the host's own records.
	Log *slog.Logger
	// RestartWhenGivenUp plays Azure's platform: a host that has stopped by itself is
	// started again after RestartPause (0: one second).
	RestartWhenGivenUp bool
	RestartPause       time.Duration
	// Now is the clock of schedules and error counting; nil is the real one.
	Now func() time.Time
	// Environment is set as AZURE_FUNCTIONS_ENVIRONMENT if not "". "Development", as
	// Core Tools sets it, shortens the longest wait of an idle queue listener to 2 s.
	Environment string
	// MessageLease is how long a received message stays invisible, renewed at half of
	// it; 0 is the real host's 10 minutes.
	MessageLease time.Duration
	// TimerLease is the lock of a timer, also the wait of those who do not have it; 0
	// is the real host's 60 s. Storage accepts 15 s to 60 s.
	TimerLease time.Duration
	// DrainLimit bounds the wait of a stop for invocations in flight, also of a host that
	// gives up; 0 is the real host's 10 s.
	DrainLimit time.Duration
}

// Host is a running host. Its methods may be called at the same time.
type Host struct {
	options    Options
	settings   settings
	connection string
	listener   net.Listener
	server     *http.Server
	stopped    chan struct{}
	stopping   chan struct{}
	once       sync.Once
	over       sync.WaitGroup

	mu      sync.Mutex
	current *generation // nil while the host is down
	starts  int
	peak    int64
	err     error
}

// Start starts the host and returns when it listens; the handler may not be ready yet.
// The host ends with Stop or Die, or by itself.
func Start(ctx context.Context, o Options) (*Host, error) {
	h, err := newHost(o)
	if err != nil {
		return nil, fmt.Errorf("start the functions host: %w", err)
	}
	first, err := h.load()
	if err != nil {
		return nil, fmt.Errorf("start the functions host: %w", err)
	}
	var config net.ListenConfig
	if h.listener, err = config.Listen(ctx, "tcp4", h.options.Addr); err != nil {
		return nil, fmt.Errorf("start the functions host: %w", err)
	}
	h.server = &http.Server{Handler: h.routes(), ReadHeaderTimeout: time.Minute}
	h.over.Go(func() { _ = h.server.Serve(h.listener) })
	if err := first.start(); err != nil {
		_ = h.server.Close()
		first.die()
		return nil, fmt.Errorf("start the functions host: %w", err)
	}
	h.set(first)
	h.over.Go(func() { h.watch(first) })
	return h, nil
}

func newHost(o Options) (*Host, error) {
	root, err := filepath.Abs(o.AppRoot)
	if err != nil {
		return nil, err
	}
	if err := checkRoot(root); err != nil {
		return nil, err
	}
	o.AppRoot = root
	local, err := localSettings(root)
	if err != nil {
		return nil, err
	}
	var forced []string
	if o.Environment != "" {
		forced = []string{"AZURE_FUNCTIONS_ENVIRONMENT=" + o.Environment}
	}
	h := &Host{options: o, stopped: make(chan struct{}), stopping: make(chan struct{})}
	h.settings = newSettings(append(append(forced, o.Env...), local...)...)
	h.connection = o.StorageConnection
	if h.connection == "" {
		h.connection = h.settings.connection("AzureWebJobsStorage")
	}
	if h.connection == "" {
		return nil, errors.New("there is no storage: set StorageConnection or the app setting AzureWebJobsStorage")
	}
	h.defaults()
	return h, nil
}

func (h *Host) defaults() {
	o := &h.options
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.HostID == "" {
		o.HostID = h.settings.get("AzureFunctionsWebHost__hostid")
	}
	if o.HostID == "" {
		machine, _ := os.Hostname()
		o.HostID = fmt.Sprintf("%.21s-%.10x", strings.ToLower(machine), sha256.Sum256([]byte(o.AppRoot)))
		o.HostID = strings.Trim(o.HostID, "-")
	}
	if o.InstanceID == "" {
		o.InstanceID = guid()[:8]
	}
	if o.HandlerOut == nil {
		o.HandlerOut = io.Discard
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("instance", o.InstanceID)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MessageLease == 0 {
		o.MessageLease = 10 * time.Minute
	}
	if o.TimerLease == 0 {
		o.TimerLease = time.Minute
	}
	if o.DrainLimit == 0 {
		o.DrainLimit = 10 * time.Second
	}
	if o.RestartPause == 0 {
		o.RestartPause = time.Second
	}
}

// watch waits for the end of a generation that gives up, and starts the next one if
// the platform is played.
func (h *Host) watch(g *generation) {
	for {
		var cause error
		select {
		case <-h.stopping:
			return
		case cause = <-g.failed:
		}
		h.options.Log.Error("the host stops by itself", "error", cause)
		h.retire(g, func() { g.stop(context.Background()) })
		if !h.options.RestartWhenGivenUp {
			h.finish(cause)
			return
		}
		h.rest()
		next, err := h.load()
		if err == nil {
			err = next.start()
		}
		if err != nil {
			h.finish(fmt.Errorf("start the functions host again: %w", err))
			return
		}
		h.set(next)
		g = next
	}
}

// rest waits before the platform starts the host again, or until Stop or Die.
func (h *Host) rest() {
	timer := time.NewTimer(h.options.RestartPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.stopping:
	}
}

func (h *Host) set(g *generation) {
	h.mu.Lock()
	h.current = g
	h.mu.Unlock()
}

// retire takes the generation out of service, ends it and keeps its figures.
func (h *Host) retire(g *generation, end func()) {
	h.mu.Lock()
	if h.current == g {
		h.current = nil
	}
	h.mu.Unlock()
	end()
	peak := g.dispatcher.sample()
	h.mu.Lock()
	h.peak = max(h.peak, peak)
	h.mu.Unlock()
}

func (h *Host) generation() *generation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current
}

func (h *Host) finish(err error) {
	h.mu.Lock()
	h.err = err
	h.mu.Unlock()
	close(h.stopped)
}

func (h *Host) countStart() {
	h.mu.Lock()
	h.starts++
	h.mu.Unlock()
}

// Stop ends the host in order: receiving stops, invocations in flight have DrainLimit at
// most (less when ctx ends), then the handler is killed. Only the first call does anything.
func (h *Host) Stop(ctx context.Context) error {
	return h.close(func(g *generation) { g.stop(ctx) })
}

// Die ends the host as the loss of its machine would: the handler is killed, nothing
// is drained, and locks and messages keep their leases.
func (h *Host) Die() {
	_ = h.close((*generation).die)
}

func (h *Host) close(end func(*generation)) error {
	var err error
	h.once.Do(func() {
		close(h.stopping)
		if g := h.generation(); g != nil {
			h.retire(g, func() { end(g) })
		}
		err = h.server.Close()
		h.over.Wait()
		// A generation that was just being started is not left behind.
		if g := h.generation(); g != nil {
			h.retire(g, g.die)
		}
	})
	return err
}

// URL is the address of the public listener, without a slash at the end.
func (h *Host) URL() string { return "http://" + h.listener.Addr().String() }

// Wait returns a channel that is closed when the host has stopped by itself.
func (h *Host) Wait() <-chan struct{} { return h.stopped }

// Err is why the host has stopped by itself; nil while it has not.
func (h *Host) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// HandlerPID is the process id of the running handler, 0 when none runs.
func (h *Host) HandlerPID() int {
	if g := h.generation(); g != nil {
		if p := g.dispatcher.handler(); p != nil {
			return p.cmd.Process.Pid
		}
	}
	return 0
}

// Kill sends SIGKILL to the running handler: a crash, to which the host reacts by its
// rules. It is an error when no handler runs.
func (h *Host) Kill() error {
	h.HandlerMaxRSS()
	if pid := h.HandlerPID(); pid != 0 {
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return errors.New("kill the handler: none runs")
}

// Restarts is how often the handler was started again, for whatever reason.
func (h *Host) Restarts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(0, h.starts-1)
}

// HandlerMaxRSS is the most memory that a handler process has held, in bytes. It is
// read when asked for and before the host ends a process, so the last moments of one
// that crashed may be missing; 0 where the system does not tell.
func (h *Host) HandlerMaxRSS() int64 {
	var seen int64
	if g := h.generation(); g != nil {
		seen = g.dispatcher.sample()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.peak = max(h.peak, seen)
	return h.peak
}
