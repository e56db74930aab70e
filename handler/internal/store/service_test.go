package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"fhirferry/handler/internal/migration"
)

// These answers the emulator never gives: pages that end early, things that are being deleted, a service that is down.

type services struct {
	ledger  *Ledger
	queue   *Queue
	staging *Staging
}

// serve puts one handler in the place of all three services.
func serve(t *testing.T, answer http.HandlerFunc) services {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	once := policy.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}
	tables, err := aztables.NewServiceClientWithNoCredential(server.URL, &aztables.ClientOptions{ClientOptions: once})
	if err != nil {
		t.Fatal(err)
	}
	account, err := service.NewClientWithNoCredential(server.URL, &service.ClientOptions{ClientOptions: once})
	if err != nil {
		t.Fatal(err)
	}
	nudges, err := azqueue.NewQueueClientWithNoCredential(server.URL+"/nudges", &azqueue.ClientOptions{ClientOptions: once})
	if err != nil {
		t.Fatal(err)
	}
	return services{NewLedger(tables, account.NewContainerClient("files")), NewQueue(nudges), NewStaging(account, server.URL, "files")}
}

// chunkEntity is a stored chunk as a query answers it.
func chunkEntity(t *testing.T, n int, prefix string) string {
	t.Helper()
	since := noon().AddDate(0, 0, n)
	c := migration.NewChunk([]string{"Patient"}, migration.Window{Since: since, Till: since.AddDate(0, 0, 1)}, 0, noon())
	chunk, marker, err := chunkRows("run", c)
	if err != nil {
		t.Fatal(err)
	}
	if prefix == markerPrefix {
		chunk = marker
	}
	entity, err := chunk.encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(entity)
}

// The service may end a page wherever it likes, even before its first row, and says that more is to come.
func TestPagesThatEndEarly(t *testing.T) {
	pages := [][]int{{0, 1}, {}, {2}, {3, 4, 5}, {6, 7}}
	prefix := chunkPrefix
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		page := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("NextRowKey"), &page)
		if page+1 < len(pages) {
			w.Header().Set("x-ms-continuation-NextPartitionKey", "run")
			w.Header().Set("x-ms-continuation-NextRowKey", fmt.Sprint(page+1))
		}
		var entities []string
		for _, n := range pages[page] {
			entities = append(entities, chunkEntity(t, n, prefix))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"value":[%s]}`, strings.Join(entities, ","))
	})
	for limit, more := range map[int]bool{1: true, 2: true, 3: true, 4: true, 6: true, 7: true, 8: false, 9: false} {
		page, next, err := s.ledger.Chunks(t.Context(), "run", "", limit)
		want := min(limit, 8)
		if err != nil || len(page) != want || (next != "") != more {
			t.Errorf("limit %d: got %d chunks, next %q, %v; want %d, more: %v", limit, len(page), next, err, want, more)
			continue
		}
		if more && next != page[want-1].ID {
			t.Errorf("limit %d: got next %q, want the last of the page, %q", limit, next, page[want-1].ID)
		}
	}
	prefix = markerPrefix
	unfinished, err := s.ledger.Unfinished(t.Context(), "run")
	if err != nil || len(unfinished) != 8 {
		t.Errorf("unfinished: got %d, %v; want all 8", len(unfinished), err)
	}
}

func TestStagingPages(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		page, marker := 0, "2"
		_, _ = fmt.Sscan(r.URL.Query().Get("marker"), &page)
		if page == 2 {
			marker = ""
		}
		etag := []string{"0x8", "", `"0x9"`}[page]
		if page == 0 {
			marker = "1"
		}
		blob := fmt.Sprintf(`<Blob><Name>a/%d</Name><Properties><Etag>%s</Etag><Content-Length>%d</Content-Length></Properties></Blob>`, page, etag, page)
		if page == 1 {
			blob = "" // a page without a file
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><EnumerationResults><Blobs>%s</Blobs><NextMarker>%s</NextMarker></EnumerationResults>`, blob, marker)
	})
	files, err := s.staging.Folder(t.Context(), "a/")
	want := []migration.StagedFile{{Name: "a/0", ETag: `"0x8"`}, {Name: "a/2", ETag: `"0x9"`, Size: 2}}
	if err != nil || len(files) != 2 || files[0] != want[0] || files[1] != want[1] {
		t.Errorf("files: got %v, %v; want %v", files, err, want)
	}
}

// verbs are all calls that need no answer first.
func (s services) verbs() map[string]func(context.Context) error {
	run := migration.NewRun("run", migration.Settings{}, migration.Settings{}, noon())
	return map[string]func(context.Context) error{
		"ledger prepare":  s.ledger.Prepare,
		"queue prepare":   s.queue.Prepare,
		"staging prepare": s.staging.Prepare,
		"probe":           s.staging.Probe,
		"folder":          func(ctx context.Context) error { _, err := s.staging.Folder(ctx, "a/"); return err },
		"nudge":           func(ctx context.Context) error { return s.queue.Nudge(ctx, "id", 0) },
		"current":         func(ctx context.Context) error { _, _, err := s.ledger.Current(ctx); return err },
		"open":            func(ctx context.Context) error { return s.ledger.Open(ctx, run, "") },
		"save run":        func(ctx context.Context) error { _, err := s.ledger.SaveRun(ctx, run, "1"); return err },
		"unfinished":      func(ctx context.Context) error { _, err := s.ledger.Unfinished(ctx, "run"); return err },
		"chunks":          func(ctx context.Context) error { _, _, err := s.ledger.Chunks(ctx, "run", "", 9); return err },
		"report":          func(ctx context.Context) error { return s.ledger.Report(ctx, "run", migration.Problem{Detail: "x"}) },
		"put document":    func(ctx context.Context) error { _, err := s.ledger.PutDocument(ctx, "run", "x", nil); return err },
		"document":        func(ctx context.Context) error { _, err := s.ledger.Document(ctx, "run", "x"); return err },
	}
}

// A storage that cannot be used is an error, never one of the answers that the engine goes on with.
func TestStorageThatIsDown(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusForbidden, http.StatusInternalServerError, http.StatusBadRequest} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		for name, do := range s.verbs() {
			err := do(t.Context())
			if err == nil {
				t.Errorf("%s, %d: got no error", name, status)
			}
			for _, quiet := range []error{migration.ErrNotFound, migration.ErrConflict, migration.ErrExists, migration.ErrNoSlot} {
				if errors.Is(err, quiet) {
					t.Errorf("%s, %d: got %v, want an error that is no answer", name, status, err)
				}
			}
		}
	}
}

// A table, queue or container that is being deleted cannot be made for a while. That is an error; it must not pass for
// one that is there, or a save would be repeated as long as it lasts.
func TestStorageThatIsBeingDeleted(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		code, body := "ContainerBeingDeleted", ""
		switch {
		case strings.HasPrefix(r.URL.Path, "/nudges"):
			code = "QueueBeingDeleted"
		case !strings.HasPrefix(r.URL.Path, "/files"):
			code = "TableBeingDeleted"
			body = `{"odata.error":{"code":"TableBeingDeleted","message":{"lang":"en","value":"wait"}}}`
		}
		status := http.StatusConflict
		if code == "TableBeingDeleted" && r.Method == http.MethodGet {
			status = http.StatusNotFound
		}
		w.Header().Set("x-ms-error-code", code)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	})
	for _, name := range []string{"ledger prepare", "queue prepare", "staging prepare", "open", "put document", "nudge", "probe"} {
		err := s.verbs()[name](t.Context())
		if err == nil || !strings.Contains(err.Error(), "BeingDeleted") || errors.Is(err, migration.ErrNotFound) {
			t.Errorf("%s: got %v, want an error that says what is being deleted", name, err)
		}
	}
}

// Saves that are never let through come to an end with their context.
func TestContentionEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tries := 0
	totals, err := newRow("run", totalsKey, migration.Totals{})
	if err != nil {
		t.Fatal(err)
	}
	entity, err := totals.encode()
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("ETag", `W/"1"`)
			_, _ = w.Write(entity)
			return
		}
		if tries++; tries == 5 {
			cancel()
		}
		w.WriteHeader(http.StatusPreconditionFailed)
	})
	if err := s.ledger.Report(ctx, "run", migration.Problem{Detail: "x"}); !errors.Is(err, context.Canceled) || tries != 5 {
		t.Errorf("report: got %v after %d tries, want the context's end after 5", err, tries)
	}
}

// What an operator is told of a file that cannot be read is why, in one line.
func TestUnreadableFileTellsWhy(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-ms-error-code", "AuthorizationPermissionMismatch")
		w.WriteHeader(http.StatusForbidden)
	})
	_, err := s.staging.Open(t.Context(), "fhirlogs", "f.ndjson", 0)
	if want := "read file f.ndjson of container fhirlogs: 403 AuthorizationPermissionMismatch"; fmt.Sprint(err) != want {
		t.Errorf("open: got %v, want %s", err, want)
	}
	_, err = s.staging.ETag(t.Context(), "rules", "r.json")
	if want := "look at file r.json of container rules: 403 AuthorizationPermissionMismatch"; fmt.Sprint(err) != want {
		t.Errorf("etag: got %v, want %s", err, want)
	}
}
