package migration

import (
	"testing"
	"time"
)

// covers reports whether the tiles run from one edge of the window to the other, each beginning where the one before
// ends, none of them empty or backwards.
func covers(w Window, tiles []Window) bool {
	if len(tiles) == 0 || !tiles[0].Since.Equal(w.Since) || !tiles[len(tiles)-1].Till.Equal(w.Till) {
		return false
	}
	for i, tile := range tiles {
		if tile.Empty() || i > 0 && !tile.Since.Equal(tiles[i-1].Till) {
			return false
		}
	}
	return true
}

// FuzzTile is invariant 1 for every way of cutting a window: no gap, no overlap beyond the shared edge.
func FuzzTile(f *testing.F) {
	f.Add(int64(0), int64(1), int64(0), int64(1), int64(2), int64(1))
	f.Add(int64(1_500_000_000_000), int64(86_400_000), int64(-5), int64(43_200_000), int64(86_400_000), int64(3_600_000))
	f.Add(int64(-2_208_988_800_000), int64(3_900_000_000_000), int64(7), int64(7), int64(9), int64(2_592_000_000))
	f.Add(int64(42), int64(2), int64(1), int64(1), int64(1), int64(1))
	f.Fuzz(func(t *testing.T, start, length, a, b, c, every int64) {
		start, length = start%4_000_000_000_000, 1+abs(length)%4_000_000_000_000
		w := Window{time.UnixMilli(start).UTC(), time.UnixMilli(start + length).UTC()}
		edge := func(n int64) time.Time { return w.Since.Add(time.Duration(n%(2*length)) * Instant) }
		inside := map[time.Time]bool{}
		for _, e := range []time.Time{edge(a), edge(b), edge(c)} {
			if e.After(w.Since) && e.Before(w.Till) {
				inside[e] = true
			}
		}
		tiles := w.Tile(edge(a), edge(b), edge(c))
		if !covers(w, tiles) || len(tiles) != len(inside)+1 {
			t.Errorf("Tile(%d, %d, %d) of %v: %v", a, b, c, w, tiles)
		}
		for _, tile := range tiles[1:] {
			if !inside[tile.Since] {
				t.Errorf("cut at %s, which nobody asked for", tile.Since)
			}
		}
		first, second, ok := w.Halve()
		if ok != (length > 1) || ok && !covers(w, []Window{first, second}) {
			t.Errorf("Halve of %v: %v, %v, %v", w, first, second, ok)
		}
		if ok && !first.Till.Equal(first.Till.Truncate(Instant)) {
			t.Errorf("halved at %s, within a millisecond", first.Till)
		}
		step := time.Duration(1+abs(every)%(2*length)) * Instant
		pieces := w.Every(step, 50)
		if !covers(w, pieces) || len(pieces) > 51 {
			t.Errorf("Every(%s) of %v: %v", step, w, pieces)
		}
		for i, p := range pieces {
			if p.Length() > step && i < 50 {
				t.Errorf("Every(%s): a piece of %s", step, p.Length())
			}
		}
		if byTime := ByTime(w, 0); !covers(w, byTime) {
			t.Errorf("ByTime of %v: %v", w, byTime)
		}
	})
}

func abs(n int64) int64 {
	if n < 0 {
		return max(-n, 0)
	}
	return n
}

// Both edges belong to a window: a resource exactly on a shared one crosses twice, never not at all (invariant 1).
func TestContains(t *testing.T) {
	w := someWindow()
	for name, tc := range map[string]struct {
		at   time.Time
		want bool
	}{
		"lower edge": {w.Since, true}, "upper edge": {w.Till, true}, "inside": {w.Since.Add(Instant), true},
		"before": {w.Since.Add(-1), false}, "after": {w.Till.Add(1), false},
	} {
		if got := w.Contains(tc.at); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// Where counts are refused, windows are cut by time: with no length one up to 2018 and then 30 days each.
func TestByTime(t *testing.T) {
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	const month = 30 * 24 * time.Hour
	for name, tc := range map[string]struct {
		span   Window
		length time.Duration
		want   []time.Duration // lengths, in order
	}{
		"all early":        {Window{day(2010, 1, 1), day(2018, 1, 1)}, 0, []time.Duration{day(2018, 1, 1).Sub(day(2010, 1, 1))}},
		"early and late":   {Window{day(2017, 12, 1), day(2018, 3, 1)}, 0, []time.Duration{31 * 24 * time.Hour, month, 29 * 24 * time.Hour}},
		"late":             {Window{day(2020, 1, 1), day(2020, 1, 31)}, 0, []time.Duration{month}},
		"by a length":      {Window{day(2017, 12, 1), day(2017, 12, 4)}, 36 * time.Hour, []time.Duration{36 * time.Hour, 36 * time.Hour}},
		"shorter than one": {Window{day(2020, 1, 1), day(2020, 1, 2)}, month, []time.Duration{24 * time.Hour}},
	} {
		got := ByTime(tc.span, tc.length)
		if len(got) != len(tc.want) || !covers(tc.span, got) {
			t.Errorf("%s: got %v", name, got)
			continue
		}
		for i, w := range got {
			if w.Length() != tc.want[i] {
				t.Errorf("%s: window %d is %s long, want %s", name, i, w.Length(), tc.want[i])
			}
		}
	}
}

// A short window over a long span must not be spelled out: a round takes about a hundred of them anyway.
func TestByTimeIsBounded(t *testing.T) {
	span := Window{EarliestInstant(), instant()}
	byTime := func(w Window) []Window { return ByTime(w, time.Minute) }
	if got := byTime(span); !covers(span, got) || len(got) > RoundChunks+1 {
		t.Errorf("got %d windows, want at most %d", len(got), RoundChunks+1)
	}
	r := Round{Kind: Planning, Span: span, Total: Uncounted}
	r.ShortenUncounted(byTime)
	if got := r.Cut([]string{"A"}, 10, byTime, instant()); len(got) != RoundChunks || got[RoundChunks-1].Window.Length() != time.Minute {
		t.Errorf("got %d chunks, want the round to end after %d of a minute each", len(got), RoundChunks)
	}
}

// A chunk's name is a function of what it moves: of the types whatever their order, and of both edges.
func TestChunkID(t *testing.T) {
	w := Window{time.Date(2020, 1, 2, 3, 4, 5, 6e6, time.UTC), time.Date(2021, 1, 2, 3, 4, 5, 7e6, time.UTC)}
	const want = "20200102T030405.006Z_20210102T030405.007Z_a703652b"
	if got := ChunkID([]string{"Patient", "Observation"}, w); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	elsewhere := Window{w.Since.In(time.FixedZone("", 7200)), w.Till}
	if got := NewChunk([]string{"Observation", "Patient"}, elsewhere, 1, instant()).ID; got != want {
		t.Errorf("other order, other zone: got %s, want %s", got, want)
	}
	if a, b := ChunkID([]string{"AB", "C"}, w), ChunkID([]string{"A", "BC"}, w); a == b {
		t.Error("two sets of types have one name")
	}
}
