package funchost

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"fhirferry/local/azurite"
)

// shared is what is built and started once for all tests of the package.
type shared struct {
	dir      string
	recorder func() (string, error)
	azurite  func() (*azurite.Azurite, error)
}

var once = shared{}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "funchost-*")
	if err != nil {
		panic(err)
	}
	started := false
	once = shared{dir: dir,
		recorder: sync.OnceValues(func() (string, error) {
			path := filepath.Join(dir, "recorder")
			out, err := exec.Command("go", "build", "-o", path, "./testdata/recorder").CombinedOutput()
			if err != nil {
				return "", fmt.Errorf("build the recorder: %w: %s", err, out)
			}
			return path, nil
		}),
		azurite: sync.OnceValues(func() (*azurite.Azurite, error) {
			started = true
			return azurite.Start(context.Background(), azurite.Options{InMemory: true})
		})}
	code := m.Run()
	if started {
		if a, err := once.azurite(); err == nil {
			a.Stop()
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// report and order mirror the recorder's.
type report struct {
	PID              int
	Args, Env        []string
	Dir              string
	Method, URI      string
	Host             string
	Header           http.Header
	ContentLength    int64
	TransferEncoding []string
	Body             []byte
}

type order struct {
	Exit           *int
	Hang           bool
	Status         int
	Header         http.Header
	Body           []byte
	Stdout, Stderr string
}

// done is the answer of a handler that succeeded.
func done() order {
	return order{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("{}")}
}

func exit(code int) order { return order{Exit: &code} }

// app is a packaged app whose handler reports to the test.
type app struct {
	t     *testing.T
	root  string
	queue string
	env   []string
	// calls receives each call of the handler, starts each start of its process.
	calls, starts chan report
	records       *records

	mu      sync.Mutex
	answer  func(report) order
	onStart func(n int) order
	started int
}

const hostFile = `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"handler"},"enableForwardingHttpRequest":true},
 "extensions":{"queues":{"maxPollingInterval":"00:00:00.1"}}}`

// newApp lays out an app root without functions; the test adds the ones it needs.
func newApp(t *testing.T) *app {
	t.Helper()
	recorder, err := once.recorder()
	if err != nil {
		t.Fatal(err)
	}
	a := &app{t: t, root: t.TempDir(), queue: "q-" + guid()[:13],
		calls: make(chan report, 1000), starts: make(chan report, 1000), records: &records{}}
	if err := os.Symlink(recorder, filepath.Join(a.root, "handler")); err != nil {
		t.Fatal(err)
	}
	a.write("host.json", hostFile)
	server := httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(func() {
		// Not Close, which would wait for answers that a failed test never gives.
		server.CloseClientConnections()
		_ = server.Listener.Close()
	})
	storage, err := once.azurite()
	if err != nil {
		t.Fatal(err)
	}
	a.env = []string{"RECORDER_URL=" + server.URL, "AzureWebJobsStorage=" + storage.ConnectionString(),
		"FERRY_QUEUE=" + a.queue, "FERRY_SCHEDULE=0 * * * * *"}
	return a
}

func (a *app) write(name, text string) {
	a.t.Helper()
	path := filepath.Join(a.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *app) addTimer(extra string) {
	a.write("tick/function.json", `{"bindings":[{"type":"timerTrigger","direction":"in","name":"timer","schedule":"%FERRY_SCHEDULE%"`+extra+`}]}`)
}

func (a *app) addQueue(extra string) {
	a.write("visit/function.json", `{"bindings":[{"type":"queueTrigger","direction":"in","name":"item","queueName":"%FERRY_QUEUE%","connection":"AzureWebJobsStorage"`+extra+`}]}`)
}

func (a *app) addHTTP(name, method, route string) {
	a.write(name+"/function.json", fmt.Sprintf(`{"bindings":[
  {"type":"httpTrigger","direction":"in","name":"req","authLevel":"function","methods":[%q],"route":%q},
  {"type":"http","direction":"out","name":"res"}]}`, method, route))
}

func (a *app) serve(w http.ResponseWriter, r *http.Request) {
	var got report
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	answer, onStart := a.answer, a.onStart
	if r.URL.Path == "/start" {
		a.started++
	}
	n := a.started
	a.mu.Unlock()
	var o order
	switch {
	case r.URL.Path == "/start":
		a.starts <- got
		if onStart != nil {
			o = onStart(n)
		}
	case answer != nil:
		a.calls <- got
		o = answer(got)
	default:
		a.calls <- got
		o = done()
	}
	_ = json.NewEncoder(w).Encode(o)
}

// answers sets what the handler does from now on.
func (a *app) answers(f func(report) order) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
}

// start starts a host over the app; fields of o that are empty are filled in.
func (a *app) start(o Options) *Host {
	a.t.Helper()
	o.AppRoot = a.root
	o.Env = append(o.Env, a.env...)
	if o.HostID == "" {
		o.HostID = a.queue
	}
	o.Log = slog.New(slog.NewTextHandler(a.records, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h, err := Start(a.t.Context(), o)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(h.Die)
	a.t.Cleanup(func() {
		if a.t.Failed() {
			a.t.Logf("host log:\n%s", a.records)
		}
	})
	return h
}

// records is a log that a test can read while it is written.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// receive takes the next report or fails the test.
func receive(t *testing.T, from chan report, what string) report {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(30 * time.Second):
		t.Fatalf("no %s within 30 s", what)
		return report{}
	}
}

// eventually polls until the condition holds, or fails the test.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func contains(list []string, item string) bool {
	for _, have := range list {
		if have == item {
			return true
		}
	}
	return false
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
