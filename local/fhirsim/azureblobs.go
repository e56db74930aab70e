package fhirsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"
)

// AzureBlobs is a real storage account or its emulator.
type AzureBlobs struct {
	client   *azblob.Client
	endpoint string
}

var _ Blobs = (*AzureBlobs)(nil)

// NewAzureBlobs opens the account of a connection string.
func NewAzureBlobs(connectionString string) (*AzureBlobs, error) {
	client, err := azblob.NewClientFromConnectionString(connectionString, nil)
	if err != nil {
		return nil, fmt.Errorf("open storage account: %w", err)
	}
	endpoint, _, _ := strings.Cut(client.URL(), "?")
	return &AzureBlobs{client, strings.TrimSuffix(endpoint, "/")}, nil
}

// Endpoint implements Blobs.
func (a *AzureBlobs) Endpoint() string { return a.endpoint }

// CreateContainer implements Blobs.
func (a *AzureBlobs) CreateContainer(ctx context.Context, container string) error {
	_, err := a.client.CreateContainer(ctx, container, nil)
	if err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return fmt.Errorf("create container %s: %w", container, err)
	}
	return nil
}

// Put implements Blobs.
func (a *AzureBlobs) Put(ctx context.Context, container, name string, data []byte) error {
	contentType := "application/fhir+ndjson"
	_, err := a.client.UploadBuffer(ctx, container, name, data, &azblob.UploadBufferOptions{
		HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &contentType}})
	return translate("put", container, name, err)
}

// Get implements Blobs.
func (a *AzureBlobs) Get(ctx context.Context, container, name string, offset int64) ([]byte, string, error) {
	answer, err := a.client.DownloadStream(ctx, container, name, &azblob.DownloadStreamOptions{
		Range: blob.HTTPRange{Offset: offset}})
	if bloberror.HasCode(err, bloberror.InvalidRange) { // an offset at the end, or an empty blob
		info, err := a.Stat(ctx, container, name)
		return nil, info.Etag, err
	}
	if err != nil {
		return nil, "", translate("get", container, name, err)
	}
	data, err := io.ReadAll(answer.NewRetryReader(ctx, nil))
	return data, quoted(answer.ETag), errors.Join(translate("get", container, name, err), answer.Body.Close())
}

// Stat implements Blobs.
func (a *AzureBlobs) Stat(ctx context.Context, container, name string) (BlobInfo, error) {
	answer, err := a.blob(container, name).GetProperties(ctx, nil)
	if err != nil {
		return BlobInfo{}, translate("stat", container, name, err)
	}
	return BlobInfo{name, *answer.ContentLength, quoted(answer.ETag)}, nil
}

// Delete implements Blobs.
func (a *AzureBlobs) Delete(ctx context.Context, container, name string) error {
	_, err := a.client.DeleteBlob(ctx, container, name, nil)
	return translate("delete", container, name, err)
}

// List implements Blobs.
func (a *AzureBlobs) List(ctx context.Context, container, prefix string) ([]BlobInfo, error) {
	var list []BlobInfo
	pager := a.client.NewListBlobsFlatPager(container, &azblob.ListBlobsFlatOptions{Prefix: &prefix})
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if bloberror.HasCode(err, bloberror.ContainerNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, translate("list", container, prefix, err)
		}
		for _, item := range page.Segment.BlobItems {
			list = append(list, BlobInfo{*item.Name, *item.Properties.ContentLength, quoted(item.Properties.ETag)})
		}
	}
	return list, nil
}

// Lease implements Blobs.
func (a *AzureBlobs) Lease(ctx context.Context, container, name string) error {
	client, err := lease.NewBlobClient(a.blob(container, name), nil)
	if err != nil {
		return translate("lease", container, name, err)
	}
	_, err = client.AcquireLease(ctx, -1, nil)
	return translate("lease", container, name, err)
}

// BreakLease implements Blobs.
func (a *AzureBlobs) BreakLease(ctx context.Context, container, name string) error {
	client, err := lease.NewBlobClient(a.blob(container, name), nil)
	if err != nil {
		return translate("break lease of", container, name, err)
	}
	now := int32(0)
	_, err = client.BreakLease(ctx, &lease.BlobBreakOptions{BreakPeriod: &now})
	if bloberror.HasCode(err, bloberror.LeaseNotPresentWithLeaseOperation) {
		return nil
	}
	return translate("break lease of", container, name, err)
}

func (a *AzureBlobs) blob(container, name string) *blob.Client {
	return a.client.ServiceClient().NewContainerClient(container).NewBlobClient(name)
}

func translate(verb, container, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound, bloberror.ResourceNotFound):
		return fmt.Errorf("%s %s/%s: %w", verb, container, name, ErrBlobNotFound)
	case bloberror.HasCode(err, bloberror.LeaseIDMissing, bloberror.LeaseAlreadyPresent):
		return fmt.Errorf("%s %s/%s: %w", verb, container, name, ErrBlobLeased)
	}
	return fmt.Errorf("%s %s/%s: %w", verb, container, name, err)
}

func quoted(etag *azcore.ETag) string {
	if etag == nil {
		return ""
	}
	return `"` + strings.Trim(string(*etag), `"`) + `"`
}
