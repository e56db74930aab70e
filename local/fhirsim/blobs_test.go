package fhirsim

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"fhirferry/local/azurite"
)

func TestMemoryBlobs(t *testing.T) {
	exerciseBlobs(t, NewMemoryBlobs("http://acct.blob.example/base/"))
}

func TestAzureBlobs(t *testing.T) {
	emulator, err := azurite.Start(context.Background(), azurite.Options{InMemory: true})
	if errors.Is(err, azurite.ErrNotInstalled) && os.Getenv("REQUIRE_AZURITE") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(emulator.Stop)
	blobs, err := NewAzureBlobs(emulator.ConnectionString())
	if err != nil {
		t.Fatal(err)
	}
	if blobs.Endpoint() != emulator.BlobEndpoint() {
		t.Errorf("got endpoint %s, want %s", blobs.Endpoint(), emulator.BlobEndpoint())
	}
	exerciseBlobs(t, blobs)
	if _, err := NewAzureBlobs("nonsense"); err == nil {
		t.Error("a nonsense connection string was accepted")
	}
}

// exerciseBlobs is what both accounts must do alike.
func exerciseBlobs(t *testing.T, b Blobs) {
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, err, target error) {
		t.Helper()
		if !errors.Is(err, target) {
			t.Errorf("%s: got %v, want %v", what, err, target)
		}
	}
	want("put without container", b.Put(ctx, "box", "a", nil), ErrBlobNotFound)
	if list, err := b.List(ctx, "box", ""); err != nil || len(list) != 0 {
		t.Errorf("list of no container: got %v, %v", list, err)
	}
	must(b.CreateContainer(ctx, "box"))
	must(b.CreateContainer(ctx, "box"))
	_, err := b.Stat(ctx, "box", "dir/a")
	want("stat", err, ErrBlobNotFound)
	_, _, err = b.Get(ctx, "box", "dir/a", 0)
	want("get", err, ErrBlobNotFound)
	want("delete", b.Delete(ctx, "box", "dir/a"), ErrBlobNotFound)
	must(b.Put(ctx, "box", "dir/a", []byte("hello é")))
	must(b.Put(ctx, "box", "dir/b", nil))
	must(b.Put(ctx, "box", "other", []byte("x")))
	data, etag, err := b.Get(ctx, "box", "dir/a", 3)
	must(err)
	info, err := b.Stat(ctx, "box", "dir/a")
	must(err)
	list, err := b.List(ctx, "box", "dir/")
	must(err)
	if string(data) != "lo é" || info.Size != 8 || info.Etag != etag || len(list) != 2 || list[0] != info || list[1].Size != 0 {
		t.Errorf("got %q, %v and list %v", data, info, list)
	}
	if !strings.HasPrefix(etag, `"`) || !strings.HasSuffix(etag, `"`) {
		t.Errorf("got etag %s, want it quoted", etag)
	}
	for name, offset := range map[string]int64{"dir/a": 8, "dir/b": 0} {
		if data, etag, err := b.Get(ctx, "box", name, offset); err != nil || len(data) != 0 || etag == "" {
			t.Errorf("%s from its end: got %q %s, %v", name, data, etag, err)
		}
	}
	must(b.Put(ctx, "box", "dir/a", []byte("hello é")))
	if again, _ := b.Stat(ctx, "box", "dir/a"); again.Etag == etag {
		t.Errorf("the etag of a rewritten blob is the same")
	}
	must(b.Lease(ctx, "box", "dir/a"))
	want("second lease", b.Lease(ctx, "box", "dir/a"), ErrBlobLeased)
	want("delete of a leased blob", b.Delete(ctx, "box", "dir/a"), ErrBlobLeased)
	want("put on a leased blob", b.Put(ctx, "box", "dir/a", nil), ErrBlobLeased)
	must(b.BreakLease(ctx, "box", "dir/a"))
	must(b.BreakLease(ctx, "box", "dir/b"))
	must(b.Delete(ctx, "box", "dir/a"))
}

func TestMemoryBlobsOverHTTP(t *testing.T) {
	m := NewMemoryBlobs("http://x")
	_ = m.CreateContainer(context.Background(), "box")
	_ = m.Put(context.Background(), "box", "dir/a", []byte("hello"))
	server := httptest.NewServer(m)
	defer server.Close()
	for path, want := range map[string]int{"/box/dir/a": 200, "/box/dir/b": 404} {
		response, err := http.Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want || want == 200 && (response.ContentLength != 5 || response.Header.Get("ETag") == "") {
			t.Errorf("%s: got %d with %v", path, response.StatusCode, response.Header)
		}
	}
}
