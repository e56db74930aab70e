package fhir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// Bounds of what is read from a server. A status answer may name very many files; the others are small.
const (
	statusLimit = 256 << 20
	searchLimit = 64 << 20
	errorLimit  = 1 << 20
)

// defaultTimeout is above the minute for which a finished import may hold back its status answer (contract 5.1).
const defaultTimeout = 100 * time.Second

// errLate is the end of our own patience. It is not the context's error: callers take that for the end of theirs.
var errLate = errors.New("no whole answer")

// Options are the knobs of a Client; the zero value works.
type Options struct {
	// Credential gives the tokens, scope https://{host}/.default; nil: requests carry none.
	Credential azcore.TokenCredential
	// Timeout is the longest wait for one answer, headers and body; zero: 100 s.
	Timeout time.Duration
	// Transport carries the requests; nil: a transport of the client's own.
	Transport http.RoundTripper
	// Observe is told of every HTTP exchange, once, when it has ended; it must not wait. Nil: nobody is.
	Observe func(context.Context, Call)
}

// Client speaks to one FHIR server. It may be used by several goroutines at once.
type Client struct {
	// Now is the clock for the expiry of tokens and for waits given as a date.
	Now func() time.Time

	base    *url.URL
	timeout time.Duration
	tokens  *tokenCache
	http    *http.Client
	// kickOffs uses a new connection for each request. net/http repeats a GET by itself when a reused connection breaks
	// before the answer, and a repeated $export is a second job (contract 1.7).
	kickOffs *http.Client
	observer func(context.Context, Call)
}

// New makes a client for the server at baseURL, an absolute http or https URL without query.
func New(baseURL string, o Options) (*Client, error) {
	base, err := parseBase(baseURL)
	if err != nil {
		return nil, err
	}
	if o.Credential != nil && base.Scheme != "https" && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("FHIR base URL %s: a token is never sent over plain HTTP; use https", base)
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	c := &Client{
		Now:      time.Now,
		base:     base,
		timeout:  o.Timeout,
		http:     noRedirects(o.Transport),
		kickOffs: noRedirects(unshared(o.Transport)),
		observer: o.Observe,
	}
	if o.Credential != nil {
		c.tokens = &tokenCache{credential: o.Credential, scope: scope(base)}
	}
	return c, nil
}

// scope is what a token for the server at base is asked for.
func scope(base *url.URL) string { return "https://" + origin(base).host + "/.default" }

// BaseURL is the server's base URL, without a slash at its end.
func (c *Client) BaseURL() string { return c.base.String() }

func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("FHIR base URL cannot be read; want https://host")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return nil, errors.New("FHIR base URL must be absolute, http or https, and name a host")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errors.New("FHIR base URL must have no user, query or fragment")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    15 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
	}
}

// unshared returns a transport that uses no connection twice, where the kind of t allows it.
func unshared(t http.RoundTripper) http.RoundTripper {
	shared, ok := t.(*http.Transport)
	if !ok {
		return t
	}
	once := shared.Clone()
	once.DisableKeepAlives = true
	return once
}

func noRedirects(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call is one request to the server.
type call struct {
	op        string // verb and noun for messages and observers; no ids
	kind      kind
	method    string
	url       *url.URL
	prefer    string
	body      []byte
	anonymous bool  // sent without token
	limit     int64 // most bytes read of a 200
}

// answer is what came back: the body of a 200, only the size of any other 2xx, an outcome of everything else.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	size    int64
	outcome outcome
}

// do sends one request and reads its answer. An answer of any status is not an error here: the caller knows which are
// good, and turns the others into an *Error with fault.
func (c *Client) do(ctx context.Context, q call) (answer, error) {
	if err := c.sameOrigin(q.url); err != nil {
		return answer{}, &Error{Op: q.op, kind: q.kind, fault: refused, Detail: err.Error(), cause: err}
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if c.tokens == nil || q.anonymous {
		return c.send(ctx, limited, q, "")
	}
	token, err := c.tokens.get(limited, c.Now())
	if err != nil {
		return answer{}, c.silence(ctx, limited, q, tokenless, fmt.Errorf("get a token: %w", err))
	}
	a, err := c.send(ctx, limited, q, token)
	if err != nil || a.status != http.StatusUnauthorized {
		return a, err
	}
	c.tokens.drop(token)
	if token, err = c.tokens.get(limited, c.Now()); err != nil {
		return answer{}, c.silence(ctx, limited, q, tokenless, fmt.Errorf("get a token: %w", err))
	}
	return c.send(ctx, limited, q, token)
}

func (c *Client) send(ctx, limited context.Context, q call, token string) (answer, error) {
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(limited, q.method, q.url.String(), body)
	if err != nil {
		return answer{}, fmt.Errorf("%s: make the request: %w", q.op, withoutURL(err))
	}
	r.Header.Set("User-Agent", "fhirferry")
	r.Header.Set("Accept", "application/fhir+json")
	if q.prefer != "" {
		r.Header.Set("Prefer", q.prefer)
	}
	if q.body != nil {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := c.http
	if q.kind.kickOff() {
		client = c.kickOffs
	}
	began := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		c.observe(ctx, q, began, 0, err)
		return answer{}, c.silence(ctx, limited, q, silent, withoutURL(err))
	}
	defer resp.Body.Close()
	a, err := read(resp, q)
	c.observe(ctx, q, began, resp.StatusCode, err)
	if err != nil {
		failure := c.silence(ctx, limited, q, unusable, err)
		if e, ok := errors.AsType[*Error](failure); ok {
			e.Status, e.Request = resp.StatusCode, requestID(resp.Header, "")
		}
		return answer{}, failure
	}
	return a, nil
}

// read takes what the status allows from the body. That of an accepted kick-off is not waited for: it says nothing, and
// trouble with it must not hide the job's URL. An error's status stands even when its text cannot be read.
func read(resp *http.Response, q call) (answer, error) {
	a := answer{status: resp.StatusCode, header: resp.Header}
	var err error
	switch {
	case q.kind.kickOff() && a.status == http.StatusAccepted:
		return a, nil
	case a.status == http.StatusOK:
		var body bytes.Buffer
		a.size, err = copyBody(&body, resp, q.limit)
		a.body = body.Bytes()
	case a.status < 300:
		a.size, err = copyBody(io.Discard, resp, q.limit)
	default:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, errorLimit))
		a.outcome = parseOutcome(text, resp.Header.Get("Content-Type"))
	}
	return a, err
}

// copyBody copies a body and fails when it is longer than limit. Its Content-Length only serves to refuse early.
func copyBody(to io.Writer, resp *http.Response, limit int64) (int64, error) {
	if resp.ContentLength > limit {
		return 0, fmt.Errorf("the answer announces %d bytes, more than the %d that are read", resp.ContentLength, limit)
	}
	n, err := io.Copy(to, io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return 0, fmt.Errorf("the answer breaks off: %w", err)
	}
	if n > limit {
		return 0, fmt.Errorf("the answer is longer than the %d bytes that are read", limit)
	}
	return n, nil
}

// silence turns a failed exchange into an error: the end of the caller's context as it is, all else as an *Error.
func (c *Client) silence(ctx, limited context.Context, q call, f fault, cause error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", q.op, ctx.Err())
	}
	if limited.Err() != nil {
		cause = fmt.Errorf("%w within %s", errLate, c.timeout)
	}
	return &Error{Op: q.op, kind: q.kind, fault: f, Detail: tidy(cause.Error()), cause: cause}
}
