package engine

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Bounds of the lines that are kept in memory; a longer one is passed over like the others, and only its beginning is
// known.
const (
	longestLine      = 16 << 20
	longestErrorLine = 1 << 20
)

// lines walks through the lines of a file, however long they are, with a buffer of one size.
type lines struct {
	r    *bufio.Reader
	file io.Closer
	most int   // bytes of a line that are kept
	at   int64 // byte of the file that is read next
}

// line is one line of a file, without its end.
type line struct {
	from    int64  // where it begins in the file, in bytes
	blank   bool   // nothing but white space: the import does not count it (contract 5.3)
	whole   bool   // content is all of it
	content []byte // empty unless it was to be kept
}

// newLines reads from the byte at which the file was opened.
func newLines(file io.ReadCloser, at int64, most int) *lines {
	return &lines{bufio.NewReaderSize(file, 64<<10), file, most, at}
}

// next passes one line; io.EOF when there is none left. A byte order mark at the start of the file is no part of it.
func (l *lines) next(keep bool) (line, error) {
	if l.at == 0 {
		if mark, err := l.r.Peek(3); err == nil && string(mark) == "\uFEFF" {
			n, _ := l.r.Discard(3) // there: they were peeked at
			l.at += int64(n)
		}
	}
	found := line{from: l.at, blank: true, whole: true}
	for {
		part, err := l.r.ReadSlice('\n')
		l.at += int64(len(part))
		found.blank = found.blank && len(bytes.TrimSpace(part)) == 0
		if keep {
			room := max(l.most-len(found.content), 0)
			found.whole = found.whole && len(part) <= room
			found.content = append(found.content, part[:min(room, len(part))]...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && l.at > found.from:
		case err != nil:
			return line{}, err
		}
		found.content = bytes.TrimRight(found.content, "\r\n")
		return found, nil
	}
}

// close ends the reading. The connection is of no use any more, and neither is how its end went.
func (l *lines) close() { _ = l.file.Close() }
