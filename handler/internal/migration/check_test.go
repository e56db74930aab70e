package migration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func surfaceErrand(s Settings, types ...string) Errand {
	e := NewErrand(SurfaceErrand, "r", "1", instant())
	e.Scope, e.AsOf = s, instant()
	e.PlanCheck(types)
	return e
}

// answered plays one type: counts by question, -1 for one that cannot be had.
func answered(e Errand, counts map[string]int64) (CountRow, Errand, []string) {
	var asked []string
	for {
		q, more := e.NextCount()
		if !more {
			row := e.CloseCounts()
			return row, e, asked
		}
		name := fmt.Sprintf("%s %s", q.Side, q.Measure)
		asked = append(asked, name)
		e.Span(q)
		if n := counts[name]; n < 0 {
			e.GiveUpCount(q, "refused")
		} else {
			e.Counted(q, n)
		}
	}
}

func TestSurfaceVerdicts(t *testing.T) {
	both := Settings{History: true, Deleted: true}
	for name, tc := range map[string]struct {
		scope  Settings
		counts [6]int64 // current, versions, since; source and destination each
		want   Verdict
		reason string
		asked  int
	}{
		"equal":                        {both, [6]int64{3, 3, 5, 5}, Equal, "", 4},
		"nothing":                      {both, [6]int64{}, Equal, "", 4},
		"versions":                     {both, [6]int64{3, 3, 5, 4}, Different, "", 4},
		"both":                         {both, [6]int64{3, 4, 5, 4}, Different, "", 4},
		"current, nothing since":       {both, [6]int64{3, 4, 5, 5}, Different, "", 6},
		"current, source since":        {both, [6]int64{3, 4, 5, 5, 2}, Unknown, "the source has 2 versions", 5},
		"current, destination since":   {both, [6]int64{3, 4, 5, 5, 0, 1}, Unknown, "the destination has 1 versions", 6},
		"current, since unknown":       {both, [6]int64{3, 4, 5, 5, -1}, Unknown, "could not be counted: refused", 5},
		"current unknown":              {both, [6]int64{3, -1, 5, 5}, Unknown, "the destination could not be counted: refused", 4},
		"versions unknown":             {both, [6]int64{3, 3, -1, 5}, Unknown, "the source could not be counted: refused", 4},
		"unknown and different":        {both, [6]int64{-1, 3, 5, 6}, Different, "", 4},
		"different, versions unknown":  {both, [6]int64{4, 3, -1, 5}, Different, "", 6},
		"everything unknown":           {both, [6]int64{-1, -1, -1, -1}, Unknown, "the source could not be counted", 4},
		"one of two moved":             {Settings{History: true}, [6]int64{3, 3, 5, 4}, Equal, "", 2},
		"deletes not moved":            {Settings{History: true}, [6]int64{3, 4}, Different, "soft deletes are not moved", 4},
		"current alone, source since":  {Settings{}, [6]int64{3, 4, 0, 0, 1}, Unknown, "the source has 1 versions", 3},
		"ended by until":               {Settings{History: true, Deleted: true, Until: instant().Add(-Instant)}, [6]int64{3, 4, 5, 5}, Equal, "", 2},
		"ended by until, versions off": {Settings{Until: instant().Add(-Instant)}, [6]int64{3, 3}, Equal, "", 2},
	} {
		counts := map[string]int64{}
		for i, m := range []Measure{CurrentBefore, VersionsBefore, VersionsSince} {
			counts["source "+string(m)], counts["destination "+string(m)] = tc.counts[2*i], tc.counts[2*i+1]
		}
		row, e, asked := answered(surfaceErrand(tc.scope, "Patient"), counts)
		if row.Verdict != tc.want || !strings.Contains(row.Reason, tc.reason) || (tc.reason == "") != (row.Reason == "") {
			t.Errorf("%s: got %q, %q; want %q, %q", name, row.Verdict, row.Reason, tc.want, tc.reason)
		}
		if len(asked) != tc.asked {
			t.Errorf("%s: asked %v, want %d questions", name, asked, tc.asked)
		}
		e.Conclude()
		if e.Verdict != tc.want || e.Done != e.Total {
			t.Errorf("%s: the check got %q with %d of %d, want %q and all of it", name, e.Verdict, e.Done, e.Total, tc.want)
		}
	}
}

// A check that has asked nothing, or whose source answers nothing, is never equal.
func TestVerdictOfNothing(t *testing.T) {
	e := surfaceErrand(Settings{})
	e.Conclude()
	if e.Verdict != Unknown {
		t.Errorf("no types: got %q, want unknown", e.Verdict)
	}
	e = surfaceErrand(Settings{}, "Patient")
	e.Check.ExportOnly = true
	e.Conclude()
	if e.Verdict != Unknown {
		t.Errorf("a deprecated source: got %q, want unknown", e.Verdict)
	}
}

// Parts tile the whole: each instant is counted once, whatever overflows (contract 7.1).
func FuzzCountInParts(f *testing.F) {
	f.Add(uint64(1), int64(0))
	f.Add(uint64(77), int64(-1_000_000))
	f.Fuzz(func(t *testing.T, seed uint64, since int64) {
		e := surfaceErrand(Settings{History: true, Deleted: true}, "Patient")
		if since != 0 {
			e.Scope.Since = instant().Add(time.Duration(since%1e9) * time.Second)
			if !e.Scope.Since.Before(e.AsOf) {
				return
			}
		}
		q, _ := e.NextCount()
		whole := e.Span(q)
		at, steps := whole.Since, 0
		for e.Check.Answers == nil {
			part := e.Span(q)
			if !part.Since.Equal(at) {
				t.Fatalf("part begins at %s, want %s where the one before ended", part.Since, at)
			}
			if seed>>(steps%64)&1 == 1 && steps < 200 && e.CountInParts(Instant) {
				steps++
				continue
			}
			steps++
			at = part.Till
			e.Counted(q, 1)
		}
		if !at.Equal(whole.Till) {
			t.Errorf("parts end at %s, want %s", at, whole.Till)
		}
	})
}

func TestCountInPartsEnds(t *testing.T) {
	e := surfaceErrand(Settings{Since: instant().Add(-time.Hour)}, "Patient")
	e.Span(CountQuestion{AtSource, CurrentBefore})
	if e.CountInParts(24*time.Hour) || !e.CountInParts(Instant) || len(e.Pending) != 2 {
		t.Errorf("an hour: got %v, want it halved for a millisecond and not for a day", e.Pending)
	}
	e.Pending = []Window{{instant(), instant().Add(Instant)}}
	if e.CountInParts(0) {
		t.Errorf("a millisecond: got %v, want it whole", e.Pending)
	}
	e.Pending = nil
	e.Span(CountQuestion{AtSource, VersionsSince})
	if e.CountInParts(Instant) {
		t.Errorf("without an end: got %v, want it whole", e.Pending)
	}
}

func TestPatience(t *testing.T) {
	l := Limits{MaxFailures: 3}
	var p Patience
	for i, want := range []bool{false, false, true, true} {
		if got := p.Fault(true, l); got != want {
			t.Errorf("fault %d: given up %t, want %t", i+1, got, want)
		}
	}
	for range 8 {
		p.Fault(true, l)
	}
	if p.Unheard(l) {
		t.Error("after 12 tries: not asked any more, want one more")
	}
	if p.Fault(true, l); !p.Unheard(l) {
		t.Error("after 13 tries without an answer: asked again")
	}
	if p.Fault(false, l); p.Unheard(l) || !p.Spent(l) {
		t.Error("after an answer that was a fault: not asked any more, or patient again")
	}
}

// sampler plays a deep check of one type against versions at given instants, and returns those chosen at the source.
func sampler(seed int64, sample int, versions []time.Time) []time.Time {
	e := NewErrand(DeepErrand, "r", "1", instant())
	e.Sample, e.Seed, e.AsOf = sample, seed, instant()
	e.PlanCheck([]string{"Patient"})
	first := func(since time.Time) (time.Time, bool) {
		for _, v := range versions {
			if !v.Before(since) && v.Before(e.AsOf) {
				return v, true
			}
		}
		return time.Time{}, false
	}
	var chosen []time.Time
	for e.Check.Side == AtSource {
		if e.Check.Oldest.IsZero() {
			oldest, found := first(time.Time{})
			if !found {
				e.Unchosen("")
				break
			}
			e.Began(oldest)
		}
		v, found := first(e.Instant())
		if !found {
			v, found = first(e.Check.From)
		}
		switch {
		case !found && e.Exhausted():
			e.Unchosen("")
		case !found:
		case e.Chosen(v):
			e.PassOver(v)
		default:
			chosen = append(chosen, v)
			e.Compared(v, nil)
		}
	}
	return chosen
}

// As many are chosen as asked for, or all there are, none of them twice, wherever they lie in the span.
func FuzzSample(f *testing.F) {
	f.Add(int64(1), uint8(5), uint8(100), int64(time.Hour))
	f.Add(int64(2), uint8(100), uint8(3), int64(1))
	f.Fuzz(func(t *testing.T, seed int64, sample, count uint8, gap int64) {
		n := int(sample)%MostSample + 1
		step := time.Duration(gap%int64(30*24*time.Hour)).Abs().Truncate(Instant) + Instant
		var versions []time.Time
		for i := range int(count) {
			versions = append(versions, instant().AddDate(-20, 0, 0).Add(time.Duration(i)*step))
		}
		versions = slices.DeleteFunc(versions, func(v time.Time) bool { return !v.Before(instant()) })
		got := sampler(seed, n, versions)
		if want := min(n, len(versions)); len(got) != want {
			t.Errorf("chosen: got %d of %d, want %d", len(got), len(versions), want)
		}
		slices.SortFunc(got, time.Time.Compare)
		if len(slices.CompactFunc(slices.Clone(got), time.Time.Equal)) != len(got) {
			t.Errorf("chosen twice: %v", got)
		}
	})
}

func TestFindingsAreBounded(t *testing.T) {
	e := NewErrand(DeepErrand, "r", "1", instant())
	e.Sample, e.AsOf = 30, instant()
	e.PlanCheck([]string{"Patient"})
	e.Began(instant().Add(-time.Hour))
	for range 30 {
		e.Compared(instant().Add(-time.Hour), &Finding{Verdict: Different, Paths: slices.Repeat([]string{"a"}, 25)})
	}
	e.Unchosen("refused")
	row := e.CloseSamples()
	if len(row.Findings) != MostFindings || row.More != 11 || row.Different != 30 || row.Unknown != 1 || row.Verdict != Different {
		t.Errorf("got %d findings and %d more, %d different; want 20, 11, 30", len(row.Findings), row.More, row.Different)
	}
	if f := row.Findings[0]; len(f.Paths) != MostFindings || f.MorePaths != 5 {
		t.Errorf("got %d paths and %d more, want 20 and 5", len(f.Paths), f.MorePaths)
	}
	if e.Done != e.Total || e.Check.At != 1 {
		t.Errorf("got %d of %d done, want all of it", e.Done, e.Total)
	}
}

// A step that ends after a cutover has moved the end was not for the new one.
func TestStepsForAnotherEnd(t *testing.T) {
	l := Limits{SearchParameters: true}
	r := NewRun("r", Settings{Mode: Once, Since: instant().Add(-time.Hour)}, Settings{}, instant())
	r.ParametersAt, r.Frontier = instant(), r.End
	for _, kind := range []ErrandKind{ParametersErrand, ReindexErrand, SurfaceErrand} {
		if got, _ := r.NextStep(l, 0); got != kind {
			t.Fatalf("got %s, want %s", got, kind)
		}
		e := r.NewStep(kind, "1", instant())
		late := r
		late.StepBegun(e)
		late.CutOver(instant().Add(time.Hour), instant())
		late.StepEnded(e, instant().Add(time.Hour))
		late.Frontier = late.End
		if got, ok := late.NextStep(l, 0); got != ParametersErrand || late.Errand != "" {
			t.Errorf("%s ended after the end was moved: got %s, %t, want everything again", kind, got, ok)
		}
		r.StepBegun(e)
		r.StepEnded(e, instant())
	}
	if kind, ok := r.NextStep(l, 0); ok {
		t.Errorf("after the last step: got %s", kind)
	}
}

func TestRunsRememberThoseBefore(t *testing.T) {
	var before Run
	for i := range 30 {
		r := Run{ID: fmt.Sprint(i)}
		r.Follow(before)
		before = r
	}
	if got := before.Earlier; len(got) != KeptRuns || got[0] != "28" || got[19] != "9" {
		t.Errorf("got %v, want the twenty before, newest first", got)
	}
	first := Run{ID: "1"}
	if first.Follow(Run{}); first.Earlier != nil {
		t.Errorf("after no run: got %v", first.Earlier)
	}
}
