package funchost

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// moving are the parts of a payload that differ from run to run.
var moving = regexp.MustCompile(`("(?:UtcNow|RandGuid|Id|PopReceipt)":) ?"(?:[^"\\]|\\.)*"`)

// golden compares an invocation's body, pretty-printed, with a file of testdata.
func golden(t *testing.T, file string, in invocation) {
	t.Helper()
	body, err := in.encode()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(body, "\n") {
		t.Error("the body is not compact")
	}
	var got bytes.Buffer
	if err := json.Indent(&got, body, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	want, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	fixed := moving.ReplaceAll(got.Bytes(), []byte(`$1 "…"`))
	if diff := cmp.Diff(string(want), string(fixed)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func queueInvocation(t *testing.T, text, dataType string) invocation {
	t.Helper()
	inserted := time.Date(2026, 11, 23, 8, 0, 0, 500_000_000, time.UTC)
	m := message{id: "2c5b3f1e-8a39-4f3e-9a57-0d1c6c8d3b10", popReceipt: "AgAAAAMAAAA=", dequeued: 1,
		inserted: inserted, expires: inserted.Add(7 * 24 * time.Hour), invisible: inserted.Add(10*time.Minute + 4*time.Second)}
	f := function{name: "ProcessOrder", trigger: binding{Name: "item", DataType: dataType}}
	return invocation{function: f.name, data: map[string]any{"item": f.payload([]byte(text))},
		metadata: m.metadata(f.name, text, inserted)}
}

func TestQueuePayload(t *testing.T) {
	golden(t, "queue.json", queueInvocation(t,
		`{"orderId":42,"site":"north","urgent":true,"due":"2026-12-01T10:00:00Z","note":null,"tags":["a"],"meta":{"k":1}}`, ""))
	golden(t, "queue-shadow.json", queueInvocation(t,
		`{"id":"mine","dequeuecount":1.50,"queueTrigger":"x","due":"2026-12-01T12:00:00+02:00","big":1e20,"local":"2026-12-01T10:00:00"}`, ""))
}

func TestQueueTexts(t *testing.T) {
	for text, want := range map[string]string{
		`hello "world"`:     `"\"hello \\\"world\\\"\""`,
		`5`:                 `"\"5\""`,
		`"quoted"`:          `"\"\\\"quoted\\\"\""`,
		`{"a":"{\"b\":1}"}`: `"\"{\\\"a\\\":\\\"{\\\\\\\"b\\\\\\\":1}\\\"}\""`,
		``:                  `"\"\""`,
		`<&'>`:              `"\"<&'>\""`,
		`[1]`:               `"\"[1]\""`,
	} {
		body, err := queueInvocation(t, text, "").encode()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(body, []byte(`"Data":{"item":`+want+`}`)) {
			t.Errorf("%q: body = %s, want item %s", text, body, want)
		}
		var outer struct{ Data map[string]string }
		var inner string
		if err := json.Unmarshal(body, &outer); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(outer.Data["item"]), &inner); err != nil || inner != text {
			t.Errorf("%q decodes to %q, %v", text, inner, err)
		}
	}
	body, _ := queueInvocation(t, "abc", "binary").encode()
	if !bytes.Contains(body, []byte(`"item":"YWJj"`)) {
		t.Errorf("binary: body = %s", body)
	}
}

func TestTimerPayload(t *testing.T) {
	last := time.Date(2026, 11, 22, 6, 0, 0, 1_234_567, time.UTC)
	cron, err := parseSchedule("0 0 6 * * *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	f := function{name: "DailyReport", trigger: binding{Name: "timer"}, schedule: cron}
	golden(t, "timer.json", timerInvocation(f, &timerStatus{Last: last, Next: last.Add(24 * time.Hour).Truncate(time.Second), LastUpdated: last}, false, last))
	golden(t, "timer-first.json", timerInvocation(f, &timerStatus{Next: last.Truncate(time.Second), LastUpdated: last}, true, last))
	f.schedule = schedule{period: time.Minute, location: time.UTC}
	golden(t, "timer-unmonitored.json", timerInvocation(f, nil, false, last))
}

func TestJudgeAnswers(t *testing.T) {
	const jsonType = "application/json; charset=utf-8"
	cases := []struct {
		name        string
		status      int
		contentType string
		body        string
		want        string // "", "hang" or "fail"
	}{
		{"the least", 200, jsonType, "{}", ""},
		{"201", 201, jsonType, "{}", ""},
		{"text/json", 200, "text/json", ` {"logs":["a"],"OUTPUTS":{},"more":1} `, ""},
		{"empty", 200, jsonType, "", "hang"},
		{"white space", 200, jsonType, " \n", "hang"},
		{"null", 200, jsonType, "null", "hang"},
		{"204", 204, "", "", "hang"},
		{"text", 200, "text/plain; charset=utf-8", "{}", "fail"},
		{"no type", 200, "", "{}", "fail"},
		{"array", 200, jsonType, "[]", "fail"},
		{"scalar", 200, jsonType, "1", "fail"},
		{"not JSON", 200, jsonType, "{", "fail"},
		{"logs are no list", 200, jsonType, `{"Logs":"x"}`, "fail"},
		{"redirect", 302, jsonType, "{}", "fail"},
		{"404", 404, jsonType, "{}", "fail"},
		{"500", 500, jsonType, "{}", "fail"},
	}
	for _, c := range cases {
		_, err := judge(c.status, c.contentType, []byte(c.body))
		got := ""
		switch {
		case err == errNoResult:
			got = "hang"
		case err != nil:
			got = "fail"
		}
		if got != c.want {
			t.Errorf("%s: %q (%v), want %q", c.name, got, err, c.want)
		}
	}
	logs, _ := judge(200, "text/json", []byte(`{"logs":["a","b"]}`))
	if !cmp.Equal(logs, []string{"a", "b"}) {
		t.Errorf("logs = %q", logs)
	}
}
