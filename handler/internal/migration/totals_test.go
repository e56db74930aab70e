package migration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The totals are what the rows add up to, whatever way the chunks went; what is taken back is taken out again.
func TestMoved(t *testing.T) {
	var totals Totals
	c := NewChunk([]string{"A", "B"}, someWindow(), 10, instant())
	totals.Moved(nil, c)
	next := instant().Add(time.Minute)
	for _, do := range []func() error{
		c.ExportIntended,
		func() error { return c.ExportAccepted("https://s/1", instant(), next) },
		func() error { return c.ExportCompleted(Believed{"m", 2, 9, 1, false}, instant()) },
		func() error { return c.ImportIntended("b", 1) },
		func() error { return c.ImportAccepted("https://d/1", instant(), next) },
		func() error { return complete(&c, 3, 1) },
	} {
		before := c
		must(t, do())
		totals.Moved(&before, c)
	}
	if totals.Resources != (Tally{Exported: 9, Imported: 3, Rejected: 1, Skipped: 1}) || totals.Chunks[Exported] != 1 || totals.Clean() {
		t.Errorf("got %+v, clean %v", totals, totals.Clean())
	}
	before := c
	must(t, c.FilesLost("gone", instant(), next, someLimits()))
	totals.Moved(&before, c)
	if totals.Resources != (Tally{}) || totals.Chunks[Planned] != 1 || totals.Chunks[Exported] != 0 || !totals.Clean() {
		t.Errorf("after its files were lost: got %+v", totals)
	}
}

// Problems are kept newest first, a hundred at most, each text once however often it comes; what leaves something
// unverified makes the run unclean for good.
func TestReport(t *testing.T) {
	var totals Totals
	for n := range 130 {
		totals.Report(Problem{Chunk: "c", Detail: fmt.Sprintf("poll %d failed", n), At: instant().Add(time.Duration(n))})
	}
	if len(totals.Problems) != MostProblems || totals.Problems[0].Detail != "poll 129 failed" || totals.Reported != 130 {
		t.Fatalf("got %d kept of %d, newest %q", len(totals.Problems), totals.Reported, totals.Problems[0].Detail)
	}
	again := Problem{Chunk: "c", Detail: "poll 100 failed", At: instant().Add(time.Hour)}
	totals.Report(again)
	if totals.Problems[0] != again || totals.Reported != 130 || len(totals.Problems) != MostProblems {
		t.Errorf("the same text again: got %+v first, %d reported, %d kept", totals.Problems[0], totals.Reported, len(totals.Problems))
	}
	if !totals.Clean() {
		t.Error("a problem alone makes the run unclean")
	}
	totals.Report(Problem{Detail: strings.Repeat("ä", 400), Doubt: true})
	if n := len([]rune(totals.Problems[0].Detail)); n != problemDetail || totals.Clean() || totals.Unverified != 1 {
		t.Errorf("got a detail of %d characters, clean %v, %d unverified", n, totals.Clean(), totals.Unverified)
	}
	if got := []rune(Trim(strings.Repeat("ä", 2000))); len(got) != 1000 {
		t.Errorf("a row's text is trimmed to %d characters", len(got))
	}
}
