package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// envelope is an item as the service gets it.
type envelope struct {
	Ver  int               `json:"ver"`
	Name string            `json:"name"`
	Time time.Time         `json:"time"`
	IKey string            `json:"iKey"`
	Tags map[string]string `json:"tags"`
	Data struct {
		BaseType string          `json:"baseType"`
		BaseData json.RawMessage `json:"baseData"`
	} `json:"data"`
}

// named is what an item is called: an event by its name, a metric by its first point's.
func (e envelope) named(t *testing.T) string {
	t.Helper()
	var data struct {
		Name    string
		Metrics []struct{ Name string }
	}
	if err := json.Unmarshal(e.Data.BaseData, &data); err != nil {
		t.Fatal(err)
	}
	if len(data.Metrics) > 0 {
		return data.Metrics[0].Name
	}
	return data.Name
}

// endpoint is a local ingestion endpoint. It keeps every byte, unpacked, and answers as it is told.
type endpoint struct {
	*httptest.Server
	t      *testing.T
	answer func(w http.ResponseWriter, r *http.Request, nth, items int)
	came   chan struct{} // gets something with each request

	mu       sync.Mutex
	raw      bytes.Buffer
	requests [][]envelope
}

func accept(w http.ResponseWriter, _ *http.Request, _, items int) {
	fmt.Fprintf(w, `{"itemsReceived":%d,"itemsAccepted":%d,"errors":[]}`, items, items)
}

func newEndpoint(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, nth, items int)) *endpoint {
	t.Helper()
	e := &endpoint{t: t, answer: answer, came: make(chan struct{}, 1000)}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	packed, err := io.ReadAll(r.Body)
	if err != nil {
		return // Close has ended it
	}
	body := packed
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpack, err := gzip.NewReader(bytes.NewReader(packed))
		if err == nil {
			body, err = io.ReadAll(unpack)
		}
		if err != nil {
			e.t.Errorf("unpack the request: %v", err)
		}
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v2/track" || r.Header.Get("Content-Type") != "application/x-json-stream" {
		e.t.Errorf("got %s %s of %s, want POST /v2/track of application/x-json-stream", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	var items []envelope
	for line := range strings.Lines(string(body)) {
		var item envelope
		if err := json.Unmarshal([]byte(line), &item); err != nil {
			e.t.Errorf("%q: %v", line, err)
		}
		items = append(items, item)
	}
	e.mu.Lock()
	fmt.Fprintf(&e.raw, "%s %s %v\n%s\n", r.Method, r.URL, r.Header, body)
	e.requests = append(e.requests, items)
	nth := len(e.requests)
	e.mu.Unlock()
	e.came <- struct{}{}
	e.answer(w, r, nth, len(items))
}

func (e *endpoint) items() []envelope {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Concat(e.requests...)
}

func (e *endpoint) bytes() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.raw.String()
}

// open makes a handler that sends to the endpoint.
func (e *endpoint) open() *Handler {
	e.t.Helper()
	return open(e.t, e.URL)
}

func open(t *testing.T, address string) *Handler {
	t.Helper()
	h, err := New("InstrumentationKey="+someKey+";IngestionEndpoint="+address, Source{Role: "fhirferry", Instance: "one", Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// finish closes the handler and insists that everything has arrived.
func finish(t *testing.T, h *Handler) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// many logs n records and returns when all calls have returned.
func many(h slog.Handler, n int, event string) {
	log := slog.New(h)
	for i := range n {
		log.Info("x", slog.String("event", event), "number", i)
	}
}
