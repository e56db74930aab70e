package e2e

import (
	"log/slog"
	"strings"
	"sync"
)

// kept is how many lines a journal holds.
const kept = 50

// journal keeps the last lines that hosts and handlers write. It is safe for concurrent use.
type journal struct {
	mu    sync.Mutex
	lines []string
	part  string
}

// Write takes text of any number of lines; the last may be unfinished.
func (j *journal) Write(text []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	parts := strings.Split(j.part+string(text), "\n")
	j.part = parts[len(parts)-1]
	j.lines = append(j.lines, parts[:len(parts)-1]...)
	if len(j.lines) > kept {
		j.lines = append([]string{}, j.lines[len(j.lines)-kept:]...)
	}
	return len(text), nil
}

// records is a log that ends in the journal.
func (j *journal) records() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}
