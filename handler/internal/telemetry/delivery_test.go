package telemetry

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Whatever the endpoint does, who logs does not wait, Close ends by its context, and nothing panics. Each case fills
// batches, so that requests are under way while more is logged; the endpoint of "hangs" answers only after everything here
// has returned.
func TestDeliveryNeverHolds(t *testing.T) {
	status := func(code int, retryAfter string) func(http.ResponseWriter, *http.Request, int, int) {
		return func(w http.ResponseWriter, _ *http.Request, _, _ int) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.WriteHeader(code)
		}
	}
	partial := func(body string) func(http.ResponseWriter, *http.Request, int, int) {
		return func(w http.ResponseWriter, _ *http.Request, _, _ int) {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write([]byte(body))
		}
	}
	release := make(chan struct{})
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, int, int){
		"accepts":                    accept,
		"429":                        status(429, ""),
		"429 with seconds":           status(429, "3600"),
		"439 with a far date":        status(439, "Fri, 31 Dec 9999 23:59:59 GMT"),
		"500":                        status(500, ""),
		"503":                        status(503, "1"),
		"400":                        status(400, ""),
		"401":                        status(401, ""),
		"204":                        status(204, ""),
		"206 without a word":         partial(""),
		"206 of null":                partial("null"),
		"206 of rubbish":             partial("<html>"),
		"206 naming others' items":   partial(`{"itemsReceived":9,"itemsAccepted":1,"errors":[null,{"index":-1,"statusCode":500},{"index":100000,"statusCode":500}]}`),
		"206 with an endless answer": partial(strings.Repeat("x", 2*answerLimit)),
		"breaks off":                 func(http.ResponseWriter, *http.Request, int, int) { panic(http.ErrAbortHandler) },
		"hangs": func(_ http.ResponseWriter, r *http.Request, _, _ int) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		},
		"redirects to itself": func(w http.ResponseWriter, r *http.Request, _, _ int) {
			http.Redirect(w, r, r.URL.String(), http.StatusPermanentRedirect)
		},
		"redirects to plain HTTP": func(w http.ResponseWriter, r *http.Request, _, _ int) {
			http.Redirect(w, r, "http://elsewhere.example/v2/track", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t, answer)
			h := e.open()
			many(h, batchSize, "First")
			<-e.came // the first batch is with the endpoint, or has been
			many(h, 4*batchSize, "Second")
			if name == "accepts" {
				finish(t, h)
				if n := len(e.items()); n != 5*batchSize {
					t.Errorf("got %d items, want all %d", n, 5*batchSize)
				}
				return
			}
			closing, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := h.Close(closing)
			if name == "hangs" && err == nil {
				t.Error("got no error, want to be told that telemetry was lost")
			}
			many(h, 10, "Late")
			if err := h.Close(t.Context()); err != nil {
				t.Errorf("closed again: got %v, want nothing", err)
			}
			if strings.Contains(e.bytes(), "Late") {
				t.Error("a record of after the end arrived")
			}
		})
	}
	t.Cleanup(func() { close(release) })
}

// Nobody listens at all.
func TestConnectionRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	h := open(t, "http://"+address)
	many(h, 5*batchSize, "X")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := h.Close(ctx); err == nil {
		t.Error("got no error, want to be told that telemetry was lost")
	}
}

// The items that the service could not take for now, and only those, are sent again.
func TestPartialSuccess(t *testing.T) {
	t.Parallel() // with the others that wait: the second try is made after half of the time
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request, nth, items int) {
		if nth > 1 {
			accept(w, r, nth, items)
			return
		}
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte(`{"itemsReceived":4,"itemsAccepted":1,"errors":[null,{"index":9,"statusCode":500,"message":"x"},
			{"index":3,"statusCode":429},{"index":-2,"statusCode":500},{"index":1,"statusCode":500,"message":"x"},{"index":2,"statusCode":400}]}`))
	})
	h := e.open()
	log := slog.New(h)
	for _, name := range []string{"A", "B", "C", "D"} {
		log.Info("x", slog.String("event", name))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, item := range e.items() {
		names = append(names, item.named(t))
	}
	if got := strings.Join(names, ""); got != "ABCD"+"BD" {
		t.Errorf("got %s, want B and D again", got)
	}
}

// The service may send its clients to another of its hosts.
func TestRedirected(t *testing.T) {
	e := newEndpoint(t, accept)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, e.URL+r.URL.Path, http.StatusPermanentRedirect)
	}))
	defer front.Close()
	h := open(t, front.URL)
	many(h, 3, "X")
	finish(t, h)
	if n := len(e.items()); n != 3 {
		t.Errorf("got %d items, want 3", n)
	}
}

// A minute takes so many items and no more, dependencies do not crowd out events, and the number of those dropped is
// told with the next minute, and at the end.
func TestBudget(t *testing.T) {
	e := newEndpoint(t, accept)
	h := e.open()
	now := time.Now()
	h.budget.now = func() time.Time { return now }
	log := slog.New(h)
	storm := func(n int) {
		for range n {
			log.Debug("x", slog.String("event", "Dependency"), "name", "GET /")
		}
	}
	storm(mostMinor + 100)
	many(h, mostPerMinute-mostMinor+7, "X")
	now = now.Add(time.Minute)
	storm(mostMinor + 5)
	finish(t, h)
	counts := map[string]int{}
	for _, item := range e.items() {
		name := item.named(t)
		if name == "TelemetryDropped" {
			var data struct{ Measurements map[string]int }
			unmarshal(t, item.Data.BaseData, &data)
			counts[name] += data.Measurements["dropped"]
			continue
		}
		counts[name]++
	}
	if counts["GET /"] != 2*mostMinor || counts["X"] != mostPerMinute-mostMinor || counts["TelemetryDropped"] != 112 {
		t.Errorf("got %v, want %d dependencies, %d events and 112 told as dropped", counts, 2*mostMinor, mostPerMinute-mostMinor)
	}
}

func TestWaits(t *testing.T) {
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	c := &carrier{now: func() time.Time { return now }}
	for value, want := range map[string]time.Duration{
		"": -1, "soon": -1, "0": time.Second, "-5": time.Second, "30": 31 * time.Second, "999999999": mostWait + time.Second,
		"Wed, 01 May 2024 12:10:00 GMT": 10*time.Minute + time.Second, "Wed, 01 May 2024 11:00:00 GMT": time.Second,
		"Fri, 31 Dec 9999 23:59:59 GMT": mostWait + time.Second,
	} {
		h := http.Header{}
		if value != "" {
			h.Set("Retry-After", value)
		}
		c.limitWait(h)
		got := time.Duration(-1)
		if text := h.Get("Retry-After"); text != "" {
			at, err := time.Parse(time.RFC1123, text) // as the SDK reads it
			if err != nil {
				t.Errorf("%s: %v", value, err)
			}
			got = at.Sub(now)
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}
