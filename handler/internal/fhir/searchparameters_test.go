package fhir

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func custom(id, more string) string {
	return fmt.Sprintf(`{"resourceType":"SearchParameter","id":%q,"url":"http://example.org/%s","code":"c-%s","base":["Patient"]%s}`, id, id, id, more)
}

func match(resource string) string { return `{"search":{"mode":"match"},"resource":` + resource + `}` }

func TestSearchParametersPage(t *testing.T) {
	server := serve(t, inTurn(
		page("{base}/SearchParameter?ct=1", match(custom("a", `,"meta":{"lastUpdated":"2024-01-02T03:04:05.678Z"}`)),
			`{"search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome"}}`),
		page("{base}/SearchParameter?ct=2"), // empty, and there is more
		page("", match(custom("b", ""))),
	))
	c := server.client(t, Options{})
	var ids []string
	next := ""
	for {
		found, following, err := c.SearchParameters(t.Context(), next)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range found {
			ids = append(ids, p.ID)
			if p.ID == "a" && (p.URL != "http://example.org/a" || p.Code != "c-a" || !cmp.Equal(p.Bases, []string{"Patient"}) ||
				!p.LastUpdated.Equal(time.Date(2024, 1, 2, 3, 4, 5, 678e6, time.UTC)) || !strings.Contains(string(p.Content), `"lastUpdated"`)) {
				t.Errorf("read wrongly: %+v", p)
			}
		}
		if next = following; next == "" {
			break
		}
	}
	if !cmp.Equal(ids, []string{"a", "b"}) || len(server.requests()) != 3 {
		t.Errorf("got %v by %d requests, want both by three pages", ids, len(server.requests()))
	}
}

// A page that cannot be read whole is an error: what is left out would not be moved, and nobody would know.
func TestSearchParametersOddPages(t *testing.T) {
	for name, r := range map[string]reply{
		"no bundle":      {200, nil, `{"resourceType":"Patient"}`},
		"another type":   page("", match(`{"resourceType":"Patient","id":"a"}`)),
		"no id":          page("", match(`{"resourceType":"SearchParameter","url":"http://example.org/a"}`)),
		"an id of paths": page("", match(`{"resourceType":"SearchParameter","id":"../Patient/1"}`)),
		"foreign next":   page("http://elsewhere.example/SearchParameter?ct=1"),
		"refused":        {403, nil, ""},
	} {
		_, _, err := serve(t, always(r)).client(t, Options{}).SearchParameters(t.Context(), "")
		if e := asError(t, err); name == "refused" && !strings.Contains(e.Error(), "FHIR Data Reader") {
			t.Errorf("%s: got %v, want the role named", name, e)
		}
	}
}

// FuzzParseSearchParameter: whatever a server sends, what is read of it may be written under its id.
func FuzzParseSearchParameter(f *testing.F) {
	for _, seed := range []string{custom("a", ""), `{"resourceType":"SearchParameter","id":"a/b"}`, `[]`, `{"id":1}`, ``} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		p, err := ParseSearchParameter([]byte(content))
		if err != nil {
			return
		}
		if !resourceID.MatchString(p.ID) || strings.ContainsAny(p.ID, "/?#%") || !json.Valid(p.Content) {
			t.Errorf("read %+v of %q", p, content)
		}
	})
}

func TestSame(t *testing.T) {
	base := custom("a", `,"meta":{"versionId":"1"},"text":{"status":"generated"},"x":1.50`)
	for name, c := range map[string]struct {
		other string
		want  bool
	}{
		"copy":                        {base, true},
		"id, meta, narrative, order":  {`{"x":1.50,"code":"c-a","base":["Patient"],"url":"http://example.org/a","id":"z","meta":{"versionId":"9"},"resourceType":"SearchParameter"}`, true},
		"status":                      {custom("a", `,"status":"retired","x":1.50`), false},
		"expression":                  {custom("a", `,"expression":"Patient.name","x":1.50`), false},
		"a number of other precision": {custom("a", `,"x":1.5`), false},
		"no JSON":                     {`{`, false},
	} {
		if got := (SearchParameter{Content: []byte(base)}).Same(SearchParameter{Content: []byte(c.other)}); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

func TestDefinitions(t *testing.T) {
	server := serve(t, always(reply{200, nil, `{"resourceType":"CapabilityStatement","rest":[{
		"searchParam":[{"name":"_all","definition":"http://example.org/all"}],
		"resource":[
			{"type":"Patient","searchParam":[{"name":"c","definition":"http://example.org/c|4.0.1"},{"name":"odd"}]},
			{"type":"Encounter","searchParam":[{"name":"c","definition":"http://example.org/c"}]}]}]}`}))
	got, err := server.client(t, Options{Credential: &credential{}}).Definitions(t.Context())
	want := []Definition{
		{"http://example.org/all", "_all", []string{"Resource"}},
		{"http://example.org/c", "c", []string{"Encounter", "Patient"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestEnabledParameters(t *testing.T) {
	server := serve(t, always(reply{200, nil, `{"resourceType":"Parameters","parameter":[
		{"name":"searchParameterStatus","part":[{"name":"url","valueUrl":"http://example.org/a"},{"name":"status","valueString":"Enabled"}]},
		{"name":"searchParameterStatus","part":[{"name":"url","valueString":"http://example.org/b"},{"name":"status","valueCode":"Supported"}]},
		{"name":"searchParameterStatus","part":[{"name":"url","valueUri":"http://example.org/c"}]}]}`}))
	got, err := server.client(t, Options{}).EnabledParameters(t.Context())
	if diff := cmp.Diff(map[string]bool{"http://example.org/a": true, "http://example.org/b": false}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, r := range map[string]reply{
		"not enabled":    {400, nil, ""},
		"not known":      {404, nil, ""},
		"nothing of it":  {200, nil, `{"resourceType":"Parameters","parameter":[{"name":"status","valueString":"Enabled"}]}`},
		"something else": {200, nil, `{"resourceType":"Bundle"}`},
	} {
		if got, err := serve(t, always(r)).client(t, Options{}).EnabledParameters(t.Context()); err == nil {
			t.Errorf("%s: got %v, want an error: unknown is not disabled", name, got)
		}
	}
}

func TestPutSearchParameters(t *testing.T) {
	denied := func(code int, text string) string {
		return fmt.Sprintf(`{"response":{"status":"%d Whatever","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","diagnostics":%q}]}}}`, code, text)
	}
	entries := []string{
		`{"response":{"status":"201"}}`, `{"response":{"status":"200 OK"}}`,
		denied(400, "A search parameter with the same code value 'c' already exists for base type 'Patient'."),
		denied(400, "Optimistic concurrency conflict"), denied(409, "a reindex job is in progress"), denied(429, ""),
		denied(408, ""), denied(500, ""), denied(405, ""), denied(424, ""), denied(423, ""), denied(503, ""),
	}
	parameters := make([]SearchParameter, len(entries))
	for i := range parameters {
		parameters[i] = SearchParameter{ID: fmt.Sprint(i), Content: []byte(custom(fmt.Sprint(i), ""))}
	}
	server := serve(t, always(reply{200, nil, `{"resourceType":"Bundle","type":"batch-response","entry":[` + strings.Join(entries, ",") + `]}`}))
	got, err := server.client(t, Options{}).PutSearchParameters(t.Context(), parameters)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, r := range got {
		word := ""
		for name, is := range map[string]bool{"written ": r.Written(), "locked ": r.Locked(), "busy ": r.Busy(), "collides ": r.TwoOfOne()} {
			if is {
				word += name
			}
		}
		if r.Passing() && !r.Busy() {
			word += "passing "
		}
		told = append(told, fmt.Sprint(word, r.Status))
	}
	want := []string{"written 201", "written 200", "collides 400", "passing 400", "locked 409", "busy 429", "passing 408", "passing 500",
		"405", "passing 424", "locked 423", "busy 503"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if !strings.Contains(got[2].Detail, "'c' already exists") {
		t.Errorf("the reason is lost: %+v", got[2])
	}
}

func TestPutSearchParametersOddAnswers(t *testing.T) {
	one := []SearchParameter{{ID: "a", Content: []byte(custom("a", ""))}}
	for name, r := range map[string]reply{
		"fewer results than entries": {200, nil, `{"resourceType":"Bundle","entry":[]}`},
		"a result without status":    {200, nil, `{"resourceType":"Bundle","entry":[{"response":{}}]}`},
		"a status that is none":      {200, nil, `{"resourceType":"Bundle","entry":[{"response":{"status":"99"}}]}`},
		"no bundle":                  {200, nil, `{"resourceType":"Parameters"}`},
		"refused as a whole":         {400, nil, ""},
		"too large":                  {413, nil, ""},
		"forbidden":                  {403, nil, ""},
		"a reindex":                  {409, nil, ""},
	} {
		_, err := serve(t, always(r)).client(t, Options{}).PutSearchParameters(t.Context(), one)
		e := asError(t, err)
		if got, want := e.Unacceptable(), name == "refused as a whole" || name == "too large"; got != want {
			t.Errorf("%s: unacceptable %t, want %t", name, got, want)
		}
		if got, want := e.Changing(), name == "a reindex"; got != want {
			t.Errorf("%s: changing %t, want %t", name, got, want)
		}
		if name == "forbidden" && !strings.Contains(e.Error(), "FHIR Data Writer") {
			t.Errorf("%s: got %v, want the role named", name, e)
		}
	}
	for name, n := range map[string]int{"none": 0, "too many": MostInBatch + 1} {
		server := serve(t, always(reply{200, nil, ""}))
		if _, err := server.client(t, Options{}).PutSearchParameters(t.Context(), make([]SearchParameter, n)); err == nil || server.lines() != "" {
			t.Errorf("%s: got %v and requests %q, want it refused before any", name, err, server.lines())
		}
	}
}

const running = `{"resourceType":"Parameters","id":"812","parameter":[{"name":"id","valueString":"812"},
	{"name":"lastModified","valueDateTime":"2024-05-01T00:00:00Z"},
	{"name":"totalResourcesToReindex","valueDecimal":1000.0},{"name":"resourcesSuccessfullyReindexed","valueDecimal":400},
	{"name":"progress","valueDecimal":40.0},{"name":"status","valueString":"Running"}]}`

func TestReindexStatus(t *testing.T) {
	server := serve(t, always(reply{200, nil, running}))
	c := server.client(t, Options{})
	got, err := c.ReindexStatus(t.Context(), server.URL+"/_operations/reindex/812")
	want := Reindex{ID: "812", Status: "running", Done: 400, Total: 1000}
	if err != nil || got != want || got.Over() {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for word, want := range map[string]bool{"Queued": false, "Running": false, "Paused": false, "Completed": true, "Failed": true, "Canceled": true, "Cancelled": true} {
		r, err := parseReindex([]byte(strings.Replace(running, "Running", word, 1)))
		if err != nil || r.Over() != want {
			t.Errorf("%s: got over %t, %v, want %t", word, r.Over(), err, want)
		}
	}
	for name, r := range map[string]reply{
		"no status": {200, nil, `{"resourceType":"Parameters","parameter":[]}`}, "no Parameters": {200, nil, `{"resourceType":"Bundle"}`},
		"unknown job": {404, nil, ""}, "forbidden": {403, nil, ""},
	} {
		_, err := serveAndAsk(t, r, func(c *Client) error {
			_, err := c.ReindexStatus(t.Context(), c.BaseURL()+"/_operations/reindex/1")
			return err
		})
		if e := asError(t, err); e.Gone() != (name == "unknown job") {
			t.Errorf("%s: gone %t", name, e.Gone())
		}
	}
	_, err = c.ReindexStatus(t.Context(), "http://elsewhere.example/_operations/reindex/1")
	asError(t, err)
}

func serveAndAsk(t *testing.T, r reply, ask func(*Client) error) (*far, error) {
	t.Helper()
	server := serve(t, always(r))
	return server, ask(server.client(t, Options{}))
}

func TestStartReindex(t *testing.T) {
	accepted := func(location string) reply {
		return reply{201, map[string]string{"Content-Location": location}, running}
	}
	var got string
	server, err := serveAndAsk(t, accepted("{base}/_operations/reindex/812"), func(c *Client) (err error) { got, err = c.StartReindex(t.Context()); return })
	if want := server.URL + "/_operations/reindex/812"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, r := range map[string]reply{
		"no location": {201, nil, running}, "foreign location": accepted("http://elsewhere.example/1"), "disabled": {400, nil, ""}, "busy": {429, nil, ""},
	} {
		_, err := serveAndAsk(t, r, func(c *Client) error { _, err := c.StartReindex(t.Context()); return err })
		asError(t, err)
	}
}

func TestActiveReindex(t *testing.T) {
	for name, c := range map[string]struct {
		reply reply
		want  string // path
		fails bool
	}{
		"active":    {reply{200, nil, running}, "/_operations/reindex/812", false},
		"none":      {reply{405, nil, ""}, "", false},
		"over":      {reply{200, nil, strings.Replace(running, "Running", "Completed", 1)}, "", false},
		"forbidden": {reply{403, nil, ""}, "", true},
		"odd id":    {reply{200, nil, strings.ReplaceAll(running, "812", "../1")}, "", true},
	} {
		var got string
		server, err := serveAndAsk(t, c.reply, func(c *Client) (err error) { got, err = c.ActiveReindex(t.Context()); return })
		if (err != nil) != c.fails || strings.TrimPrefix(got, server.URL) != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestCancelReindex(t *testing.T) {
	for status, over := range map[int]bool{202: true, 204: true, 400: true, 404: true, 410: true, 403: false, 500: false} {
		_, err := serveAndAsk(t, reply{status, nil, ""}, func(c *Client) error {
			return c.CancelReindex(t.Context(), c.BaseURL()+"/_operations/reindex/812")
		})
		if (err == nil) != over {
			t.Errorf("%d %s: got %v, want an error: %t", status, http.StatusText(status), err, !over)
		}
	}
}
