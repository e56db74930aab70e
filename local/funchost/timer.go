package funchost

import (
	"context"
	"time"
)

// timerListener fires one timer function while it holds the function's lock.
type timerListener struct {
	g      *generation
	f      function
	next   time.Time    // zero: never
	status *timerStatus // nil without monitoring
}

// longestSleep bounds a wait, so that a clock that is set forward is noticed.
const longestSleep = 50 * time.Millisecond

// run competes for the lock and listens while it has it, until ctx ends (H32).
func (l *timerListener) run(ctx context.Context) {
	for ctx.Err() == nil {
		held, err := l.g.storage.lock(ctx, l.f.name, l.g.timerLease)
		if err != nil && ctx.Err() == nil {
			l.g.log.Error("lock a timer", "function", l.f.name, "error", err)
		}
		if held == nil {
			pause(ctx, l.g.timerLease)
			continue
		}
		l.g.log.Info("timer lock taken", "function", l.f.name)
		holding, lost := context.WithCancel(ctx)
		renewed := make(chan struct{})
		go func() {
			defer close(renewed)
			defer lost()
			l.renew(holding, func(ctx context.Context) error { _, err := held.RenewLease(ctx, nil); return err })
		}()
		l.listen(holding)
		lost()
		<-renewed
		if l.g.life.Err() == nil {
			_, _ = held.ReleaseLease(l.g.life, nil)
		}
	}
}

// renew keeps the lock at half of its length; it returns when the lock is lost. A
// failure is tried again while the lease still runs.
func (l *timerListener) renew(ctx context.Context, extend func(context.Context) error) {
	until := time.Now().Add(l.g.timerLease)
	wait := l.g.timerLease / 2
	for {
		pause(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		attempt, cancel := context.WithDeadline(ctx, until)
		asked := time.Now()
		err := extend(attempt)
		cancel()
		if err == nil {
			until, wait = asked.Add(l.g.timerLease), l.g.timerLease/2
			continue
		}
		wait = time.Second
		if time.Now().Add(wait).After(until) {
			l.g.log.Error("a timer's lock is lost", "function", l.f.name, "error", err)
			return
		}
	}
}

// listen fires the timer until ctx ends. The next run is armed only after the one
// before has ended (H30).
func (l *timerListener) listen(ctx context.Context) {
	for {
		pastDue, err := l.begin(ctx)
		if err == nil {
			if pastDue {
				l.fire(ctx, true)
			} else if l.f.trigger.RunOnStartup {
				l.fire(ctx, false)
			}
			break
		}
		if ctx.Err() != nil {
			return
		}
		l.g.log.Error("start a timer", "function", l.f.name, "error", err)
		pause(ctx, time.Second)
	}
	for l.sleep(ctx) {
		l.fire(ctx, false)
	}
}

// begin reads the stored status, mends it to the schedule, and says whether a run has
// been missed (H31).
func (l *timerListener) begin(ctx context.Context) (pastDue bool, err error) {
	now := l.g.now()
	l.next, l.status = l.f.schedule.next(now), nil
	if !l.f.monitor {
		return false, nil
	}
	stored, err := l.g.storage.status(ctx, l.f.name)
	if err != nil {
		return false, err
	}
	if stored == nil {
		l.status = &timerStatus{Next: l.next.In(l.f.schedule.location), LastUpdated: now.In(l.f.schedule.location)}
		return false, l.g.storage.saveStatus(ctx, l.f.name, *l.status)
	}
	base := stored.Last
	if base.IsZero() {
		base = stored.LastUpdated
	}
	if expected := l.f.schedule.next(base); !expected.Equal(stored.Next) {
		// The schedule has changed: the stored next run means nothing any more.
		if expected.Before(now) {
			expected = l.next
		}
		*stored = timerStatus{Next: expected, LastUpdated: now.In(l.f.schedule.location)}
		if err := l.g.storage.saveStatus(ctx, l.f.name, *stored); err != nil {
			return false, err
		}
	}
	l.status, l.next = stored, stored.Next
	return !stored.Next.IsZero() && now.After(stored.Next), nil
}

// sleep waits for the next occurrence; false when ctx ends first.
func (l *timerListener) sleep(ctx context.Context) bool {
	for ctx.Err() == nil {
		wait := longestSleep
		if !l.next.IsZero() {
			wait = min(wait, l.next.Sub(l.g.now()))
		}
		if wait <= 0 {
			return true
		}
		pause(ctx, wait)
	}
	return false
}

// fire runs the function once. The status is saved after the run, whether it succeeded
// or not; a host that dies in between runs the tick again (host contract 6.3).
func (l *timerListener) fire(ctx context.Context, pastDue bool) {
	start := l.g.now().In(l.f.schedule.location)
	if err := l.g.invoke(l.g.life, timerInvocation(l.f, l.status, pastDue, l.g.now())); err != nil {
		l.g.log.Error("function failed", "function", l.f.name, "error", err)
	}
	l.next = l.f.schedule.next(start)
	if l.status == nil || l.g.life.Err() != nil {
		return
	}
	l.status = &timerStatus{Last: start, Next: l.next, LastUpdated: start}
	if err := l.g.storage.saveStatus(l.g.life, l.f.name, *l.status); err != nil {
		l.g.log.Error("save a timer's status", "function", l.f.name, "error", err)
	}
}

// timerInvocation is the payload of host contract 3.6, with the status before the run.
func timerInvocation(f function, status *timerStatus, pastDue bool, now time.Time) invocation {
	info := struct {
		Schedule struct {
			AdjustForDST bool
		}
		ScheduleStatus *timerStatus
		IsPastDue      bool
	}{ScheduleStatus: status, IsPastDue: pastDue}
	info.Schedule.AdjustForDST = f.schedule.cron != nil
	return invocation{
		id: guid(), function: f.name,
		data:     map[string]any{f.trigger.Name: info},
		metadata: map[string]any{"sys": system(f.name, now)},
	}
}
