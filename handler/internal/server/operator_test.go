package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

// running is a status with everything set, in another zone and finer than a millisecond.
func running() engine.Status {
	paris := time.FixedZone("", 3600)
	return engine.Status{
		State: migration.ShownRunning, RunID: "r1", Mode: migration.Continuous,
		Source: "https://s.example?a=<b>", Destination: "https://d.example",
		Since: at("2019-01-01T00:00:00Z").In(paris), Until: at("2030-01-01T00:00:00.1239Z"),
		StartedAt: at("2024-05-02T00:00:00Z"), UpdatedAt: at("2024-05-03T00:00:00.5Z"), EndedAt: at("2024-05-04T00:00:00Z"),
		MigratedTill: at("2024-05-01T00:00:00Z"), Frontier: at("2024-05-01T12:00:00Z"), End: at("2024-06-01T00:00:00Z"),
		SourceKind: migration.AHDS, ExportOnly: true, Planning: "counting Patient", Quiet: &engine.Quietness{Now: true, Until: at("2024-05-03T18:00:00+01:00")},
		DeIdentification: &engine.DeIdentification{Config: "rules.json", ETag: `"0x8"`, ExportsProven: 12},
		SearchParameters: &engine.ParametersStatus{State: engine.StepDone, Found: 4, Written: 3, Present: 1, At: at("2024-05-01T10:00:00Z")},
		Reindex:          &engine.ReindexStatus{State: engine.ReindexRunning, Done: 40, Total: 100, Job: "https://user@destination.example/_operations/reindex/8?sig=x"},
		Totals: migration.Totals{
			Chunks:    map[migration.State]int{migration.Planned: 1, migration.Imported: 12, migration.Failed: 2},
			Resources: migration.Tally{Exported: 40, Imported: 30, Rejected: 4, Skipped: 6},
			Problems:  []migration.Problem{{Chunk: "c1", Detail: "newest", At: at("2024-05-03T00:00:00Z")}, {Detail: "older"}},
			Reported:  9,
		},
	}
}

const runningJSON = `{"state":"running","runId":"r1","mode":"continuous","source":"https://s.example?a=<b>","destination":"https://d.example",` +
	`"since":"2019-01-01T00:00:00.000Z","until":"2030-01-01T00:00:00.123Z","startedAt":"2024-05-02T00:00:00.000Z",` +
	`"updatedAt":"2024-05-03T00:00:00.500Z","endedAt":"2024-05-04T00:00:00.000Z","migratedTill":"2024-05-01T00:00:00.000Z",` +
	`"frontier":"2024-05-01T12:00:00.000Z","end":"2024-06-01T00:00:00.000Z","sourceKind":"ahds","exportOnly":true,"planning":"counting Patient",` +
	`"deIdentification":{"config":"rules.json","etag":"\"0x8\"","exportsProven":12},"quiet":{"now":true,"until":"2024-05-03T17:00:00.000Z"},` +
	`"searchParameters":{"state":"done","found":4,"written":3,"present":1,"failed":0,"at":"2024-05-01T10:00:00.000Z"},` +
	`"reindex":{"state":"running","done":40,"total":100,"job":"https://destination.example/_operations/reindex/8","at":null},` +
	`"chunks":{"planned":1,"exporting":0,"exported":0,"importing":0,"imported":12,"split":0,"failed":2,"cancelled":0},` +
	`"resources":{"exported":40,"imported":30,"rejected":4,"skipped":6,"benign":0},"clean":false,"check":null,` +
	`"problems":[{"chunk":"c1","detail":"newest","at":"2024-05-03T00:00:00.000Z"},{"chunk":null,"detail":"older","at":null}],"problemsTotal":9`

const idleJSON = `{"state":"idle","runId":null,"mode":null,"source":null,"destination":null,"since":null,"until":null,"startedAt":null,` +
	`"updatedAt":null,"endedAt":null,"migratedTill":null,"frontier":null,"end":null,"sourceKind":null,"exportOnly":false,"planning":null,"deIdentification":null,"quiet":null,"searchParameters":null,"reindex":null,` +
	`"chunks":{"planned":0,"exporting":0,"exported":0,"importing":0,"imported":0,"split":0,"failed":0,"cancelled":0},` +
	`"resources":{"exported":0,"imported":0,"rejected":0,"skipped":0,"benign":0},"clean":true,"check":null,"problems":[],"problemsTotal":0`

func wantJSON(t *testing.T, got reply, status int, want string) {
	t.Helper()
	if got.status != status || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %v, want %d application/json, not stored; body %s", got.status, got.header, status, got.body)
	}
	if diff := cmp.Diff(want+"\n", got.body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestStatusIsExact(t *testing.T) {
	for _, path := range []string{"/api/migration", "/api/migration/", "/api/migration?code=SECRET"} {
		s := open(t, result{status: running()})
		wantJSON(t, s.send("GET", path, ""), 200, runningJSON+"}")
		if !slices.Equal(s.calls, []string{"status"}) || s.log.Len() > 0 {
			t.Errorf("%s: got calls %v and log %q", path, s.calls, s.log)
		}
	}
	s := open(t, result{status: engine.Status{State: migration.ShownIdle}})
	wantJSON(t, s.send("GET", "/api/migration", ""), 200, idleJSON+"}")
}

func TestVerbsAnswerWithTheStatus(t *testing.T) {
	for _, c := range []struct{ path, call, tail string }{
		{"start", `start {"Mode":null,"Since":null,"Until":null,"Types":null,"Window":null}`, "}"},
		{"pause", "pause", "}"},
		{"resume", "resume", "}"},
		{"stop", "stop", "}"},
		{"cutover", "cutover", "}"},
		{"retry", "retry", `,"reopened":0}`},
	} {
		t.Run(c.path, func(t *testing.T) {
			s := open(t, result{status: running()})
			wantJSON(t, s.send("POST", "/api/migration/"+c.path, ""), 202, runningJSON+c.tail)
			if !slices.Equal(s.calls, []string{c.call}) {
				t.Errorf("calls: got %q, want %q", s.calls, c.call)
			}
		})
	}
	s := open(t, result{reopened: 3})
	if got := s.send("POST", "/api/migration/retry", "").object(t)["reopened"]; got != 3.0 {
		t.Errorf("reopened: got %v, want 3", got)
	}
}

// TestEveryCallCanFail: each way to fail, on each call that can.
func TestEveryCallCanFail(t *testing.T) {
	calls := []string{
		"GET /api/migration", "GET /api/migration/chunks", "POST /api/migration/start", "POST /api/migration/pause",
		"POST /api/migration/resume", "POST /api/migration/stop", "POST /api/migration/cutover", "POST /api/migration/retry",
	}
	refused := func(r engine.Reason) error {
		return fmt.Errorf("ask: %w", &engine.Refusal{Reason: r, Detail: "the run is asleep; wake it"})
	}
	for _, c := range []struct {
		name   string
		res    result
		status int
		level  string
		detail string
		logged string
	}{
		{"wrong state", result{err: refused(engine.WrongState)}, 409, "INFO", "the run is asleep; wake it", ""},
		{"bad value", result{err: refused(engine.BadValue)}, 422, "INFO", "the run is asleep; wake it", ""},
		{"unavailable", result{err: refused(engine.Unavailable)}, 503, "WARN", "the run is asleep; wake it", "the run is asleep"},
		{"a reason not known here", result{err: refused(0)}, 500, "ERROR", "log", "the run is asleep"},
		{"storage", result{err: errors.New("read run: 503 SECRET-FREE")}, 500, "ERROR", "log", "read run: 503"},
		{"time", result{err: fmt.Errorf("read run: %w", context.DeadlineExceeded)}, 500, "ERROR", "out of time", "read run"},
		{"panic", result{panics: "index 5"}, 500, "ERROR", "log", "index 5"},
	} {
		for _, call := range calls {
			t.Run(c.name+" "+call, func(t *testing.T) {
				s := open(t, c.res)
				method, path, _ := strings.Cut(call, " ")
				got := s.send(method, path+"?code=SECRET", "")
				wantProblem(t, got, c.status, c.detail)
				lines := s.logged()
				if len(lines) != 1 {
					t.Fatalf("log: got %q, want one line", lines)
				}
				for _, want := range []string{`"level":"` + c.level + `"`, `"route":"` + path + `"`, `"method":"` + method + `"`, c.logged} {
					if !strings.Contains(lines[0], want) {
						t.Errorf("log: got %s, want %s in it", lines[0], want)
					}
				}
				if c.status == 500 && strings.Contains(got.body, "read run") {
					t.Errorf("body: got %s, want no inner cause", got.body)
				}
			})
		}
	}
}

// TestNothingOfARequestIsLogged sends a secret wherever a request has room for one.
func TestNothingOfARequestIsLogged(t *testing.T) {
	for _, res := range []result{
		{},
		{err: errors.New(`get "https://x.example/t?code=SECRET": broken`)},
		{err: &engine.Refusal{Reason: engine.BadValue, Detail: "SECRET is no type"}},
		{panics: "plain"},
	} {
		s := open(t, res)
		for _, call := range []string{
			"GET /api/migration", "GET /api/migration/chunks", "GET /api/migration/access", "GET /api/migration/SECRET",
			"GET /api/migration/rejects", "GET /api/migration/chunks/SECRET", "GET /api/migration/chunks/" + chunkID,
			"GET /api/migration/start&code=SECRET", "POST /api/migration/start", "POST /api/migration/retry", "POST /tick", "POST /visit", "DELETE /visit",
		} {
			method, path, _ := strings.Cut(call, " ")
			for _, body := range []string{"SECRET", `{"mode":"SECRET"}`, `{"types":["SECRET"]}`, `{"Data":{"item":"SECRET/"}}`} {
				req := s.invocation(path+"?code=SECRET&state=SECRET", body, "Content-Length")
				req.Method = method
				req.Header.Set("x-functions-key", "SECRET")
				req.Header.Set("Cookie", "SECRET")
				req.Header.Set("User-Agent", "SECRET")
				req.Header.Set(invocationHeader, "SECRET id")
				s.do(req)
			}
		}
		if strings.Contains(s.log.String(), "SECRET") {
			t.Errorf("log: got %s, want no SECRET", s.log)
		}
	}
}

func TestChunksAreExact(t *testing.T) {
	s := open(t, result{page: engine.ChunkPage{Next: chunkID, Chunks: []migration.Chunk{
		{
			ID: "c1", ResourceTypes: []string{"Observation", "Patient"}, Window: migration.Window{Since: at("2019-01-01T00:00:00Z"), Till: at("2019-02-01T00:00:00Z")},
			Expected: 0, State: migration.Importing, NotBefore: at("2024-05-01T00:00:00Z"), Attempts: 2, UpdatedAt: at("2024-05-01T00:00:01Z"),
			Export: migration.Job{Attempt: 3, StatusURL: "https://u:p@s.example/_operations/export/7?sig=SECRET#f", Started: at("2024-04-30T00:00:00Z")},
			Import: migration.Job{Attempt: 1, StatusURL: "https://d.example/_operations/import/8"},
			Files:  9, FilesDone: 4, Resources: migration.Tally{Exported: 1, Imported: 2, Rejected: 3, Skipped: 4, Benign: 5},
			Rejects: migration.Rejects{Benign: 5, Duplicate: 1, Conflict: 2, Malformed: 3, SearchParameter: 4, Other: 6}, LastError: "gone",
		},
		{ID: "c2", ResourceTypes: []string{"Patient"}, Expected: -1, State: migration.Planned},
	}}})
	wantJSON(t, s.send("GET", "/api/migration/chunks", ""), 200, `{"chunks":[`+
		`{"id":"c1","types":["Observation","Patient"],"since":"2019-01-01T00:00:00.000Z","till":"2019-02-01T00:00:00.000Z","state":"importing",`+
		`"expected":0,"attempts":2,"notBefore":"2024-05-01T00:00:00.000Z","updatedAt":"2024-05-01T00:00:01.000Z",`+
		`"export":{"attempt":3,"statusUrl":"https://s.example/_operations/export/7","startedAt":"2024-04-30T00:00:00.000Z"},`+
		`"import":{"attempt":1,"statusUrl":"https://d.example/_operations/import/8","startedAt":null},"files":9,"filesDone":4,`+
		`"resources":{"exported":1,"imported":2,"rejected":3,"skipped":4,"benign":5},"rejects":{"benign":5,"duplicate":1,"conflict":2,"malformed":3,"searchParameter":4,"other":6},"lastError":"gone"},`+
		`{"id":"c2","types":["Patient"],"since":null,"till":null,"state":"planned","expected":null,"attempts":0,"notBefore":null,"updatedAt":null,`+
		`"export":{"attempt":0,"statusUrl":null,"startedAt":null},"import":{"attempt":0,"statusUrl":null,"startedAt":null},"files":0,"filesDone":0,`+
		`"resources":{"exported":0,"imported":0,"rejected":0,"skipped":0,"benign":0},"rejects":{"benign":0,"duplicate":0,"conflict":0,"malformed":0,"searchParameter":0,"other":0},"lastError":null}],"next":"`+chunkID+`"}`)
}

func TestChunkQuery(t *testing.T) {
	for query, want := range map[string]engine.ChunkQuery{
		"":                                   {},
		"?state=&type=&limit=&after=":        {},
		"?state=failed&type=Patient&limit=5": {State: migration.Failed, Type: "Patient", Limit: 5},
		"?limit=5000&code=SECRET":            {Limit: 1000},
		"?after=" + chunkID:                  {After: chunkID},
	} {
		s := open(t, result{})
		if got := s.send("GET", "/api/migration/chunks"+query, ""); got.status != 200 {
			t.Errorf("%s: got %+v, want 200", query, got)
		}
		if call := fmt.Sprintf("chunks %+v", want); !slices.Equal(s.calls, []string{call}) {
			t.Errorf("%s: got calls %q, want %q", query, s.calls, call)
		}
	}
	for query, named := range map[string][]string{
		"?state=Failed":                   {"state: want one of planned, exporting"},
		"?state=failed%2Cplanned":         {"state:"},
		"?state=failed&state=planned":     {"state:"},
		"?limit=0":                        {"limit: want a whole number from 1 to 1000"},
		"?limit=-1&after=x":               {"limit:", "after:"},
		"?limit=ten":                      {"limit:"},
		"?limit=99999999999999999999":     {"limit:"},
		"?after=../../run":                {"after:"},
		"?type=patient":                   {"type: want one FHIR resource type"},
		"?type=Patient,Observation":       {"type:"},
		"?state=nope&type=1&limit=0&code": {"state:", "type:", "limit:"},
		"?limit=%zz":                      {"query"},
	} {
		s := open(t, result{})
		wantProblem(t, s.send("GET", "/api/migration/chunks"+query, ""), 422, named...)
		if len(s.calls) > 0 {
			t.Errorf("%s: got calls %q, want none", query, s.calls)
		}
	}
}

func TestAccessIsExact(t *testing.T) {
	s := open(t, result{checks: []engine.Check{{Name: "source", OK: true, Detail: "answers"}, {Name: "destination", Detail: "no answer", Remedy: "Start it."}}})
	wantJSON(t, s.send("GET", "/api/migration/access", ""), 200, `{"ok":false,"checks":[`+
		`{"name":"settings","ok":true,"detail":"every setting is accepted","remedy":""},`+
		`{"name":"source","ok":true,"detail":"answers","remedy":""},{"name":"destination","ok":false,"detail":"no answer","remedy":"Start it."}]}`)
	s = open(t, result{checks: []engine.Check{{Name: "source", OK: true}}})
	if got := s.send("GET", "/api/migration/access", "").object(t)["ok"]; got != true {
		t.Errorf("ok: got %v, want true", got)
	}
}

// TestProblemsAreBounded: at most a hundred are shown, those of the settings among them.
func TestProblemsAreBounded(t *testing.T) {
	st := running()
	st.Totals.Problems = make([]migration.Problem, migration.MostProblems)
	st.Totals.Reported = 1000
	first := []migration.Problem{{Detail: "a setting"}}
	shown := showStatus(st, first)
	if len(shown.Problems) != 100 || shown.Problems[0].Detail != "a setting" || shown.ProblemsTotal != 1001 {
		t.Errorf("got %d problems of %d, first %+v", len(shown.Problems), shown.ProblemsTotal, shown.Problems[0])
	}
	raw, err := json.Marshal(shown)
	if err != nil || !json.Valid(raw) {
		t.Errorf("status does not encode: %v", err)
	}
}
