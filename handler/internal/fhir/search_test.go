package fhir

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCountSumsTypes(t *testing.T) {
	totals := map[string]string{"/Observation/_history": "5", "/Patient/_history": "3000000000", "/": "8", "/_history": "9"}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		reply{200, nil, `{"resourceType":"Bundle","total":` + totals[r.URL.Path] + `}`}.write(w, r)
	})
	c := server.client(t, Options{})
	types := []string{"Patient", "Observation"}
	for name, q := range map[string]struct {
		query CountQuery
		want  int64
	}{
		"versions":            {CountQuery{Types: types, History: true}, 3_000_000_005},
		"current":             {CountQuery{Types: types}, 8},
		"versions of all":     {CountQuery{History: true}, 9},
		"current of one type": {CountQuery{Types: types[:1]}, 8},
	} {
		if got, err := c.Count(t.Context(), q.query); err != nil || got != q.want {
			t.Errorf("%s: got %d, %v, want %d", name, got, err, q.want)
		}
	}
	if got, want := types, []string{"Patient", "Observation"}; !cmp.Equal(got, want) {
		t.Errorf("the caller's types were reordered: %v", got)
	}
}

// TestCountStopsAtTheFirstFailure: a sum with a hole is no sum.
func TestCountStopsAtTheFirstFailure(t *testing.T) {
	server := serve(t, inTurn(reply{200, nil, oneTotal}, reply{500, nil, ""}))
	n, err := server.client(t, Options{}).Count(t.Context(), CountQuery{Types: []string{"Device", "Group", "Patient"}, History: true})
	if e := asError(t, err); n != 0 || !strings.Contains(e.Op, "Group") {
		t.Errorf("got %d, %v, want 0 and the type named", n, err)
	}
	if got, want := len(server.requests()), 2; got != want {
		t.Errorf("%d requests, want %d", got, want)
	}
}

func page(next string, entries ...string) reply {
	link := ""
	if next != "" {
		link = `{"relation":"self","url":"{base}/"},{"relation":"next","url":"` + next + `"}`
	}
	return reply{200, nil, `{"resourceType":"Bundle","link":[` + link + `],"entry":[` + strings.Join(entries, ",") + `]}`}
}

const (
	oldVersion = `{"resource":{"resourceType":"Patient","meta":{"lastUpdated":"2019-03-01T01:00:00.123+01:00"}},"response":{"lastModified":"2020-01-01T00:00:00Z"}}`
	deletion   = `{"request":{"method":"DELETE"},"response":{"lastModified":"2019-03-01T00:00:00.123Z"}}`
	warning    = `{"search":{"mode":"outcome"},"resource":{"resourceType":"Basic","meta":{"lastUpdated":"2001-01-01T00:00:00Z"}}}`
	bareNotice = `{"resource":{"resourceType":"OperationOutcome"}}`
	undated    = `{"resource":{"resourceType":"Patient"}}`
)

// TestOldest: F30. Empty pages are followed, entries that are no matches are passed over, unknown is never "none".
func TestOldest(t *testing.T) {
	for name, c := range map[string]struct {
		pages    []reply
		found    bool
		problem  string
		requests int
	}{
		"first page":             {[]reply{page("", oldVersion)}, true, "", 1},
		"found, next is ignored": {[]reply{page("https://evil.example/", oldVersion)}, true, "", 1},
		"deletion":               {[]reply{page("", deletion)}, true, "", 1},
		"empty pages first":      {[]reply{page("{base}/_history?ct=1"), page("{base}/_history?ct=2", warning), page("/_history?ct=3", bareNotice), page("", oldVersion)}, true, "", 4},
		"nothing at all":         {[]reply{page("")}, false, "", 1},
		"only a warning":         {[]reply{page("", warning)}, false, "", 1},
		"empty pages, then none": {[]reply{page("{base}/_history?ct=1"), page("")}, false, "", 2},
		"next elsewhere":         {[]reply{page("https://evil.example/?ct=1")}, false, "refused", 1},
		"next is the same page":  {[]reply{page("{base}/_history?ct=1"), page("{base}/_history?ct=1"), page("", oldVersion)}, true, "", 3},
		"next is it for ever":    {[]reply{page("{base}/_history?ct=1")}, false, "already seen", 11},
		"error on a later page":  {[]reply{page("{base}/_history?ct=1"), {500, nil, ""}}, false, "500", 2},
		"match without instant":  {[]reply{page("", undated)}, false, "lastUpdated", 1},
		"html":                   {[]reply{{200, nil, "<html>"}}, false, "Bundle", 1},
		"empty body":             {[]reply{{200, nil, ""}}, false, "Bundle", 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, inTurn(c.pages...))
			at, found, err := server.client(t, Options{}).Oldest(t.Context(), true, nil)
			if c.problem != "" {
				if e := asError(t, err); found || !strings.Contains(e.Error(), c.problem) {
					t.Errorf("got %t, %v, want an error with %q", found, err, c.problem)
				}
			} else if err != nil || found != c.found {
				t.Errorf("got %t, %v, want %t", found, err, c.found)
			}
			if want := time.Date(2019, 3, 1, 0, 0, 0, 123_000_000, time.UTC); c.found && at != want {
				t.Errorf("got %s, want %s", at, want)
			}
			if got := len(server.requests()); got != c.requests {
				t.Errorf("%d requests, want %d:\n%s", got, c.requests, server.lines())
			}
			for _, r := range server.requests() {
				if !strings.Contains(r, "Prefer: handling=strict\n") {
					t.Errorf("not strict: %s", r)
				}
			}
		})
	}
}

// TestOldestOfTypes: versions of some types are asked type by type, and the smallest wins.
func TestOldestOfTypes(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]reply{
			"/Device/_history":      page(""),
			"/Observation/_history": page("", strings.ReplaceAll(oldVersion, "2019-", "2018-")),
			"/Patient/_history":     page("", oldVersion),
		}[r.URL.Path]
		answer.write(w, r)
	})
	c := server.client(t, Options{})
	at, found, err := c.Oldest(t.Context(), true, []string{"Patient", "Observation", "Device"})
	if want := time.Date(2018, 3, 1, 0, 0, 0, 123_000_000, time.UTC); err != nil || !found || at != want {
		t.Errorf("got %s, %t, %v, want %s", at, found, err, want)
	}
	if _, found, err := c.Oldest(t.Context(), true, []string{"Device"}); err != nil || found {
		t.Errorf("got %t, %v, want none", found, err)
	}
}

func TestCapabilities(t *testing.T) {
	server := serve(t, always(reply{200, map[string]string{"Date": "Sat, 01 Jun 2024 10:02:00 GMT"}, `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1",
		"software":{"name":"FHIR Server","version":"5.0.1"},
		"rest":[{"mode":"server","interaction":[{"code":"search-system"},{"code":"transaction"}],
			"operation":[{"name":"reindex","definition":"d"},{"name":"export"}],
			"resource":[{"type":"Patient","versioning":"versioned","updateCreate":true},{"type":"Device","versioning":"no-version"}]}]}`}))
	c := server.client(t, Options{Credential: &credential{}})
	got, err := c.Capabilities(t.Context())
	want := Capabilities{
		FHIRVersion: "4.0.1", Software: "FHIR Server", SoftwareVersion: "5.0.1",
		Types:      []TypeCapability{{"Device", "no-version", false}, {"Patient", "versioned", true}},
		Operations: []string{"export", "reindex"}, Transaction: true,
		Date: time.Date(2024, 6, 1, 10, 2, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if !got.Offers("export") || got.Offers("anonymized-export") {
		t.Errorf("offers: got export %t and anonymized-export %t, want the first alone", got.Offers("export"), got.Offers("anonymized-export"))
	}
	at, err := c.Clock(t.Context())
	if err != nil || at != want.Date {
		t.Errorf("clock: got %s, %v, want %s", at, err, want.Date)
	}
}

func TestCapabilitiesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		reply reply
		want  string
	}{
		"empty":      {reply{200, nil, ""}, "CapabilityStatement"},
		"html":       {reply{200, nil, "<html>"}, "CapabilityStatement"},
		"bundle":     {reply{200, nil, oneTotal}, "CapabilityStatement"},
		"no rest":    {reply{200, nil, `{"resourceType":"CapabilityStatement"}`}, "no resource types"},
		"no types":   {reply{200, nil, `{"resourceType":"CapabilityStatement","rest":[{}]}`}, "no resource types"},
		"odd type":   {reply{200, nil, `{"resourceType":"CapabilityStatement","rest":[{"resource":[{"type":"../x"}]}]}`}, "resource type"},
		"not served": {reply{404, nil, ""}, "404"},
	} {
		server := serve(t, always(c.reply))
		got, err := server.client(t, Options{}).Capabilities(t.Context())
		if e := asError(t, err); !strings.Contains(e.Error(), c.want) || len(got.Types) > 0 {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestClockWithoutDate(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil })
	_, err := server.client(t, Options{}).Clock(t.Context())
	if e := asError(t, err); !strings.Contains(e.Error(), "Date") {
		t.Errorf("got %v, want an error that names Date", err)
	}
}
