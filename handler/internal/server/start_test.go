package server

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestStartOverrides(t *testing.T) {
	const none = `start {"Mode":null,"Since":null,"Until":null,"Types":null,"Window":null}`
	for body, want := range map[string]string{
		"":       none,
		" \r\n":  none,
		"null":   none,
		"{}":     none,
		" { }\n": none,
		`{"mode":null,"since":null,"until":null,"types":null,"window":null}`: none,

		`{"mode":"once"}`:       `start {"Mode":"once","Since":null,"Until":null,"Types":null,"Window":null}`,
		`{"mode":"continuous"}`: `start {"Mode":"continuous","Since":null,"Until":null,"Types":null,"Window":null}`,
		`{"since":"2019-01-01T01:00:00.25+01:00","until":"2030-01-01T00:00:00Z"}`: `start {"Mode":null,"Since":"2019-01-01T00:00:00.25Z","Until":"2030-01-01T00:00:00Z","Types":null,"Window":null}`,
		`{"types":["Patient"," Observation"]}`:                                    `start {"Mode":null,"Since":null,"Until":null,"Types":["Patient","Observation"],"Window":null}`,
		`{"types":"Patient, Observation"}`:                                        `start {"Mode":null,"Since":null,"Until":null,"Types":["Patient","Observation"],"Window":null}`,
		`{"window":"30d"}`:                                                        `start {"Mode":null,"Since":null,"Until":null,"Types":null,"Window":2592000000000000}`,
		`{"window":"12h"}`:                                                        `start {"Mode":null,"Since":null,"Until":null,"Types":null,"Window":43200000000000}`,
		`{"window":"5m"}`:                                                         `start {"Mode":null,"Since":null,"Until":null,"Types":null,"Window":300000000000}`,
		`{"window":"30s"}`:                                                        `start {"Mode":null,"Since":null,"Until":null,"Types":null,"Window":30000000000}`,
		`{"window":"250ms"}`:                                                      `start {"Mode":null,"Since":null,"Until":null,"Types":null,"Window":250000000}`,
	} {
		for _, framing := range []string{"chunked", "Content-Length"} {
			s := open(t, result{})
			if got := s.do(s.invocation("/api/migration/start", body, framing)); got.status != 202 {
				t.Errorf("%s: got %+v, want 202", body, got)
			}
			if !slices.Equal(s.calls, []string{want}) {
				t.Errorf("%s:\ngot  %q\nwant %q", body, s.calls, want)
			}
		}
	}
}

func TestStartRefusesBadValues(t *testing.T) {
	const (
		instantForm  = "want an RFC 3339 instant such as 2024-01-31T00:00:00Z"
		durationText = "want a positive duration such as 30d, 12h, 5m, 30s or 250ms"
		typesText    = "types: want FHIR resource types such as"
	)
	cases := map[string][]string{
		`start now`:          {"not a JSON object"},
		`[]`:                 {"not a JSON object"},
		`"once"`:             {"not a JSON object"},
		`{"mode":"once"`:     {"not a JSON object"},
		`{"mode":"once"} {}`: {"not a JSON object"},
		`mode=once`:          {"not a JSON object"},

		`{"window_":"30d"}`: {`"window_": no such field; want mode, since, until, types or window`},
		// De-identification is the settings' alone: no request can leave it out.
		`{"anonymizationConfig":""}`:     {`"anonymizationConfig": no such field`},
		`{"FERRY_PARALLEL":"false"}`:     {`"FERRY_PARALLEL": no such field`},
		`{"Mode":"once"}`:                {`"Mode": no such field`},
		`{"a":1,"mode":"x","since":"y"}`: {`"a": no such field`, "mode: want continuous or once", "since: " + instantForm},

		`{"mode":"twice"}`:  {"mode: want continuous or once"},
		`{"mode":""}`:       {"mode: want"},
		`{"mode":1}`:        {"mode: want"},
		`{"mode":"export"}`: {"mode: export is not supported yet"},
		`{"mode":"import"}`: {"mode: import is not supported yet"},

		`{"types":[]}`:                     {typesText},
		`{"types":""}`:                     {typesText},
		`{"types":[null]}`:                 {typesText},
		`{"types":["Patient",1]}`:          {typesText},
		`{"types":["patient"]}`:            {typesText},
		`{"types":["Patient?_id=1"]}`:      {typesText},
		`{"types":{"a":1}}`:                {typesText},
		`{"types":"Patient,,Observation"}`: {typesText},
	}
	for _, name := range []string{"since", "until"} {
		for _, value := range []string{`""`, `"2024-01-31"`, `"2024-01-31T00:00:00"`, `"yesterday"`, `1706659200`, `["2024-01-31T00:00:00Z"]`, `"0001-01-01T00:00:00Z"`} {
			cases[`{"`+name+`":`+value+`}`] = []string{name + ": " + instantForm}
		}
	}
	for _, value := range []string{`""`, `"30"`, `30`, `"0s"`, `"-5m"`, `"1h30m"`, `"30 d"`, `"1w"`, `"106752d"`, `"99999999999999999999ms"`, `{}`} {
		cases[`{"window":`+value+`}`] = []string{"window: " + durationText}
	}
	for body, named := range cases {
		t.Run(body, func(t *testing.T) {
			s := open(t, result{})
			wantProblem(t, s.send("POST", "/api/migration/start", body), 422, named...)
			if len(s.calls) > 0 {
				t.Errorf("calls: got %q, want none", s.calls)
			}
			if len(s.logged()) != 1 {
				t.Errorf("log: got %q, want one line", s.log)
			}
		})
	}
}

func TestStartBodyIsBounded(t *testing.T) {
	for _, framing := range []string{"chunked", "Content-Length"} {
		s := open(t, result{})
		blank := strings.Repeat(" ", startLimit-2)
		if got := s.do(s.invocation("/api/migration/start", blank+"{}", framing)); got.status != 202 {
			t.Errorf("%d bytes: got %+v, want 202", startLimit, got)
		}
		wantProblem(t, s.do(s.invocation("/api/migration/start", blank+" {}", framing)), 413, "65536 bytes")
		wantProblem(t, s.do(s.invocation("/api/migration/start", strings.Repeat("x", 3<<20), framing)), 413)
		if len(s.calls) != 1 {
			t.Errorf("calls: got %d, want 1", len(s.calls))
		}
	}
}

// FuzzStart: a body is either refused by name or gives values that a run may freeze.
func FuzzStart(f *testing.F) {
	f.Add(`{"mode":"once","since":"2019-01-01T00:00:00Z","until":"2030-01-01T00:00:00Z","types":["Patient"],"window":"30d"}`)
	f.Add(`{"types":"Patient,Observation","x":null}`)
	f.Fuzz(func(t *testing.T, body string) {
		o, err := readOverrides(strings.NewReader(body))
		if err != nil {
			if p := problemOf(err); p.Detail == "" || p.Status != 422 && p.Status != 413 {
				t.Errorf("got %+v, want a 422 or 413 with a detail", p)
			}
			return
		}
		if trimmed := strings.TrimSpace(body); trimmed != "" && !json.Valid([]byte(trimmed)) {
			t.Errorf("%q: got %+v, want it refused", body, o)
		}
		if o.Window != nil && *o.Window <= 0 || o.Since != nil && o.Since.IsZero() || o.Until != nil && o.Until.IsZero() || o.Types != nil && len(o.Types) == 0 {
			t.Errorf("%q: got %+v, want no empty value", body, o)
		}
	})
}
