package azurite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
)

// busyBody is an error of the service as its clients read it: in XML for blobs and
// queues; the table client needs only the status.
const busyBody = `<?xml version="1.0" encoding="utf-8"?><Error><Code>ServerBusy</Code><Message>The server is busy.</Message></Error>`

// Proxy stands before one service on a loopback port of its own, counts what it is
// asked and injects faults. The Host header is passed on as it came: the emulator's
// shared key signature covers the path and the account, not the host.
type Proxy struct {
	service Service
	target  string
	server  *http.Server
	client  *http.Transport
	addr    string

	mu     sync.Mutex
	faults faults
	counts map[string]int
	struck map[string]int
}

// newProxy listens at once; seed fixes which requests a probability strikes.
func newProxy(s Service, target string, seed uint64) (*Proxy, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen before the %s service: %w", s, err)
	}
	p := &Proxy{
		service: s, target: target, addr: listener.Addr().String(),
		client: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		faults: faults{random: rand.New(rand.NewPCG(seed, uint64(len(s))))},
		counts: map[string]int{}, struck: map[string]int{},
	}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve)}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// Inject adds a fault to those already there; the earlier is asked first.
func (p *Proxy) Inject(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.list = append(p.faults.list, &f)
}

// Heal removes every fault.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.list = nil
}

// Counts are the requests received so far by operation, struck ones included.
func (p *Proxy) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Struck are the requests by operation that a fault has met.
func (p *Proxy) Struck() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.struck)
}

func (p *Proxy) meet(operation string) Effect {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[operation]++
	effect := p.faults.strike(operation)
	if effect != 0 {
		p.struck[operation]++
	}
	return effect
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	effect := p.meet(Operation(p.service, r))
	switch effect {
	case Busy:
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("x-ms-error-code", "ServerBusy")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, busyBody)
		return
	case Refuse:
		reset(w)
		return
	}
	status, header, body, err := p.forward(r)
	if err != nil || effect == Drop {
		// Azurite itself is gone, or the fault wants it to look so.
		reset(w)
		return
	}
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// forward reads the request and the answer wholly, so that a dropped answer means
// that the service has finished.
func (p *Proxy) forward(r *http.Request) (int, http.Header, []byte, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, nil, err
	}
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = "http", p.target
	out.Body, out.ContentLength, out.TransferEncoding = io.NopCloser(bytes.NewReader(sent)), int64(len(sent)), nil
	if len(sent) == 0 {
		out.Body = http.NoBody
	}
	out.Header.Del("Connection")
	resp, err := p.client.RoundTrip(out)
	if err != nil {
		return 0, nil, nil, err
	}
	body, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	for _, hop := range []string{"Connection", "Keep-Alive", "Transfer-Encoding"} {
		resp.Header.Del(hop)
	}
	return resp.StatusCode, resp.Header, body, err
}

// reset ends the caller's connection with an RST.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server then cuts the connection itself
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (p *Proxy) stop() {
	_ = p.server.Close()
	p.client.CloseIdleConnections()
}
