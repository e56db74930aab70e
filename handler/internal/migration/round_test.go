package migration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answers asks a round's questions until it knows all, and returns how many there were.
func answers(t *testing.T, r *Round, types []string, limit int64, count func(Question) int64) int {
	t.Helper()
	for n := 0; ; n++ {
		q, more := r.Next(types, limit)
		if !more {
			return n
		}
		if n > 10_000 {
			t.Fatal("the round asks for ever")
		}
		switch c := count(q); c {
		case Uncounted:
			r.CountOverflowed(q)
		default:
			r.Counted(q, c, limit)
		}
	}
}

// shape is what matters of a cut: types, lengths from the span's start in hours, and the expected number.
func shape(span Window, chunks []Chunk) []string {
	var out []string
	for _, c := range chunks {
		out = append(out, fmt.Sprintf("%v %v-%v %d", c.ResourceTypes, c.Window.Since.Sub(span.Since).Hours(),
			c.Window.Till.Sub(span.Since).Hours(), c.Expected))
	}
	slices.Sort(out)
	return out
}

// What counts become (design 3.6, step 7).
func TestRoundCut(t *testing.T) {
	types := []string{"A", "B", "C"}
	week := Window{instant(), instant().Add(8 * 24 * time.Hour)}
	for name, tc := range map[string]struct {
		span  Window
		limit int64
		count func(Question) int64
		asked int
		want  []string
	}{
		"nothing: no chunk": {week, 10, func(Question) int64 { return 0 }, 1, nil},
		"little: one chunk, whose count is of everything and so not its own": {week, 10,
			func(Question) int64 { return 10 }, 1, []string{"[A B C] 0-192 -1"}},
		"small types share": {week, 10, func(q Question) int64 {
			return map[string]int64{"": 17, "A": 6, "B": 7, "C": 4}[q.Type]
		}, 4, []string{"[B] 0-192 7", "[A C] 0-192 10"}},
		"an empty type needs none": {week, 10, func(q Question) int64 {
			return map[string]int64{"": 20, "A": 9, "B": 0, "C": 9}[q.Type]
		}, 4, []string{"[A] 0-192 9", "[C] 0-192 9"}},
		"all of it is SearchParameter": {week, 10, func(q Question) int64 {
			return map[string]int64{"": 20}[q.Type]
		}, 4, nil},
		"a large type is halved, its neighbours joined again": {week, 10, func(q Question) int64 {
			switch {
			case q.Type == "":
				return 24
			case q.Type != "A":
				return 0
			}
			return int64(q.Window.Length().Hours() / 8) // 24 evenly spread, four eights in the end
		}, 10, []string{"[A] 0-48 6", "[A] 48-96 6", "[A] 96-144 6", "[A] 144-192 6"}},
		"a count of the whole that cannot be told halves the span": {week, 10, func(q Question) int64 {
			if q.Window.Length() > 5*24*time.Hour {
				return Uncounted
			}
			return 3
		}, 2, []string{"[A B C] 0-96 -1"}},
		"below a day it is planned uncounted": {Window{instant(), instant().Add(24 * time.Hour)}, 10,
			func(Question) int64 { return Uncounted }, 1, []string{"[A B C] 0-24 -1"}},
		"a type that cannot be counted is halved down to a day": {Window{instant(), instant().Add(48 * time.Hour)}, 10, func(q Question) int64 {
			switch q.Type {
			case "":
				return 11
			case "A":
				return Uncounted
			}
			return 1
		}, 6, []string{"[A] 0-24 -1", "[B C] 0-48 2", "[A] 24-48 -1"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRound(Run{Frontier: tc.span.Since}, tc.span.Till)
			if asked := answers(t, &r, types, tc.limit, tc.count); asked != tc.asked {
				t.Errorf("asked %d counts, want %d", asked, tc.asked)
			}
			got := shape(r.Span, r.Cut(types, tc.limit, nil, instant()))
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("cut (-want +got):\n%s", diff)
			}
		})
	}
}

// A span that holds far more than a round cuts is shortened; what is left out is the next round's, from where this ends.
func TestRoundShortens(t *testing.T) {
	span := Window{instant(), instant().Add(1024 * time.Hour)}
	r := NewRound(Run{Frontier: span.Since, Rounds: 6}, span.Till)
	asked := answers(t, &r, []string{"A"}, 1, func(q Question) int64 {
		return int64(q.Window.Length().Hours())
	})
	if r.Number != 7 || !r.Span.Since.Equal(span.Since) || r.Span.Length() != 128*time.Hour {
		t.Errorf("got round %d over %s, want the seventh over 128 hours", r.Number, r.Span.Length())
	}
	if chunks := r.Cut([]string{"A"}, 1, nil, instant()); len(chunks) != 128 || asked < 128 {
		t.Errorf("got %d chunks after %d counts, want 128", len(chunks), asked)
	}
	r = Round{Span: span}
	r.Shorten(0)
	if r.Span.Length() != span.Length() {
		t.Error("shortened without a length")
	}
	if r.Shorten(time.Hour); r.Span.Length() != time.Hour {
		t.Errorf("got %s, want an hour", r.Span.Length())
	}
	if r.Begin(instant().Add(Instant / 2)); !r.Span.Since.Equal(instant()) {
		t.Errorf("begins at %s, want the oldest instant rounded down", r.Span.Since)
	}
}

// A source that counts no more: what is counted is kept, the rest is cut by time, types sharing a window as they would
// in a round that was never counted.
func TestCountsRefused(t *testing.T) {
	types := []string{"A", "B", "C", "D"}
	span := Window{instant(), instant().Add(60 * 24 * time.Hour)}
	byTime := func(w Window) []Window { return ByTime(w, 0) }
	r := NewRound(Run{Frontier: span.Since}, span.Till)
	for _, n := range []int64{30, 7, 0} { // the whole, A and B
		q, _ := r.Next(types, 10)
		r.Counted(q, n, 10)
	}
	r.CountsRefused()
	if _, more := r.Next(types, 10); more {
		t.Fatal("it still asks")
	}
	want := []string{"[A] 0-1440 7", "[C D] 0-720 -1", "[C D] 720-1440 -1"}
	if diff := cmp.Diff(want, shape(span, r.Cut(types, 10, byTime, instant()))); diff != "" {
		t.Errorf("cut (-want +got):\n%s", diff)
	}
	r = NewRound(Run{Frontier: span.Since}, span.Till)
	r.CountsRefused()
	r.ShortenUncounted(byTime)
	want = []string{"[A B C D] 0-720 -1", "[A B C D] 720-1440 -1"}
	if diff := cmp.Diff(want, shape(span, r.Cut(types, 10, byTime, instant()))); diff != "" {
		t.Errorf("nothing counted (-want +got):\n%s", diff)
	}
}

// A count that failed is an error that waits, never an empty window.
func TestCountFailed(t *testing.T) {
	r := NewRound(Run{}, instant())
	q, _ := r.Next(nil, 10)
	r.CountFailed("502", instant().Add(time.Minute))
	if again, more := r.Next(nil, 10); !more || again != q || r.Attempts != 1 || r.LastError != "502" {
		t.Errorf("got %+v, %v after a failure, want the same question again", again, more)
	}
	if !r.NotBefore.Equal(instant().Add(time.Minute)) {
		t.Errorf("asks again at %s", r.NotBefore)
	}
	if r.Counted(q, 3, 10); r.Attempts != 0 || r.LastError != "" || r.Total != 3 {
		t.Errorf("got %+v after an answer, want the failure forgotten", r)
	}
}

func TestPlanTypes(t *testing.T) {
	known := []string{"Patient", "SearchParameter", "Observation"}
	for name, tc := range map[string]struct{ asked, types, unknown []string }{
		"all but SearchParameter": {nil, []string{"Observation", "Patient"}, nil},
		"those asked for":         {[]string{"Patient", "Patient"}, []string{"Patient"}, nil},
		"an unknown one":          {[]string{"Patiens", "SearchParameter"}, []string{"Patiens"}, []string{"Patiens"}},
	} {
		types, unknown := PlanTypes(tc.asked, known)
		if !slices.Equal(types, tc.types) || !slices.Equal(unknown, tc.unknown) {
			t.Errorf("%s: got %v, unknown %v", name, types, unknown)
		}
	}
	if !slices.Equal(known, []string{"Patient", "SearchParameter", "Observation"}) {
		t.Error("the caller's list was changed")
	}
}
