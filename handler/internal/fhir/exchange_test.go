package fhir

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// counted counts bodies opened and closed.
type counted struct {
	next         http.RoundTripper
	opened, shut atomic.Int64
}

type countedBody struct {
	io.ReadCloser
	shut func()
}

func (b *countedBody) Close() error {
	b.shut()
	return b.ReadCloser.Close()
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err == nil {
		c.opened.Add(1)
		done := false
		resp.Body = &countedBody{resp.Body, func() {
			if !done {
				done = true
				c.shut.Add(1)
			}
		}}
	}
	return resp, err
}

// TestBodiesAreClosed: every answer of every status, good or bad, is closed.
func TestBodiesAreClosed(t *testing.T) {
	for _, status := range []int{200, 201, 202, 204, 302, 400, 401, 403, 404, 410, 413, 423, 429, 500, 503} {
		for _, body := range []string{"", "{}", "<html>", oneTotal} {
			if status == 204 {
				body = ""
			}
			server := serve(t, always(reply{status, map[string]string{"Content-Location": "/_operations/export/1"}, body}))
			watch := &counted{next: http.DefaultTransport}
			c := server.client(t, Options{Transport: watch, Credential: &credential{}})
			for _, call := range calls(c, server.URL+"/_operations/export/1") {
				_ = call(t.Context())
			}
			if opened, shut := watch.opened.Load(), watch.shut.Load(); opened == 0 || opened != shut {
				t.Errorf("%d %q: %d bodies opened, %d closed", status, body, opened, shut)
			}
		}
	}
}

// TestSilence: a server that does not answer in time, before or within the body, is an *Error and no end of a context.
func TestSilence(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"no headers": func(http.ResponseWriter) {},
		"no body": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		},
		"half a body": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"resourceType":`)
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				begin(w)
				<-r.Context().Done()
			})
			c := server.client(t, Options{Timeout: 50 * time.Millisecond})
			for call, try := range calls(c, server.URL+"/_operations/export/1") {
				err := try(t.Context())
				if strings.HasPrefix(call, "cancel") && name != "no headers" && err == nil {
					continue
				}
				e := asError(t, err)
				if errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "50ms") {
					t.Errorf("%s: got %v, want our own word for the wait", call, err)
				}
				kickOff := strings.HasPrefix(call, "start") || strings.HasPrefix(call, "probe")
				if !e.TimedOut() || e.OutcomeUnknown() != kickOff || e.Transport() != (name == "no headers") {
					t.Errorf("%s: got %q", call, answers(e))
				}
			}
		})
	}
}

// TestCancelledCaller: the end of the caller's context is not the server's failure.
func TestCancelledCaller(t *testing.T) {
	arrived := make(chan struct{}, 100)
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	c := server.client(t, Options{Timeout: time.Minute})
	for name, call := range calls(c, server.URL+"/_operations/export/1") {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		<-arrived
		cancel()
		err := <-done
		if _, ok := errors.AsType[*Error](err); ok || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want the context's end", name, err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	_ = l.Close()
	c, err := New(base, Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range calls(c, base+"/_operations/export/1") {
		err := call(t.Context())
		if e := asError(t, err); !e.Transport() || e.TimedOut() || e.Status != 0 || strings.Contains(err.Error(), "?") {
			t.Errorf("%s: got %v (%s), want Transport and no query", name, err, answers(e))
		}
	}
}

// hijack lets a test write the bytes of an answer itself.
func hijack(t *testing.T, w http.ResponseWriter, raw string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.WriteString(conn, raw)
	_ = conn.Close()
}

// TestOddBodies: no length is believed, and no body is read without end.
func TestOddBodies(t *testing.T) {
	for name, c := range map[string]struct{ raw, want string }{
		"5 GB announced":   {"HTTP/1.1 200 OK\r\nContent-Length: 5368709120\r\n\r\n{", "announces 5368709120 bytes"},
		"cut off":          {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "breaks off"},
		"cut off 202":      {"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{", "breaks off"},
		"5 GB of 202":      {"HTTP/1.1 202 Accepted\r\nContent-Length: 5368709120\r\n\r\n{", "announces 5368709120 bytes"},
		"broken chunk":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "breaks off"},
		"no HTTP":          {"SSH-2.0\r\n", "malformed HTTP"},
		"5 GB of an error": {"HTTP/1.1 500 Oops\r\nContent-Length: 5368709120\r\n\r\n{", "500"},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) { hijack(t, w, c.raw) })
			_, err := server.client(t, Options{}).ExportStatus(t.Context(), server.URL+"/_operations/export/1")
			if e := asError(t, err); !strings.Contains(err.Error(), c.want) || e.JobFailed() || e.Gone() {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestEndlessBody: reading stops at the limit.
func TestEndlessBody(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		page := []byte(strings.Repeat(" ", 1<<20))
		for {
			if _, err := w.Write(page); err != nil {
				return
			}
		}
	})
	c := server.client(t, Options{Timeout: time.Minute})
	q := call{op: "read", method: http.MethodGet, url: c.at("/", nil), limit: 3 << 20}
	_, err := c.do(t.Context(), q)
	if e := asError(t, err); e.Status != 200 || !strings.Contains(err.Error(), "longer than the 3145728 bytes") {
		t.Errorf("got %v, want the limit named", err)
	}
}

// TestAcceptedKickOffNeedsNoBody: once the status URL is there, trouble with the body must not hide it.
func TestAcceptedKickOffNeedsNoBody(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hijack(t, w, "HTTP/1.1 202 Accepted\r\nContent-Location: http://"+r.Host+"/_operations/export/9\r\nContent-Length: 5368709120\r\n\r\n{")
	})
	got, err := server.client(t, Options{}).StartExport(t.Context(), ExportRequest{})
	if want := server.URL + "/_operations/export/9"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestLostKickOffIsNotRepeated: F2. net/http repeats a GET whose reused connection breaks; for an export that would be a
// second job that nobody asked for.
func TestLostKickOffIsNotRepeated(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/$") {
			hijack(t, w, "")
			return
		}
		reply{200, nil, oneTotal}.write(w, r)
	})
	for name, o := range map[string]Options{"own transport": {}, "given transport": {Transport: &http.Transport{}}} {
		before := len(server.requests())
		c := server.client(t, o)
		if _, err := c.Count(t.Context(), CountQuery{}); err != nil { // leaves an idle connection behind
			t.Fatal(err)
		}
		_, err := c.StartExport(t.Context(), ExportRequest{})
		if e := asError(t, err); !e.OutcomeUnknown() || !e.Transport() {
			t.Errorf("%s: got %v (%s), want an unknown outcome", name, err, answers(e))
		}
		if n := len(server.requests()) - before; n != 2 {
			t.Errorf("%s: %d requests, want 2: %s", name, n, server.lines())
		}
	}
}
