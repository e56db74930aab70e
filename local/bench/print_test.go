package main

import (
	"slices"
	"testing"
	"time"
)

func TestTableColumns(t *testing.T) {
	got := table([]figure{{"figure", "measured", "aim"}, {"ä", "1 %", "< 5 %"}, {"long name", "2", ""}})
	want := []string{"figure     measured  aim", "ä          1 %       < 5 %", "long name  2"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTally(t *testing.T) {
	grown := tally{"table get": 7, "table batch": 9, "queue put": 2}.since(tally{"table get": 5, "queue put": 2})
	if got := grown.of("table ", "queue "); got != 11 {
		t.Errorf("sum: got %d, want 11", got)
	}
	if got, want := grown.parts("table ", 2), "batch 4.5, get 1.0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := grown.parts("queue ", 2); got != "" {
		t.Errorf("what did not grow is listed: %q", got)
	}
}

func TestMedian(t *testing.T) {
	if got := median([]time.Duration{9, 1, 5}); got != 5 {
		t.Errorf("got %d, want 5", got)
	}
}
