package store

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/migration"
)

// An etag is compared by the destination with the one that the file itself tells, character by character.
func TestEtagsAreTheFilesOwn(t *testing.T) {
	_, a := startAzurite(t)
	name := a.name("staging")
	account := a.service(t)
	files := account.NewContainerClient(name)
	staging := NewStaging(account, a.blobs, name)
	if err := staging.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := files.NewBlockBlobClient("job/Patient-1.ndjson")
	if _, err := file.UploadBuffer(t.Context(), []byte("{}\n"), nil); err != nil {
		t.Fatal(err)
	}
	answer, err := file.GetProperties(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := staging.Folder(t.Context(), "job/")
	if err != nil {
		t.Fatal(err)
	}
	want := []migration.StagedFile{{Name: "job/Patient-1.ndjson", ETag: string(*answer.ETag), Size: 3}}
	if len(got) != 1 || got[0] != want[0] {
		t.Errorf("files: got %v, want %v", got, want)
	}
}

// shortPages asks for a few files at a time, where the service would end a page after 5,000.
type shortPages struct{ pages int }

func (p *shortPages) Do(r *policy.Request) (*http.Response, error) {
	if query := r.Raw().URL.Query(); query.Get("comp") == "list" {
		p.pages++
		query.Set("maxresults", "7")
		r.Raw().URL.RawQuery = query.Encode()
	}
	return r.Next()
}

func TestFolderOfManyPages(t *testing.T) {
	_, a := startAzurite(t)
	var short shortPages
	options := a.options()
	options.PerCallPolicies = []policy.Policy{&short}
	client, err := service.NewClientFromConnectionString(a.connection, &service.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	name := a.name("staging")
	files := client.NewContainerClient(name)
	staging := NewStaging(client, a.blobs, name)
	if err := staging.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{}
	for n := range 30 {
		name := fmt.Sprintf("job/Ä b&%02d.ndjson", n)
		want[name] = int64(n)
		if _, err := files.NewBlockBlobClient(name).UploadBuffer(t.Context(), make([]byte, n), nil); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := staging.Folder(t.Context(), "job/")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, f := range listed {
		got[f.Name] = f.Size
	}
	if diff := cmp.Diff(want, got); diff != "" || len(listed) != len(want) || short.pages != 5 {
		t.Errorf("got %d files on %d pages, want %d on 5; sizes (-want +got): %s", len(listed), short.pages, len(want), diff)
	}
}
