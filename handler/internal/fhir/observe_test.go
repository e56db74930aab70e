package fhir

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// observed keeps what an observer is told, without the durations.
type observed struct {
	calls []Call
	ctxs  []context.Context
}

func (o *observed) see(ctx context.Context, c Call) {
	if c.Duration <= 0 {
		c.Operation += " (took no time)"
	}
	c.Duration = 0
	o.calls, o.ctxs = append(o.calls, c), append(o.ctxs, ctx)
}

func TestObserve(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	manifest := `{"transactionTime":"2024-01-01T00:00:00Z","request":"x","output":[],"error":[]}`
	cases := []struct {
		name string
		h    http.HandlerFunc
		do   func(ctx context.Context, c *Client, base string) error
		want []Call
	}{
		{"kick-off", always(reply{202, map[string]string{"Content-Location": "/_operations/export/SECRET-1"}, ""}),
			func(ctx context.Context, c *Client, _ string) error {
				_, err := c.StartExport(ctx, ExportRequest{Container: "SECRET"})
				return err
			}, []Call{{Operation: "start export", Method: "GET", Route: "/$export", Status: 202, Success: true}}},
		{"poll", always(reply{200, nil, manifest}),
			func(ctx context.Context, c *Client, base string) error {
				_, err := c.ExportStatus(ctx, base+"/_operations/export/SECRET-1?sig=SECRET#SECRET")
				return err
			}, []Call{{Operation: "check export", Method: "GET", Route: "/_operations/export/{id}", Status: 200, Success: true}}},
		{"unknown status URL, refused", always(reply{404, nil, outcomeBody("not-found", "SECRET")}),
			func(ctx context.Context, c *Client, base string) error {
				return c.CancelImport(ctx, base+"/SECRET/import/SECRET")
			}, []Call{{Operation: "cancel import", Method: "DELETE", Route: "/{id}/{id}/{id}", Status: 404}}},
		{"a token of the server's own, 401 and again", always(reply{401, nil, ""}),
			func(ctx context.Context, c *Client, _ string) error {
				_, err := c.Count(ctx, CountQuery{Types: []string{"Patient"}, History: true})
				return err
			}, []Call{
				{Operation: "count versions of Patient", Method: "GET", Route: "/Patient/_history", Status: 401},
				{Operation: "count versions of Patient", Method: "GET", Route: "/Patient/_history", Status: 401},
			}},
		{"breaks off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		}, func(ctx context.Context, c *Client, _ string) error {
			_, err := c.Count(ctx, CountQuery{})
			return err
		}, []Call{{Operation: "count resources", Method: "GET", Route: "/", Status: 200}}},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			func(ctx context.Context, c *Client, _ string) error {
				_, err := c.Count(ctx, CountQuery{})
				return err
			}, []Call{{Operation: "count resources", Method: "GET", Route: "/"}}},
		{"another origin: nothing is sent", always(reply{200, nil, manifest}),
			func(ctx context.Context, c *Client, _ string) error {
				_, err := c.ExportStatus(ctx, "https://elsewhere.example/1")
				return err
			}, nil},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			server := serve(t, tt.h)
			var o observed
			c := server.client(t, Options{Observe: o.see, Credential: &credential{}})
			_ = tt.do(ctx, c, server.URL) // the exchange is what counts here
			for n := range tt.want {
				tt.want[n].Host = strings.TrimPrefix(server.URL, "http://")
			}
			if diff := cmp.Diff(tt.want, o.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if said := fmt.Sprint(o.calls); strings.Contains(said, "SECRET") || strings.Contains(said, "token-") {
				t.Errorf("got %v, want no secret", o.calls)
			}
			for _, c := range o.ctxs {
				if c.Value(key{}) != "mine" {
					t.Error("the observer was not given the caller's context")
				}
			}
		})
	}
}

// The end of the caller's patience is an exchange too.
func TestObserveCancelled(t *testing.T) {
	release := make(chan struct{})
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	var o observed
	c := server.client(t, Options{Observe: o.see})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Count(ctx, CountQuery{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the end of the context", err)
	}
	if len(o.calls) != 1 || o.calls[0].Success || o.calls[0].Status != 0 {
		t.Errorf("got %v, want one call without an answer", o.calls)
	}
}

func TestRoutes(t *testing.T) {
	c, err := New("https://fhir.example/tenant/r4", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/": "/", "": "/", "/$export": "/$export", "/metadata": "/metadata", "/_history": "/_history",
		"/Patient": "/Patient", "/Patient/SECRET": "/Patient/{id}", "/Patient/Smith": "/Patient/{id}",
		"/Patient/SECRET/_history/7": "/Patient/{id}/_history/{id}", "/SearchParameter/SECRET/$reindex": "/SearchParameter/{id}/$reindex",
		"/_operations/import/12": "/_operations/import/{id}", "/_operations/SECRET/12": "/_operations/{id}/{id}",
		"/secret": "/{id}", "/SECRET": "/{id}", "/Patient/import": "/Patient/{id}", "/P1": "/{id}",
		"/" + strings.Repeat("Secret", 10): "/{id}",
	} {
		if got := c.route(c.at(path, map[string][]string{"name": {"SECRET"}})); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}
