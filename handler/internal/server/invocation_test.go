package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

const chunkID = "20190101T000000.000Z_20190201T000000.000Z_0a1b2c3d"

// payload reads a body as the host sends it.
func payload(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// invocation is a request as the host makes it, framed as in Azure or as under Core Tools (host contract 3.1).
func (s *site) invocation(path, body, framing string) *http.Request {
	s.t.Helper()
	var reader io.Reader = strings.NewReader(body)
	if framing == "chunked" {
		reader = struct{ io.Reader }{reader} // hides its length from the client
	}
	req, err := http.NewRequest("POST", s.URL+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("X-Azure-Functions-HostVersion", "4.1037.0.0")
	req.Header.Set(invocationHeader, "7f9d3a62-2f0e-4a1e-9b5a-6b0d9f5a8c11")
	return req
}

func wantAcknowledged(t *testing.T, got reply) {
	t.Helper()
	if got.status != 200 || got.header.Get("Content-Type") != "application/json" || got.body != "{}\n" {
		t.Errorf("answer: got %+v, want 200 {} as application/json", got)
	}
}

func TestRecordedInvocations(t *testing.T) {
	for _, c := range []struct {
		file, path, call string // no call: the message is dropped
	}{
		{"timer.json", "/tick", "tick"},
		{"timer-first.json", "/tick", "tick"},
		{"timer-unmonitored.json", "/tick", "tick"},
		{"queue-chunk.json", "/visit", "visit " + chunkID},
		{"queue-round.json", "/visit", "visit round"},
		{"queue-once-encoded.json", "/visit", "visit " + chunkID},
		{"queue-number.json", "/visit", "visit 5"},
		{"queue-quoted.json", "/visit", ""},
		{"queue-json.json", "/visit", ""},
		{"queue-empty.json", "/visit", ""},
		{"queue-shadow.json", "/visit", ""},
		{"queue-null.json", "/visit", ""},
		{"queue-object.json", "/visit", ""},
		{"queue-other-binding.json", "/visit", ""},
	} {
		for _, framing := range []string{"chunked", "Content-Length"} {
			t.Run(c.file+" "+framing, func(t *testing.T) {
				s := open(t, result{})
				wantAcknowledged(t, s.do(s.invocation(c.path, payload(t, c.file), framing)))
				if c.call != "" {
					if !slices.Equal(s.calls, []string{c.call}) || s.log.Len() > 0 {
						t.Errorf("got calls %q and log %q, want %q and none", s.calls, s.log, c.call)
					}
					return
				}
				if len(s.calls) > 0 {
					t.Errorf("calls: got %q, want none", s.calls)
				}
				lines := s.logged()
				if len(lines) != 1 || !strings.Contains(lines[0], `"level":"ERROR"`) ||
					!strings.Contains(lines[0], `"invocation":"7f9d3a62-2f0e-4a1e-9b5a-6b0d9f5a8c11"`) {
					t.Errorf("log: got %q, want one error with the invocation", lines)
				}
			})
		}
	}
}

// TestOddTexts are the four texts that a decoder which guesses the number of levels gets wrong (host contract 3.3).
func TestOddTexts(t *testing.T) {
	for file, want := range map[string]string{
		"queue-number.json": `5`, "queue-quoted.json": `"quoted"`, "queue-json.json": `{"a":"{\"b\":1}"}`, "queue-empty.json": ``,
		"queue-chunk.json": chunkID, "queue-once-encoded.json": chunkID,
	} {
		var envelope struct{ Data map[string]json.RawMessage }
		if err := json.Unmarshal([]byte(payload(t, file)), &envelope); err != nil {
			t.Fatal(err)
		}
		got, err := decodeText(envelope.Data[workItem])
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", file, got, err, want)
		}
	}
}

func TestUnreadableMessages(t *testing.T) {
	item := func(text string) string {
		once, _ := json.Marshal(text)
		twice, _ := json.Marshal(string(once))
		return `{"Data":{"item":` + string(twice) + `}}`
	}
	for name, body := range map[string]string{
		"nothing":          ``,
		"no JSON":          `<html>secret</html>`,
		"null":             `null`,
		"truncated":        `{"Data":{"item":"\"sec`,
		"list":             `[]`,
		"data is a list":   `{"Data":["secret"]}`,
		"no data":          `{"Metadata":{}}`,
		"two documents":    item("round") + item("round"),
		"id with a slash":  item("a/secret"),
		"id with a line":   item("round\n"),
		"id too long":      item(strings.Repeat("s", 101)),
		"too many blanks":  item("round") + strings.Repeat(" ", invocationLimit),
		"a large envelope": `{"Data":{"item":"` + strings.Repeat("s", 3*invocationLimit) + `"}}`,
	} {
		for _, framing := range []string{"chunked", "Content-Length"} {
			t.Run(name+" "+framing, func(t *testing.T) {
				s := open(t, result{})
				wantAcknowledged(t, s.do(s.invocation("/visit", body, framing)))
				if len(s.calls) > 0 {
					t.Errorf("calls: got %q, want none", s.calls)
				}
				if len(s.logged()) != 1 || strings.Contains(s.log.String(), "sec") || strings.Contains(s.log.String(), "sss") {
					t.Errorf("log: got %q, want one line without the message", s.log)
				}
			})
		}
	}
}

func TestInvocationFails(t *testing.T) {
	for _, c := range []struct{ file, path, route string }{{"timer.json", "/tick", "/tick"}, {"queue-chunk.json", "/visit", "/visit"}} {
		for name, res := range map[string]result{
			"storage": {err: errors.New(`save chunk 1: Put "https://acct.table.core.windows.net/t(a='b')?sig=SECRET&se=1": connection refused`)},
			"panic":   {panics: "out of range https://acct/?sig=SECRET"},
			"time":    {err: context.DeadlineExceeded},
		} {
			t.Run(c.path+" "+name, func(t *testing.T) {
				s := open(t, res)
				got := s.do(s.invocation(c.path, payload(t, c.file), "chunked"))
				wantProblem(t, got, 500)
				lines := s.logged()
				if len(lines) != 1 {
					t.Fatalf("log: got %q, want one line", lines)
				}
				for _, want := range []string{`"level":"ERROR"`, `"route":"` + c.route + `"`, `"invocation":"7f9d3a62-`, `"error":"`} {
					if !strings.Contains(lines[0], want) {
						t.Errorf("log: got %s, want %s in it", lines[0], want)
					}
				}
				for _, secret := range []string{"SECRET"} {
					if strings.Contains(lines[0]+got.body, secret) {
						t.Errorf("got %s %s, want no %s", lines[0], got.body, secret)
					}
				}
				if strings.Contains(got.body, "connection refused") || strings.Contains(got.body, "out of range") {
					t.Errorf("body: got %s, want no inner cause", got.body)
				}
			})
		}
	}
}

// TestServesOnAfterAPanic: the process is shared by every visit of the instance.
func TestServesOnAfterAPanic(t *testing.T) {
	s := open(t, result{panics: errors.New("nil map")})
	s.send("POST", "/tick", "{}")
	if got := s.send("GET", "/", ""); got.status != 200 {
		t.Errorf("GET / after a panic: got %d, want 200", got.status)
	}
}

func TestVisitHasADeadline(t *testing.T) {
	var left time.Duration
	see := func(ctx context.Context) {
		until, ok := ctx.Deadline()
		if !ok {
			t.Error("context: got no deadline")
		}
		left = time.Until(until)
	}
	s := open(t, result{}, func(o *Options) {
		o.VisitTimeout, o.HTTPTimeout = time.Hour, time.Minute
		o.Verbs.Visit = func(ctx context.Context, _ string) error { see(ctx); return nil }
		o.Verbs.Tick = func(ctx context.Context) error { see(ctx); return nil }
		o.Verbs.Pause = func(ctx context.Context) (engine.Status, error) {
			see(ctx)
			return engine.Status{State: migration.ShownPaused}, nil
		}
	})
	for _, c := range []struct {
		path string
		want time.Duration
	}{{"/visit", time.Hour}, {"/tick", time.Hour}, {"/api/migration/pause", time.Minute}} {
		left = 0
		s.send("POST", c.path, payload(t, "queue-chunk.json"))
		if left > c.want || left < c.want-30*time.Second {
			t.Errorf("%s: got %v left, want about %v", c.path, left, c.want)
		}
	}
}

// TestBrokenBody is a host that dies while it sends: nothing may be done on half a message.
func TestBrokenBody(t *testing.T) {
	broken := errors.New("reset by peer")
	if _, err := readNudge(io.MultiReader(strings.NewReader(`{"Data":`), failing{broken})); !errors.Is(err, broken) || errors.Is(err, errNotANudge) {
		t.Errorf("got %v, want %v and not a dropped message", err, broken)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzInvocation: whatever arrives, an id that comes out is a plain table key, and a text that went in the host's way
// comes out unchanged.
func FuzzInvocation(f *testing.F) {
	files, err := filepath.Glob("testdata/queue-*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no recorded payloads", err)
	}
	for _, file := range files {
		f.Add(payload(f, filepath.Base(file)))
	}
	for _, text := range []string{`5`, `"quoted"`, `{"a":"{\"b\":1}"}`, ``, chunkID, "\u2028", `\`, `null`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, input string) {
		id, err := readNudge(strings.NewReader(input))
		if (err == nil) != idForm.MatchString(id) {
			t.Errorf("readNudge: got %q, %v", id, err)
		}
		if err != nil && !errors.Is(err, errNotANudge) {
			t.Errorf("readNudge: got %v, want a dropped message", err)
		}

		once, err := json.Marshal(input)
		if err != nil {
			t.Fatal(err)
		}
		var want string // JSON replaces what is not UTF-8
		if err := json.Unmarshal(once, &want); err != nil {
			t.Fatal(err)
		}
		value, err := json.Marshal(string(once))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeText(value); err != nil || got != want {
			t.Errorf("decodeText: got %q, %v, want %q", got, err, want)
		}
	})
}
