package fhir

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestByHand: what a person is told to send is what the client sends, but for token and User-Agent.
func TestByHand(t *testing.T) {
	var method, target string
	var headers http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		method, target, headers = r.Method, r.RequestURI, r.Header.Clone()
		w.Header().Set("Content-Location", "/_operations/1")
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/base/", Options{})
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	export := ExportRequest{Types: []string{"Patient"}, Since: since, Till: since.Add(time.Hour), Container: "c", History: true, Deleted: true, MaxCount: 5}
	for name, send := range map[string]func() (ByHand, error){
		"export": func() (ByHand, error) {
			if _, err := c.StartExport(t.Context(), export); err != nil {
				return ByHand{}, err
			}
			return export.ByHand(server.URL + "/base/")
		},
		"import": func() (ByHand, error) {
			if _, err := c.StartImport(t.Context(), []byte("{}")); err != nil {
				return ByHand{}, err
			}
			return ImportByHand(server.URL + "/base")
		},
	} {
		got, err := send()
		if err != nil {
			t.Fatal(err)
		}
		if got.Method != method || got.URL != server.URL+target {
			t.Errorf("%s: got %s %s, want %s %s", name, got.Method, got.URL, method, server.URL+target)
		}
		var want []string
		for key, values := range headers {
			if key == "Accept" || key == "Prefer" || key == "Content-Type" {
				want = append(want, key+": "+values[0])
			}
		}
		if slices.Sort(want); !slices.Equal(slices.Sorted(slices.Values(got.Headers)), want) {
			t.Errorf("%s: got headers %v, want %v", name, got.Headers, want)
		}
		if !strings.HasPrefix(got.Scope, "https://127.0.0.1:") || !strings.HasSuffix(got.Scope, "/.default") {
			t.Errorf("%s: got scope %s", name, got.Scope)
		}
	}
	if _, err := (ExportRequest{Types: []string{"pat"}}).ByHand(server.URL); err == nil {
		t.Error("a type that is none: want it refused")
	}
	if _, err := ImportByHand("ftp://x"); err == nil {
		t.Error("a base URL that is none: want it refused")
	}
}

// The mode is part of the body, and negative versions belong to the incremental one alone.
func TestImportMode(t *testing.T) {
	r := ImportRequest{Source: "s", Files: []ImportFile{{URL: "https://h/c/a"}}}
	implied := bodyOf(t, r)
	r.Mode = IncrementalLoad
	if got := bodyOf(t, r); got != implied || !strings.Contains(got, `"IncrementalLoad"`) || !strings.Contains(got, "allowNegativeVersions") {
		t.Errorf("incremental: got %s, want it equal to %s", got, implied)
	}
	r.Mode = InitialLoad
	if got := bodyOf(t, r); !strings.Contains(got, `"InitialLoad"`) || strings.Contains(got, "allowNegativeVersions") {
		t.Errorf("initial: got %s", got)
	}
	r.Mode = "Other"
	if _, err := r.Body(); err == nil || !strings.Contains(err.Error(), "mode") {
		t.Errorf("other: got %v, want the mode refused", err)
	}
}
