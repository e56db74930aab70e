package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"fhirferry/handler/internal/migration"
)

// Staging is a container in memory, with neighbours.
type Staging struct {
	mu    sync.Mutex
	files map[place]file
	puts  int
}

// place is where a file lies.
type place struct{ container, name string }

type file struct {
	etag    string
	content []byte
}

// NewStaging is an empty container.
func NewStaging() *Staging { return &Staging{files: map[place]file{}} }

// Put writes a file into a container, or changes it.
func (s *Staging) Put(_ context.Context, container, name string, content []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	s.files[place{container, name}] = file{fmt.Sprintf("%q", fmt.Sprintf("0x%X", s.puts)), slices.Clone(content)}
	return nil
}

// find looks for a file in any container.
func (s *Staging) find(container, name string) (file, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, there := s.files[place{container, name}]
	if !there {
		return f, migration.ErrNotFound
	}
	return f, nil
}

// ETag returns the etag of a file.
func (s *Staging) ETag(_ context.Context, container, name string) (string, error) {
	f, err := s.find(container, name)
	return f.etag, err
}

// Open reads a file from the offset on.
func (s *Staging) Open(_ context.Context, container, name string, offset int64) (io.ReadCloser, error) {
	f, err := s.find(container, name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(f.content[min(offset, int64(len(f.content))):])), nil
}

// Endpoint is an address that nothing answers at.
func (s *Staging) Endpoint() string { return "http://staging.invalid" }

// Container is the container's name.
func (s *Staging) Container() string { return "fhirferry" }

// Prepare does nothing: memory is there.
func (s *Staging) Prepare(context.Context) error { return nil }

// Probe does nothing: memory can be written.
func (s *Staging) Probe(context.Context) error { return nil }

// Folder lists the files whose names begin with the folder, by name.
func (s *Staging) Folder(_ context.Context, folder string) ([]migration.StagedFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var files []migration.StagedFile
	for at, f := range s.files {
		if at.container == s.Container() && strings.HasPrefix(at.name, folder) {
			files = append(files, migration.StagedFile{Name: at.name, ETag: f.etag, Size: int64(len(f.content))})
		}
	}
	slices.SortFunc(files, func(a, b migration.StagedFile) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}
