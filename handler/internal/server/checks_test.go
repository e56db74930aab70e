package server

import (
	"slices"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

func TestCheckOrders(t *testing.T) {
	for _, c := range []struct{ body, call string }{
		{`{"kind":"surface"}`, `check {"Kind":"surface","Types":null,"AsOf":null,"Sample":null,"Seed":null}`},
		{`{"kind":"access","types":null,"sample":null}`, `check {"Kind":"access","Types":null,"AsOf":null,"Sample":null,"Seed":null}`},
		{`{"kind":"deep","types":["Patient"],"asOf":"2024-01-01T01:00:00+01:00","sample":100,"seed":0}`,
			`check {"Kind":"deep","Types":["Patient"],"AsOf":"2024-01-01T00:00:00Z","Sample":100,"Seed":0}`},
	} {
		s := open(t, result{check: engine.CheckResult{Errand: migration.NewErrand(migration.SurfaceErrand, "idle", "7", time.Time{})}})
		got := s.send("POST", "/api/migration/checks", c.body)
		if got.status != 202 || got.header.Get("Location") != "/api/migration/checks/surface-idle-7" || !slices.Equal(s.calls, []string{c.call}) {
			t.Errorf("%s: got %+v, calls %q, want 202, a Location and %s", c.body, got, s.calls, c.call)
		}
	}
}

func TestCheckOrdersRefused(t *testing.T) {
	for _, c := range []struct {
		body    string
		details []string
	}{
		{``, []string{"kind: want one of surface, deep, access"}},
		{`[]`, []string{"not a JSON object"}},
		{`{"kind":"reindex"}`, []string{"kind: want one of surface, deep, access"}},
		{`{"kind":7,"sample":0,"seed":-1,"asOf":"yesterday","types":[],"more":1}`, []string{"kind: want one of", "sample: want a whole number from 1 to 100",
			"seed: want a whole number from 0 to 9007199254740991", "asOf: want an RFC 3339 instant", "types: want FHIR resource types", `"more": no such field`}},
		{`{"kind":"surface","sample":5,"seed":5}`, []string{"sample: a check of kind surface takes none", "seed: a check of kind surface takes none"}},
		{`{"kind":"access","types":["Patient"]}`, []string{"types: a check of kind access takes none"}},
		{`{"kind":"deep","sample":1.5,"types":["Patient","SearchParameter"]}`, []string{"sample: want a whole number", "types: SearchParameter is moved by a step of its own"}},
	} {
		s := open(t, result{})
		wantProblem(t, s.send("POST", "/api/migration/checks", c.body), 422, c.details...)
		if len(s.calls) > 0 {
			t.Errorf("%s: got calls %v, want none", c.body, s.calls)
		}
	}
	bad := open(t, result{}, func(o *Options) {
		o.Settings = []engine.SettingProblem{{Setting: "FERRY_POLL", Detail: "is no duration", Remedy: "write 30s"}}
	})
	wantProblem(t, bad.send("POST", "/api/migration/checks", `{"kind":"surface"}`), 422, "FERRY_POLL")
	none := open(t, result{}, func(o *Options) { o.Verbs = nil })
	wantProblem(t, none.send("POST", "/api/migration/checks", `{"kind":"surface"}`), 422)
	wantProblem(t, none.send("GET", "/api/migration/checks/surface-idle-7", ""), 404)
	wantJSON(t, none.send("GET", "/api/migration/checks", ""), 200, `{"checks":[]}`)
	unknown := open(t, result{err: &engine.Refusal{Reason: engine.NotThere, Detail: "there is no check of this id"}})
	wantProblem(t, unknown.send("GET", "/api/migration/checks/nothing", ""), 404, "there is no check of this id")
}

func checkResult(kind migration.ErrandKind) engine.CheckResult {
	at := time.Date(2024, 5, 3, 0, 0, 0, 0, time.UTC)
	e := migration.NewErrand(kind, "run-1", "7", at)
	e.Step, e.UpdatedAt, e.AsOf, e.Done, e.Total, e.Same, e.Different, e.Unknown = true, at.Add(time.Minute), at, 30, 60, 1, 1, 1
	e.Types, e.Sample, e.Seed, e.LastError = []string{"Patient"}, 5, 42, "busy"
	e.Check.Notes = []string{"said"}
	return engine.CheckResult{Errand: e, PerMinute: 30, Remaining: time.Minute}
}

const summaryJSON = `"state":"running","verdict":null,"final":true,"runId":"run-1","startedAt":"2024-05-03T00:00:00.000Z","updatedAt":"2024-05-03T00:01:00.000Z",` +
	`"endedAt":null,"asOf":"2024-05-03T00:00:00.000Z","done":30,"total":60,"perMinute":30,"remainingSeconds":60,"same":1,"different":1,"unknown":1,` +
	`"waiting":"busy","notes":["said"]`

func TestChecksAreExact(t *testing.T) {
	counts := checkResult(migration.SurfaceErrand)
	counts.Resources = &migration.Tally{Exported: 9, Imported: 8, Rejected: 1}
	question := func(s migration.Side, m migration.Measure) migration.CountQuestion {
		return migration.CountQuestion{Side: s, Measure: m}
	}
	counts.Counts = []migration.CountRow{{Type: "Patient", Verdict: migration.Unknown, Reason: "refused", Answers: []migration.CountAnswer{
		{CountQuestion: question("source", "current"), Count: 3}, {CountQuestion: question("destination", "current"), Unknown: "refused"},
	}}}
	s := open(t, result{check: counts})
	wantJSON(t, s.send("GET", "/api/migration/checks/surface-run-1-7", ""), 200, `{"id":"surface-run-1-7","kind":"surface",`+summaryJSON+
		`,"types":["Patient"],"sample":null,"seed":null,"resources":{"exported":9,"imported":8,"rejected":1,"skipped":0,"benign":0},`+
		`"rows":[{"type":"Patient","verdict":"unknown","reason":"refused","current":{"source":3,"destination":null},"versions":null}]}`)
	if !slices.Equal(s.calls, []string{"check surface-run-1-7"}) {
		t.Errorf("calls: got %q", s.calls)
	}
	wantJSON(t, s.send("GET", "/api/migration/checks", ""), 200, `{"checks":[{"id":"surface-run-1-7","kind":"surface",`+summaryJSON+`}]}`)

	samples := checkResult(migration.DeepErrand)
	samples.Samples = []migration.SampleRow{{Type: "Patient", Verdict: migration.Different, AtSource: 5, AtDestination: 4, Same: 8, Different: 1, Findings: []migration.Finding{
		{ID: "p", LastUpdated: samples.Errand.StartedAt, Chosen: "source", Verdict: migration.Different, Detail: "the content differs", Paths: []string{"name[0].family"}},
	}}}
	wantJSON(t, open(t, result{check: samples}).send("GET", "/api/migration/checks/x", ""), 200, `{"id":"deep-run-1-7","kind":"deep",`+summaryJSON+
		`,"types":["Patient"],"sample":5,"seed":42,"resources":null,"rows":[{"type":"Patient","verdict":"different","reason":null,"chosen":{"source":5,"destination":4},`+
		`"same":8,"different":1,"unknown":0,"findings":[{"id":"p","lastUpdated":"2024-05-03T00:00:00.000Z","chosenAt":"source","verdict":"different",`+
		`"detail":"the content differs","paths":["name[0].family"],"morePaths":0}],"moreFindings":0}]}`)

	access := engine.CheckResult{Errand: migration.NewErrand(migration.AccessErrand, migration.Idle, "7", time.Time{}),
		Access: []engine.Check{{Name: "queue", Detail: "away", Remedy: "call it"}}}
	access.Errand.EndedAt = access.Errand.StartedAt.Add(time.Hour)
	got := open(t, result{check: access}).send("GET", "/api/migration/checks/x", "").object(t)
	if got["state"] != "done" || got["runId"] != nil || got["perMinute"] != nil {
		t.Errorf("got %v, want a check that is done, without a run", got)
	}
	if row := got["rows"].([]any)[0].(map[string]any); row["name"] != "queue" || row["ok"] != false || row["remedy"] != "call it" {
		t.Errorf("row: got %v, want the line of the preflight", row)
	}
}

func TestStatusShowsTheCheck(t *testing.T) {
	st := running()
	st.Check = checkResult(migration.SurfaceErrand).Errand
	got := open(t, result{status: st}).send("GET", "/api/migration", "").object(t)["check"].(map[string]any)
	want := map[string]any{"id": "surface-run-1-7", "kind": "surface", "verdict": nil, "done": 30.0, "total": 60.0}
	for k, v := range want {
		if got[k] != v || len(got) != len(want) {
			t.Errorf("check: got %v, want %v", got, want)
		}
	}
}
