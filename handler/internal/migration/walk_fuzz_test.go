package migration

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hand moves one chunk by events in any order, with arguments that a server could give: it knows the lines of each file
// of the manifest that the chunk believes.
type hand struct {
	chunk Chunk
	files []int64
	now   time.Time
}

// eventCount is how many events a byte chooses from.
const eventCount = 27

// event applies the event that the byte names, with arg choosing its arguments.
func (h *hand) event(b, arg byte) error {
	c, l := &h.chunk, someLimits()
	h.now = h.now.Add(time.Duration(arg) * time.Second)
	next := h.now.Add(time.Duration(arg%7) * time.Minute)
	switch b % eventCount {
	case 0:
		return c.Claim(h.now, next)
	case 1:
		return c.ExportIntended()
	case 2:
		return c.ExportAccepted("https://source/1", h.now, next)
	case 3:
		return c.ManifestSeen(string('a'+rune(arg%3)), h.now, next)
	case 4:
		return h.completeExport(arg)
	case 5:
		_, err := c.TooLarge("413", h.now)
		return err
	case 6:
		return c.FilesLost("gone", h.now, next, l)
	case 7:
		if left := c.Files - c.FilesDone; left > 0 && c.Import.Body == "" {
			return c.ImportIntended("body", 1+int(arg)%left)
		}
		return c.ImportIntended(c.Import.Body, c.FilesNow)
	case 8:
		return c.ImportAccepted("https://destination/1", h.now, next)
	case 9:
		return h.completeImport(arg)
	case 10:
		return c.OffBalance("one line", h.now, next)
	case 11:
		return c.Postpone("busy", h.now, next)
	case 12:
		return c.Faulted("502", h.now, next, l)
	case 13:
		return c.JobLost("dead", h.now, next, l)
	case 14:
		return c.Rejected("400", h.now)
	case 15:
		return c.Cancel(h.now)
	case 16:
		return c.RetryExport(h.now)
	case 17:
		return c.RetryImport(h.now)
	case 18:
		return c.EmptyDoubted(h.now)
	case 19:
		return c.ShortDoubted(int64(arg), "short", h.now, next, l)
	case 20:
		return c.ExportThrottled("429", h.now, next, l)
	case 21:
		return c.ManifestDoubted()
	case 22:
		return c.ImportMissedETag(QuotedETags, "412", h.now, next, l)
	case 23:
		return c.ImportStalled("stalled", h.now, next)
	case 25:
		return c.ResultKept("result", h.now)
	case 26:
		r := c.Reading
		r.Unit, r.Listed, r.Pages = int(arg%3), int64(arg), r.Pages+1
		r.Rejects.Add(RejectClasses()[int(arg)%6], int64(arg%9))
		return c.RejectsRead(r, h.now, next)
	default:
		return c.Progressed(int64(arg), h.now, next)
	}
}

func (h *hand) completeExport(arg byte) error {
	files := make([]int64, arg%4)
	b := Believed{Manifest: "m", Files: len(files), Skipped: int64(arg % 3)}
	b.Lines = b.Skipped
	for i := range files {
		files[i] = 1 + int64(arg)%90
		b.Lines += files[i]
	}
	err := h.chunk.ExportCompleted(b, h.now)
	if err == nil {
		h.files = files
	}
	return err
}

func (h *hand) completeImport(arg byte) error {
	c := &h.chunk
	if c.State != Importing {
		return c.ImportCompleted(0, 0, h.now) // refused
	}
	var lines int64
	for _, n := range h.files[c.FilesDone : c.FilesDone+c.FilesNow] {
		lines += n
	}
	rejected := lines * int64(arg%5) / 4
	if c.Import.Result == "" {
		r := Reading{Pages: 1, Rejects: Rejects{Benign: rejected * int64(arg%3) / 2}}
		r.Rejects.Other = rejected - r.Rejects.Benign
		if err := errors.Join(c.ResultKept("result", h.now), c.RejectsRead(r, h.now, h.now)); err != nil {
			return err
		}
	}
	return c.ImportCompleted(lines-rejected, rejected, h.now)
}

// FuzzWalk: no sequence of events makes a row that cannot be; a refused event changes nothing; what is over stays over;
// an attempt number never comes back; the same attempt never carries two bodies.
func FuzzWalk(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 2, 9, 3, 1, 3, 1, 4, 3, 7, 0, 8, 9, 9, 0, 7, 5, 8, 0, 9, 0})
	f.Add([]byte{1, 0, 2, 0, 4, 2, 7, 0, 12, 0, 12, 0, 12, 0, 17, 0, 8, 0, 9, 4, 17, 0, 7, 0, 8, 0, 9, 4})
	f.Add([]byte{1, 0, 2, 0, 18, 0, 1, 0, 2, 0, 19, 5, 1, 0, 2, 0, 20, 0, 16, 0, 1, 0, 2, 0, 5, 0})
	f.Add([]byte{1, 0, 2, 0, 4, 3, 7, 1, 8, 0, 10, 0, 7, 1, 8, 0, 10, 0, 1, 0, 2, 0, 4, 1, 7, 0, 8, 0, 10, 0, 17, 0})
	f.Add([]byte{1, 0, 2, 0, 4, 3, 7, 1, 8, 0, 9, 0, 7, 0, 8, 0, 6, 0, 14, 0, 15, 0, 0, 0})
	f.Add([]byte{2, 0, 13, 0, 8, 0, 1, 0, 2, 0, 13, 0, 2, 0, 20, 0, 5, 0})
	f.Add([]byte{1, 0, 2, 0, 3, 1, 21, 0, 24, 9, 4, 2, 7, 1, 8, 0, 23, 0, 22, 0, 7, 1, 8, 0, 9, 0})
	f.Add([]byte{1, 0, 2, 0, 4, 3, 7, 1, 8, 0, 25, 0, 26, 9, 26, 40, 9, 0, 13, 0, 7, 1, 8, 0, 25, 0, 26, 5, 9, 4, 17, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		h := &hand{chunk: NewChunk([]string{"A", "B"}, someWindow(), 100, instant()), now: instant()}
		for i := 0; i+1 < len(steps) && i < 2000; i += 2 {
			before := h.chunk
			err := h.event(steps[i], steps[i+1])
			after := h.chunk
			if broken := Valid(after); broken != "" {
				t.Fatalf("step %d (event %d on %s): %s\n%+v", i/2, steps[i]%eventCount, before.State, broken, after)
			}
			if err != nil && cmp.Diff(before, after) != "" {
				t.Fatalf("step %d: refused with %v, and changed the chunk:\n%s", i/2, err, cmp.Diff(before, after))
			}
			if !before.State.Unfinished() && cmp.Diff(before, after) != "" {
				t.Fatalf("step %d: a chunk that is %s moved on to %s", i/2, before.State, after.State)
			}
			if after.Export.Attempt < before.Export.Attempt || after.Import.Attempt < before.Import.Attempt {
				t.Fatalf("step %d: an attempt came back", i/2)
			}
			if before.State == Importing && after.State != Importing && after.State != Imported && after.State != Cancelled &&
				steps[i]%eventCount != 9 && after.Import.Attempt == before.Import.Attempt {
				t.Fatalf("step %d (event %d): importing was left for %s, and the attempt is still %d", i/2, steps[i]%eventCount, after.State, after.Import.Attempt)
			}
			if after.State == Failed && before.State != Failed && after.LastError == "" {
				t.Fatalf("step %d: failed without saying why", i/2)
			}
			if after.Imbalance < before.Imbalance && before.State != Failed {
				t.Fatalf("step %d: progress has reset the imbalance", i/2)
			}
		}
	})
}
