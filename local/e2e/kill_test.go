package e2e

import (
	"context"
	"fhirferry/local/rig"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

// deaths is how many handlers die in one run.
const deaths = 50

// TestHandlerKilled kills the handler 50 times, each time after a seeded number of its writes, kick-offs and polls, so that the
// kills fall where it is at work and not where it waits.
func TestHandlerKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 21, settings: map[string]string{
		"FERRY_REQUEST_TIMEOUT": "2s", "FERRY_CONFIRMATIONS": "3", "FERRY_INTERVAL": "3s"}})
	w.start(1)
	w.verb("start", nil)
	stopWriter := w.write(4)
	var killed atomic.Int64
	stopKilling := w.killing(&killed)
	var last status
	w.poll(2*patience, func() bool {
		last = w.look()
		return killed.Load() >= deaths
	}, func() string { return fmt.Sprintf("only %d kills: %s", killed.Load(), display(last)) })
	stopKilling()
	stopWriter()
	w.finish()
	w.withinLimits(4, 2)
	if last.Chunks["imported"] == 0 {
		t.Errorf("all kills fell before anything was imported: the test shows too little: %s", display(last))
	}
}

// killing kills the handlers of the hosts in turn, drawn by the seed, until stopped.
func (w *world) killing(killed *atomic.Int64) (stop func()) {
	draw := rand.New(rand.NewPCG(w.generator.Seed, 0xDEAD))
	at := w.effects() + 1 + draw.IntN(8)
	stop = rig.During(func(ctx context.Context) {
		rig.Every(ctx, 5*time.Millisecond, func() {
			if w.effects() < at || killed.Load() >= deaths {
				return
			}
			if w.hosts[draw.IntN(len(w.hosts))].Kill() == nil {
				killed.Add(1)
				at = w.effects() + 1 + draw.IntN(8)
			}
		})
	})
	w.Cleanup(stop)
	return stop
}

// effects is the number of requests of handlers that changed something or asked for a job: writes to the tables, which
// hosts do not use, kick-offs and polls.
func (w *world) effects() int {
	total := 0
	for _, operation := range []string{"table insert", "table merge", "table replace", "table batch", "table delete"} {
		total += w.Proxies.Table.Counts()[operation]
	}
	for _, route := range []string{"GET /$export", "GET /{Type}/$export", "GET /_operations/export/{id}"} {
		total += w.Source.RequestCounts()[route]
	}
	for _, route := range []string{"POST /$import", "GET /_operations/import/{id}"} {
		total += w.Destination.RequestCounts()[route]
	}
	return total
}
