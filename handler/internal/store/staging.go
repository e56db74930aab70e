package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"fhirferry/handler/internal/migration"
)

// Staging is the container that the source writes to and the destination reads from. We never change a file in it, nor
// one in its neighbours, of which we read a few: what an import wrote about its errors, how an export is de-identified.
type Staging struct {
	account        *service.Client
	client         *container.Client
	endpoint, name string
}

// NewStaging is the container of the given name at the blob endpoint, which the client reaches.
func NewStaging(account *service.Client, endpoint, name string) *Staging {
	return &Staging{account, account.NewContainerClient(name), strings.TrimSuffix(endpoint, "/"), name}
}

// Endpoint is the blob endpoint, without a slash at its end.
func (s *Staging) Endpoint() string { return s.endpoint }

// Container is the container's name.
func (s *Staging) Container() string { return s.name }

// Prepare creates the container where it is missing.
func (s *Staging) Prepare(ctx context.Context) error { return createContainer(ctx, s.client) }

// Folder lists the files whose names begin with the folder. An etag is given with its quotes, which the listing leaves
// out (contract 4.2).
func (s *Staging) Folder(ctx context.Context, folder string) ([]migration.StagedFile, error) {
	var files []migration.StagedFile
	pager := s.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &folder})
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if refusedWith(err, http.StatusNotFound) {
			return nil, nil // no container, no files
		}
		if err != nil {
			return nil, fmt.Errorf("list the staging container: %w", err)
		}
		for _, item := range page.Segment.BlobItems {
			if item.Name == nil || item.Properties == nil || item.Properties.ETag == nil || item.Properties.ContentLength == nil {
				return nil, errors.New("list the staging container: an item without name, etag or size")
			}
			files = append(files, migration.StagedFile{
				Name: *item.Name, ETag: inQuotes(*item.Properties.ETag), Size: *item.Properties.ContentLength,
			})
		}
	}
	return files, nil
}

// inQuotes is the form of headers, which a listing leaves out.
func inQuotes(etag azcore.ETag) string {
	if text := string(etag); !strings.HasPrefix(text, `"`) {
		return `"` + text + `"`
	}
	return string(etag)
}

// ETag returns the etag of a file in any container of the account; migration.ErrNotFound.
func (s *Staging) ETag(ctx context.Context, container, name string) (string, error) {
	answer, err := s.account.NewContainerClient(container).NewBlobClient(name).GetProperties(ctx, nil)
	switch {
	case refusedWith(err, http.StatusNotFound):
		return "", migration.ErrNotFound
	case err != nil:
		return "", fmt.Errorf("look at file %s of container %s: %w", name, container, why(err))
	case answer.ETag == nil:
		return "", fmt.Errorf("look at file %s of container %s: the answer has no etag", name, container)
	}
	return inQuotes(*answer.ETag), nil
}

// Open reads a file in any container of the account from the offset on; migration.ErrNotFound. An offset at its end or
// behind it reads nothing. A connection that breaks is made anew at the place where it broke.
func (s *Staging) Open(ctx context.Context, container, name string, offset int64) (io.ReadCloser, error) {
	answer, err := s.account.NewContainerClient(container).NewBlobClient(name).DownloadStream(ctx,
		&blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: offset}})
	switch {
	case refusedWith(err, http.StatusNotFound):
		return nil, migration.ErrNotFound
	case refusedWith(err, http.StatusRequestedRangeNotSatisfiable):
		return http.NoBody, nil
	case err != nil:
		return nil, fmt.Errorf("read file %s of container %s: %w", name, container, why(err))
	}
	return answer.NewRetryReader(ctx, nil), nil
}

// Probe writes a small file and removes it.
func (s *Staging) Probe(ctx context.Context) error {
	var chance [8]byte
	_, _ = rand.Read(chance[:]) // never fails, says its documentation
	probe := s.client.NewBlockBlobClient("fhirferry-probe/" + hex.EncodeToString(chance[:]))
	if _, err := probe.UploadBuffer(ctx, []byte("probe\n"), nil); err != nil {
		return fmt.Errorf("write to the staging container: %w", err)
	}
	// Not found: an answer was lost, and the client's repetition finds the file gone.
	if _, err := probe.Delete(ctx, nil); err != nil && !refusedWith(err, http.StatusNotFound) {
		return fmt.Errorf("delete from the staging container: %w", err)
	}
	return nil
}
