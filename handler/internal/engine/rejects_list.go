package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fhirferry/handler/internal/migration"
)

// Bounds of one call that lists rejected lines: documents read, and rows of chunks looked at.
const (
	rejectDocuments = 30
	rejectChunks    = 1000
)

// Rejects lists the rejected lines of the current run that are in the books, and those of batches that are being read, in
// the order of their chunks. A page may be short or empty and still have a Next: a call reads only so many documents.
func (e *Engine) Rejects(ctx context.Context, q RejectQuery) (RejectPage, error) {
	run, _, err := e.ledger.Current(ctx)
	if errors.Is(err, migration.ErrNotFound) {
		return RejectPage{}, nil
	}
	if err != nil {
		return RejectPage{}, fmt.Errorf("read the current run: %w", err)
	}
	l := &rejectLister{Engine: e, run: run.ID, query: q, limit: min(q.Limit, 1000)}
	if l.limit <= 0 {
		l.limit = 100
	}
	from, err := parseRejectCursor(q.After)
	if err != nil {
		return RejectPage{}, err
	}
	next, err := l.list(ctx, from)
	return RejectPage{Rejects: l.found, Next: next}, err
}

// rejectCursor is a place in the list: a line of a document of a chunk; within a chunk that is done, none. It names the
// document, for a retry puts others in its place.
type rejectCursor struct {
	chunk    string
	done     bool
	document string // what tells it from others of the chunk; empty: the first
	line     int
}

func (c rejectCursor) String() string {
	if c.done {
		return c.chunk
	}
	return fmt.Sprintf("%s/%s/%d", c.chunk, c.document, c.line)
}

func parseRejectCursor(s string) (rejectCursor, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 1 {
		return rejectCursor{chunk: s, done: true}, nil
	}
	if len(parts) == 3 {
		if line, err := strconv.Atoi(parts[2]); err == nil && line >= 0 {
			return rejectCursor{chunk: parts[0], document: parts[1], line: line}, nil
		}
	}
	return rejectCursor{}, &Refusal{Reason: BadValue, Detail: `after is not the "next" of a page before`}
}

// ofDocument is what tells a document from the others of its chunk.
func ofDocument(name string) string {
	return strings.TrimSuffix(name[strings.LastIndex(name, "/")+1:], ".json")
}

type rejectLister struct {
	*Engine
	run   string
	query RejectQuery
	limit int
	found []Reject
	read  int // documents
}

// list goes on at the cursor, and returns where the next call goes on; empty: nothing is left.
func (l *rejectLister) list(ctx context.Context, from rejectCursor) (next string, err error) {
	if asked := l.query.Chunk; asked != "" && from.chunk != asked {
		from = rejectCursor{chunk: asked}
	} else if asked != "" && from.done {
		return "", nil
	}
	if !from.done {
		chunk, _, err := l.ledger.Chunk(ctx, l.run, from.chunk)
		if err != nil && !errors.Is(err, migration.ErrNotFound) {
			return "", fmt.Errorf("read chunk %s: %w", from.chunk, err)
		}
		if err == nil {
			if stopped, next, err := l.chunk(ctx, chunk, from); err != nil || stopped {
				return next, err
			}
		}
		if l.query.Chunk != "" {
			return "", nil
		}
	}
	chunks, more, err := l.ledger.Chunks(ctx, l.run, from.chunk, rejectChunks)
	if err != nil {
		return "", fmt.Errorf("list chunks: %w", err)
	}
	for _, c := range chunks {
		if stopped, next, err := l.chunk(ctx, c, rejectCursor{chunk: c.ID}); err != nil || stopped {
			return next, err
		}
	}
	return more, nil
}

// chunk lists what one chunk has from the cursor on, and reports whether the call ends here. A cursor whose document is
// no longer there lists all of the chunk: rather twice than not at all.
func (l *rejectLister) chunk(ctx context.Context, c migration.Chunk, from rejectCursor) (stopped bool, next string, err error) {
	if l.query.Class != "" && c.Rejects.Of(l.query.Class)+c.Reading.Rejects.Of(l.query.Class) == 0 {
		return false, "", nil
	}
	names := rejectDocumentsOf(c)
	first := slices.IndexFunc(names, func(name string) bool { return ofDocument(name) == from.document })
	if first < 0 {
		first, from.line = 0, 0
	}
	for _, name := range names[first:] {
		from.document = ofDocument(name)
		if l.read == rejectDocuments || len(l.found) == l.limit {
			return true, from.String(), nil
		}
		content, err := l.ledger.Document(ctx, l.run, name)
		if err != nil {
			return true, "", fmt.Errorf("read rejects %s: %v", name, err)
		}
		page, err := parseRejectPage(name, content)
		if err != nil {
			return true, "", err
		}
		l.read++
		for ; from.line < len(page.Rejects); from.line++ {
			if len(l.found) == l.limit {
				return true, from.String(), nil
			}
			r := page.Rejects[from.line]
			if (l.query.Class == "" || r.Class == l.query.Class) && (l.query.Type == "" || r.Type == l.query.Type) {
				r.Chunk = c.ID
				l.found = append(l.found, r)
			}
		}
		from.line = 0
	}
	return false, "", nil
}

// rejectDocumentsOf names the documents that list the rejected lines of a chunk, those of the batch that is being read
// at the end.
func rejectDocumentsOf(c migration.Chunk) []string {
	var names []string
	for _, b := range c.Batches {
		for page := range b.Pages {
			names = append(names, rejectsName(c, b.From, b.Attempt, page))
		}
	}
	for page := range c.Reading.Pages {
		names = append(names, rejectsName(c, c.FilesDone, c.Import.Attempt, page))
	}
	return names
}
