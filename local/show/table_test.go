package show

import (
	"strings"
	"testing"
	"time"
)

func report() Report {
	return Report{
		Comparison: Comparison{Rows: []Row{{Type: "Observation", Source: 24_500, Destination: 24_500}, {Type: "Patient", Source: 4_211, Destination: 4_211}}},
		State:      "completed", Passed: 62 * time.Second, Chunks: 51,
		Requests: []Requests{{"source", 3_001}, {"destination", 1_210}},
		Notes:    []string{"SearchParameter is not compared: 1,466 versions are moved by a step of their own"},
	}
}

func TestTableLooksAsDrawn(t *testing.T) {
	good := report()
	golden(t, "equal.table.txt", strings.Join(good.Lines(), "\n")+"\n")
	bad := report()
	bad.Rows[1] = Row{Type: "Patient", Source: 4_211, Destination: 4_210, Missing: 2, Extra: 1, Different: 3}
	bad.Examples = []string{"missing: Patient/x version 2 of 2026-03-04T12:00:00.000Z"}
	golden(t, "unequal.table.txt", strings.Join(bad.Lines(), "\n")+"\n")
}

func TestReportIsGoodOnlyWhenCompletedAndEqual(t *testing.T) {
	for name, spoil := range map[string]func(*Report){
		"halted":    func(r *Report) { r.State = "halted" },
		"missing":   func(r *Report) { r.Rows[0].Missing = 1 },
		"extra":     func(r *Report) { r.Rows[0].Extra = 1 },
		"different": func(r *Report) { r.Rows[0].Different = 1 },
		"empty":     func(r *Report) { r.Rows = nil },
	} {
		r := report()
		spoil(&r)
		last := r.Lines()[len(r.Lines())-1]
		if r.Good() || !strings.HasPrefix(last, "NOT") {
			t.Errorf("%s: good %v, verdict %q", name, r.Good(), last)
		}
	}
	if r := report(); !r.Good() || !strings.HasPrefix(r.Lines()[len(r.Lines())-1], "EQUAL") {
		t.Errorf("an equal end: good %v", r.Good())
	}
}
