package migration

import "testing"

// TestAsk walks every cell of "Verbs by state" (operator contract 3). + does something, = is in force already (202,
// nothing changes), - is refused with 409.
func TestAsk(t *testing.T) {
	states := []Shown{ShownIdle, ShownRunning, ShownPaused, ShownCutover, ShownStopping, ShownStopped, ShownHalted, ShownCompleted}
	for _, tc := range []struct {
		verb    Verb
		cutOver bool // whether the verb cutover was used before
		want    string
	}{
		//                  idle running paused cutover stopping stopped halted completed
		{VerbStart, false, "+=---+-+"},
		{VerbStart, true, "+=---+-+"},
		{VerbPause, false, "-+=+--+-"},
		{VerbPause, true, "-+=+--+-"},
		{VerbResume, false, "-=+=--=-"},
		{VerbResume, true, "-=+=--=-"},
		{VerbCutOver, false, "-+++--+-"},
		{VerbCutOver, true, "-===--=="},
		{VerbRetry, false, "-+++--+-"},
		{VerbRetry, true, "-+++--+-"},
		{VerbStop, false, "-+++==+-"},
		{VerbStop, true, "-+++==+-"},
	} {
		for i, s := range states {
			want := map[byte]Answer{'+': Allowed, '=': InForce, '-': Refused}[tc.want[i]]
			if got := Ask(tc.verb, s, tc.cutOver); got != want {
				t.Errorf("%s while %s (cutover used: %v): got %d, want %d", tc.verb, s, tc.cutOver, got, want)
			}
		}
	}
	if Ask("destroy", ShownRunning, false) != Refused {
		t.Error("an unknown verb is not refused")
	}
}

// The state shown is the first that holds: stopping, paused, halted, cutover, running; after the end stopped or completed.
func TestShown(t *testing.T) {
	ended := func(o Outcome) Run {
		r := Run{Paused: true, CutOverAsked: true, StopAsked: o == Stopped}
		r.EndRun(o, instant())
		return r
	}
	for i, tc := range []struct {
		run    Run
		failed int
		want   Shown
	}{
		{Run{}, 0, ShownRunning},
		{Run{CutOverAsked: true}, 0, ShownCutover},
		{Run{CutOverAsked: true}, 1, ShownHalted},
		{Run{Paused: true, CutOverAsked: true}, 1, ShownPaused},
		{Run{Paused: true, StopAsked: true}, 1, ShownStopping},
		{Run{End: instant()}, 0, ShownRunning}, // cutover is shown only when the verb was used
		{ended(Stopped), 2, ShownStopped},
		{ended(Completed), 0, ShownCompleted},
	} {
		if got := tc.run.Shown(tc.failed); got != tc.want {
			t.Errorf("case %d: got %s, want %s", i, got, tc.want)
		}
	}
}
