package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"fhirferry/handler/internal/migration"
)

// Staging is a container in memory.
type Staging struct {
	mu    sync.Mutex
	files map[string]migration.StagedFile
	puts  int
}

// NewStaging is an empty container.
func NewStaging() *Staging { return &Staging{files: map[string]migration.StagedFile{}} }

// Put writes a file of the given size, or changes it.
func (s *Staging) Put(_ context.Context, name string, content []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	s.files[name] = migration.StagedFile{Name: name, ETag: fmt.Sprintf("%q", fmt.Sprintf("0x%X", s.puts)), Size: int64(len(content))}
	return nil
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
	for name, f := range s.files {
		if strings.HasPrefix(name, folder) {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b migration.StagedFile) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}
