package migration

import (
	"math"
	"testing"
	"time"
)

// story plays a source whose answers are taken from bytes: a count, an overflow, a failure, or refusal from now on.
type story struct {
	bytes   []byte
	at      int
	asked   []Piece // what was counted, with the answer
	refused bool
}

func (s *story) next() byte {
	if len(s.bytes) == 0 {
		return 0
	}
	s.at++
	return s.bytes[s.at%len(s.bytes)]
}

// FuzzRound: whatever the counts are, in whatever order they overflow, fail or are refused, the planning ends, every
// type is covered over the whole span but for what was counted as zero, chunks keep the limit where they are counted
// and can be cut, and no id comes twice (invariants 1 and 3).
func FuzzRound(f *testing.F) {
	f.Add([]byte{0}, uint8(3), int64(10), int64(1000), false)
	f.Add([]byte{9, 200, 3, 0, 60, 60, 250}, uint8(5), int64(8), int64(86_400_000), false)
	f.Add([]byte{255, 254, 253, 252, 251}, uint8(2), int64(1), int64(3), true)
	f.Add([]byte{250, 1, 250, 2, 250, 250}, uint8(4), int64(5), int64(400_000_000_000), false)
	f.Add([]byte{100, 240, 7, 245, 9}, uint8(7), int64(40), int64(7_776_000_000), true)
	f.Add([]byte{230, 230, 230, 230, 230, 248}, uint8(1), int64(2), int64(600_000), false)
	f.Fuzz(func(t *testing.T, bytes []byte, kinds uint8, limit, length int64, timed bool) {
		types := []string{"A", "B", "C", "D", "E", "F", "G"}[:1+kinds%7]
		limit, length = 1+abs(limit)%1_000_000, 1+abs(length)%400_000_000_000
		since := time.UnixMilli(1_400_000_000_000).UTC()
		s := &story{bytes: bytes}
		r := NewRound(Run{Frontier: since}, since.Add(time.Duration(length)*Instant))
		ask(t, s, &r, types, limit)
		var byTime func(Window) []Window
		if timed || s.refused {
			byTime = func(w Window) []Window { return ByTime(w, 0) }
			r.ShortenUncounted(byTime)
		}
		chunks := r.Cut(types, limit, byTime, instant())
		checkCut(t, s, r, types, limit, chunks)
	})
}

// ask answers the round's questions until it has none, in the order that the engine asks them.
func ask(t *testing.T, s *story, r *Round, types []string, limit int64) {
	for n := 0; ; n++ {
		q, more := r.Next(types, limit)
		if !more {
			return
		}
		if n > 400_000 {
			t.Fatal("the round asks for ever")
		}
		if !r.Span.Since.Equal(q.Window.Since) && (q.Window.Since.Before(r.Span.Since) || q.Window.Till.After(r.Span.Till)) {
			t.Fatalf("asked about %v, outside the span %v", q.Window, r.Span)
		}
		b := s.next()
		switch {
		case s.refused || b >= 253 && n > 3:
			s.refused = true
			r.CountsRefused()
		case b >= 246:
			r.CountOverflowed(q)
		case b >= 243:
			r.CountFailed("502", instant())
		case b >= 238 && q.Window.Length() < 10*Instant:
			r.Counted(q, math.MaxInt64, limit)
			s.asked = append(s.asked, Piece{q.Type, q.Window, math.MaxInt64})
		default:
			// A length's worth, so that halving ends: a window of one millisecond holds what it holds.
			count := int64(b) * limit / 40
			if n > 300 {
				count = int64(b) % (limit + 1)
			}
			r.Counted(q, count, limit)
			s.asked = append(s.asked, Piece{q.Type, q.Window, count})
		}
	}
}

func checkCut(t *testing.T, s *story, r Round, types []string, limit int64, chunks []Chunk) {
	seen := map[string]bool{}
	for i, c := range chunks {
		if seen[c.ID] {
			t.Errorf("chunk %s twice", c.ID)
		}
		seen[c.ID] = true
		if broken := Valid(c); broken != "" || c.State != Planned {
			t.Errorf("chunk %s: %s", c.ID, broken)
		}
		if i > 0 && chunks[i-1].Compare(c) > 0 {
			t.Errorf("chunk %s is not in window order", c.ID)
		}
		if c.Window.Since.Before(r.Span.Since) || c.Window.Till.After(r.Span.Till) {
			t.Errorf("chunk %v reaches out of the span %v", c.Window, r.Span)
		}
		if _, _, cuttable := c.Window.Halve(); c.Expected > limit && (cuttable || len(c.ResourceTypes) > 1) {
			t.Errorf("chunk of %v in %v holds %d, more than %d", c.ResourceTypes, c.Window, c.Expected, limit)
		}
	}
	for _, kind := range types {
		checkLane(t, s, r, kind, chunks)
	}
}

// checkLane: the chunks of a type follow one another; where none is, everything was counted as zero, by its own count or
// by that of the whole.
func checkLane(t *testing.T, s *story, r Round, kind string, chunks []Chunk) {
	at := r.Span.Since
	lane := append([]Chunk{}, chunks...)
	lane = append(lane, Chunk{ResourceTypes: []string{kind}, Window: Window{r.Span.Till, r.Span.Till}})
	for _, c := range lane {
		if !(Chunk{ResourceTypes: []string{kind}}).Shares(c) {
			continue
		}
		if c.Window.Since.Before(at) {
			t.Errorf("%s: %v overlaps what ends at %s", kind, c.Window, at)
		}
		// Zeros may lie side by side in the gap.
		for at.Before(c.Window.Since) {
			next := at
			for _, a := range s.asked {
				if a.Count == 0 && (a.Type == kind || a.Type == "") && !a.Window.Since.After(at) && a.Window.Till.After(next) {
					next = a.Window.Till
				}
			}
			if !next.After(at) {
				t.Fatalf("%s: nothing covers what follows %s, and nobody counted zero there; chunks %d", kind, at, len(chunks))
			}
			at = next
		}
		at = c.Window.Till
	}
}
