package fhir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// far is a server double that keeps what it was asked.
type far struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

// serve starts a server double on loopback.
func serve(t *testing.T, h http.HandlerFunc) *far {
	t.Helper()
	f := &far{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.keep(r)
		h(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// keep writes a request down: its line, the headers that matter, its body.
func (f *far) keep(r *http.Request) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL.RequestURI())
	for _, name := range []string{"Accept", "Authorization", "Content-Type", "Prefer", "User-Agent"} {
		for _, value := range r.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	if body, _ := io.ReadAll(r.Body); len(body) > 0 {
		fmt.Fprintf(&b, "\n%s\n", body)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, b.String())
}

func (f *far) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.seen...)
}

// lines are the request lines only.
func (f *far) lines() string {
	var lines []string
	for _, r := range f.requests() {
		line, _, _ := strings.Cut(r, "\n")
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// client makes a client for the double; a short timeout keeps a hanging test short.
func (f *far) client(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	c, err := New(f.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reply is one canned answer.
type reply struct {
	status int
	header map[string]string
	body   string
}

func (p reply) write(w http.ResponseWriter, r *http.Request) {
	for k, v := range p.header {
		w.Header().Set(k, strings.ReplaceAll(v, "{base}", "http://"+r.Host))
	}
	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, strings.ReplaceAll(p.body, "{base}", "http://"+r.Host))
}

// always answers the same to everything.
func always(p reply) http.HandlerFunc { return p.write }

// inTurn answers with one reply after the other, and the last one for ever.
func inTurn(replies ...reply) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		p := replies[0]
		if len(replies) > 1 {
			replies = replies[1:]
		}
		mu.Unlock()
		p.write(w, r)
	}
}

// outcomeBody is an OperationOutcome with one issue.
func outcomeBody(code, diagnostics string) string {
	return fmt.Sprintf(`{"resourceType":"OperationOutcome","id":"corr-1","issue":[{"severity":"error","code":%q,"diagnostics":%q}]}`, code, diagnostics)
}

// credential gives numbered tokens.
type credential struct {
	mu     sync.Mutex
	issued int
	scopes []string
	life   time.Duration
	err    error
}

func (c *credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued++
	c.scopes = append(c.scopes, o.Scopes...)
	if c.err != nil {
		return azcore.AccessToken{}, c.err
	}
	life := c.life
	if life == 0 {
		life = time.Hour
	}
	return azcore.AccessToken{Token: fmt.Sprintf("token-%d", c.issued), ExpiresOn: time.Now().Add(life)}, nil
}

// asError insists on an *Error.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v (%T), want an *Error", err, err)
	}
	return e
}

// answers lists the question methods that say yes.
func answers(e *Error) string {
	var yes []string
	for _, q := range []struct {
		name string
		ask  func() bool
	}{
		{"Busy", e.Busy}, {"Deprecated", e.Deprecated}, {"Forbidden", e.Forbidden}, {"Gone", e.Gone},
		{"JobFailed", e.JobFailed}, {"JobThrottled", e.JobThrottled}, {"Locked", e.Locked},
		{"OutcomeUnknown", e.OutcomeUnknown}, {"Permanent", e.Permanent}, {"TimedOut", e.TimedOut}, {"TooLarge", e.TooLarge},
		{"TooMany", e.TooMany}, {"Transport", e.Transport}, {"Unauthorized", e.Unauthorized},
	} {
		if q.ask() {
			yes = append(yes, q.name)
		}
	}
	return strings.Join(yes, " ")
}

// calls is every request a client can make, for the rules that hold for all.
func calls(c *Client, statusURL string) map[string]func(context.Context) error {
	body := []byte(`{"resourceType":"Parameters","parameter":[]}`)
	return map[string]func(context.Context) error{
		"capabilities":  func(ctx context.Context) error { _, err := c.Capabilities(ctx); return err },
		"clock":         func(ctx context.Context) error { _, err := c.Clock(ctx); return err },
		"count":         func(ctx context.Context) error { _, err := c.Count(ctx, CountQuery{}); return err },
		"count history": func(ctx context.Context) error { _, err := c.Count(ctx, CountQuery{History: true}); return err },
		"oldest":        func(ctx context.Context) error { _, _, err := c.Oldest(ctx, true, nil); return err },
		"versions at": func(ctx context.Context) error {
			_, err := c.VersionsAt(ctx, "Patient", "p1", time.Unix(0, 0))
			return err
		},
		"start export":  func(ctx context.Context) error { _, err := c.StartExport(ctx, ExportRequest{}); return err },
		"check export":  func(ctx context.Context) error { _, err := c.ExportStatus(ctx, statusURL); return err },
		"cancel export": func(ctx context.Context) error { return c.CancelExport(ctx, statusURL) },
		"start import":  func(ctx context.Context) error { _, err := c.StartImport(ctx, body); return err },
		"check import":  func(ctx context.Context) error { _, err := c.ImportStatus(ctx, statusURL); return err },
		"cancel import": func(ctx context.Context) error { return c.CancelImport(ctx, statusURL) },
		"probe export":  c.ProbeExport,
		"probe import": func(ctx context.Context) error {
			return c.ProbeImport(ctx, "https://acct.blob.core.windows.net/c/probe.ndjson")
		},
	}
}
