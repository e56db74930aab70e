package migration

import (
	"slices"
	"testing"
	"time"
)

// In once mode T is the start instant, or until when that is earlier; else T is until, or nothing.
func TestNewRunEnd(t *testing.T) {
	past, future := instant().Add(-time.Hour), instant().Add(time.Hour)
	for i, tc := range []struct {
		mode        Mode
		until, want time.Time
	}{
		{Continuous, time.Time{}, time.Time{}},
		{Continuous, past, past},
		{Continuous, future, future},
		{Once, time.Time{}, instant()},
		{Once, past, past},
		{Once, future, instant()},
	} {
		r := NewRun("r", Settings{Mode: tc.mode, Until: tc.until}, Settings{}, instant().Add(Instant/2))
		if !r.End.Equal(tc.want) {
			t.Errorf("case %d: got T %s, want %s", i, r.End, tc.want)
		}
		if !r.Frontier.IsZero() || r.Reached() {
			t.Errorf("case %d: a run that has planned nothing begins at %s, reached %v", i, r.Frontier, r.Reached())
		}
	}
	since := instant().AddDate(-1, 0, 0)
	if r := NewRun("r", Settings{Since: since}, Settings{}, instant()); !r.Since.Equal(since) || !r.Frontier.Equal(since) {
		t.Errorf("since given: got %s, frontier %s", r.Since, r.Frontier)
	}
}

// TestCutOver is the second half of invariant 2: T is the later of both clocks, the source's with the second its Date
// hides, never past until, frozen by the first cutover.
func TestCutOver(t *testing.T) {
	at := instant().Add(300 * time.Microsecond) // rounded up to a whole millisecond
	up := instant().Add(Instant)
	for name, tc := range map[string]struct {
		now, source, until, want time.Time
	}{
		"own clock ahead":     {at, instant().Add(-time.Minute), time.Time{}, up},
		"source ahead":        {at, instant().Add(time.Minute), time.Time{}, instant().Add(time.Minute + time.Second)},
		"source within 1 s":   {at, instant(), time.Time{}, instant().Add(time.Second)},
		"until is earlier":    {at, instant(), instant().Add(-time.Hour), instant().Add(-time.Hour)},
		"until is later":      {at, instant(), instant().Add(time.Hour), instant().Add(time.Second)},
		"exactly on the tick": {instant(), instant().Add(-time.Minute), time.Time{}, instant()},
	} {
		r := NewRun("r", Settings{Mode: Continuous, Until: tc.until}, Settings{}, instant().AddDate(0, 0, -1))
		r.NextRound = instant().Add(time.Hour)
		r.CutOver(tc.now, tc.source)
		if !r.End.Equal(tc.want) || !r.CutOverAsked || !r.NextRound.IsZero() {
			t.Errorf("%s: got T %s (asked %v, next round %s), want %s at once", name, r.End, r.CutOverAsked, r.NextRound, tc.want)
		}
		r.CutOver(tc.now.Add(time.Hour), tc.source.Add(time.Hour))
		if !r.End.Equal(tc.want) {
			t.Errorf("%s: a second cutover moved T to %s", name, r.End)
		}
	}
	once := NewRun("r", Settings{Mode: Once}, Settings{}, instant())
	once.CutOver(instant().Add(time.Hour), instant())
	if want := instant().Add(time.Hour); !once.End.Equal(want) {
		t.Errorf("once: cutover left T at %s, want now, %s", once.End, want)
	}
}

func TestRoundDue(t *testing.T) {
	const settle, interval = 5 * time.Minute, 15 * time.Minute
	horizon := instant().Add(-settle)
	base := func() Run { return Run{Frontier: horizon.Add(-interval)} }
	for name, tc := range map[string]struct {
		change  func(*Run)
		planned int
		want    time.Time // zero: not due
	}{
		"first round":                       {func(r *Run) { r.Frontier = time.Time{} }, 0, horizon},
		"an interval has passed":            {func(*Run) {}, 0, horizon},
		"a millisecond before the interval": {func(r *Run) { r.Frontier = r.Frontier.Add(Instant) }, 0, time.Time{}},
		"many planned chunks wait":          {func(*Run) {}, RoundChunks / 4, time.Time{}},
		"few planned chunks wait":           {func(*Run) {}, RoundChunks/4 - 1, horizon},
		"stopping":                          {func(r *Run) { r.StopAsked = true }, 0, time.Time{}},
		"ended":                             {func(r *Run) { r.EndedAt = instant() }, 0, time.Time{}},
		"paused: planning goes on":          {func(r *Run) { r.Paused = true }, 0, horizon},
		"the last one found nothing":        {func(r *Run) { r.NextRound = instant().Add(Instant) }, 0, time.Time{}},
		"its wait is over":                  {func(r *Run) { r.NextRound = instant() }, 0, horizon},
		"T settled: no interval applies":    {func(r *Run) { r.Frontier, r.End = horizon.Add(-time.Second), horizon }, 0, horizon},
		"T not settled, no interval yet":    {func(r *Run) { r.Frontier, r.End = horizon.Add(-time.Second), horizon.Add(Instant) }, 0, time.Time{}},
		"T in the future":                   {func(r *Run) { r.End = instant().AddDate(1, 0, 0) }, 0, horizon},
		"T reached":                         {func(r *Run) { r.Frontier, r.End = horizon, horizon }, 0, time.Time{}},
		"T long past":                       {func(r *Run) { r.End = horizon.Add(-time.Minute) }, 0, horizon.Add(-time.Minute)},
	} {
		r := base()
		tc.change(&r)
		till, due := RoundDue(r, tc.planned, settle, interval, instant().Add(Instant/3))
		if due == tc.want.IsZero() || !till.Equal(tc.want) {
			t.Errorf("%s: got %s, %v; want %s", name, till, due, tc.want)
		}
	}
}

// TestSettledPast is invariant 2: a span ends at the safer clock less settle, and at T.
func TestSettledPast(t *testing.T) {
	const settle = 5 * time.Minute
	since, till := instant().Add(-time.Hour), instant().Add(-settle)
	for name, tc := range map[string]struct {
		source, end, want time.Time // want zero: nothing remains
	}{
		"source ahead":              {instant().Add(time.Minute), time.Time{}, till},
		"source behind":             {instant().Add(-time.Minute), time.Time{}, till.Add(-time.Minute)},
		"T before both":             {instant(), till.Add(-time.Second), till.Add(-time.Second)},
		"T after both":              {instant(), till.Add(time.Second), till},
		"source behind the span":    {since.Add(settle), time.Time{}, time.Time{}},
		"source within the instant": {instant().Add(-time.Minute + Instant/2), time.Time{}, till.Add(-time.Minute)},
	} {
		r := Round{Span: Window{since, till}}
		remains := r.Fix(Run{End: tc.end}, tc.source, settle)
		if !r.Fixed || remains == tc.want.IsZero() || remains && !r.Span.Equal(Window{since, tc.want}) {
			t.Errorf("%s: got %v, %v; want the span to end at %s", name, r.Span, remains, tc.want)
		}
	}
}

// migratedTill is the smallest Since among unfinished chunks, failed ones included, else the frontier (invariant 4);
// stop freezes it, for cancelled chunks cannot be asked later.
func TestMigratedTill(t *testing.T) {
	day := func(n int) time.Time { return instant().AddDate(0, 0, n) }
	early := NewChunk([]string{"A"}, Window{day(2), day(5)}, 1, instant())
	late := NewChunk([]string{"B"}, Window{day(4), day(5)}, 1, instant())
	must(t, early.Rejected("400", instant()))
	r := Run{Frontier: day(9)}
	for name, tc := range map[string]struct {
		unfinished []Chunk
		want       time.Time
	}{
		"nothing left":    {nil, day(9)},
		"failed counts":   {[]Chunk{late, early}, day(2)},
		"open counts":     {[]Chunk{late}, day(4)},
		"beyond frontier": {[]Chunk{NewChunk([]string{"A"}, Window{day(9), day(10)}, 1, instant())}, day(9)},
	} {
		if got := r.MigratedTill(tc.unfinished); !got.Equal(tc.want) {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
	r.Stop([]Chunk{late, early})
	r.Stop(nil)
	if got := r.MigratedTill(nil); !r.StopAsked || !got.Equal(day(2)) {
		t.Errorf("after stop: got %s, want what was migrated when it was asked, %s", got, day(2))
	}
}

// Every frozen setting is compared, each under its own name.
func TestDifferences(t *testing.T) {
	changes := map[string]func(*Settings){
		"FERRY_SOURCE_URL":        func(s *Settings) { s.Source = "x" },
		"FERRY_DESTINATION_URL":   func(s *Settings) { s.Destination = "x" },
		"FERRY_STAGING_URL":       func(s *Settings) { s.Staging = "x" },
		"FERRY_STAGING_CONTAINER": func(s *Settings) { s.Container = "x" },
		"FERRY_MODE":              func(s *Settings) { s.Mode = Once },
		"FERRY_SINCE":             func(s *Settings) { s.Since = instant() },
		"FERRY_UNTIL":             func(s *Settings) { s.Until = instant() },
		"FERRY_RESOURCE_TYPES":    func(s *Settings) { s.Types = []string{"Patient"} },
		"FERRY_WINDOW":            func(s *Settings) { s.Window = time.Hour },
		"FERRY_CHUNK_LIMIT":       func(s *Settings) { s.ChunkLimit = 1 },
		"FERRY_HISTORY":           func(s *Settings) { s.History = true },
		"FERRY_DELETED":           func(s *Settings) { s.Deleted = true },
	}
	for name, change := range changes {
		var s Settings
		change(&s)
		if got := s.Differences(Settings{}); !slices.Equal(got, []string{name}) {
			t.Errorf("%s changed: got %v", name, got)
		}
		if got := s.Differences(s); len(got) > 0 {
			t.Errorf("%s: the same settings differ in %v", name, got)
		}
	}
}

// Counts are compared with exports only when both tell the same versions.
func TestWhatCountsTell(t *testing.T) {
	for _, tc := range []struct{ history, deleted, all, comparable bool }{
		{false, false, false, true}, {true, false, true, false}, {false, true, true, false}, {true, true, true, true},
	} {
		s := Settings{History: tc.history, Deleted: tc.deleted}
		if s.AllVersions() != tc.all || s.Comparable() != tc.comparable {
			t.Errorf("history %v, deleted %v: all versions %v, comparable %v", tc.history, tc.deleted, s.AllVersions(), s.Comparable())
		}
	}
}

// With until as T, later versions are out of scope; any other T asks for them.
func TestEndedByUntil(t *testing.T) {
	until := NewRun("r", Settings{Until: instant()}, Settings{}, instant())
	once := NewRun("r", Settings{Mode: Once, Until: instant().Add(time.Hour)}, Settings{}, instant())
	if !until.EndedByUntil() || once.EndedByUntil() {
		t.Errorf("until: %v, once before until: %v; want true, false", until.EndedByUntil(), once.EndedByUntil())
	}
}
