package show

import "testing"

func TestCheckInOneLine(t *testing.T) {
	equal, seed, left := "equal", int64(42), int64(75)
	for name, c := range map[string]struct {
		check Check
		equal bool
		want  string
	}{
		"under way": {Check{Kind: "deep", State: "running", Done: 30, Total: 1_200, RemainingSeconds: &left}, false, "deep check: 30 of 1,200, 01:15 left"},
		"equal": {Check{Kind: "deep", State: "done", Verdict: &equal, Same: 9, Seed: &seed, Notes: []string{"types without resources: Account"}}, true,
			"deep check: equal (9 the same, 0 different, 0 unknown), seed 42; types without resources: Account"},
		"equal so far":           {Check{Kind: "surface", State: "running", Verdict: &equal, Total: 4}, false, "surface check: 0 of 4"},
		"as the status shows it": {Check{Kind: "surface", Verdict: &equal, Done: 4, Total: 4, Same: 2}, true, "surface check: equal (2 the same, 0 different, 0 unknown)"},
		"without verdict":        {Check{Kind: "access", State: "done", Different: 1}, false, "access check: no verdict (0 the same, 1 different, 0 unknown)"},
	} {
		if got := c.check.Line(); got != c.want || c.check.Equal() != c.equal {
			t.Errorf("%s: got %q, equal %v; want %q, %v", name, got, c.check.Equal(), c.want, c.equal)
		}
	}
}
