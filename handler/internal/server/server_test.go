package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// TestMain fails when a test has left a goroutine behind: this package starts none.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(code) // fuzzing keeps goroutines of its own
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before && code == 0 {
		stacks := make([]byte, 1<<20)
		fmt.Printf("goroutines: got %d, want %d\n%s\n", n, before, stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

// site is a handler behind a real HTTP server, with what it logged and which verbs it called.
type site struct {
	*httptest.Server
	t     *testing.T
	log   *bytes.Buffer
	calls []string
}

// result is what every verb of the site under test returns.
type result struct {
	status   engine.Status
	reopened int
	page     engine.ChunkPage
	record   engine.ChunkRecord
	rejects  engine.RejectPage
	checks   []engine.Check
	check    engine.CheckResult
	err      error
	panics   any
}

// complete gives what a test does not care about a value that the engine could return.
func (r *result) complete() {
	r.status.State = cmp.Or(r.status.State, migration.ShownIdle)
	if r.record.Chunk.ID == "" {
		r.record.Chunk = migration.Chunk{ID: chunkID, ResourceTypes: []string{"Patient"}, State: migration.Planned}
	}
	if r.check.Errand.ID == "" {
		r.check.Errand = migration.NewErrand(migration.SurfaceErrand, migration.Idle, "1", time.Time{})
	}
}

// open serves a handler whose verbs return res; change may alter the options before.
func open(t *testing.T, res result, change ...func(*Options)) *site {
	t.Helper()
	s := &site{t: t, log: new(bytes.Buffer)}
	res.complete()
	called := func(format string, args ...any) error {
		s.calls = append(s.calls, fmt.Sprintf(format, args...))
		if res.panics != nil {
			panic(res.panics)
		}
		return res.err
	}
	status := func(name string) verb {
		return func(context.Context) (engine.Status, error) { return res.status, called("%s", name) }
	}
	o := Options{
		Log: slog.New(slog.NewJSONHandler(s.log, nil)),
		Now: func() time.Time { return time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC) },
		Verbs: &Verbs{
			Tick:  func(context.Context) error { return called("tick") },
			Visit: func(_ context.Context, id string) error { return called("visit %s", id) },
			Start: func(_ context.Context, o engine.Overrides) (engine.Status, error) {
				shown, _ := json.Marshal(o)
				return res.status, called("start %s", shown)
			},
			Pause: status("pause"), Resume: status("resume"), Stop: status("stop"), CutOver: status("cutover"), Status: status("status"),
			Retry: func(context.Context) (engine.Status, int, error) {
				return res.status, res.reopened, called("retry")
			},
			Chunks: func(_ context.Context, q engine.ChunkQuery) (engine.ChunkPage, error) {
				return res.page, called("chunks %+v", q)
			},
			Record: func(_ context.Context, id string) (engine.ChunkRecord, error) {
				return res.record, called("record %s", id)
			},
			Rejects: func(_ context.Context, q engine.RejectQuery) (engine.RejectPage, error) {
				return res.rejects, called("rejects %+v", q)
			},
			Access: func(context.Context) []engine.Check { _ = called("access"); return res.checks },
			StartCheck: func(_ context.Context, o engine.CheckOrder) (engine.CheckResult, error) {
				shown, _ := json.Marshal(o)
				return res.check, called("check %s", shown)
			},
			Checks: func(context.Context) ([]engine.CheckResult, error) {
				return []engine.CheckResult{res.check}, called("checks")
			},
			Check: func(_ context.Context, id string) (engine.CheckResult, error) {
				return res.check, called("check %s", id)
			},
		},
	}
	for _, c := range change {
		c(&o)
	}
	s.Server = httptest.NewServer(New(o))
	t.Cleanup(s.Close)
	return s
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (s *site) send(method, path, body string) reply {
	s.t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(req)
}

func (s *site) do(req *http.Request) reply {
	s.t.Helper()
	resp, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	got := reply{resp.StatusCode, resp.Header, string(raw)}
	s.described(req, got)
	return got
}

// logged returns the lines logged so far.
func (s *site) logged() []string {
	return strings.FieldsFunc(s.log.String(), func(r rune) bool { return r == '\n' })
}

func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(r.body), &o); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return o
}

// wantProblem checks an error answer as RFC 9457 has it, and that the detail holds every given text.
func wantProblem(t *testing.T, r reply, status int, details ...string) {
	t.Helper()
	if r.status != status {
		t.Errorf("status: got %d, want %d; body %s", r.status, status, r.body)
	}
	if got, want := r.header.Get("Content-Type"), "application/problem+json"; got != want {
		t.Errorf("content type: got %q, want %q", got, want)
	}
	o := r.object(t)
	if o["status"] != float64(status) || o["title"] == "" || o["title"] == nil {
		t.Errorf("problem: got %s, want a title and status %d", r.body, status)
	}
	detail, _ := o["detail"].(string)
	if detail == "" {
		t.Errorf("problem: got %s, want a detail", r.body)
	}
	for _, d := range details {
		if !strings.Contains(detail, d) {
			t.Errorf("detail: got %q, want %q in it", detail, d)
		}
	}
}

func TestReadyIsPlain(t *testing.T) {
	s := open(t, result{})
	got := s.send("GET", "/", "")
	if got.status != 200 || got.header.Get("Content-Type") != "text/plain; charset=utf-8" || got.body == "" {
		t.Errorf("GET /: got %+v, want a plain 200 with a body", got)
	}
	if len(s.calls) > 0 || s.log.Len() > 0 {
		t.Errorf("GET /: got calls %v and log %q, want none", s.calls, s.log)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/api", 404, ""},
		{"GET", "/api/migration/nothing", 404, ""},
		{"POST", "/api/migration/start/again", 404, ""},
		{"POST", "/api/migration/Start", 404, ""},
		{"POST", "/nothing", 404, ""},
		{"BREW", "/nothing", 404, ""},
		{"POST", "/api/migration", 405, "GET"},
		{"DELETE", "/api/migration/", 405, "GET"},
		{"PUT", "/api/migration/chunks", 405, "GET"},
		{"BREW", "/api/migration/access", 405, "GET"},
		{"GET", "/api/migration/start", 405, "POST"},
		{"GET", "/api/migration/stop", 405, "POST"},
		{"GET", "/tick", 405, "POST"},
		{"GET", "/visit", 405, "POST"},
		{"POST", "/", 405, "GET"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			s := open(t, result{})
			got := s.send(c.method, c.path, "")
			wantProblem(t, got, c.status)
			if allow := got.header.Get("Allow"); allow != c.allow {
				t.Errorf("Allow: got %q, want %q", allow, c.allow)
			}
			if len(s.calls) > 0 {
				t.Errorf("calls: got %v, want none", s.calls)
			}
			if len(s.logged()) != 1 {
				t.Errorf("log: got %q, want one line", s.log)
			}
		})
	}
}

// TestEveryRouteIsKnown keeps the surface as small as the contract draws it.
func TestEveryRouteIsKnown(t *testing.T) {
	want := []string{
		"GET /", "GET /api/migration", "GET /api/migration/", "GET /api/migration/access", "GET /api/migration/checks",
		"GET /api/migration/checks/{id}", "GET /api/migration/chunks", "GET /api/migration/chunks/{id}",
		"GET /api/migration/openapi.json", "GET /api/migration/rejects", "POST /api/migration/checks",
		"POST /api/migration/cutover", "POST /api/migration/pause", "POST /api/migration/resume", "POST /api/migration/retry",
		"POST /api/migration/start", "POST /api/migration/stop", "POST /tick", "POST /visit",
	}
	if got := routes(t); !slices.Equal(got, want) {
		t.Errorf("routes:\ngot  %q\nwant %q", got, want)
	}
}

func routes(t *testing.T) []string {
	t.Helper()
	var all []string
	walk := func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		all = append(all, method+" "+route)
		return nil
	}
	if err := chi.Walk(New(Options{}).(chi.Routes), walk); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// TestNoEngine is a handler whose settings were too bad to build anything: it answers, and does nothing.
func TestNoEngine(t *testing.T) {
	s := open(t, result{}, func(o *Options) {
		o.Verbs = nil
		o.Settings = []engine.SettingProblem{
			{Setting: "FERRY_SOURCE_URL", Detail: "is missing", Remedy: "set it"},
			{Setting: "FERRY_WINDOW", Detail: "is no duration", Remedy: "write 30d"},
		}
	})
	for _, path := range []string{"/tick", "/visit"} {
		got := s.send("POST", path, payload(t, "queue-chunk.json"))
		if got.status != 200 || got.body != "{}\n" {
			t.Errorf("POST %s: got %+v, want 200 {}", path, got)
		}
	}
	wantProblem(t, s.send("POST", "/api/migration/start", `{"mode":"once"}`), 422, "FERRY_SOURCE_URL", "FERRY_WINDOW: is no duration; write 30d.")
	for _, name := range []string{"pause", "resume", "stop", "cutover", "retry"} {
		wantProblem(t, s.send("POST", "/api/migration/"+name, ""), 409, "FERRY_SOURCE_URL", "FERRY_WINDOW")
	}

	st := s.send("GET", "/api/migration", "").object(t)
	if st["state"] != string(migration.ShownIdle) || st["source"] != nil || st["problemsTotal"] != 2.0 {
		t.Errorf("status: got %v, want idle with two problems", st)
	}
	first := st["problems"].([]any)[0].(map[string]any)
	if first["chunk"] != nil || first["detail"] != "FERRY_SOURCE_URL: is missing; set it." || first["at"] != "2026-11-23T08:00:00.000Z" {
		t.Errorf("problem: got %v", first)
	}
	if got, want := s.send("GET", "/api/migration/chunks", "").body, `{"chunks":[],"next":null}`+"\n"; got != want {
		t.Errorf("chunks: got %s, want %s", got, want)
	}
	got := s.send("GET", "/api/migration/access", "").body
	want := `{"ok":false,"checks":[{"name":"FERRY_SOURCE_URL","ok":false,"detail":"is missing","remedy":"set it"},` +
		`{"name":"FERRY_WINDOW","ok":false,"detail":"is no duration","remedy":"write 30d"}]}` + "\n"
	if got != want {
		t.Errorf("access:\ngot  %s\nwant %s", got, want)
	}
}

// TestBadSettingsWithAnEngine may watch and stop what runs, and starts nothing.
func TestBadSettingsWithAnEngine(t *testing.T) {
	s := open(t, result{
		status: engine.Status{State: migration.ShownPaused, Totals: migration.Totals{Reported: 7, Problems: []migration.Problem{{Detail: "older"}}}},
		checks: []engine.Check{{Name: "source", OK: true}},
	}, func(o *Options) {
		o.Settings = []engine.SettingProblem{{Setting: "FERRY_POLL", Detail: "is no duration.", Remedy: "write 30s."}}
	})
	s.send("POST", "/tick", "{}")
	s.send("POST", "/visit", payload(t, "queue-chunk.json"))
	wantProblem(t, s.send("POST", "/api/migration/start", ""), 422, "FERRY_POLL: is no duration; write 30s.")
	if len(s.calls) > 0 {
		t.Fatalf("calls: got %v, want none", s.calls)
	}

	st := s.send("POST", "/api/migration/stop", "").object(t)
	problems := st["problems"].([]any)
	if st["state"] != "paused" || st["problemsTotal"] != 8.0 || len(problems) != 2 ||
		problems[0].(map[string]any)["detail"] != "FERRY_POLL: is no duration; write 30s." {
		t.Errorf("status: got %v, want paused, with the setting's problem first", st)
	}
	access := s.send("GET", "/api/migration/access", "").object(t)
	if access["ok"] != false || len(access["checks"].([]any)) != 2 {
		t.Errorf("access: got %v, want two checks and not ok", access)
	}
	if want := []string{"stop", "access"}; !slices.Equal(s.calls, want) {
		t.Errorf("calls: got %v, want %v", s.calls, want)
	}
}
