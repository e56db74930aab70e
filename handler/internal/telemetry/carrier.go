package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	answerLimit = 1 << 20   // bytes read of an answer
	mostWait    = time.Hour // of a Retry-After
	mostHops    = 5         // of redirects
)

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: answerTime, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: answerTime, MaxConnsPerHost: 4, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 1 << 16,
	}
}

// redirect follows the service to another of its hosts, but not to plain HTTP.
func redirect(r *http.Request, via []*http.Request) error {
	if len(via) > mostHops {
		return fmt.Errorf("more than %d redirects", mostHops)
	}
	return safe(r.URL)
}

// carrier sends the SDK's requests and mends the answers that the SDK (v0.4.4) trusts too far: it reads them without
// limit, takes the index of a refused item for one of its own items, which panics when it is none, understands a wait
// given as a date only, waits for whatever date that is, and asks for compressed answers without unpacking them.
type carrier struct {
	next  http.RoundTripper
	ended context.Context // the end of all requests
	now   func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (c *carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(c.ended, cancel)()
	sent := r.Clone(ctx)
	sent.Header.Del("Accept-Encoding") // net/http asks by itself, and unpacks
	resp, err := c.next.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return nil, fmt.Errorf("read the answer of the ingestion endpoint: %w", err)
	}
	if resp.StatusCode == http.StatusPartialContent {
		if body, err = refusals(r, body); err != nil {
			return nil, err
		}
	}
	c.limitWait(resp.Header)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// limitWait writes a wait as the SDK reads it, and not too far away.
func (c *carrier) limitWait(h http.Header) {
	value := h.Get("Retry-After")
	h.Del("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(max(seconds, 0), int(mostWait/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = min(max(at.Sub(c.now()), 0), mostWait)
	} else {
		return
	}
	h.Set("Retry-After", c.now().Add(wait+time.Second).UTC().Format(http.TimeFormat)) // whole seconds: never early
}

// refusals keeps of a partial success what names items of the request. An answer that is no JSON is left as it is: the
// SDK takes all items for refused.
func refusals(r *http.Request, body []byte) ([]byte, error) {
	type refusal struct {
		Index      int `json:"index"`
		StatusCode int `json:"statusCode"`
	}
	var answer struct {
		Received int        `json:"itemsReceived"`
		Accepted int        `json:"itemsAccepted"`
		Errors   []*refusal `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return body, nil
	}
	n, err := lines(r)
	if err != nil {
		return nil, err
	}
	kept := []*refusal{}
	for _, e := range answer.Errors {
		if e != nil && e.Index >= 0 && e.Index < n {
			kept = append(kept, e)
		}
	}
	answer.Errors = kept
	return json.Marshal(answer)
}

// lines counts the items of a request.
func lines(r *http.Request) (int, error) {
	if r.GetBody == nil {
		return 0, errors.New("count the items of a request: its body cannot be read again")
	}
	packed, err := r.GetBody()
	if err != nil {
		return 0, fmt.Errorf("count the items of a request: %w", err)
	}
	defer packed.Close()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		return 0, fmt.Errorf("count the items of a request: %w", err)
	}
	body, err := io.ReadAll(plain)
	if err != nil {
		return 0, fmt.Errorf("count the items of a request: %w", err)
	}
	return bytes.Count(body, []byte("\n")), nil
}
