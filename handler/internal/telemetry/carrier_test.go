package telemetry

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// post sends a request as the SDK does and returns the answer as the SDK sees it.
func post(t *testing.T, answer http.HandlerFunc) (*http.Response, string) {
	t.Helper()
	server := httptest.NewServer(answer)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip, deflate")
	resp, err := (&carrier{next: newTransport(), ended: t.Context(), now: time.Now}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestAnswersAreBounded(t *testing.T) {
	_, body := post(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", answerLimit+1000))
	})
	if len(body) != answerLimit {
		t.Errorf("got %d bytes, want %d", len(body), answerLimit)
	}
}

func TestAnswersAreUnpacked(t *testing.T) {
	_, body := post(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			_, _ = io.WriteString(w, "plain")
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		pack := gzip.NewWriter(w)
		_, _ = io.WriteString(pack, "packed")
		_ = pack.Close()
	})
	if body != "packed" {
		t.Errorf("got %q, want what was packed", body)
	}
}

func TestRedirectsAreLimited(t *testing.T) {
	for address, ok := range map[string]bool{"https://other.example/v2/track": true, "http://127.0.0.1:1/": true, "http://other.example/": false} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := redirect(r, nil); (err == nil) != ok {
			t.Errorf("%s: got %v, want it followed: %v", address, err, ok)
		}
		if err := redirect(r, make([]*http.Request, mostHops+1)); err == nil {
			t.Errorf("%s: got no refusal after %d redirects", address, mostHops)
		}
	}
}

// After Close no request is under way any more, whatever the endpoint does.
func TestCloseEndsRequests(t *testing.T) {
	over := make(chan struct{})
	e := newEndpoint(t, func(_ http.ResponseWriter, r *http.Request, _, _ int) {
		<-r.Context().Done()
		close(over)
	})
	h := e.open()
	slog.New(h).Info("x", slog.String("event", "X"))
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- h.Close(ctx) }()
	<-e.came
	cancel()
	if err := <-closed; err == nil {
		t.Error("got no error, want to be told that telemetry was lost")
	}
	select {
	case <-over:
	case <-time.After(answerTime / 2): // its own patience would end it later
		t.Error("the request is still under way after Close")
	}
}
