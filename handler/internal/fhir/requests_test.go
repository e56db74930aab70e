package fhir

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRequests compares each request, as the server sees it, with its file in testdata/requests.
func TestRequests(t *testing.T) {
	since := time.Date(2024, 5, 1, 2, 0, 0, 0, time.FixedZone("", 2*3600))
	till := time.Date(2024, 5, 30, 23, 59, 59, 999_000_001, time.UTC)
	body, err := ImportRequest{
		Source: "https://ferry.example/run-1/chunk-2/import-3", SliceBytes: 64_000_000, ErrorContainer: "errors",
		Files: []ImportFile{{Type: "Patient", URL: "https://acct.blob.core.windows.net/c/Patient-1.ndjson", ETag: `"0x8DC"`}},
	}.Body()
	if err != nil {
		t.Fatal(err)
	}
	definition := SearchParameter{ID: "color", Content: []byte(`{"resourceType":"SearchParameter","id":"color","status":"draft"}`)}
	cases := map[string]func(context.Context, *Client) error{
		"parameters-first": func(ctx context.Context, c *Client) error { _, _, err := c.SearchParameters(ctx, ""); return err },
		"parameters-next": func(ctx context.Context, c *Client) error {
			_, _, err := c.SearchParameters(ctx, c.BaseURL()+"/SearchParameter?_count=1000&ct=abc")
			return err
		},
		"parameters-write": func(ctx context.Context, c *Client) error {
			_, err := c.PutSearchParameters(ctx, []SearchParameter{definition, definition})
			return err
		},
		"parameters-status": func(ctx context.Context, c *Client) error { _, err := c.EnabledParameters(ctx); return err },
		"definitions":       func(ctx context.Context, c *Client) error { _, err := c.Definitions(ctx); return err },
		"reindex":           func(ctx context.Context, c *Client) error { _, err := c.StartReindex(ctx); return err },
		"reindex-active":    func(ctx context.Context, c *Client) error { _, err := c.ActiveReindex(ctx); return err },
		"reindex-status": func(ctx context.Context, c *Client) error {
			_, err := c.ReindexStatus(ctx, c.BaseURL()+"/_operations/reindex/812")
			return err
		},
		"reindex-cancel": func(ctx context.Context, c *Client) error {
			return c.CancelReindex(ctx, c.BaseURL()+"/_operations/reindex/812")
		},
		"capabilities": func(ctx context.Context, c *Client) error { _, err := c.Capabilities(ctx); return err },
		"count-current": func(ctx context.Context, c *Client) error {
			_, err := c.Count(ctx, CountQuery{Types: []string{"Patient", "Observation"}, Since: since, Before: till})
			return err
		},
		"count-versions": func(ctx context.Context, c *Client) error {
			_, err := c.Count(ctx, CountQuery{Types: []string{"Patient", "Observation"}, Since: since, Before: till, History: true})
			return err
		},
		"count-system": func(ctx context.Context, c *Client) error {
			_, err := c.Count(ctx, CountQuery{Since: since, Before: till, History: true})
			return err
		},
		"oldest-current": func(ctx context.Context, c *Client) error {
			_, _, err := c.Oldest(ctx, false, []string{"Patient", "Observation"})
			return err
		},
		"oldest-version": func(ctx context.Context, c *Client) error { _, _, err := c.Oldest(ctx, true, nil); return err },
		"export-all": func(ctx context.Context, c *Client) error {
			_, err := c.StartExport(ctx, ExportRequest{Parallel: true})
			return err
		},
		"export-chunk": func(ctx context.Context, c *Client) error {
			_, err := c.StartExport(ctx, ExportRequest{
				Types: []string{"Patient", "Observation"}, Since: since, Till: till, Container: "fhirferry",
				History: true, Deleted: true, MaxCount: 5000,
			})
			return err
		},
		"export-deidentified": func(ctx context.Context, c *Client) error {
			_, err := c.StartExport(ctx, ExportRequest{
				Container: "fhirferry", Parallel: true, AnonymizationConfig: "hospital/rules.json", AnonymizationETag: `"0x8DC"`,
			})
			return err
		},
		"export-status": func(ctx context.Context, c *Client) error {
			_, err := c.ExportStatus(ctx, c.BaseURL()+"/_operations/export/5119283746512934")
			return err
		},
		"export-cancel": func(ctx context.Context, c *Client) error {
			return c.CancelExport(ctx, c.BaseURL()+"/_operations/export/5119283746512934")
		},
		"export-probe": func(ctx context.Context, c *Client) error { return c.ProbeExport(ctx) },
		"import":       func(ctx context.Context, c *Client) error { _, err := c.StartImport(ctx, body); return err },
		"import-status": func(ctx context.Context, c *Client) error {
			_, err := c.ImportStatus(ctx, c.BaseURL()+"/_operations/import/4711")
			return err
		},
		"import-cancel": func(ctx context.Context, c *Client) error {
			return c.CancelImport(ctx, c.BaseURL()+"/_operations/import/4711")
		},
		"import-probe": func(ctx context.Context, c *Client) error {
			return c.ProbeImport(ctx, "https://acct.blob.core.windows.net/c/probe.ndjson")
		},
	}
	for name, call := range cases {
		t.Run(name, func(t *testing.T) {
			server := serve(t, always(reply{status: 200, body: `{"resourceType":"Bundle","total":1,"output":[]}`}))
			// The answer suits some calls only; here the request is what counts.
			_ = call(t.Context(), server.client(t, Options{Credential: &credential{}}))
			want, err := os.ReadFile(filepath.Join("testdata", "requests", name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), strings.Join(server.requests(), "\n")); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSubMillisecond: what is finer than a millisecond widens a window, never narrows it.
func TestSubMillisecond(t *testing.T) {
	at := time.Date(2024, 1, 1, 0, 0, 0, 1_500_000, time.UTC)
	if got, want := lower(at)+" "+upper(at), "2024-01-01T00:00:00.001Z 2024-01-01T00:00:00.002Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	exact := time.Date(2024, 1, 1, 0, 0, 0, 1_000_000, time.UTC)
	if got, want := upper(exact), "2024-01-01T00:00:00.001Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestCallersMistakes: what must not be sent is refused before any request.
func TestCallersMistakes(t *testing.T) {
	server := serve(t, always(reply{status: 202}))
	c, ctx := server.client(t, Options{}), t.Context()
	cases := map[string]func() error{
		"type of a count": func() error {
			_, err := c.Count(ctx, CountQuery{Types: []string{"../metadata"}, History: true})
			return err
		},
		"type of oldest": func() error { _, _, err := c.Oldest(ctx, true, []string{"a b"}); return err },
		"type of export": func() error {
			_, err := c.StartExport(ctx, ExportRequest{Types: []string{"Patient,Device"}})
			return err
		},
		"max count": func() error { _, err := c.StartExport(ctx, ExportRequest{MaxCount: 10_001}); return err },
		"de-identified, not parallel": func() error {
			_, err := c.StartExport(ctx, ExportRequest{Container: "c", AnonymizationConfig: "rules.json"})
			return err
		},
		"de-identified, no container": func() error {
			_, err := c.StartExport(ctx, ExportRequest{Parallel: true, AnonymizationConfig: "rules.json"})
			return err
		},
		"etag of no configuration": func() error {
			_, err := c.StartExport(ctx, ExportRequest{Container: "c", Parallel: true, AnonymizationETag: "0x8"})
			return err
		},
		"empty import":     func() error { _, err := c.StartImport(ctx, nil); return err },
		"probe with query": func() error { return c.ProbeImport(ctx, "https://acct.example/c/x?sig=secret") },
	}
	for name, call := range cases {
		if err := call(); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error repeats the query: %v", name, err)
		}
	}
	if got := server.lines(); got != "" {
		t.Errorf("requests were sent: %s", got)
	}
}
