package show

import (
	"fmt"
	"strings"
	"time"
)

// Report is what the closing table is made of.
type Report struct {
	Comparison
	State    string // of the run at its end
	Passed   time.Duration
	Chunks   int
	Requests []Requests
	Checks   []Check  // the app's own, of both sides
	Rejects  []Reject // lines that the destination did not take, some of them when they are many
	Notes    []string // further lines below the table
	Lacking  []string // search parameters that the destination lacks
}

// Requests is how often somebody was asked something.
type Requests struct {
	Of string // for instance "source"
	N  int
}

// Good is true when the run completed, both sides are equal, and the app's own checks found the same.
func (r Report) Good() bool {
	return r.State == "completed" && r.Equal() && r.checked() && len(r.Lacking) == 0
}

func (r Report) checked() bool {
	for _, c := range r.Checks {
		if !c.Equal() {
			return false
		}
	}
	return true
}

// Lines is the closing table: a row per resource type, then time, requests and the verdict.
func (r Report) Lines() []string {
	const layout = "%-24s %10s %12s %8s %8s %10s"
	lines := []string{fmt.Sprintf(layout, "resource type", "source", "destination", "missing", "extra", "different")}
	rule := strings.Repeat("─", len(lines[0]))
	lines = append(lines, rule)
	row := func(of Row) {
		lines = append(lines, fmt.Sprintf(layout, of.Type, grouped(int64(of.Source)), grouped(int64(of.Destination)),
			grouped(int64(of.Missing)), grouped(int64(of.Extra)), grouped(int64(of.Different))))
	}
	for _, of := range r.Rows {
		row(of)
	}
	lines = append(lines, rule)
	row(r.Total())
	lines = append(lines, "")
	for _, example := range r.Examples {
		lines = append(lines, "  "+example)
	}
	for _, c := range r.Checks {
		lines = append(lines, "  "+c.Line())
	}
	for _, one := range r.Rejects {
		lines = append(lines, "  not taken, "+one.Line())
	}
	for _, id := range r.Lacking {
		lines = append(lines, "  missing: search parameter "+id)
	}
	for _, note := range r.Notes {
		lines = append(lines, "  "+note)
	}
	total, parts := 0, []string{}
	for _, q := range r.Requests {
		total += q.N
		parts = append(parts, fmt.Sprintf("%s %s", q.Of, grouped(int64(q.N))))
	}
	lines = append(lines, fmt.Sprintf("time %s, chunks %s, requests %s (%s)", clock(r.Passed), grouped(int64(r.Chunks)), grouped(int64(total)), strings.Join(parts, ", ")))
	return append(lines, r.verdict())
}

func (r Report) verdict() string {
	switch {
	case r.Good():
		return "EQUAL: the run completed, and every version of every resource is the same on both sides"
	case r.Equal() && len(r.Lacking) > 0:
		return fmt.Sprintf("NOT EQUAL: the destination lacks %d search parameters", len(r.Lacking))
	case r.Equal() && r.State == "completed":
		return "NOT CHECKED: both sides are equal, but a check of the app's own did not find them so"
	case r.Equal():
		return fmt.Sprintf("NOT DONE: both sides are equal, but the run ended as %s", r.State)
	case r.Total().Source == 0:
		return "NOTHING COMPARED: the source is empty"
	}
	return fmt.Sprintf("NOT EQUAL: the run ended as %s and the two sides differ", r.State)
}
