package fhir

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestManifestToParameters compares the import of each manifest in testdata/imports with the Parameters beside it.
func TestManifestToParameters(t *testing.T) {
	manifests, _ := filepath.Glob("testdata/imports/*.manifest.json")
	if len(manifests) == 0 {
		t.Fatal("no manifests found")
	}
	for _, path := range manifests {
		name := strings.TrimSuffix(filepath.Base(path), ".manifest.json")
		t.Run(name, func(t *testing.T) {
			m, err := ParseManifest(readFile(t, path))
			if err != nil {
				t.Fatal(err)
			}
			r := ImportRequest{Source: "https://ferry.example/" + name}
			for _, o := range m.Output {
				if o.Type != "SearchParameter" {
					r.Files = append(r.Files, ImportFile{Type: o.Type, URL: o.URL})
				}
			}
			got, err := r.Body()
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, readFile(t, strings.Replace(path, ".manifest.", ".parameters.", 1))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), string(got)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSameBodySameJob: invariant 13. The order of the files does not matter to the bytes; everything else does.
func TestSameBodySameJob(t *testing.T) {
	base := func() ImportRequest {
		return ImportRequest{Source: "s/1", SliceBytes: 10, Files: []ImportFile{
			{Type: "Patient", URL: "https://h/c/b", ETag: "1"}, {Type: "Patient", URL: "https://h/c/a", ETag: "2"}, {Type: "Device", URL: "https://h/c/c", ETag: "3"},
		}}
	}
	want := bodyOf(t, base())
	if odd := (ImportRequest{Source: "s", Files: []ImportFile{{URL: "https://h/c/a&b"}}}); !strings.Contains(bodyOf(t, odd), `"https://h/c/a&b"`) {
		t.Errorf("the URL is not written as it is: %s", bodyOf(t, odd))
	}
	same := base()
	slices.Reverse(same.Files)
	if got := bodyOf(t, same); got != want {
		t.Errorf("files in another order: got %s, want %s", got, want)
	}
	for name, change := range map[string]func(*ImportRequest){
		"attempt":         func(r *ImportRequest) { r.Source = "s/2" },
		"slice":           func(r *ImportRequest) { r.SliceBytes = 11 },
		"no slice":        func(r *ImportRequest) { r.SliceBytes = 0 },
		"error container": func(r *ImportRequest) { r.ErrorContainer = "e" },
		"etag":            func(r *ImportRequest) { r.Files[0].ETag = "4" },
		"no etag":         func(r *ImportRequest) { r.Files[0].ETag = "" },
		"type":            func(r *ImportRequest) { r.Files[0].Type = "" },
		"fewer files":     func(r *ImportRequest) { r.Files = r.Files[:2] },
	} {
		r := base()
		change(&r)
		if bodyOf(t, r) == want {
			t.Errorf("%s changed, the body did not", name)
		}
	}
}

func bodyOf(t *testing.T, r ImportRequest) string {
	t.Helper()
	b, err := r.Body()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestImportRequestRefused(t *testing.T) {
	good := ImportFile{Type: "Patient", URL: "https://h/c/a"}
	for name, c := range map[string]struct {
		request ImportRequest
		want    string
	}{
		"no source":        {ImportRequest{Files: []ImportFile{good}}, "source"},
		"no files":         {ImportRequest{Source: "s"}, "no files"},
		"twice":            {ImportRequest{Source: "s", Files: []ImportFile{good, good}}, "twice"},
		"query":            {ImportRequest{Source: "s", Files: []ImportFile{{URL: "https://h/c/a?sig=1"}}}, "query"},
		"relative":         {ImportRequest{Source: "s", Files: []ImportFile{{URL: "/c/a"}}}, "absolute"},
		"type":             {ImportRequest{Source: "s", Files: []ImportFile{{Type: "pat ient", URL: "https://h/c/a"}}}, "resource type"},
		"search parameter": {ImportRequest{Source: "s", Files: []ImportFile{{Type: "SearchParameter", URL: "https://h/c/a"}}}, "SearchParameter"},
		"slice too large":  {ImportRequest{Source: "s", SliceBytes: MaxSliceBytes + 1, Files: []ImportFile{good}}, "slice"},
		"slice negative":   {ImportRequest{Source: "s", SliceBytes: -1, Files: []ImportFile{good}}, "slice"},
	} {
		if _, err := c.request.Body(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	if _, err := (ImportRequest{Source: "s", SliceBytes: MaxSliceBytes, Files: []ImportFile{good}}).Body(); err != nil {
		t.Errorf("largest slice: %v", err)
	}
}

func TestParseImportResult(t *testing.T) {
	got, err := ParseImportResult([]byte(`{"transactionTime":"2024-06-01T11:00:00.123+00:00","request":"https://ws/$import",
		"output":[{"type":"Patient","count":9998,"inputUrl":"https://h/c/p"},{"type":null,"count":500,"inputUrl":"https://h/c/m"},{"type":"Patient","count":2,"inputUrl":"https://h/c/p"}],
		"error":[{"type":"Patient","count":2,"inputUrl":"https://h/c/p","url":"https://h/e/1"},{"type":null,"count":1,"inputUrl":"https://h/c/p","url":"https://h/e/2"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := ImportResult{
		Accepted: map[string]int64{"https://h/c/p": 10000, "https://h/c/m": 500},
		Rejected: map[string]int64{"https://h/c/p": 3},
		Errors: []ErrorFile{
			{Type: "Patient", InputURL: "https://h/c/p", URL: "https://h/e/1", Count: 2},
			{InputURL: "https://h/c/p", URL: "https://h/e/2", Count: 1},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestParseImportResultRefused(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"empty":          {``, "cut off"},
		"html":           {`<html>`, "JSON"},
		"cut off":        {`{"output":[{"count":1,`, "cut off"},
		"no output":      {`{"error":[]}`, "output is missing"},
		"null output":    {`{"output":null}`, "output is missing"},
		"outcome":        {outcomeBody("processing", "x"), "output is missing"},
		"no input":       {`{"output":[{"count":1}]}`, "output[0]: inputUrl"},
		"no count":       {`{"output":[{"inputUrl":"u"}]}`, "output[0]: count"},
		"negative":       {`{"output":[],"error":[{"inputUrl":"u","count":-1}]}`, "error[0]: count"},
		"count is text":  {`{"output":[{"inputUrl":"u","count":"1"}]}`, "wrong kind"},
		"count overflow": {`{"output":[{"inputUrl":"u","count":9223372036854775807},{"inputUrl":"u","count":1}]}`, "output[1]"},
	} {
		_, err := ParseImportResult([]byte(c.body))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
			continue
		}
		if e := asError(t, err); answers(e) != "" {
			t.Errorf("%s: a bad result is also %s", name, answers(e))
		}
	}
}
