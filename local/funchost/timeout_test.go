package funchost

import (
	"net/http"
	"testing"
	"time"
)

// oneSecond is the shortest functionTimeout that the host accepts.
const oneSecond = "AzureFunctionsJobHost__functionTimeout=00:00:01"

func TestAnAnswerWithoutResultHangsUntilTheTimeout(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]order{"empty": {Status: 200}, "204": {Status: 204},
		"null": {Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("null")}} {
		a := newApp(t)
		a.addQueue("")
		a.answers(func(report) order { return empty })
		h := a.start(Options{Env: []string{oneSecond}})
		first := receive(t, a.starts, "start").PID
		a.send(encoded("x"))
		receive(t, a.calls, "invocation")
		began := time.Now()
		a.answers(nil)
		receive(t, a.starts, "restart")
		if took := time.Since(began); took < 2500*time.Millisecond {
			t.Errorf("%s: restarted after %s, want functionTimeout and 2 s of grace", name, took)
		}
		if !gone(first) {
			t.Errorf("%s: the old handler still runs", name)
		}
		receive(t, a.calls, "the message again")
		eventually(t, "the message is deleted", func() bool { return a.length(a.queue) == 0 })
		if h.Err() != nil {
			t.Errorf("%s: the host stopped: %v", name, h.Err())
		}
	}
}

func TestATimeoutTakesItsNeighboursDownAndIsNotCounted(t *testing.T) {
	t.Parallel()
	a := httpApp(t)
	a.addQueue("")
	a.answers(func(report) order { return order{Hang: true} })
	h := a.start(Options{Env: []string{oneSecond}})
	for round := range 4 {
		neighbour := make(chan int, 1)
		a.send(encoded("slow"))
		receive(t, a.calls, "slow invocation")
		go func() {
			resp, err := http.Get(h.URL() + "/api/migration")
			if err != nil {
				neighbour <- 0
				return
			}
			_ = resp.Body.Close()
			neighbour <- resp.StatusCode
		}()
		receive(t, a.calls, "its neighbour")
		if status := <-neighbour; status != http.StatusInternalServerError {
			t.Errorf("round %d: the neighbour got %d, want 500", round, status)
		}
		eventually(t, "a restart", func() bool { return h.Restarts() > round })
		_, _ = a.queueOf(a.queue).ClearMessages(t.Context(), nil)
	}
	if h.Err() != nil {
		t.Errorf("the host stopped: %v", h.Err())
	}
}
