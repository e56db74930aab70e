package fhir

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseManifest(t *testing.T) {
	got, err := ParseManifest(readFile(t, "testdata/imports/two-types.manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	folder := "https://acct.blob.core.windows.net/migration/20240601T100000-5119283746512934/"
	want := Manifest{
		TransactionTime: time.Date(2024, 6, 1, 10, 0, 0, 123456700, time.UTC),
		Output: []OutputFile{
			{"Observation", folder + "Observation-5119283746512936-1.ndjson", 10000},
			{"Observation", folder + "Observation-5119283746512938-1.ndjson", 9000},
			{"Patient", folder + "Patient-5119283746512937-1.ndjson", 812},
		},
		Request: "https://src.azurehealthcareapis.com/$export?_isParallel=true&_container=migration",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	if got, want := got.Lines(), int64(19812); got != want {
		t.Errorf("lines: got %d, want %d", got, want)
	}
}

// The proof of de-identification is the request that the manifest tells; whatever is missing, odd or said twice is none.
func TestDeIdentifiedBy(t *testing.T) {
	for request, want := range map[string][2]string{
		`"https://h/$export?_anonymizationConfig=a/rules.json&_anonymizationConfigEtag=%220x8%22"`:                  {"a/rules.json", `"0x8"`},
		`"https://h/$export?_anonymizationConfig=a%2Frules.json&_anonymizationConfigEtag=0x8"`:                      {"a/rules.json", "0x8"},
		`"https://h/$export?_anonymizationConfig=rules.json"`:                                                       {"rules.json", ""},
		`"https://h/$export?_isParallel=true"`:                                                                      {},
		`"https://h/$export?_anonymizationConfig=rules.json&_anonymizationConfig=none.json"`:                        {},
		`"https://h/$export?_anonymizationConfig=rules.json&_anonymizationConfigEtag=1&_anonymizationConfigEtag=2"`: {},
		`"https://h/$export?_AnonymizationConfig=rules.json"`:                                                       {},
		`"https://h/$export#?_anonymizationConfig=rules.json"`:                                                      {},
		`"https://h/$export?_anonymizationConfig=%zz"`:                                                              {},
		`"://"`: {}, `""`: {}, `null`: {}, `7`: {}, `{"_anonymizationConfig":"rules.json"}`: {},
	} {
		m, err := ParseManifest(fmt.Appendf(nil, `{"transactionTime":"2024-06-01T10:00:00Z","request":%s,"output":[]}`, request))
		if err != nil {
			t.Errorf("%s: %v", request, err)
		}
		if config, etag := m.DeIdentifiedBy(); config != want[0] || etag != want[1] {
			t.Errorf("%s: got %q, %q; want %q", request, config, etag, want)
		}
	}
}

func TestParseManifestKeepsErrors(t *testing.T) {
	m, err := ParseManifest([]byte(`{"transactionTime":"2024-06-01T10:00:00Z","output":[],"error":[{"type":"OperationOutcome","url":"https://h/e"}]}`))
	if err != nil || m.Errors != 1 {
		t.Errorf("got %d, %v, want 1 error file", m.Errors, err)
	}
}

func TestParseManifestRefused(t *testing.T) {
	file := func(item string) string {
		return `{"transactionTime":"2024-06-01T10:00:00Z","output":[{"type":"Patient","url":"https://h/c/a","count":1},` + item + `]}`
	}
	for name, c := range map[string]struct{ body, want string }{
		"empty":          {``, "cut off"},
		"html":           {`<html><body>secret</body>`, "JSON"},
		"array":          {`[]`, "wrong kind"},
		"cut off":        {`{"transactionTime":"2024-06-01T10:00:00Z","output":[`, "cut off"},
		"trailing":       {`{"transactionTime":"2024-06-01T10:00:00Z","output":[]} {}`, "JSON"},
		"empty object":   {`{}`, "transactionTime"},
		"bad time":       {`{"transactionTime":"yesterday","output":[]}`, "transactionTime"},
		"no output":      {`{"transactionTime":"2024-06-01T10:00:00Z"}`, "output is missing"},
		"null output":    {`{"transactionTime":"2024-06-01T10:00:00Z","output":null}`, "output is missing"},
		"deleted":        {`{"transactionTime":"2024-06-01T10:00:00Z","output":[],"deleted":[{"url":"u"}]}`, "deleted"},
		"no type":        {file(`{"url":"https://h/c/b","count":1}`), "output[1]: type"},
		"odd type":       {file(`{"type":"a/b","url":"https://h/c/b","count":1}`), "output[1]: type"},
		"no url":         {file(`{"type":"Patient","count":1}`), "output[1]: url is missing"},
		"relative url":   {file(`{"type":"Patient","url":"/c/b","count":1}`), "output[1]: url"},
		"signed url":     {file(`{"type":"Patient","url":"https://h/c/b?sig=secret","count":1}`), "output[1]: url has a query"},
		"twice":          {file(`{"type":"Patient","url":"https://h/c/a","count":1}`), "output[1]: https://h/c/a is there twice"},
		"no count":       {file(`{"type":"Patient","url":"https://h/c/b"}`), "output[1]: count"},
		"negative count": {file(`{"type":"Patient","url":"https://h/c/b","count":-1}`), "output[1]: count"},
		"broken count":   {file(`{"type":"Patient","url":"https://h/c/b","count":1.5}`), "wrong kind"},
		"huge counts":    {file(`{"type":"Patient","url":"https://h/c/b","count":9223372036854775807}`), "add up"},
	} {
		_, err := ParseManifest([]byte(c.body))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
			continue
		}
		if e := asError(t, err); answers(e) != "" {
			t.Errorf("%s: a bad manifest is also %s", name, answers(e))
		}
	}
}

// TestDigest: invariant 10 compares manifests as sets of (type, url, count).
func TestDigest(t *testing.T) {
	base := []OutputFile{{"Patient", "https://h/c/a", 1}, {"Patient", "https://h/c/b", 2}, {"Device", "https://h/c/d", 3}}
	want := Manifest{Output: base}.Digest()
	turned := slices.Clone(base)
	slices.Reverse(turned)
	if got := (Manifest{Output: turned, TransactionTime: time.Now(), Errors: 4}).Digest(); got != want {
		t.Errorf("another order: got %s, want %s", got, want)
	}
	if got, want := turned[0].Type, "Device"; got != want {
		t.Errorf("Digest reordered its manifest: first is %s, want %s", got, want)
	}
	for i, other := range [][]OutputFile{
		nil, base[:2],
		{{"Patient", "https://h/c/a", 1}, {"Patient", "https://h/c/b", 2}, {"Device", "https://h/c/d", 4}},
		{{"Patient", "https://h/c/a", 1}, {"Patient", "https://h/c/b", 2}, {"Group", "https://h/c/d", 3}},
		{{"Patient", "https://h/c/a", 1}, {"Patient", "https://h/c/x", 2}, {"Device", "https://h/c/d", 3}},
	} {
		if (Manifest{Output: other}).Digest() == want {
			t.Errorf("case %d: a different set has the same digest", i)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"transactionTime":"2024-06-01T10:00:00.1234567+00:00","output":[{"type":"Patient","url":"https://h/c/a","count":1}],"error":[]}`))
	f.Add([]byte(`{"transactionTime":"2024-06-01T10:00:00Z","output":[]}`))
	f.Add([]byte(`{"output":[{"count":-1}]}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			if len(m.Output) > 0 {
				t.Errorf("an error and %d files", len(m.Output))
			}
			return
		}
		var sum int64
		seen := map[string]bool{}
		for _, o := range m.Output {
			if o.Type == "" || o.URL == "" || o.Count < 0 || seen[o.URL] {
				t.Errorf("accepted %+v", o)
			}
			seen[o.URL] = true
			sum += o.Count
		}
		if sum != m.Lines() || sum < 0 {
			t.Errorf("lines: got %d, want %d", m.Lines(), sum)
		}
		if !slices.IsSortedFunc(m.Output, OutputFile.compare) {
			t.Errorf("not in order: %v", m.Output)
		}
	})
}

func FuzzParseImportResult(f *testing.F) {
	f.Add([]byte(`{"output":[{"type":"Patient","count":2,"inputUrl":"u"}],"error":[{"count":1,"inputUrl":"u","url":"e"}]}`))
	f.Add([]byte(`{"output":[]}`))
	f.Add([]byte(`{"output":[{"count":9223372036854775807,"inputUrl":"u"},{"count":1,"inputUrl":"u"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseImportResult(b)
		if err != nil {
			return
		}
		var sum int64
		for _, e := range r.Errors {
			sum += e.Count
		}
		for input, n := range r.Rejected {
			sum -= n
			if n < 0 || input == "" {
				t.Errorf("rejected[%q] = %d", input, n)
			}
		}
		for input, n := range r.Accepted {
			if n < 0 || input == "" {
				t.Errorf("accepted[%q] = %d", input, n)
			}
		}
		if sum != 0 {
			t.Errorf("error files and rejected lines differ by %s", fmt.Sprint(sum))
		}
	})
}
