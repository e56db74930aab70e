package funchost

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// httpApp has the two HTTP functions of one route, by method.
func httpApp(t *testing.T) *app {
	a := newApp(t)
	a.addHTTP("watch", "get", "migration/{*path}")
	a.addHTTP("operate", "post", "migration/{*path}")
	return a
}

func call(t *testing.T, method, address, body string, header http.Header) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func TestForwardedRequest(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{})
	header := http.Header{"X-Mine": {"1", "2"}, "Content-Type": {"application/json"}, "Content-Encoding": {"identity"},
		"Content-Language": {"en"}, "User-Agent": {"tester"}, "Traceparent": {"00-1-2-01"}, "X-Functions-Key": {"k"}}
	address := h.URL() + "/api/migration/start%20now?a=1&A=2&b=x%20y&a=3&code=secret&c"
	status, _, _ := call(t, http.MethodPost, address, `{"mode":"once"}`, header)
	if status != http.StatusOK {
		t.Errorf("status = %d, want that of the handler", status)
	}
	got := receive(t, a.calls, "call")
	if want := "/api/migration/start%20now?a=1%2C2%2C3&b=x%20y&code=secret&c="; got.URI != want || got.Method != http.MethodPost {
		t.Errorf("the handler got %s %s, want POST %s", got.Method, got.URI, want)
	}
	if want := strings.TrimPrefix(h.URL(), "http://"); got.Host != want {
		t.Errorf("host = %q, want the original %q", got.Host, want)
	}
	if string(got.Body) != `{"mode":"once"}` || got.ContentLength != 15 {
		t.Errorf("body = %q, length %d", got.Body, got.ContentLength)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Content-Encoding": "", "Content-Language": "",
		"User-Agent": "tester Azure-Functions-Host/" + hostVersion, "Traceparent": "00-1-2-01", "X-Functions-Key": "k",
		"X-Azure-Functions-Hostversion": hostVersion} {
		if have := got.Header.Get(name); have != want {
			t.Errorf("header %s = %q, want %q", name, have, want)
		}
	}
	if !cmp.Equal(got.Header["X-Mine"], []string{"1", "2"}) || got.Header.Get("X-Azure-Functions-Invocationid") == "" {
		t.Errorf("headers = %v", got.Header)
	}
}

func TestForwardedAnswer(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{})
	for _, want := range []order{
		{Status: 202, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"state":"running"}`)},
		{Status: 302, Header: http.Header{"Location": {"/elsewhere"}}},
		{Status: 500, Header: http.Header{"X-Why": {"broken"}}, Body: []byte("the handler's own words")},
		{Status: 204},
	} {
		a.answers(func(report) order { return want })
		status, header, body := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil)
		if status != want.Status || body != string(want.Body) {
			t.Errorf("answer = %d %q, want %d %q", status, body, want.Status, want.Body)
		}
		for name := range want.Header {
			if header.Get(name) != want.Header.Get(name) {
				t.Errorf("%d: header %s = %q, want %q", status, name, header.Get(name), want.Header.Get(name))
			}
		}
	}
}

func TestAChunkedRequestBodyIsRefused(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL()+"/api/migration/start", io.MultiReader(strings.NewReader("{}")))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusInternalServerError || len(text) != 0 || len(a.calls) != 0 {
		t.Errorf("status = %d, body %q, %d calls; want 500, empty, none", resp.StatusCode, text, len(a.calls))
	}
}

func TestABodyOverTheLimit(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{Env: []string{"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT=10"}})
	if status, _, _ := call(t, http.MethodPost, h.URL()+"/api/migration/start", strings.Repeat("x", 11), nil); status != http.StatusRequestEntityTooLarge {
		t.Errorf("status = %d, want 413", status)
	}
	if status, _, _ := call(t, http.MethodPost, h.URL()+"/api/migration/start", strings.Repeat("x", 10), nil); status != http.StatusOK {
		t.Errorf("status = %d, want 200 at the limit", status)
	}
}

func TestUnknownRoutesAndMethodsAre404(t *testing.T) {
	a := httpApp(t)
	a.addHTTP("off", "get", "off")
	h := a.start(Options{EnableAuth: true, MasterKey: "m", Env: []string{"AzureWebJobs.off.Disabled=true"}})
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"DELETE", "/api/migration", 404}, {"GET", "/migration", 404}, {"GET", "/api/other", 404}, {"GET", "/apimigration", 404},
		{"GET", "/api/off", 404}, {"GET", "/api/watch", 404}, {"GET", "/API/Migration/Chunks?code=m", 200}, {"GET", "/", 200},
	} {
		if status, _, _ := call(t, c.method, h.URL()+c.path, "", nil); status != c.want {
			t.Errorf("%s %s = %d, want %d", c.method, c.path, status, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{EnableAuth: true, MasterKey: "master", HostKey: "host", FunctionKeys: map[string]string{"watch": "look"}})
	cases := []struct {
		name, method, path, header string
		want                       int
	}{
		{"no key", "GET", "/api/migration", "", 401},
		{"wrong key", "GET", "/api/migration", "nonsense", 401},
		{"its own key", "GET", "/api/migration", "look", 200},
		{"its own key in the query", "GET", "/api/migration?code=look", "", 200},
		{"the header goes first", "GET", "/api/migration?code=look", "nonsense", 401},
		{"another function's key", "POST", "/api/migration/stop", "look", 401},
		{"the host's key", "POST", "/api/migration/stop", "host", 200},
		{"the master key", "POST", "/api/migration/stop", "master", 200},
		{"admin without key", "GET", "/admin/functions", "", 401},
		{"admin with the host's key", "GET", "/admin/functions", "host", 401},
		{"admin with the master key", "GET", "/admin/functions", "master", 200},
	}
	called := 0
	for _, c := range cases {
		header := http.Header{}
		if c.header != "" {
			header.Set("x-functions-key", c.header)
		}
		if status, _, _ := call(t, c.method, h.URL()+c.path, "", header); status != c.want {
			t.Errorf("%s: status = %d, want %d", c.name, status, c.want)
		}
		if c.want == 200 && strings.HasPrefix(c.path, "/api") {
			called++
		}
	}
	if len(a.calls) != called {
		t.Errorf("the handler was called %d times, want %d", len(a.calls), called)
	}
}

func TestACallerThatGoesAwayCancelsNothing(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{})
	entered, release := make(chan struct{}), make(chan struct{})
	a.answers(func(report) order { close(entered); <-release; return done() })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.URL()+"/api/migration", nil)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		gone <- err
	}()
	<-entered
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller got %v", err)
	}
	a.answers(nil)
	close(release)
	g := h.generation()
	eventually(t, "the invocation ends", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.inFlight == 0
	})
	if strings.Contains(a.records.String(), "function failed") || h.Restarts() != 0 {
		t.Error("the invocation was cancelled, or its handler restarted")
	}
}

func TestABrokenHandlerConnectionIs500(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{})
	a.answers(func(report) order { return exit(7) })
	status, _, body := call(t, http.MethodPost, h.URL()+"/api/migration/start", "{}", nil)
	if status != http.StatusInternalServerError || body != "" {
		t.Errorf("answer = %d %q, want 500 without a body", status, body)
	}
	a.answers(nil)
	eventually(t, "the handler is started again", func() bool { return h.Restarts() == 1 })
	if status, _, _ := call(t, http.MethodGet, h.URL()+"/api/migration", "", nil); status != http.StatusOK {
		t.Errorf("after the restart: status = %d", status)
	}
}

func TestThePathIsPassedWithoutNormalising(t *testing.T) {
	a := httpApp(t)
	h := a.start(Options{})
	address, err := url.Parse(h.URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", address.Host, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /api/migration//chunks/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "200") {
		t.Errorf("answer = %q, %v", line, err)
	}
	if got := receive(t, a.calls, "call"); got.URI != "/api/migration//chunks/x" {
		t.Errorf("the handler got %s", got.URI)
	}
}
