package rig

import (
	"context"
	"sync"
	"time"
)

// During runs work until the returned function is called, which waits for its end; later calls do nothing.
func During(work func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { work(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// Every calls do again and again until ctx ends.
func Every(ctx context.Context, pause time.Duration, do func()) {
	for Wait(ctx, pause) {
		do()
	}
}

// Wait returns false when ctx ended first.
func Wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
