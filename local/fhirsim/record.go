package fhirsim

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Request is one request the server saw. Status 0 means the connection was reset without an answer.
type Request struct {
	At       time.Time
	Method   string
	Path     string
	RawQuery string
	Route    string            // method and path pattern, the key of RequestCounts
	Header   map[string]string // Accept, Prefer, Content-Type, If-Match, User-Agent; Authorization as "present"
	Body     string            // of POST $import, POST $reindex and batches
	Status   int
}

// record keeps the last requests and the number of all.
type record struct {
	mu     sync.Mutex
	keep   int
	ring   []Request
	next   int
	counts map[string]int
}

func newRecord(keep int) *record { return &record{keep: keep, counts: map[string]int{}} }

func (k *record) add(c *call, a answer) {
	r := Request{At: c.now, Method: c.Method, Path: c.URL.Path, RawQuery: c.URL.RawQuery, Route: c.route,
		Header: map[string]string{}, Status: a.status}
	if a.dropped {
		r.Status = 0
	}
	for _, name := range []string{"Accept", "Prefer", "Content-Type", "If-Match", "User-Agent"} {
		if value := c.Header.Get(name); value != "" {
			r.Header[name] = value
		}
	}
	if c.Header.Get("Authorization") != "" {
		r.Header["Authorization"] = "present"
	}
	if c.Method == http.MethodPost && slices.Contains([]string{"$import", "$reindex", ""}, c.path[0]) {
		r.Body = string(c.content)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts[c.route]++
	if len(k.ring) < k.keep {
		k.ring = append(k.ring, r)
		return
	}
	k.ring[k.next] = r
	k.next = (k.next + 1) % k.keep
}

// Requests are the last requests, oldest first (Options.KeepRequests).
func (s *Server) Requests() []Request {
	k := s.record
	k.mu.Lock()
	defer k.mu.Unlock()
	return append(append([]Request{}, k.ring[k.next:]...), k.ring[:k.next]...)
}

// RequestCounts is the number of all requests by method and route, for instance "GET /$export",
// "GET /_operations/export/{id}" or "GET /{Type}/_history?_summary=count".
func (s *Server) RequestCounts() map[string]int {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	return maps.Clone(s.record.counts)
}
