package fhir

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	patientEntry = `{"fullUrl":"{base}/Patient/p","resource":{"resourceType":"Patient","id":"p","meta":{"versionId":"3","lastUpdated":"2019-03-01T01:00:00.1234567+01:00"},"gender":"other"}}`
	deletedEntry = `{"fullUrl":"{base}/Patient/gone","request":{"method":"DELETE","url":"Patient/gone"},"response":{"etag":"W/\"4\"","lastModified":"2019-03-01T00:00:00.5Z"}}`
	markedEntry  = `{"resource":{"resourceType":"Patient","id":"m","meta":{"versionId":"2","lastUpdated":"2019-03-01T00:00:00Z","extension":[{"url":"` + softDeleted + `","valueString":"soft-deleted"}]}}}`
)

func moment(ms int) time.Time { return time.Date(2019, 3, 1, 0, 0, 0, ms*1e6, time.UTC) }

func TestFirst(t *testing.T) {
	server := serve(t, inTurn(page("{base}/Patient/_history?ct=2"), page("{base}/Patient/_history?ct=3", warning), page("", patientEntry, deletedEntry)))
	got, found, err := server.client(t, Options{}).First(t.Context(), FirstQuery{Type: "Patient", Since: moment(0), Before: moment(900), History: true})
	want := Version{Type: "Patient", ID: "p", VersionID: "3", LastUpdated: moment(123)}
	if err != nil || !found || !cmp.Equal(withoutContent(got), want, cmp.AllowUnexported(Version{})) {
		t.Errorf("got %+v, %v, %v, want %+v", got, found, err, want)
	}
	first := `GET /Patient/_history?_before=2019-03-01T00%3A00%3A00.900Z&_count=1&_since=2019-03-01T00%3A00%3A00.000Z&_sort=_lastUpdated`
	if lines := strings.Split(server.lines(), "\n"); lines[0] != first || len(lines) != 3 {
		t.Errorf("requests: got %q, want %q and its two next pages", lines, first)
	}
	if !strings.Contains(server.requests()[0], "handling=strict") {
		t.Error("the search was not strict")
	}
	server = serve(t, always(page("")))
	if _, found, err := server.client(t, Options{}).First(t.Context(), FirstQuery{Type: "Patient"}); err != nil || found {
		t.Errorf("an empty type: got %v, %v, want nothing found", found, err)
	}
	if got, want := server.lines(), "GET /Patient?_count=1&_sort=_lastUpdated"; got != want {
		t.Errorf("current resources: got %q, want %q", got, want)
	}
	if _, _, err := server.client(t, Options{}).First(t.Context(), FirstQuery{Type: "../x"}); err == nil {
		t.Error("a type that is none was asked for")
	}
}

func withoutContent(v Version) Version { v.content = nil; return v }

func TestVersionsAt(t *testing.T) {
	server := serve(t, inTurn(page("{base}/next", patientEntry), page("", deletedEntry, markedEntry)))
	got, err := server.client(t, Options{}).VersionsAt(t.Context(), "Patient", "p", moment(123).Add(456*time.Microsecond))
	want := []Version{{Type: "Patient", ID: "p", VersionID: "3", LastUpdated: moment(123)},
		{Type: "Patient", ID: "gone", VersionID: "4", LastUpdated: moment(500), Deleted: true},
		{Type: "Patient", ID: "m", VersionID: "2", LastUpdated: moment(0), Deleted: true}}
	for i := range got {
		got[i] = withoutContent(got[i])
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Version{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	line := `GET /Patient/p/_history?_before=2019-03-01T00%3A00%3A00.124Z&_count=100&_since=2019-03-01T00%3A00%3A00.123Z`
	if got := strings.Split(server.lines(), "\n")[0]; got != line {
		t.Errorf("got %q, want %q", got, line)
	}
}

// An id that the server does not know has no versions; any other answer is an error, a gateway's 404 and a deprecated
// server's 410 above all.
func TestVersionsOfUnknownIDs(t *testing.T) {
	for name, tc := range map[string]struct {
		reply reply
		fails bool
	}{
		"unknown":    {reply{404, nil, outcomeBody("not-found", "Resource type 'Patient' with id 'p' couldn't be found.")}, false},
		"gateway":    {reply{404, nil, "<html>"}, true},
		"deprecated": {reply{410, nil, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"business-rule","details":{"coding":[{"code":"service-deprecated"}]}}]}`}, true},
		"no bundle":  {reply{200, nil, `{"resourceType":"Patient"}`}, true},
		"no date":    {page("", `{"resource":{"resourceType":"Patient","id":"p","gender":"SECRET"}}`), true},
		"bad id":     {page("", `{"resource":{"resourceType":"Patient","id":"SECRET/..","meta":{"lastUpdated":"2019-03-01T00:00:00Z"}}}`), true},
		"bad body":   {page("", `{"resource":{"resourceType":"Patient","id":7}}`), true},
	} {
		c := serve(t, always(tc.reply)).client(t, Options{})
		versions, err := c.VersionsAt(t.Context(), "Patient", "p", moment(0))
		if (err != nil) != tc.fails || len(versions) != 0 {
			t.Errorf("%s: got %v, %v, want failure %t", name, versions, err, tc.fails)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: the error tells content: %v", name, err)
		}
		if _, found, err := c.Newest(t.Context(), "Patient", "p"); (err != nil) != tc.fails || found {
			t.Errorf("%s: newest: got %v, %v, want failure %t", name, found, err, tc.fails)
		}
	}
	if _, err := serve(t, always(reply{http.StatusOK, nil, ""})).client(t, Options{}).VersionsAt(t.Context(), "Patient", "a/b", moment(0)); err == nil {
		t.Error("an id that is none was asked for")
	}
}

func versionOf(t *testing.T, versionID, body string) Version {
	t.Helper()
	content, err := decodeContent([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return Version{VersionID: versionID, content: content}
}

func TestDifferences(t *testing.T) {
	const base = `{"id":"p","meta":{"versionId":"3","lastUpdated":"2019-03-01T01:00:00.123+01:00"},"n":1.0,"name":[{"family":"A","given":["B","C"]}],"ok":true}`
	for name, tc := range map[string]struct {
		sourceID, source, destination string
		want                          string
	}{
		"the same":            {"3", base, base, ""},
		"order and spelling":  {"3", base, `{"ok":true,"name":[{"given":["\u0042","C"],"family":"A"}],"n":1.0,"meta":{"lastUpdated":"2019-03-01T00:00:00.123Z","versionId":"3"},"id":"p"}`, ""},
		"text of a number":    {"3", `{"n":1.0}`, `{"n":1.00}`, "n"},
		"exponent":            {"3", `{"n":100}`, `{"n":1e2}`, "n"},
		"beyond float64":      {"3", `{"n":0.1234567890123456789}`, `{"n":0.1234567890123456788}`, "n"},
		"number and string":   {"3", `{"n":1}`, `{"n":"1"}`, "n"},
		"null":                {"3", `{"n":[null,1]}`, `{"n":[null,1]}`, ""},
		"null and absent":     {"3", `{"n":null}`, `{}`, "n"},
		"element":             {"3", `{"name":[{"family":"A"},{"given":["B","C"]}]}`, `{"name":[{"family":"A"},{"given":["B","D"]}]}`, "name[1].given[1]"},
		"order of an array":   {"3", `{"a":[1,2]}`, `{"a":[2,1]}`, "a[0] a[1]"},
		"longer":              {"3", `{"a":[1]}`, `{"a":[1,2]}`, "a[1]"},
		"shorter":             {"3", `{"a":[1,2]}`, `{"a":[1]}`, "a[1]"},
		"absent at both ends": {"3", `{"a":1,"b":{"c":1}}`, `{"b":{"d":1},"e":1}`, "a b.c b.d e"},
		"kind":                {"3", `{"a":{"b":1}}`, `{"a":[1]}`, "a"},
		"bool":                {"3", `{"a":true}`, `{"a":false}`, "a"},
		"version kept":        {"3", `{"meta":{"versionId":"3"}}`, `{"meta":{"versionId":"1"}}`, "meta.versionId"},
		"version renumbered":  {"a1b2", `{"meta":{"versionId":"a1b2"}}`, `{"meta":{"versionId":"1"}}`, ""},
		"beyond int32":        {"3000000000", `{"meta":{"versionId":"3000000000"}}`, `{"meta":{"versionId":"1"}}`, ""},
		"contained meta":      {"3", `{"contained":[{"meta":{"lastUpdated":"x"}}]}`, `{"contained":[{"meta":{"lastUpdated":"y"}}]}`, "contained[0].meta.lastUpdated"},
		"no element's name":   {"3", `{"_birthDate":{"Jane Doe":1}}`, `{"_birthDate":{"Jane Doe":2}}`, "_birthDate.?"},
	} {
		got := strings.Join(Differences(versionOf(t, tc.sourceID, tc.source), versionOf(t, "1", tc.destination)), " ")
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
	gone, there := Version{Deleted: true}, versionOf(t, "1", base)
	if got := Differences(gone, Version{Deleted: true, content: there.content}); got != nil {
		t.Errorf("two deletes: got %v, want no difference", got)
	}
	for _, pair := range [][2]Version{{gone, there}, {there, gone}} {
		if got := Differences(pair[0], pair[1]); !cmp.Equal(got, []string{"(deleted)"}) {
			t.Errorf("a delete and a resource: got %v, want (deleted)", got)
		}
	}
}

// Whatever two servers send, comparing tells names alone, finds a version equal to itself, and is the same both ways.
func FuzzDifferences(f *testing.F) {
	f.Add(`{"a":[1,{"b":"SECRET"}]}`, `{"a":[1.0,{"b":null}],"meta":{"versionId":"x"}}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		x, errX := decodeContent([]byte(a))
		y, errY := decodeContent([]byte(b))
		if errX != nil || errY != nil {
			return
		}
		v, w := Version{VersionID: "1", content: x}, Version{VersionID: "1", content: y}
		if got := Differences(v, v); len(got) > 0 {
			t.Errorf("with itself: got %v", got)
		}
		there, back := Differences(v, w), Differences(w, v)
		if !cmp.Equal(there, back) {
			t.Errorf("one way %v, the other %v", there, back)
		}
		for _, path := range there {
			if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_[].?") != "" {
				t.Errorf("path %q", path)
			}
		}
	})
}
