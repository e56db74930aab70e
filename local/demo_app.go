package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"fhirferry/local/funchost"
	"fhirferry/local/rig"
)

const (
	// answerTime is the longest the operator waits for an answer of the app.
	answerTime = 30 * time.Second
	// leastLease is the shortest lock that storage accepts: after the loss of a host the other one ticks on sooner.
	leastLease = 15 * time.Second
)

// app is the packaged app in its hosts.
type app struct {
	operator operator
	hosts    []*funchost.Host
	log      *os.File
	kills    atomic.Int64
}

// startApp starts the hosts over dist/, all with the same settings as instances of one app have them.
func startApp(ctx context.Context, o order, p *pair) (_ *app, err error) {
	if _, err := os.Stat(filepath.Join(o.dist, "host.json")); err != nil {
		return nil, fmt.Errorf("find the packaged app: %w; run make dist", err)
	}
	if err := os.MkdirAll(filepath.Dir(o.log), 0o755); err != nil {
		return nil, fmt.Errorf("make the log's folder: %w", err)
	}
	a := &app{}
	if a.log, err = os.Create(o.log); err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	defer func() {
		if err != nil {
			a.stop()
		}
	}()
	env := rig.Env(p.settings())
	for i := range o.hosts {
		host, err := funchost.Start(ctx, funchost.Options{
			AppRoot: o.dist, Env: env, HostID: "fhirferry-demo", InstanceID: fmt.Sprintf("instance-%d", i+1),
			Environment: "Development", HandlerOut: a.log, Log: slog.New(slog.NewTextHandler(a.log, nil)),
			RestartWhenGivenUp: true, TimerLease: leastLease,
		})
		if err != nil {
			return nil, err
		}
		a.hosts = append(a.hosts, host)
	}
	a.operator = operator{base: a.hosts[0].URL(), client: &http.Client{Timeout: answerTime}}
	return a, nil
}

// stop ends the hosts, and with them their handlers.
func (a *app) stop() {
	for _, host := range a.hosts {
		rig.StopHost(host)
	}
	_ = a.log.Close() // what it holds is for reading only
}

// killEvery sends SIGKILL to the handler of one host or another until stopped; never, when every is zero.
func (a *app) killEvery(every time.Duration, seed uint64) (stop func()) {
	if every <= 0 {
		return func() {}
	}
	return rig.During(func(ctx context.Context) {
		draw := rand.New(rand.NewPCG(seed, 0xDEAD))
		for rig.Wait(ctx, every/2+time.Duration(draw.Int64N(int64(every)))) {
			if a.hosts[draw.IntN(len(a.hosts))].Kill() == nil {
				a.kills.Add(1)
			}
		}
	})
}

// note is what happens to the handlers right now.
func (a *app) note() string {
	if n := a.kills.Load(); n > 0 {
		return fmt.Sprintf("handlers killed %d times", n)
	}
	return ""
}

// notes are what became of the handlers.
func (a *app) notes() []string {
	var notes []string
	for i, host := range a.hosts {
		notes = append(notes, fmt.Sprintf("host %d: its handler held at most %.0f MiB and was started again %d times",
			i+1, float64(host.HandlerMaxRSS())/(1<<20), host.Restarts()))
	}
	if n := a.kills.Load(); n > 0 {
		notes = append(notes, fmt.Sprintf("handlers were killed %d times", n))
	}
	return notes
}
