package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// meter stands before the table service and sums up what it is asked one after the other: how often, how long it took,
// and how many bytes it answered.
type meter struct {
	mu   sync.Mutex
	now  reading
	addr string
}

// reading is what a meter shows.
type reading struct {
	operations int
	bytes      int64
	took       time.Duration
}

func (r reading) since(earlier reading) reading {
	return reading{r.operations - earlier.operations, r.bytes - earlier.bytes, r.took - earlier.took}
}

// openMeter puts a meter before the table service of a connection string, and returns the string that leads through it.
func openMeter(ctx context.Context, connection string) (m *meter, through string, stop func(), err error) {
	_, rest, _ := strings.Cut(connection, "TableEndpoint=")
	endpoint, _, _ := strings.Cut(rest, ";")
	target, err := url.Parse(endpoint)
	if err != nil || target.Host == "" {
		return nil, "", nil, fmt.Errorf("find the table service: the connection string names none")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, fmt.Errorf("listen before the table service: %w", err)
	}
	m = &meter{addr: listener.Addr().String()}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", target.Host }, // signatures do not cover the host
		Transport: m,
	}}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // always ends with http.ErrServerClosed
	through = strings.Replace(connection, target.Host, m.addr, 1)
	return m, through, func() { _ = server.Close(); serving.Wait() }, nil
}

// RoundTrip forwards one request and reads the whole answer, so that its time is known.
func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.operations++
	m.now.bytes += int64(len(body))
	m.now.took += time.Since(began)
	return resp, nil
}

func (m *meter) read() reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}
