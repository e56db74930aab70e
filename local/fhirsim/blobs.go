package fhirsim

import (
	"context"
	"errors"
	"net/url"
	"strings"
)

// Blobs is the storage account exports go to and imports come from. Etags are in header form, with quotes.
type Blobs interface {
	// Endpoint is the account's blob endpoint without a trailing slash; a blob's URL is
	// endpoint/container/name.
	Endpoint() string
	// CreateContainer creates the container unless it exists.
	CreateContainer(ctx context.Context, container string) error
	// Put writes a whole blob. ErrBlobLeased when a lease is in the way.
	Put(ctx context.Context, container, name string, data []byte) error
	// Get reads a blob from the byte offset to its end. ErrBlobNotFound when it is not there.
	Get(ctx context.Context, container, name string, offset int64) (data []byte, etag string, err error)
	// Stat is a blob's size and etag. ErrBlobNotFound when it is not there.
	Stat(ctx context.Context, container, name string) (BlobInfo, error)
	// Delete removes a blob. ErrBlobLeased when a lease is in the way, ErrBlobNotFound when it is not there.
	Delete(ctx context.Context, container, name string) error
	// List names the blobs under a prefix, in order of names. A missing container has none.
	List(ctx context.Context, container, prefix string) ([]BlobInfo, error)
	// Lease takes an infinite lease (contract 4.8); ErrBlobLeased when there is one.
	Lease(ctx context.Context, container, name string) error
	// BreakLease ends a lease; without one it does nothing.
	BreakLease(ctx context.Context, container, name string) error
}

// BlobInfo describes one blob of a container.
type BlobInfo struct {
	Name string
	Size int64
	Etag string
}

var (
	// ErrBlobNotFound: the container or the blob is not there.
	ErrBlobNotFound = errors.New("blob not found")
	// ErrBlobLeased: a lease forbids the operation (412).
	ErrBlobLeased = errors.New("blob is leased")
)

func blobURL(b Blobs, container, name string) string {
	return b.Endpoint() + "/" + container + "/" + name
}

// splitBlobURL finds the container and the name of a blob of this account.
func splitBlobURL(b Blobs, address string) (container, name string, ok bool) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", false
	}
	endpoint, err := url.Parse(b.Endpoint())
	if err != nil || u.Host != endpoint.Host {
		return "", "", false
	}
	path, ok := strings.CutPrefix(u.Path, endpoint.Path+"/")
	if !ok {
		return "", "", false
	}
	return strings.Cut(path, "/")
}
