package seed

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// record serves writes, notes each and calls after with how many there were.
func record(t *testing.T, status int, after func(n int)) (*httptest.Server, *[]string) {
	t.Helper()
	var lines []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			var body struct{ ResourceType, ID string }
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/fhir/"+body.ResourceType+"/"+body.ID {
				t.Errorf("PUT %s with a body for %s/%s: %v", r.URL.Path, body.ResourceType, body.ID, err)
			}
		}
		lines = append(lines, r.Method+" "+r.URL.Path)
		w.WriteHeader(status)
		after(len(lines))
	}))
	t.Cleanup(server.Close)
	return server, &lines
}

func TestWriterCreatesUpdatesAndDeletes(t *testing.T) {
	const enough = 300
	run := func() ([]string, Writes) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		server, lines := record(t, http.StatusOK, func(n int) {
			if n == enough {
				stop()
			}
		})
		known := Generator{Resources: 100}.Refs(20)
		done, err := Writer{BaseURL: server.URL + "/fhir/", Seed: 5, Rate: 20_000, Known: known}.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return *lines, done
	}
	lines, done := run()
	if done.Total() != enough || len(lines) != enough || done.Refused != 0 {
		t.Errorf("got %+v for %d requests, want %d", done, len(lines), enough)
	}
	deletes := 0
	for _, line := range lines {
		if strings.HasPrefix(line, "DELETE ") {
			deletes++
		}
	}
	if deletes != done.Deleted || done.Created < 60 || done.Updated < 60 || done.Deleted < 10 {
		t.Errorf("got %+v and %d DELETE requests", done, deletes)
	}
	if !slices.ContainsFunc(lines, func(line string) bool { return !strings.Contains(line, "/live-") }) {
		t.Error("no known resource was changed")
	}
	if again, _ := run(); !slices.Equal(again, lines) {
		t.Error("the same seed gave other writes")
	}
}

func TestWriterGivesUpWhenEverythingIsRefused(t *testing.T) {
	server, lines := record(t, http.StatusForbidden, func(int) {})
	done, err := Writer{BaseURL: server.URL + "/fhir", Rate: 20_000}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("got error %v, want one that names 403", err)
	}
	if done.Total() != 0 || done.Refused != maxRefusals || len(*lines) != maxRefusals {
		t.Errorf("got %+v after %d requests", done, len(*lines))
	}
}
