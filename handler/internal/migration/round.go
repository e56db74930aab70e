package migration

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// RoundKind tells the two uses of a round apart.
type RoundKind string

// The kinds of rounds.
const (
	Planning RoundKind = "planning" // cuts a span into chunks
	Closing  RoundKind = "closing"  // counts what was written after T before the run counts as completed
)

// RoundID is the id by which a nudge names the round of a run; a run has at most one at a time.
const RoundID = "round"

// RoundChunks is about how many chunks one round cuts; a span that holds more is shortened first.
const RoundChunks = 100

// shortest span that is halved because it could not be counted; below it is planned uncounted.
const countable = 24 * time.Hour

// Round is the planning of one span: which count is asked next, how counts become a cut. It is saved after every
// count, so a crash repeats one count at most.
type Round struct {
	Number    int // of the run's rounds; names the plan
	Kind      RoundKind
	Span      Window
	Fixed     bool      // the span's end respects the source's clock and T
	NotBefore time.Time // claim of the visit under way, or back-off
	Attempts  int       // counts that failed in a row
	Total     int64     // count of the whole span; Unasked until known
	Pieces    []Piece   // counts per type, when the whole span holds more than one chunk may
	Plan      string    // document of the written plan; what is written once is followed (invariant 3)
	Added     int       // chunks of the plan added so far
	LastError string
}

// Counts that are no number.
const (
	Unasked   int64 = -1 // not counted yet
	Uncounted int64 = -2 // cannot be counted: planned as it is
)

// Piece is a resource type in a part of the span.
type Piece struct {
	Type   string
	Window Window
	Count  int64
}

// Question is the next count to ask: of the whole server when Type is empty.
type Question struct {
	Type   string
	Window Window
	index  int
}

// NewRound begins the planning of the span after the frontier. The span's Since is zero before the oldest instant is
// known.
func NewRound(r Run, till time.Time) Round {
	return Round{Number: r.Rounds + 1, Kind: Planning, Span: Window{r.Frontier, till}, Total: Unasked}
}

// RoundDue reports whether a planning round begins now (design 3.6, step 3), and up to which instant by our own clock.
// Planned is the number of chunks at rest that wait for an export.
func RoundDue(r Run, planned int, settle, interval time.Duration, now time.Time) (till time.Time, due bool) {
	if r.Ended() || r.StopAsked || r.Reached() || now.Before(r.NextRound) || planned >= RoundChunks/4 {
		return time.Time{}, false
	}
	horizon := now.Add(-settle).Truncate(Instant)
	if !r.End.IsZero() && !horizon.Before(r.End) {
		return r.End, true
	}
	if horizon.Sub(r.Frontier) >= interval {
		return horizon, true
	}
	return time.Time{}, false
}

// Fix shortens the span to what is settled by the source's clock too (invariant 2) and to T, before anything is
// counted. It returns false when nothing remains.
func (r *Round) Fix(run Run, source time.Time, settle time.Duration) bool {
	horizon := source.Add(-settle).Truncate(Instant)
	if horizon.Before(r.Span.Till) {
		r.Span.Till = horizon
	}
	if !run.End.IsZero() && run.End.Before(r.Span.Till) {
		r.Span.Till = run.End
	}
	r.Fixed = true
	return !r.Span.Empty()
}

// Begin sets the span's start: the oldest instant found.
func (r *Round) Begin(oldest time.Time) { r.Span.Since = oldest.Truncate(Instant) }

// Shorten cuts the span to at most length; what lies beyond is the next round's.
func (r *Round) Shorten(length time.Duration) {
	if length > 0 && r.Span.Length() > length {
		r.Span.Till = r.Span.Since.Add(length)
	}
}

// Next returns the next count to ask, or false when all is known.
func (r *Round) Next(types []string, limit int64) (Question, bool) {
	if r.Total == Unasked {
		return Question{Window: r.Span, index: -1}, true
	}
	if r.Total >= 0 && r.Total <= limit || r.Total == Uncounted {
		return Question{}, false
	}
	if r.Pieces == nil {
		for _, t := range types {
			r.Pieces = append(r.Pieces, Piece{Type: t, Window: r.Span, Count: Unasked})
		}
	}
	for i, p := range r.Pieces {
		if p.Count == Unasked {
			return Question{Type: p.Type, Window: p.Window, index: i}, true
		}
	}
	return Question{}, false
}

// Counted records an answer. A span that holds far more than a round cuts is shortened and counted again; a piece that
// holds more than a chunk may is halved.
func (r *Round) Counted(q Question, n, limit int64) {
	r.Attempts, r.LastError = 0, ""
	if q.index < 0 {
		r.Total = n
		if n/RoundChunks > limit {
			if first, _, ok := r.Span.Halve(); ok {
				r.Span, r.Total = first, Unasked
			}
		}
		return
	}
	if n > limit && r.halve(q.index) {
		return
	}
	r.Pieces[q.index].Count = n
}

// CountOverflowed records that a count timed out or was too large to be told: its span is halved, and planned uncounted
// below a day.
func (r *Round) CountOverflowed(q Question) {
	r.Attempts, r.LastError = 0, ""
	if q.index < 0 {
		first, _, ok := r.Span.Halve()
		if ok && r.Span.Length() > countable {
			r.Span, r.Total = first, Unasked
			return
		}
		r.Total = Uncounted
		return
	}
	if r.Pieces[q.index].Window.Length() > countable && r.halve(q.index) {
		return
	}
	r.Pieces[q.index].Count = Uncounted
}

// CountsRefused records that the source counts no more (contract 0.4): pieces counted so far are kept, the rest is
// planned uncounted.
func (r *Round) CountsRefused() {
	r.Attempts, r.LastError = 0, ""
	if r.Total == Unasked {
		r.Total = Uncounted
	}
	for i := range r.Pieces {
		if r.Pieces[i].Count == Unasked {
			r.Pieces[i].Count = Uncounted
		}
	}
}

// CountFailed records a count that failed otherwise: the round waits and asks again.
func (r *Round) CountFailed(reason string, next time.Time) {
	r.Attempts++
	r.LastError, r.NotBefore = Trim(reason), next
}

func (r *Round) halve(i int) bool {
	p := r.Pieces[i]
	first, second, ok := p.Window.Halve()
	if !ok {
		return false
	}
	r.Pieces = slices.Replace(r.Pieces, i, i+1,
		Piece{p.Type, first, Unasked}, Piece{p.Type, second, Unasked})
	return true
}

// Cut turns the counts into chunks, in window order. Everything in the span that may hold a resource is covered, type
// by type (invariant 1); what was counted as empty needs no chunk. A span or a piece that could not be counted is cut
// by byTime; nil: it stays whole.
func (r Round) Cut(types []string, limit int64, byTime func(Window) []Window, now time.Time) []Chunk {
	var chunks []Chunk
	switch {
	case r.Total == 0:
	case r.Pieces != nil:
		chunks = r.cutPieces(limit, byTime, now)
	case r.Total == Uncounted && byTime != nil:
		for _, w := range byTime(r.Span) {
			chunks = append(chunks, NewChunk(types, w, Unasked, now))
		}
	default:
		// The count of the whole server includes SearchParameter and types that are not moved: not the chunk's own.
		chunks = []Chunk{NewChunk(types, r.Span, Unasked, now)}
	}
	slices.SortFunc(chunks, Chunk.Compare)
	return chunks
}

func (r Round) cutPieces(limit int64, byTime func(Window) []Window, now time.Time) []Chunk {
	var chunks []Chunk
	var small, refused []Piece
	for _, p := range r.merged(limit) {
		switch {
		case p.Count == 0:
		case p.Window.Equal(r.Span) && p.Count > 0 && p.Count <= limit:
			small = append(small, p)
		case p.Count == Uncounted && byTime != nil:
			refused = append(refused, p)
		default:
			chunks = append(chunks, NewChunk([]string{p.Type}, p.Window, max(p.Count, Unasked), now))
		}
	}
	chunks = append(chunks, cutByTime(refused, byTime, now)...)
	slices.SortStableFunc(small, func(a, b Piece) int { return cmp.Compare(b.Count, a.Count) })
	type pack struct {
		types []string
		sum   int64
	}
	var packs []pack
	for _, p := range small {
		i := slices.IndexFunc(packs, func(k pack) bool { return p.Count <= limit-k.sum })
		if i < 0 {
			packs = append(packs, pack{})
			i = len(packs) - 1
		}
		packs[i].types = append(packs[i].types, p.Type)
		packs[i].sum += p.Count
	}
	for _, k := range packs {
		chunks = append(chunks, NewChunk(k.types, r.Span, k.sum, now))
	}
	return chunks
}

// cutByTime cuts the pieces whose counts were refused. Types that are left uncounted in the same window share its
// chunks, as they do when a whole round is not counted: a chunk for each of a hundred types and each month would be
// thousands of jobs.
func cutByTime(pieces []Piece, byTime func(Window) []Window, now time.Time) []Chunk {
	var chunks []Chunk
	for len(pieces) > 0 {
		shared := pieces[0].Window
		var types []string
		pieces = slices.DeleteFunc(pieces, func(p Piece) bool {
			same := p.Window.Equal(shared)
			if same {
				types = append(types, p.Type)
			}
			return same
		})
		for _, w := range byTime(shared) {
			chunks = append(chunks, NewChunk(types, w, Unasked, now))
		}
	}
	return chunks
}

// merged joins neighbouring pieces of a type while they fit into one chunk: halving cuts finer than needed. Empty
// pieces join whatever is beside them.
func (r Round) merged(limit int64) []Piece {
	var out []Piece
	for _, p := range r.Pieces {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if last.Type == p.Type && last.Window.Till.Equal(p.Window.Since) &&
				last.Count >= 0 && p.Count >= 0 && p.Count <= limit-last.Count {
				last.Window.Till = p.Window.Till
				last.Count += p.Count
				continue
			}
		}
		out = append(out, p)
	}
	return out
}

// ByTime cuts a span whose source refuses counts: into windows of the given length, or without one into a first window
// up to 2018-01-01 and then 30 days each (operator contract, FERRY_WINDOW). A round takes about RoundChunks of them, so
// no more are told apart: the last one is all the rest, which ShortenUncounted leaves to the next round.
func ByTime(span Window, length time.Duration) []Window {
	if length > 0 {
		return span.Every(length, RoundChunks)
	}
	early := time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC)
	var windows []Window
	for i, w := range span.Tile(early) {
		if i == 0 && !w.Till.After(early) {
			windows = append(windows, w)
			continue
		}
		windows = append(windows, w.Every(30*24*time.Hour, RoundChunks-len(windows))...)
	}
	return windows
}

// EarliestInstant is where a run begins whose source cannot be asked for its oldest resource.
func EarliestInstant() time.Time { return time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC) }

// Describe says in a few words what the round is doing.
func (r Round) Describe() string {
	switch {
	case r.Kind == Closing:
		return "counting what was written after the last instant"
	case r.Plan != "":
		return fmt.Sprintf("adding chunks (%d so far)", r.Added)
	case r.LastError != "":
		return "waiting: " + r.LastError
	case r.Pieces == nil:
		return "counting the span"
	}
	asked := 0
	for _, p := range r.Pieces {
		if p.Count != Unasked {
			asked++
		}
	}
	return fmt.Sprintf("counting: %d of %d parts", asked, len(r.Pieces))
}

// PlanTypes chooses the resource types to plan: those asked for, or all that the source knows. SearchParameter is moved
// by a step of its own. Unknown are those asked for that the source does not know; they are planned all the same, for
// the source decides what it exports.
func PlanTypes(asked, known []string) (types, unknown []string) {
	types = known
	if len(asked) > 0 {
		types = asked
		for _, t := range asked {
			if !slices.Contains(known, t) {
				unknown = append(unknown, t)
			}
		}
	}
	types = slices.DeleteFunc(slices.Clone(types), func(t string) bool { return t == "SearchParameter" })
	slices.Sort(types)
	return slices.Compact(types), unknown
}

// ShortenUncounted ends the round where about RoundChunks windows are cut by time, when nothing of it is counted.
func (r *Round) ShortenUncounted(byTime func(Window) []Window) {
	if r.Total != Uncounted || r.Pieces != nil {
		return
	}
	if windows := byTime(r.Span); len(windows) > RoundChunks {
		r.Span.Till = windows[RoundChunks-1].Till
	}
}
