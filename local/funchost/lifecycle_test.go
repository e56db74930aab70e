package funchost

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (a *app) starting(f func(n int) order) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onStart = f
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestTheHandlersEnvironment(t *testing.T) {
	a := newApp(t)
	a.addTimer("")
	a.write("host.json", `{"version":"2.0","customHandler":{"enableForwardingHttpRequest":true,"description":{
	  "defaultExecutablePath":"handler","arguments":["--port=%FUNCTIONS_CUSTOMHANDLER_PORT%","one two","%NOWHERE%x"]}}}`)
	t.Setenv("OF_THE_TEST_PROCESS", "not inherited")
	a.start(Options{Env: []string{"MINE=1", "FUNCTIONS_CUSTOMHANDLER_PORT=1"}, Environment: "Development"})
	got := receive(t, a.starts, "start")
	env := map[string]string{}
	for _, pair := range got.Env {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	port := env["FUNCTIONS_CUSTOMHANDLER_PORT"]
	if n, err := strconv.Atoi(port); err != nil || n < 1024 || env["FUNCTIONS_HTTPWORKER_PORT"] != port {
		t.Errorf("ports = %q and %q", port, env["FUNCTIONS_HTTPWORKER_PORT"])
	}
	if id := env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"]; len(id) != 36 || env["FUNCTIONS_HTTPWORKER_ID"] != id {
		t.Errorf("worker id = %q", id)
	}
	for name, want := range map[string]string{"FUNCTIONS_APP_ROOT_PATH": a.root, "MINE": "1", "PATH": os.Getenv("PATH"),
		"AZURE_FUNCTIONS_ENVIRONMENT": "Development"} {
		if env[name] != want {
			t.Errorf("%s = %q, want %q", name, env[name], want)
		}
	}
	for _, absent := range []string{"OF_THE_TEST_PROCESS", "FUNCTIONS_CUSTOMHANDLER_REQUEST_ID"} {
		if value, there := env[absent]; there {
			t.Errorf("%s = %q, want it absent", absent, value)
		}
	}
	root, _ := filepath.EvalSymlinks(a.root)
	if dir, _ := filepath.EvalSymlinks(got.Dir); dir != root {
		t.Errorf("working directory = %s, want %s", got.Dir, a.root)
	}
	// An argument's own port setting comes from the app settings first.
	if want := []string{"--port=1", "one", "two", "x"}; !cmp.Equal(got.Args, want) {
		t.Errorf("arguments = %q, want %q", got.Args, want)
	}
}

func TestTheThirdErrorEndsTheHost(t *testing.T) {
	a := httpApp(t)
	a.starting(func(int) order { o := exit(3); o.Stderr = "cannot go on"; return o })
	h := a.start(Options{})
	select {
	case <-h.Wait():
	case <-time.After(30 * time.Second):
		t.Fatal("the host goes on")
	}
	if err := h.Err(); !errors.Is(err, ErrGivenUp) || !strings.Contains(err.Error(), "exit code 3: cannot go on") {
		t.Errorf("err = %v", err)
	}
	if len(a.starts) != 3 || h.Restarts() != 2 {
		t.Errorf("%d starts, %d restarts, want 3 and 2", len(a.starts), h.Restarts())
	}
	first, last := receive(t, a.starts, "start"), report{}
	for len(a.starts) > 0 {
		last = receive(t, a.starts, "start")
	}
	port := func(r report) string {
		return r.Env[slices.IndexFunc(r.Env, func(s string) bool { return strings.HasPrefix(s, "FUNCTIONS_CUSTOMHANDLER_PORT=") })]
	}
	if port(first) != port(last) {
		t.Errorf("ports %s and %s, want the same", port(first), port(last))
	}
	if status, _, body := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil); status != http.StatusServiceUnavailable || !strings.Contains(body, notRunning) {
		t.Errorf("answer = %d %q, want 503", status, body)
	}
}

func TestThePlatformStartsTheHostAgain(t *testing.T) {
	a := httpApp(t)
	a.starting(func(n int) order {
		if n <= 4 {
			return exit(3)
		}
		return order{}
	})
	h := a.start(Options{RestartWhenGivenUp: true, RestartPause: time.Millisecond, DrainLimit: time.Second})
	if status, _, _ := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil); status != http.StatusOK {
		// The first call may fall into the end of the first generation.
		eventually(t, "the restarted host answers", func() bool {
			status, _, _ := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil)
			return status == http.StatusOK
		})
	}
	if h.Restarts() != 4 || h.Err() != nil {
		t.Errorf("%d restarts, err %v, want 4 and none", h.Restarts(), h.Err())
	}
}

func TestErrorsFarApartDoNotAddUp(t *testing.T) {
	d := dispatcher{now: func() time.Time { return time.Unix(0, 0) }, giveUp: func(error) {}, log: discard()}
	now := time.Unix(1_800_000_000, 0)
	d.now = func() time.Time { return now }
	for i, gap := range []time.Duration{0, 29 * time.Minute, 31 * time.Minute, 29 * time.Minute} {
		now = now.Add(gap)
		if !d.count(errors.New("x")) {
			t.Errorf("error %d ended the host", i+1)
		}
	}
	now = now.Add(29 * time.Minute)
	if d.count(errors.New("x")) {
		t.Error("the third error in half-hour gaps did not end the host")
	}
}

func TestExitCode200IsNotCounted(t *testing.T) {
	a := httpApp(t)
	a.starting(func(n int) order { return order{} })
	h := a.start(Options{})
	for n := range 5 {
		a.answers(func(report) order { return exit(200) })
		if status, _, _ := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil); status != 500 {
			t.Fatalf("status = %d", status)
		}
		eventually(t, "a restart", func() bool { return h.Restarts() == n+1 })
	}
	a.answers(nil)
	if status, _, _ := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil); status != 200 || h.Err() != nil {
		t.Errorf("status = %d, err = %v", status, h.Err())
	}
}

func TestExitCode0IsNotNoticed(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{})
	a.answers(func(report) order { return exit(0) })
	pid := receive(t, a.starts, "start").PID
	for range 2 {
		if status, _, _ := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil); status != 500 {
			t.Errorf("status = %d, want 500", status)
		}
		eventually(t, "the process is gone", func() bool { return gone(pid) })
	}
	if h.Restarts() != 0 || h.Err() != nil || h.HandlerPID() != 0 {
		t.Errorf("%d restarts, err %v, pid %d; want none of them", h.Restarts(), h.Err(), h.HandlerPID())
	}
}

func TestKillIsACrash(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{})
	first := receive(t, a.starts, "start").PID
	eventually(t, "the handler is known", func() bool { return h.HandlerPID() == first })
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	second := receive(t, a.starts, "second start").PID
	if second == first || !gone(first) {
		t.Errorf("pids %d and %d", first, second)
	}
	if status, _, _ := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil); status != 200 || h.Restarts() != 1 {
		t.Errorf("status = %d, %d restarts", status, h.Restarts())
	}
	if !strings.Contains(a.records.String(), "signal killed") {
		t.Error("the log does not tell how the handler ended")
	}
	if h.HandlerMaxRSS() < 1<<20 {
		t.Errorf("peak memory = %d bytes", h.HandlerMaxRSS())
	}
}

func TestAHandlerThatNeverListensIsAnError(t *testing.T) {
	a := httpApp(t)
	a.starting(func(int) order { return order{Hang: true} })
	h := a.start(Options{Env: []string{"AzureFunctionsJobHost__customHandler__initializationTimeout=00:00:00.3"}})
	select {
	case <-h.Wait():
	case <-time.After(30 * time.Second):
		t.Fatal("the host goes on")
	}
	if err := h.Err(); !errors.Is(err, ErrGivenUp) || len(a.starts) != 3 {
		t.Errorf("err = %v after %d starts", err, len(a.starts))
	}
}

func TestAMissingExecutableStopsTheHostAtTheFirstInvocation(t *testing.T) {
	a := httpApp(t)
	if err := os.Remove(filepath.Join(a.root, "handler")); err != nil {
		t.Fatal(err)
	}
	h := a.start(Options{Env: []string{"AzureFunctionsJobHost__customHandler__initializationTimeout=00:00:00.1"}})
	if status, _, _ := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil); status != 500 {
		t.Errorf("status = %d, want 500", status)
	}
	<-h.Wait()
	if !errors.Is(h.Err(), ErrNeverReady) {
		t.Errorf("err = %v", h.Err())
	}
}

func TestNoFunctionNoHandler(t *testing.T) {
	a := newApp(t)
	a.write("broken/function.json", "{")
	a.write("lib/readme.txt", "no function")
	h := a.start(Options{})
	if status, _, _ := call(t, http.MethodGet, h.URL()+"/admin/host/status", "", nil); status != 200 || h.HandlerPID() != 0 {
		t.Errorf("status = %d, pid = %d", status, h.HandlerPID())
	}
}

func TestStopDrainsThenKills(t *testing.T) {
	a := newApp(t)
	a.addQueue("")
	h := a.start(Options{})
	pid := receive(t, a.starts, "start").PID
	entered, release := make(chan struct{}), make(chan struct{})
	a.answers(func(report) order { close(entered); <-release; return done() })
	a.send(encoded("last"))
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- h.Stop(context.Background()) }()
	eventually(t, "the host is out of service", func() bool { return h.generation() == nil })
	close(release)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if got := a.length(a.queue); got != 0 {
		t.Errorf("%d messages left, want the completion in the drain to delete it", got)
	}
	if !gone(pid) {
		t.Error("the handler still runs")
	}
	if err := h.Stop(context.Background()); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

func TestAStopThatCannotDrainKills(t *testing.T) {
	a := newApp(t)
	a.addQueue("")
	h := a.start(Options{})
	pid := receive(t, a.starts, "start").PID
	a.answers(func(report) order { return order{Hang: true} })
	a.send(encoded("stuck"))
	receive(t, a.calls, "invocation")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := h.Stop(ctx); err != nil {
		t.Error(err)
	}
	if !gone(pid) {
		t.Error("the handler still runs")
	}
	if got := a.length(a.queue); got != 1 || len(a.peek(a.queue)) != 0 {
		t.Errorf("%d messages, %d visible; want the one to keep its lease", got, len(a.peek(a.queue)))
	}
}
