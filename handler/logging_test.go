package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/fhir"
)

// received is a local ingestion endpoint: it accepts everything and keeps it, unpacked.
type received struct {
	*httptest.Server
	mu   sync.Mutex
	text strings.Builder
}

func newReceived(t *testing.T) *received {
	t.Helper()
	e := &received{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(plain)
		if err != nil {
			t.Error(err)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.text.Write(body)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *received) connection() string {
	return "InstrumentationKey=00000000-0000-4000-8000-00000000000a;IngestionEndpoint=" + e.URL
}

func (e *received) all() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.String()
}

// item is what the tests here look at of an envelope.
type item struct {
	Kind, Name string
	Properties map[string]string
	Tags       map[string]string
}

func (e *received) items(t *testing.T) []item {
	t.Helper()
	var items []item
	for line := range strings.Lines(e.all()) {
		var envelope struct {
			Tags map[string]string
			Data struct {
				BaseType string
				BaseData struct {
					Name       string
					Metrics    []struct{ Name string }
					Exceptions []struct{ TypeName string }
					Properties map[string]string
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &envelope); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		data := envelope.Data.BaseData
		i := item{strings.TrimSuffix(envelope.Data.BaseType, "Data"), data.Name, data.Properties, envelope.Tags}
		for _, m := range data.Metrics {
			i.Name = m.Name
		}
		for _, x := range data.Exceptions {
			i.Name = x.TypeName
		}
		items = append(items, i)
	}
	return items
}

// Nothing is told twice, nothing is told nowhere, and metrics and dependencies are never lines.
func TestWhereRecordsGo(t *testing.T) {
	say := func(log *slog.Logger) {
		log.Info("a line", "chunk", "c")
		log.Info("an event", slog.String("event", "ChunkMoved"), "chunk", "c")
		log.Debug("a metric", slog.String("event", "Metrics"), "Lag", 1)
		log.Debug("nothing")
		log.Error("an error", "error", "broken")
		log.With("more", 1).WithGroup("g").Warn("a warning")
		if see := observe(log); see != nil {
			see(context.Background(), fhir.Call{Method: "GET", Route: "/$export"})
		}
	}
	lines := func(out string) (messages []string) {
		for line := range strings.Lines(out) {
			var r struct{ Msg string }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			messages = append(messages, r.Msg)
		}
		return messages
	}

	var out bytes.Buffer
	say(newLog(&out, nil))
	if diff := cmp.Diff([]string{"a line", "an event", "an error", "a warning"}, lines(out.String())); diff != "" {
		t.Errorf("lines without Application Insights (-want +got):\n%s", diff)
	}

	out.Reset()
	e := newReceived(t)
	c := read(map[string]string{"APPLICATIONINSIGHTS_CONNECTION_STRING": e.connection(), "WEBSITE_INSTANCE_ID": "some-instance"})
	insights, err := newInsights(c)
	if err != nil {
		t.Fatal(err)
	}
	say(newLog(&out, insights))
	if err := insights.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a line", "an error", "a warning"}, lines(out.String())); diff != "" {
		t.Errorf("lines beside Application Insights (-want +got):\n%s", diff)
	}
	var got []string
	for _, i := range e.items(t) {
		got = append(got, i.Kind+" "+i.Name)
		if i.Tags["ai.cloud.role"] != "fhirferry" || i.Tags["ai.cloud.roleInstance"] != "some-instance" || i.Tags["ai.application.ver"] != version() {
			t.Errorf("got tags %v, want role, instance and version", i.Tags)
		}
	}
	want := []string{"Event ChunkMoved", "Exception an error", "Metric Lag", "RemoteDependency GET /$export"}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// awaited is an output that tells when a text was written.
type awaited struct {
	mu   sync.Mutex
	all  bytes.Buffer
	text string
	seen chan struct{}
}

func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := a.all.Write(p)
	if a.seen != nil && strings.Contains(a.all.String(), a.text) {
		close(a.seen)
		a.seen = nil
	}
	return n, err
}

// The whole handler against a local ingestion endpoint: what it does for the host is told under the host's names for the
// invocation, and what was told before the signal has arrived when run returns.
func TestRunTellsAndFlushes(t *testing.T) {
	asked := make(chan string, 100)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		http.Error(w, "", http.StatusServiceUnavailable)
	}))
	defer service.Close()
	e := newReceived(t)
	port := freePort(t)
	env := least()
	env["FUNCTIONS_CUSTOMHANDLER_PORT"] = port
	env["APPLICATIONINSIGHTS_CONNECTION_STRING"] = e.connection()
	env["FERRY_AUTH"] = "none"
	env["FERRY_SOURCE_URL"], env["FERRY_DESTINATION_URL"] = service.URL+"/source", service.URL+"/destination"
	env["FERRY_STAGING_URL"] = service.URL + "/account"
	env["AzureWebJobsStorage"] = "DefaultEndpointsProtocol=http;AccountName=progress;AccountKey=" + someKey +
		";BlobEndpoint=http://127.0.0.1:1/progress;QueueEndpoint=http://127.0.0.1:1/progress;TableEndpoint=http://127.0.0.1:1/progress"
	env["FERRY_MAX_FAILURES"] = "none" // a problem, which is an error of the log

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &awaited{text: "FERRY_MAX_FAILURES", seen: make(chan struct{})}
	seen, ended := out.seen, make(chan error, 1)
	go func() { ended <- run(ctx, func(name string) string { return env[name] }, out) }()
	select {
	case <-seen: // it listens since before
	case err := <-ended:
		t.Fatalf("run ended: %v", err)
	}
	asking, enough := context.WithCancel(t.Context())
	defer enough()
	request, err := http.NewRequestWithContext(asking, http.MethodGet, "http://127.0.0.1:"+port+"/api/migration/access", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Azure-Functions-InvocationId", "00000000-0000-4000-8000-0000000000ab")
	request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if resp, err := http.DefaultClient.Do(request); err == nil {
			resp.Body.Close()
		}
	}()
	<-asked // the source was asked on behalf of the invocation
	<-asked // so was the destination: the first exchange is over
	enough()
	<-answered
	cancel() // as the signal does
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "ended by a signal") {
		t.Errorf("got %v, want to be told of the signal", err)
	}

	found := map[string]item{}
	for _, i := range e.items(t) {
		found[i.Kind+" "+i.Name] = i
	}
	for _, want := range []string{"Event HandlerStarted", "Event HandlerStopped", "Exception setting", "RemoteDependency GET /metadata"} {
		if _, ok := found[want]; !ok {
			t.Errorf("%s did not arrive: got %v", want, e.all())
		}
	}
	call := found["RemoteDependency GET /metadata"]
	if call.Tags["ai.operation.id"] != "0af7651916cd43dd8448eb211c80319c" || call.Tags["ai.operation.parentId"] != "b7ad6b7169203331" ||
		call.Properties["InvocationId"] != "00000000-0000-4000-8000-0000000000ab" {
		t.Errorf("got %v, want the trace and the invocation of the request", call)
	}
	if p := found["Event HandlerStarted"].Properties; p["problems"] != "1" || p["engine"] != "true" {
		t.Errorf("got %v, want one problem and an engine", p)
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if text := out.all.String(); strings.Contains(text, "HandlerStarted") || strings.Contains(text, "FHIR call") {
		t.Errorf("an event is a line too: %s", text)
	}
}

// An endpoint that does not answer delays the end by no more than what run allows, and the end is told.
func TestRunEndsWithoutTelemetry(t *testing.T) {
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hangs.Close()
	defer close(release)
	port := freePort(t)
	ctx, cancel := context.WithCancel(t.Context())
	out := &awaited{text: "FERRY_QUEUE", seen: make(chan struct{})}
	seen, ended := out.seen, make(chan error, 1)
	go func() {
		ended <- run(ctx, func(name string) string {
			return map[string]string{
				"FUNCTIONS_CUSTOMHANDLER_PORT":          port,
				"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=00000000-0000-4000-8000-00000000000a;IngestionEndpoint=" + hangs.URL,
			}[name]
		}, out)
	}()
	<-seen
	cancel()
	select {
	case err := <-ended:
		if !strings.Contains(err.Error(), "signal") || !strings.Contains(err.Error(), "telemetry did not all arrive") {
			t.Errorf("got %v, want the signal and the loss", err)
		}
	case <-time.After(time.Minute):
		t.Error("run does not end while the ingestion endpoint hangs")
	}
}
