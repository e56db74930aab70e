package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	trace = "0af7651916cd43dd8448eb211c80319c"
	span  = "b7ad6b7169203331"
)

type state string // as the engine's words

type hidden struct{}

func (hidden) LogValue() slog.Value { return slog.StringValue("redacted") }

// Each kind of record becomes what docs/telemetry.md says, in the envelope that the service wants.
func TestItems(t *testing.T) {
	at := time.Date(2024, 5, 1, 12, 0, 10, 250_000_000, time.FixedZone("", 3600))
	cases := []struct {
		name  string
		level slog.Level
		attrs []any
		kind  string // of envelope
		want  []string
		time  time.Time
		tags  map[string]string
	}{
		{name: "event", attrs: []any{
			"event", "ChunkMoved", "chunk", "c-1", "to", state("imported"), "files", 7, "seconds", 1.5, "wait", 90 * time.Second,
			"till", at, "never", time.Time{}, "empty", "", "doubt", true, "big", uint64(math.MaxUint64), "odd", math.NaN(), "key", hidden{},
			slog.Group("of", "n", int64(2)), "invocation", "inv-1",
		}, kind: "Event", want: []string{`{"ver":2,"name":"ChunkMoved",
			"properties":{"chunk":"c-1","to":"imported","files":"7","seconds":"1.5","wait":"90","till":"2024-05-01T11:00:10.25Z",
				"doubt":"true","big":"18446744073709551615","key":"redacted","of.n":"2","InvocationId":"inv-1"},
			"measurements":{"files":7,"seconds":1.5,"wait":90,"big":18446744073709552000,"of.n":2}}`},
			tags: map[string]string{"ai.operation.id": "inv-1"}},
		{name: "metrics", level: slog.LevelDebug, attrs: []any{
			"event", "Metrics", "run", "r", "ChunksFailed", 0, "LagSeconds", 2.25, "trace", trace, "span", span, "invocation", "inv-1",
		}, kind: "Metric", want: []string{
			`{"ver":2,"metrics":[{"name":"ChunksFailed","kind":0,"value":0,"count":1,"min":0,"max":0,"stdDev":0}],"properties":{"run":"r","InvocationId":"inv-1"}}`,
			`{"ver":2,"metrics":[{"name":"LagSeconds","kind":0,"value":2.25,"count":1,"min":0,"max":0,"stdDev":0}],"properties":{"run":"r","InvocationId":"inv-1"}}`,
		}, tags: map[string]string{"ai.operation.id": trace, "ai.operation.parentId": span}},
		{name: "dependency", level: slog.LevelDebug, attrs: []any{
			"event", "Dependency", "name", "GET /$export", "target", "fhir.example", "status", 202, "duration", 1250 * time.Millisecond,
			"success", true, "operation", "start export",
		}, kind: "RemoteDependency", want: []string{`{"ver":2,"name":"GET /$export","id":"","resultCode":"202","duration":"0.00:00:01.2500000",
			"success":true,"data":"","target":"fhir.example","type":"FHIR","properties":{"operation":"start export"}}`},
			time: at.Add(-1250 * time.Millisecond)},
		{name: "no answer", level: slog.LevelDebug, attrs: []any{
			"event", "Dependency", "name", "GET /metadata", "target", "fhir.example", "status", 0, "duration", time.Millisecond, "success", false,
		}, kind: "RemoteDependency", want: []string{`{"ver":2,"name":"GET /metadata","id":"","resultCode":"0","duration":"0.00:00:00.0010000",
			"success":false,"data":"","target":"fhir.example","type":"FHIR"}`}, time: at.Add(-time.Millisecond)},
		{name: "exception", level: slog.LevelError, attrs: []any{"error", errors.New("broken"), "status", 500},
			kind: "Exception", want: []string{`{"ver":2,"exceptions":[{"id":0,"outerId":0,"typeName":"said","message":"said: broken","hasFullStack":false,"stack":""}],
				"severityLevel":3,"problemId":"said","properties":{"status":"500"},"measurements":{"status":500}}`}},
		{name: "an error with an event is that event", level: slog.LevelError, attrs: []any{"event", "X"},
			kind: "Event", want: []string{`{"ver":2,"name":"X"}`}},
		{name: "a line", attrs: []any{"chunk", "c-1"}},
		{name: "a warning", level: slog.LevelWarn, attrs: []any{"error", "x"}},
		{name: "an event that is no text", attrs: []any{"event", 7}},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t, accept)
			h := e.open()
			r := slog.NewRecord(at, tt.level, "said", 0)
			r.Add(tt.attrs...)
			if err := h.Handle(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			finish(t, h)
			items := e.items()
			if len(items) != len(tt.want) {
				t.Fatalf("got %d items, want %d: %s", len(items), len(tt.want), e.bytes())
			}
			for n, item := range items {
				if diff := cmp.Diff(plain(t, []byte(tt.want[n])), plain(t, item.Data.BaseData)); diff != "" {
					t.Errorf("data (-want +got):\n%s", diff)
				}
				when := tt.time
				if when.IsZero() {
					when = at
				}
				if want := "Microsoft.ApplicationInsights." + strings.ReplaceAll(someKey, "-", "") + "." + tt.kind; item.Name != want ||
					item.IKey != someKey || item.Data.BaseType != tt.kind+"Data" || !item.Time.Equal(when) {
					t.Errorf("got %s for %s of %s at %s, want %s at %s", item.Name, item.IKey, item.Data.BaseType, item.Time, want, when)
				}
				if item.Tags["ai.cloud.role"] != "fhirferry" || item.Tags["ai.cloud.roleInstance"] != "one" ||
					item.Tags["ai.application.ver"] != "v1.2.3" || !strings.HasPrefix(item.Tags["ai.internal.sdkVersion"], "go:") {
					t.Errorf("got tags %v, want role, instance, version and SDK", item.Tags)
				}
				for key, want := range tt.tags {
					if item.Tags[key] != want {
						t.Errorf("tag %s: got %q, want %q", key, item.Tags[key], want)
					}
				}
			}
		})
	}
}

func unmarshal(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

func plain(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// With and WithGroup say the same as attributes of the record.
func TestAttributesOfTheHandler(t *testing.T) {
	e := newEndpoint(t, accept)
	h := e.open()
	log := slog.New(h).With("run", "r-1").WithGroup("of").With("a", 1)
	log.Error("outside")
	slog.New(h).WithGroup("").With(slog.Group("", "b", 2)).Error("inside")
	finish(t, h)
	var got []map[string]string
	for _, item := range e.items() {
		var data struct{ Properties map[string]string }
		if err := json.Unmarshal(item.Data.BaseData, &data); err != nil {
			t.Fatal(err)
		}
		got = append(got, data.Properties)
	}
	if diff := cmp.Diff([]map[string]string{{"run": "r-1", "of.a": "1"}, {"b": "2"}}, got); diff != "" {
		t.Errorf("dimensions (-want +got):\n%s", diff)
	}
}

// Whatever somebody logs by mistake, of secrets nothing arrives: every byte is looked at, headers too.
func TestNoSecretLeaves(t *testing.T) {
	e := newEndpoint(t, accept)
	h := e.open()
	log := slog.New(h)
	const planted = "pLaNtEd"
	token := "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ" + planted + "." + planted
	for _, text := range []string{
		"get https://fhir.example/Patient?name=" + planted + "&birthdate=" + planted + ": refused",
		`Get "https://x.blob.core.windows.net/c/f.ndjson?sv=1&sig=` + planted + `": dial tcp`,
		"GET /Patient?identifier=" + planted, "https://user:" + planted + "@fhir.example/metadata", "https://fhir.example/a#" + planted,
		"Authorization: Bearer " + planted, "authorization: bearer " + planted + ", x", "token " + token,
		"AccountName=a;AccountKey=" + planted + "==;EndpointSuffix=b", "sig=" + planted + "&se=1", "client_secret=" + planted,
		"SharedAccessSignature=" + planted,
	} {
		log.Error(text, "error", errors.New(text), "detail", text, "list", []string{text})
		log.Info(text, slog.String("event", "X"), "detail", text, slog.Group("g", "inner", text))
		log.Debug(text, slog.String("event", "Dependency"), "name", text, "target", text, "operation", text)
		log.Debug(text, slog.String("event", "Metrics"), "n", 1, "detail", text)
	}
	finish(t, h)
	if n := len(e.items()); n != 4*12 {
		t.Errorf("got %d items, want all of them", n)
	}
	all := e.bytes()
	if at := strings.Index(all, planted); at >= 0 {
		t.Errorf("a secret arrived: …%s…", all[max(0, at-200):at+20])
	}
	for _, kept := range []string{"https://fhir.example/Patient", "refused", "https://x.blob.core.windows.net/c/f.ndjson", "AccountName=a"} {
		if !strings.Contains(all, kept) {
			t.Errorf("%q was lost with the secrets", kept)
		}
	}
}

func TestCleanIsShort(t *testing.T) {
	long := clean(strings.Repeat("é", textLimit))
	if len(long) > textLimit+len("…") || !strings.HasSuffix(long, "é…") {
		t.Errorf("got %d bytes that end in %q, want at most %d and no half letter", len(long), long[len(long)-8:], textLimit)
	}
	if got := clean("a chunk 2024-05-01T00:00:00.000Z_x: is it there?"); got != "a chunk 2024-05-01T00:00:00.000Z_x: is it there?" {
		t.Errorf("got %q, want it unchanged", got)
	}
}
