package funchost

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"
)

// clock is a clock that stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func noon() *clock { return &clock{at: time.Date(2026, 11, 24, 12, 0, 30, 0, time.UTC)} }

// tick is the timer's part of a payload.
type tick struct {
	ScheduleStatus *struct{ Last, Next, LastUpdated string }
	IsPastDue      bool
}

func tickOf(t *testing.T, r report) tick {
	t.Helper()
	var body struct{ Data struct{ Timer tick } }
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatal(err)
	}
	return body.Data.Timer
}

// stored is the timer's status in storage, nil when there is none.
func (a *app) stored() *timerStatus {
	a.t.Helper()
	azurite, err := once.azurite()
	if err != nil {
		a.t.Fatal(err)
	}
	s, err := newStorage(azurite.ConnectionString(), a.queue)
	if err != nil {
		a.t.Fatal(err)
	}
	status, err := s.status(a.t.Context(), "tick")
	if err != nil {
		a.t.Fatal(err)
	}
	return status
}

func (a *app) awaitNext(want time.Time) {
	a.t.Helper()
	eventually(a.t, "the status names "+want.Format(time.TimeOnly)+" next", func() bool {
		s := a.stored()
		return s != nil && s.Next.Equal(want)
	})
}

func minute(m int) time.Time { return time.Date(2026, 11, 24, 12, m, 0, 0, time.UTC) }

func TestTimerFiresOnScheduleAndKeepsItsStatus(t *testing.T) {
	a := newApp(t)
	a.addTimer("")
	c := noon()
	a.start(Options{Now: c.now})
	a.awaitNext(minute(1))
	if len(a.calls) != 0 {
		t.Error("the first start ever ran the timer")
	}
	c.set(minute(1).Add(2 * time.Second))
	r := receive(t, a.calls, "tick")
	if r.URI != "/tick" {
		t.Errorf("the handler got %s", r.URI)
	}
	got := tickOf(t, r)
	if got.IsPastDue || got.ScheduleStatus == nil || got.ScheduleStatus.Last != "0001-01-01T00:00:00+00:00" ||
		got.ScheduleStatus.Next != "2026-11-24T12:01:00+00:00" {
		t.Errorf("first tick = %+v %+v", got, got.ScheduleStatus)
	}
	a.awaitNext(minute(2))
	c.set(minute(2))
	if got := tickOf(t, receive(t, a.calls, "tick")); got.ScheduleStatus.Last != "2026-11-24T12:01:02+00:00" {
		t.Errorf("second tick = %+v", got.ScheduleStatus)
	}
	a.awaitNext(minute(3))
}

func TestTicksDuringARunCollapseToOne(t *testing.T) {
	a := newApp(t)
	a.addTimer("")
	c := noon()
	release := make(chan struct{})
	a.answers(func(report) order { <-release; return order{Status: http.StatusInternalServerError} })
	a.start(Options{Now: c.now})
	a.awaitNext(minute(1))
	c.set(minute(1))
	receive(t, a.calls, "tick")
	c.set(minute(5).Add(time.Second))
	if got := a.stored().Next; !got.Equal(minute(1)) {
		t.Errorf("the status was saved before the run had ended: next %s", got)
	}
	release <- struct{}{}
	if got := tickOf(t, receive(t, a.calls, "the run for the missed ticks")); got.IsPastDue {
		t.Error("it is past due, which only a start can find")
	}
	a.answers(nil)
	release <- struct{}{}
	a.awaitNext(minute(6))
	if len(a.calls) != 0 {
		t.Errorf("%d runs too many", len(a.calls))
	}
}

func TestAMissedTickIsPastDueAtTheNextStart(t *testing.T) {
	a := newApp(t)
	a.addTimer("")
	c := noon()
	h := a.start(Options{Now: c.now})
	a.awaitNext(minute(1))
	if err := h.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.set(minute(30).Add(time.Second))
	a.start(Options{Now: c.now})
	if got := tickOf(t, receive(t, a.calls, "past due tick")); !got.IsPastDue || got.ScheduleStatus.Next != "2026-11-24T12:01:00+00:00" {
		t.Errorf("tick = %+v", got)
	}
	a.awaitNext(minute(31))
	if len(a.calls) != 0 {
		t.Error("more than one run for the missed ticks")
	}
}

func TestACrashDuringARunRunsTheTickAgain(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addTimer("")
	c := noon()
	a.answers(func(report) order { return order{Hang: true} })
	h := a.start(Options{Now: c.now, TimerLease: 15 * time.Second})
	a.awaitNext(minute(1))
	c.set(minute(1).Add(time.Second))
	receive(t, a.calls, "tick")
	a.answers(nil)
	h.Die()
	a.start(Options{Now: c.now, TimerLease: 15 * time.Second})
	if got := tickOf(t, receive(t, a.calls, "tick again")); !got.IsPastDue {
		t.Errorf("tick = %+v", got)
	}
}

func TestAChangedScheduleIsNotPastDue(t *testing.T) {
	a := newApp(t)
	a.addTimer("")
	c := noon()
	h := a.start(Options{Now: c.now})
	a.awaitNext(minute(1))
	if err := h.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.set(minute(30).Add(time.Second))
	a.start(Options{Now: c.now, Env: []string{"FERRY_SCHEDULE=0 */10 * * * *"}})
	a.awaitNext(minute(40))
	if len(a.calls) != 0 {
		t.Error("the timer ran")
	}
}

func TestRunOnStartup(t *testing.T) {
	a := newApp(t)
	a.addTimer(`,"runOnStartup":true`)
	c := noon()
	a.start(Options{Now: c.now})
	if got := tickOf(t, receive(t, a.calls, "tick at the start")); got.IsPastDue {
		t.Error("it is past due")
	}
	a.awaitNext(minute(1))
}

func TestAFrequentTimerHasNoStatus(t *testing.T) {
	a := newApp(t)
	a.addTimer("")
	a.start(Options{Env: []string{"FERRY_SCHEDULE=*/1 * * * * *"}})
	for range 2 {
		if got := tickOf(t, receive(t, a.calls, "tick")); got.ScheduleStatus != nil || got.IsPastDue {
			t.Errorf("tick = %+v", got)
		}
	}
	if a.stored() != nil {
		t.Error("a status was stored")
	}
}

func TestTwoHostsRunATimerOnce(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addTimer("")
	a.addQueue("")
	c := noon()
	hosts := []*Host{a.start(Options{Now: c.now, TimerLease: 15 * time.Second}), a.start(Options{Now: c.now, TimerLease: 15 * time.Second})}
	a.awaitNext(minute(1))
	pids := map[int]int{}
	for m := 1; m <= 3; m++ {
		c.set(minute(m))
		pids[receive(t, a.calls, "tick").PID]++
		a.awaitNext(minute(m + 1))
	}
	if len(pids) != 1 || len(a.calls) != 0 {
		t.Fatalf("runs by process %v and %d more, want 3 in one process", pids, len(a.calls))
	}
	owner, other := hosts[0], hosts[1]
	if pids[owner.HandlerPID()] == 0 {
		owner, other = other, owner
	}
	owner.Die()
	c.set(minute(4))
	if got := receive(t, a.calls, "a tick at the other host"); got.PID != other.HandlerPID() {
		t.Errorf("the tick ran in process %d, want %d", got.PID, other.HandlerPID())
	}
}
