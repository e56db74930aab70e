package fhir

import (
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	for base, want := range map[string]string{
		"https://fhir.example":       "https://fhir.example",
		"https://fhir.example/":      "https://fhir.example",
		"https://fhir.example/r4//":  "https://fhir.example/r4",
		"http://127.0.0.1:8080/fhir": "http://127.0.0.1:8080/fhir",
	} {
		c, err := New(base, Options{})
		if err != nil || c.BaseURL() != want {
			t.Errorf("%s: got %v, want %s", base, err, want)
		}
	}
	for _, base := range []string{"", "fhir.example", "/fhir", "ftp://fhir.example", "https://", "https://:443", "https://u:hush@fhir.example", "https://fhir.example?sig=hush", "https://fhir.example#x", "https://fhir.example?", "https://[hush"} {
		if _, err := New(base, Options{}); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: got %v, want a refusal that repeats no secret", base, err)
		}
	}
}

// TestBasePath: a server may live below a path, and name its jobs relatively.
func TestBasePath(t *testing.T) {
	for location, want := range map[string]string{
		"_operations/export/1":      "/r4/_operations/export/1",
		"/r4/_operations/export/1":  "/r4/_operations/export/1",
		"{base}/_operations/1?x=1":  "/_operations/1?x=1",
		"{base}/_operations/1#part": "/_operations/1",
	} {
		server := serve(t, always(reply{202, map[string]string{"Content-Location": location}, ""}))
		c, err := New(server.URL+"/r4/", Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.StartExport(t.Context(), ExportRequest{Parallel: true})
		if err != nil || got != server.URL+want {
			t.Errorf("%s: got %q, %v, want %q", location, got, err, server.URL+want)
		}
		if got, want := server.lines(), "GET /r4/$export?_isParallel=true"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestSameOrigin: the comparison ignores what does not matter and nothing else.
func TestSameOrigin(t *testing.T) {
	c, err := New("https://fhir.example", Options{})
	if err != nil {
		t.Fatal(err)
	}
	from := c.at("/$export", nil)
	for raw, ok := range map[string]bool{
		"https://fhir.example/_operations/1":        true,
		"https://FHIR.example:443/_operations/1":    true,
		"HTTPS://fhir.example/_operations/1":        true,
		"/_operations/1":                            true,
		"https://fhir.example:8443/_operations/1":   false,
		"http://fhir.example/_operations/1":         false,
		"http://fhir.example:443/_operations/1":     false,
		"https://fhir.example.evil/_operations/1":   false,
		"https://evil/fhir.example":                 false,
		"//evil/_operations/1":                      false,
		"https://fhir.example@evil/_operations/1":   false,
		"https://user@fhir.example/_operations/1":   false,
		"https://fhir.example\\@evil/_operations/1": false,
		"":                   false,
		"https:fhir.example": false,
	} {
		if _, err := c.resolve(from, raw); (err == nil) != ok {
			t.Errorf("%q: got %v, want accepted %t", raw, err, ok)
		}
	}
}
