package funchost

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTwoHostsUnderKills lets two hosts compete for messages while their handlers are
// killed: every message is delivered, and none stays behind.
func TestTwoHostsUnderKills(t *testing.T) {
	const messages = 120
	a := newApp(t)
	a.addQueue("")
	env := []string{"AzureFunctionsJobHost__extensions__queues__maxDequeueCount=1000"}
	o := Options{Env: env, RestartWhenGivenUp: true, RestartPause: time.Millisecond, DrainLimit: time.Second, MessageLease: 5 * time.Second}
	hosts := []*Host{a.start(o), a.start(o)}
	var mu sync.Mutex
	calls, seen, pids := 0, map[string]bool{}, map[int]bool{}
	a.answers(func(r report) order {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if calls%20 == 10 {
			for _, h := range hosts {
				if h.HandlerPID() == r.PID {
					_ = h.Kill()
					return done()
				}
			}
		}
		_, text, _ := strings.Cut(string(r.Body), `message `)
		number, _, _ := strings.Cut(text, ".")
		seen[number], pids[r.PID] = true, true
		return done()
	})
	var texts []string
	for i := range messages {
		texts = append(texts, encoded(fmt.Sprintf("message %d.", i)))
	}
	a.send(texts...)
	eventually(t, "every message is delivered", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == messages
	})
	eventually(t, "the queue is empty", func() bool { return a.length(a.queue) == 0 })
	if len(pids) < 3 || a.length(a.queue+"-poison") > 0 {
		t.Errorf("%d processes, %d poisoned; want several and none", len(pids), a.length(a.queue+"-poison"))
	}
	if hosts[0].Restarts()+hosts[1].Restarts() < 3 || hosts[0].Err() != nil || hosts[1].Err() != nil {
		t.Errorf("restarts %d and %d, errors %v and %v", hosts[0].Restarts(), hosts[1].Restarts(), hosts[0].Err(), hosts[1].Err())
	}
}
