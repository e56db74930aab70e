package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fhirferry/local/funchost"
)

// functionKey opens every function of the demonstration's hosts.
const functionKey = "demo-key"

// app is the packaged app in its hosts.
type app struct {
	operator operator
	hosts    []*funchost.Host
	log      *os.File

	mu    sync.Mutex
	kills int
}

// startApp starts as many hosts as ordered over the same package and settings.
func startApp(ctx context.Context, o order, p *pair) (_ *app, err error) {
	a := &app{}
	defer func() {
		if err != nil {
			a.stop()
		}
	}()
	if err := os.MkdirAll(filepath.Dir(o.log), 0o755); err != nil {
		return nil, fmt.Errorf("make a folder for the log: %w", err)
	}
	if a.log, err = os.Create(o.log); err != nil {
		return nil, fmt.Errorf("make the log: %w", err)
	}
	lines := &together{to: a.log}
	var env []string
	for name, value := range p.settings() {
		env = append(env, name+"="+value)
	}
	for i := range o.hosts {
		host, err := funchost.Start(ctx, funchost.Options{
			AppRoot: o.dist, Env: env, StorageConnection: p.azurite.ConnectionString(),
			HostID: "demo", InstanceID: fmt.Sprint("host", i+1), EnableAuth: true, HostKey: functionKey, Chunked: i == 0,
			HandlerOut: lines, Log: slog.New(slog.NewTextHandler(lines, nil)),
			RestartWhenGivenUp: true, RestartPause: 200 * time.Millisecond, Environment: "Development",
		})
		if err != nil {
			return nil, fmt.Errorf("start host %d: %w", i+1, err)
		}
		a.hosts = append(a.hosts, host)
	}
	// The operator talks to the last host: with two of them, whoever works does not matter.
	a.operator = operator{base: a.hosts[len(a.hosts)-1].URL(), key: functionKey, client: &http.Client{Timeout: 30 * time.Second}}
	return a, nil
}

// together lets several hosts write whole lines to one file.
type together struct {
	mu sync.Mutex
	to io.Writer
}

func (t *together) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.to.Write(b)
}

func (a *app) stop() {
	for _, h := range a.hosts {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		_ = h.Stop(ctx) // nobody is left to tell
		cancel()
	}
	if a.log != nil {
		_ = a.log.Close()
	}
}

// killEvery kills the handler of one host after another until the returned function is called.
func (a *app) killEvery(every time.Duration, seed uint64) (stop func()) {
	if every <= 0 {
		return func() {}
	}
	chance := rand.New(rand.NewPCG(seed, 5))
	return during(func(ctx context.Context) {
		for wait(ctx, every/2+time.Duration(chance.Int64N(int64(every)))) {
			if a.hosts[chance.IntN(len(a.hosts))].Kill() == nil {
				a.mu.Lock()
				a.kills++
				a.mu.Unlock()
			}
		}
	})
}

// note is the part of the progress line that tells of kills.
func (a *app) note() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kills == 0 {
		return ""
	}
	return fmt.Sprintf("%d kills", a.kills)
}

// notes are what the closing table says of the hosts.
func (a *app) notes() []string {
	var notes []string
	for i, h := range a.hosts {
		notes = append(notes, fmt.Sprintf("host %d: handler started again %d times, %.0f MiB resident at most", i+1, h.Restarts(), float64(h.HandlerMaxRSS())/(1<<20)))
	}
	if note := a.note(); note != "" {
		notes = append(notes, note+" of a handler with SIGKILL")
	}
	return notes
}
