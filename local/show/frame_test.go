package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

// golden holds text against a file of testdata; FERRY_GOLDEN=write writes it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if os.Getenv("FERRY_GOLDEN") == "write" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func status(t *testing.T, text string) Status {
	t.Helper()
	var s Status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func frames(t *testing.T) map[string]Frame {
	running := status(t, `{"state":"running","mode":"continuous","migratedTill":"2022-03-14T05:06:07.890Z","clean":true,
		"chunks":{"imported":18,"planned":3,"exporting":2,"exported":1,"importing":2,"split":0,"failed":0,"cancelled":0,"inspecting":1},
		"resources":{"exported":45000,"imported":41210,"rejected":0,"skipped":1466},"problems":[],"problemsTotal":0}`)
	halted := status(t, `{"state":"halted","migratedTill":null,"chunks":{"failed":1},"resources":{"imported":900,"rejected":12},"clean":false,
		"problems":[{"chunk":"20190101T000000.000Z_x","detail":"import failed:\n  boundary"},{"detail":"source is slow"},{"detail":"c"},{"detail":"d"}],"problemsTotal":7}`)
	closing := status(t, `{"state":"cutover","migratedTill":"2022-03-14T05:06:07.890Z","clean":true,"chunks":{"imported":30},
		"resources":{"exported":80000,"imported":79997,"rejected":0,"skipped":0,"benign":3},
		"searchParameters":{"state":"done","found":12,"written":10,"present":2,"failed":0},"reindex":{"state":"running","done":40,"total":1200},
		"check":{"id":"c","kind":"surface","state":"running","done":7,"total":300,"remainingSeconds":61}}`)
	var p Progress
	p.Started = noon
	p.Add(noon, Status{}, 76_003, "")
	return map[string]Frame{
		"idle":    {Status: Status{State: "idle"}, Remaining: -1},
		"running": p.Add(noon.Add(9*time.Second), running, 76_003, "source written to 412 times"),
		"closing": {Status: closing, Total: 80_000, Passed: time.Minute},
		"halted":  {Status: halted, Total: 1_234_567, Passed: 3725 * time.Second, Remaining: 61 * time.Second, Speed: 12.7},
	}
}

func TestFramesLookAsDrawn(t *testing.T) {
	for name, frame := range frames(t) {
		golden(t, name+".block.txt", strings.Join(frame.Block(100), "\n")+"\n")
		golden(t, name+".line.txt", frame.Line()+"\n")
	}
}

func TestBlockNeverExceedsItsWidth(t *testing.T) {
	for name, frame := range frames(t) {
		for _, width := range []int{40, 60, 80, 200} {
			for _, line := range frame.Block(width) {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%s at %d: line of %d: %q", name, width, n, line)
				}
			}
		}
	}
}

func TestProgressEstimates(t *testing.T) {
	p := Progress{Started: noon}
	var f Frame
	for second := range 31 {
		done := int64(second) * 100
		if second > 20 {
			done = 2000 + int64(second-20)*500
		}
		f = p.Add(noon.Add(time.Duration(second)*time.Second), Status{Resources: Resources{Imported: done - 1*min(done, 1), Rejected: min(done, 1)}}, 14_000, "")
	}
	if f.Speed != 500 {
		t.Errorf("speed: got %v, want 500, that of the last ten seconds", f.Speed)
	}
	if f.Remaining != 30*time.Second || f.Share() != 0.5 {
		t.Errorf("got %s left at %v, want 30s at half", f.Remaining, f.Share())
	}
	if f = p.Add(noon.Add(time.Minute), Status{Resources: Resources{Imported: 15_000}}, 14_000, ""); f.Remaining != 0 || f.Share() != 1 {
		t.Errorf("got %s left at %v, want none at 1", f.Remaining, f.Share())
	}
	if f = new(Progress).Add(noon, Status{}, 10, ""); f.Remaining >= 0 {
		t.Errorf("got %s left without any progress, want unknown", f.Remaining)
	}
}

func TestDisplayOnATerminalDrawsOver(t *testing.T) {
	var out bytes.Buffer
	d := NewDisplay(&out, 80, time.Second)
	f := frames(t)["idle"]
	d.Draw(noon, f)
	lines := len(f.Block(80))
	out.Reset()
	d.Draw(noon, f)
	if want := fmt.Sprintf("\x1b[%dA\x1b[2K", lines); !strings.HasPrefix(out.String(), want) {
		t.Errorf("got %q, want it to begin with %q", out.String(), want)
	}
	out.Reset()
	d.Say("done %d", 1)
	d.Draw(noon, f)
	if got := out.String(); !strings.HasPrefix(got, "done 1\n\x1b[2K") {
		t.Errorf("got %q, want the line kept and the block below it", got)
	}
}

func TestDisplayElsewhereWritesALineNowAndThen(t *testing.T) {
	var out bytes.Buffer
	d := NewDisplay(&out, 0, 3*time.Second)
	f := frames(t)["running"]
	for second := range 7 {
		d.Draw(noon.Add(time.Duration(second)*time.Second), f)
	}
	f.State = "cutover"
	d.Draw(noon.Add(6500*time.Millisecond), f)
	if got := strings.Count(out.String(), "\n"); got != 4 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("got %d lines, want 3 and one for the new state, all plain:\n%s", got, out.String())
	}
}

func TestTerminalWidth(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := TerminalWidth(file, "120"); got != 0 {
		t.Errorf("a file: got width %d, want 0", got)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -123: "-123"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
