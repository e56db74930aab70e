package funchost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Errors with which the host stops by itself.
var (
	// ErrGivenUp: the handler has failed for the third time (host contract 2.5).
	ErrGivenUp = errors.New("exceeded http worker restart retry count, shutting down functions host")
	// ErrNeverReady: an invocation has waited in vain for the handler (host contract 2.4).
	ErrNeverReady = errors.New("the handler did not become ready while an invocation waited")
)

// errThreshold and errWindow: the third error of which none is further than the window
// from the one before ends the host.
const (
	errThreshold = 3
	errWindow    = 30 * time.Minute
	pollInterval = 25 * time.Millisecond
	uncountedEnd = 200 // the exit code that asks for a restart without blame
)

// dispatcher keeps one handler process running on one port.
type dispatcher struct {
	launch  launch
	client  *http.Client
	log     *slog.Logger
	now     func() time.Time
	giveUp  func(error)
	started func() // called for each process that was started

	mu      sync.Mutex
	ready   bool
	current *process
	errs    int
	lastErr time.Time
	peak    int64
}

// freePort binds a loopback port and lets it go; another process may take it in
// between, as with the real host (host contract 2.2).
func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port for the handler: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// url is an address of the handler: IPv4 only (host contract 2.2).
func (d *dispatcher) url(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", d.launch.port, path)
}

// run starts the handler, and again whenever it ends in a way that asks for it, until
// ctx ends or the host gives up. The process is killed on the way out.
func (d *dispatcher) run(ctx context.Context) {
	for {
		p, err := d.launch.start()
		if err != nil {
			// No worker error: nothing is restarted, and the first invocation waits in
			// vain (host contract 2.4).
			d.log.Error("the handler could not be started", "error", err)
			return
		}
		d.begin(p)
		if !d.attend(ctx, p) {
			return
		}
	}
}

func (d *dispatcher) begin(p *process) {
	d.mu.Lock()
	d.current, d.ready = p, false
	d.mu.Unlock()
	d.started()
	d.log.Info("handler started", "pid", p.cmd.Process.Pid, "port", d.launch.port)
}

// attend follows one process to its end and says whether to start another.
func (d *dispatcher) attend(ctx context.Context, p *process) bool {
	defer d.end(p)
	if err := d.awaitReady(ctx, p); err != nil {
		if ctx.Err() != nil {
			return false
		}
		d.end(p)
		return d.count(err)
	}
	d.setReady(true)
	select {
	case <-ctx.Done():
		return false
	case <-p.exited:
	case <-p.doomed:
		<-p.exited
	}
	switch {
	case p.killedByHost():
		d.setReady(false)
		return ctx.Err() == nil
	case p.status.Exited() && p.status.ExitStatus() == 0:
		// The host does nothing and believes the handler is there (H8).
		d.log.Warn("the handler ended with code 0; later invocations fail")
		<-ctx.Done()
		return false
	case p.status.Exited() && p.status.ExitStatus() == uncountedEnd:
		d.setReady(false)
		return true
	}
	d.setReady(false)
	return d.count(fmt.Errorf("the handler ended with %s: %s", p.exit(), d.launch.console.lastErrors()))
}

// end kills the process if it still runs, and waits for it as the host does, up to 1 s.
func (d *dispatcher) end(p *process) {
	d.sample()
	p.kill()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
	}
}

// count books a worker error and says whether the handler is started again.
func (d *dispatcher) count(cause error) bool {
	d.setReady(false)
	d.mu.Lock()
	now := d.now()
	if now.Sub(d.lastErr) > errWindow {
		d.errs = 0
	}
	d.errs++
	d.lastErr = now
	count := d.errs
	d.mu.Unlock()
	d.log.Error("worker error", "count", count, "error", cause)
	if count < errThreshold {
		return true
	}
	d.giveUp(fmt.Errorf("%w: %w", ErrGivenUp, cause))
	return false
}

// awaitReady asks GET / every 25 ms; any answer will do (H6).
func (d *dispatcher) awaitReady(ctx context.Context, p *process) error {
	limit, cancel := context.WithTimeout(ctx, d.launch.config.readyLimit)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		// Under ctx, not limit: a handler that accepts and never answers stalls the start.
		if d.answers(ctx, d.url("/")) {
			return nil
		}
		select {
		case <-limit.Done():
			return errors.New("failed to start http worker process: it did not listen in time")
		case <-p.exited:
			if !p.status.Exited() || p.status.ExitStatus() != 0 {
				return fmt.Errorf("the handler ended before it listened with %s: %s", p.exit(), d.launch.console.lastErrors())
			}
			<-limit.Done() // an end with code 0 is not noticed
		case <-ticker.C:
		}
	}
}

// answers says whether anything but a refused connection comes back.
func (d *dispatcher) answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := d.client.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return true
	}
	var refused *net.OpError
	return ctx.Err() == nil && !errors.As(err, &refused)
}

func (d *dispatcher) setReady(ready bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ready = ready
}

// await waits until the handler is ready, four times its start limit at most; beyond
// that the host stops (H7).
func (d *dispatcher) await(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, (errThreshold+1)*d.launch.config.readyLimit)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		d.mu.Lock()
		ready := d.ready
		d.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-ticker.C:
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			d.giveUp(ErrNeverReady)
			return ErrNeverReady
		}
	}
}

// handler is the process that runs now, or nil.
func (d *dispatcher) handler() *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil {
		return nil
	}
	select {
	case <-d.current.exited:
		return nil
	default:
		return d.current
	}
}

// sample notes the memory of the running handler and returns the most seen so far.
func (d *dispatcher) sample() int64 {
	p := d.handler()
	d.mu.Lock()
	defer d.mu.Unlock()
	if p != nil {
		d.peak = max(d.peak, p.peak())
	}
	return d.peak
}
