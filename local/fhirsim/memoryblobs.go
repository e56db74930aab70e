package fhirsim

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// MemoryBlobs is a storage account in memory. It also serves GET and HEAD of its blobs over HTTP.
type MemoryBlobs struct {
	endpoint string

	mu         sync.Mutex
	containers map[string]map[string]*memoryBlob
	writes     int
}

type memoryBlob struct {
	data   []byte
	etag   string
	leased bool
}

var _ Blobs = (*MemoryBlobs)(nil)

// NewMemoryBlobs makes an empty account with the endpoint, for instance https://acct.blob.example.
func NewMemoryBlobs(endpoint string) *MemoryBlobs {
	return &MemoryBlobs{endpoint: strings.TrimSuffix(endpoint, "/"), containers: map[string]map[string]*memoryBlob{}}
}

// Endpoint implements Blobs.
func (m *MemoryBlobs) Endpoint() string { return m.endpoint }

// CreateContainer implements Blobs.
func (m *MemoryBlobs) CreateContainer(_ context.Context, container string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.containers[container] == nil {
		m.containers[container] = map[string]*memoryBlob{}
	}
	return nil
}

// Put implements Blobs.
func (m *MemoryBlobs) Put(_ context.Context, container, name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	blobs := m.containers[container]
	if blobs == nil {
		return fmt.Errorf("put %s/%s: no such container: %w", container, name, ErrBlobNotFound)
	}
	if old := blobs[name]; old != nil && old.leased {
		return fmt.Errorf("put %s/%s: %w", container, name, ErrBlobLeased)
	}
	m.writes++
	blobs[name] = &memoryBlob{data: bytes.Clone(data), etag: fmt.Sprintf("\"0x8D%012X\"", m.writes)}
	return nil
}

func (m *MemoryBlobs) find(container, name string) (*memoryBlob, error) {
	if b := m.containers[container][name]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("%s/%s: %w", container, name, ErrBlobNotFound)
}

// Get implements Blobs. The data must not be changed.
func (m *MemoryBlobs) Get(_ context.Context, container, name string, offset int64) ([]byte, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.find(container, name)
	if err != nil {
		return nil, "", fmt.Errorf("get %w", err)
	}
	return b.data[min(offset, int64(len(b.data))):], b.etag, nil
}

// Stat implements Blobs.
func (m *MemoryBlobs) Stat(_ context.Context, container, name string) (BlobInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.find(container, name)
	if err != nil {
		return BlobInfo{}, fmt.Errorf("stat %w", err)
	}
	return BlobInfo{name, int64(len(b.data)), b.etag}, nil
}

// Delete implements Blobs.
func (m *MemoryBlobs) Delete(_ context.Context, container, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.find(container, name)
	if err != nil {
		return fmt.Errorf("delete %w", err)
	}
	if b.leased {
		return fmt.Errorf("delete %s/%s: %w", container, name, ErrBlobLeased)
	}
	delete(m.containers[container], name)
	return nil
}

// List implements Blobs.
func (m *MemoryBlobs) List(_ context.Context, container, prefix string) ([]BlobInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []BlobInfo
	for name, b := range m.containers[container] {
		if strings.HasPrefix(name, prefix) {
			list = append(list, BlobInfo{name, int64(len(b.data)), b.etag})
		}
	}
	slices.SortFunc(list, func(a, b BlobInfo) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Lease implements Blobs.
func (m *MemoryBlobs) Lease(_ context.Context, container, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.find(container, name)
	if err != nil {
		return fmt.Errorf("lease %w", err)
	}
	if b.leased {
		return fmt.Errorf("lease %s/%s: %w", container, name, ErrBlobLeased)
	}
	b.leased = true
	return nil
}

// BreakLease implements Blobs.
func (m *MemoryBlobs) BreakLease(_ context.Context, container, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.find(container, name)
	if err != nil {
		return fmt.Errorf("break lease of %w", err)
	}
	b.leased = false
	return nil
}

// ServeHTTP answers GET and HEAD of /container/name with the content and its ETag, or 404.
func (m *MemoryBlobs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	container, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	data, etag, err := m.Get(r.Context(), container, name, 0)
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", "application/fhir+ndjson")
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(data) // a reader that went away is its own affair
	}
}
