package migration

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// laneChunk is a chunk of the given types in the nth day, put into a state. Its letter of types and day tell it apart.
func laneChunk(s State, day int, types ...string) Chunk {
	since := instant().AddDate(0, -2, day)
	c := chunkIn(s)
	c.ResourceTypes, c.Window = types, Window{since, since.AddDate(0, 0, 1)}
	c.ID = ChunkID(types, c.Window)
	c.NotBefore = instant()
	return c
}

func ids(chunks ...Chunk) []string {
	var out []string
	for _, c := range chunks {
		out = append(out, c.ID)
	}
	return out
}

// TestHead is invariant 4: an earlier unfinished chunk of a shared lane, failed ones included, stands in the way.
func TestHead(t *testing.T) {
	subject := laneChunk(Exported, 3, "B", "C")
	for name, tc := range map[string]struct {
		other Chunk
		want  bool
	}{
		"earlier, other lane":    {laneChunk(Importing, 1, "A", "D"), true},
		"earlier, shared lane":   {laneChunk(Importing, 1, "A", "C"), false},
		"earlier, planned":       {laneChunk(Planned, 2, "B"), false},
		"earlier, failed":        {laneChunk(Failed, 2, "B"), false},
		"later, shared lane":     {laneChunk(Exported, 4, "B", "C"), true},
		"the chunk itself":       {subject, true},
		"earlier by a later end": {laneChunk(Exported, 2, "C", "Z"), false},
	} {
		if got := Head(subject, []Chunk{tc.other, subject}); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
	if !Head(subject, nil) {
		t.Error("nothing unfinished: not at the head")
	}
}

// TestSlots is invariant 15: never more than the limit, none while the server is busy, none twice.
func TestSlots(t *testing.T) {
	s := Slots{Kind: ExportJob}
	must(t, s.Take("a", 2, instant()), s.Take("b", 2, instant()), s.Take("a", 2, instant()))
	if err := s.Take("c", 2, instant()); !errors.Is(err, ErrNoSlot) || !slices.Equal(s.Holders, []string{"a", "b"}) {
		t.Fatalf("a third of two: got %v, %v", err, s.Holders)
	}
	if !s.Release("a") || s.Release("a") {
		t.Error("released none, or twice")
	}
	must(t, s.Take("c", 2, instant()))
	s.SlowDown(time.Minute, 30*time.Second, instant())
	if err := s.Take("c", 2, instant().Add(time.Minute-1)); !errors.Is(err, ErrNoSlot) {
		t.Errorf("while the server is busy, a holder starts: %v", err)
	}
	must(t, s.Take("c", 2, instant().Add(time.Minute)))
	copied := s
	must(t, copied.Take("d", 9, instant().Add(time.Hour)))
	copied.Release("b")
	if !slices.Equal(s.Holders, []string{"b", "c"}) {
		t.Errorf("a change of a copy reached the original: %v", s.Holders)
	}
}

// A busy server is asked less and less often, never less than it said, and no later word shortens the wait.
func TestSlowDown(t *testing.T) {
	const poll = 30 * time.Second
	var s Slots
	for n, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		s.NotBefore = time.Time{}
		s.SlowDown(0, poll, instant())
		if got := s.NotBefore.Sub(instant()); got != want*poll {
			t.Errorf("busy answer %d: wait %s, want %s", n+1, got, want*poll)
		}
	}
	s.SlowDown(time.Hour, poll, instant())
	s.SlowDown(time.Second, poll, instant())
	if got := s.NotBefore.Sub(instant()); got != time.Hour {
		t.Errorf("got %s, want the hour that the server asked for", got)
	}
}

// A tick takes back what nobody uses: finished chunks at once, chunks at rest when their NotBefore has passed, but never
// the slot of a job that may exist.
func TestStale(t *testing.T) {
	at := func(c Chunk, d time.Duration) Chunk { c.NotBefore = instant().Add(d); return c }
	posted := laneChunk(Exported, 5, "F")
	posted.Import.Body, posted.FilesNow = "b", 1
	unfinished := []Chunk{
		at(laneChunk(Planned, 1, "A"), 0), at(laneChunk(Planned, 2, "B"), 1), at(laneChunk(Exporting, 3, "C"), -time.Hour),
		at(laneChunk(Exported, 4, "D"), 0), at(posted, -time.Hour), at(laneChunk(Importing, 6, "G"), -time.Hour), at(laneChunk(Failed, 7, "H"), 0),
	}
	holders := append(ids(unfinished...), "finished")
	for kind, want := range map[JobKind][]int{ExportJob: {0, 3, 4, 5, 6, 7}, ImportJob: {0, 2, 3, 6, 7}} {
		var names []string
		for _, i := range want {
			names = append(names, holders[i])
		}
		got := Slots{Kind: kind, Holders: holders}.Stale(unfinished, instant())
		if diff := cmp.Diff(names, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// TestNext is invariant 9 and 17: what a visit may do, by state and by what the operator said.
func TestNext(t *testing.T) {
	open := Gate{true, true}
	ended := Run{StopAsked: true}
	ended.EndRun(Stopped, instant())
	for name, tc := range map[string]struct {
		run  Run
		gate Gate
		want map[State]Action
	}{
		"running":  {Run{}, open, map[State]Action{Planned: StartExport, Exporting: CheckExport, Exported: StartImport, Importing: CheckImport}},
		"closed":   {Run{}, Gate{}, map[State]Action{Exporting: CheckExport, Importing: CheckImport}},
		"stopping": {Run{StopAsked: true}, open, map[State]Action{Planned: CancelChunk, Exporting: CancelChunk, Exported: CancelChunk, Importing: CancelChunk, Failed: CancelChunk}},
		"ended":    {ended, open, nil},
	} {
		for _, s := range States() {
			if got := chunkIn(s).Next(tc.run, tc.gate); got != tc.want[s] {
				t.Errorf("%s, %s: got %d, want %d", name, s, got, tc.want[s])
			}
		}
	}
	failed := []Chunk{chunkIn(Failed)}
	always := QuietHours{{Days: [7]bool{true, true, true, true, true, true, true}, Begin: 0, End: 24 * 60, Zone: time.UTC}}
	for name, tc := range map[string]struct {
		run        Run
		unfinished []Chunk
		want       bool
		limits     Limits
		quiet      bool // imports alone may go on
	}{
		"running": {want: true}, "cut over": {run: Run{CutOverAsked: true}, want: true}, "paused": {run: Run{Paused: true}},
		"halted": {unfinished: failed}, "stopping": {run: Run{StopAsked: true}}, "ended": {run: ended},
		"search parameters awaited": {limits: Limits{SearchParameters: true}},
		"search parameters moved":   {run: Run{ParametersAt: instant()}, limits: Limits{SearchParameters: true}, want: true},
		"quiet hours":               {limits: Limits{Quiet: always}},
		"quiet, imports go on":      {limits: Limits{Quiet: always, QuietImports: true}, quiet: true},
		"quiet and halted":          {unfinished: failed, limits: Limits{Quiet: always, QuietImports: true}},
	} {
		if got := GateOf(tc.run, tc.unfinished, tc.limits, instant()); got != (Gate{tc.want, tc.want || tc.quiet}) {
			t.Errorf("%s: got %+v, want %v", name, got, tc.want)
		}
	}
}

// What a tick nudges (design 3.6, step 4).
func TestAdmit(t *testing.T) {
	l := Limits{MaxExports: 2, MaxImports: 1, Poll: 30 * time.Second}
	late := func(c Chunk, d time.Duration) Chunk { c.NotBefore = instant().Add(-d); return c }
	p1, p2, p3 := laneChunk(Planned, 1, "A"), laneChunk(Planned, 2, "A"), laneChunk(Planned, 3, "A")
	x1, x2, y1 := laneChunk(Exported, 1, "B"), laneChunk(Exported, 2, "B"), laneChunk(Exported, 3, "C")
	flying, overdue := late(laneChunk(Exporting, 4, "D"), time.Minute-1), late(laneChunk(Importing, 5, "E"), time.Minute)
	bad := laneChunk(Failed, 6, "F")
	waiting := late(laneChunk(Planned, 0, "G"), -1)
	visited := waiting
	visited.ClaimedTill = visited.NotBefore
	faulted := waiting
	faulted.Attempts = 1
	uncancelled := waiting
	must(t, uncancelled.CancelFaulted("502", instant(), waiting.NotBefore))
	for name, tc := range map[string]struct {
		run        Run
		unfinished []Chunk
		exports    Slots
		want       []Chunk
	}{
		"the oldest while slots are free":       {Run{}, []Chunk{p3, p1, p2}, Slots{}, []Chunk{p1, p2}},
		"a holder needs none":                   {Run{}, []Chunk{p1, p2, p3}, Slots{Holders: []string{"x", p2.ID}}, []Chunk{p2}},
		"not before its time":                   {Run{}, []Chunk{waiting, p1}, Slots{}, []Chunk{p1}},
		"source busy":                           {Run{}, []Chunk{p1, x1}, Slots{NotBefore: instant().Add(1)}, []Chunk{x1}},
		"heads only, one slot":                  {Run{}, []Chunk{x2, x1, y1}, Slots{}, []Chunk{x1}},
		"overdue jobs, not those under way":     {Run{}, []Chunk{flying, overdue}, Slots{}, []Chunk{overdue}},
		"paused":                                {Run{Paused: true}, []Chunk{p1, x1, overdue, flying}, Slots{}, []Chunk{overdue}},
		"halted":                                {Run{}, []Chunk{p1, x1, overdue, bad}, Slots{}, []Chunk{overdue}},
		"stopping: a mere wait is no hindrance": {Run{StopAsked: true}, []Chunk{waiting, p1, flying, bad}, Slots{}, []Chunk{waiting, p1, flying, bad}},
		"stopping: a visit under way is":        {Run{StopAsked: true}, []Chunk{visited, p1}, Slots{}, []Chunk{p1}},
		"stopping: nor is the wait of a fault":  {Run{StopAsked: true}, []Chunk{faulted, p1}, Slots{}, []Chunk{faulted, p1}},
		"stopping: that of a failed cancel is":  {Run{StopAsked: true}, []Chunk{uncancelled, p1}, Slots{}, []Chunk{p1}},
		"ended":                                 {Run{EndedAt: instant()}, []Chunk{p1, overdue}, Slots{}, nil},
		"a posted body waits for its own lane":  {Run{}, []Chunk{x2}, Slots{}, []Chunk{x2}},
	} {
		got := Admit(tc.run, tc.unfinished, tc.exports, Slots{}, l, instant())
		want := ids(tc.want...)
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// Exports run ahead of imports by twice the export limit, but a chunk at the head of all its lanes is never held back
// (invariant 4).
func TestMayExport(t *testing.T) {
	l := Limits{MaxExports: 2, MaxImports: 1, Poll: time.Second}
	full := []Chunk{laneChunk(Exported, 1, "A"), laneChunk(Exported, 2, "A"), laneChunk(Exported, 3, "A"), laneChunk(Exported, 4, "A")}
	behind, head := laneChunk(Planned, 5, "A"), laneChunk(Planned, 5, "B")
	for name, tc := range map[string]struct {
		chunk   Chunk
		others  []Chunk
		exports Slots
		want    bool
	}{
		"room":                  {behind, full[:3], Slots{}, true},
		"bound reached":         {behind, full, Slots{}, false},
		"head beyond the bound": {head, full, Slots{}, true},
		"no slot":               {head, nil, Slots{Holders: []string{"x", "y"}}, false},
		"busy":                  {head, nil, Slots{NotBefore: instant().Add(1)}, false},
	} {
		all := append(slices.Clone(tc.others), tc.chunk)
		if got := MayExport(tc.chunk, all, tc.exports, l, instant()); got != tc.want {
			t.Errorf("%s: MayExport = %v, want %v", name, got, tc.want)
		}
		got := slices.Contains(Admit(Run{}, all, tc.exports, Slots{}, l, instant()), tc.chunk.ID)
		if got != tc.want {
			t.Errorf("%s: admitted %v, want %v", name, got, tc.want)
		}
	}
	x1, x2 := laneChunk(Exported, 1, "A"), laneChunk(Exported, 2, "A")
	if !MayImport(x1, []Chunk{x2, x1}, Slots{}, l, instant()) || MayImport(x2, []Chunk{x2, x1}, Slots{}, l, instant()) ||
		MayImport(x1, nil, Slots{Holders: []string{"x"}}, l, instant()) {
		t.Error("MayImport: want the head alone, and only with a slot")
	}
}
