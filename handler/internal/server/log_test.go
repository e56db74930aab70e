package server

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The host's names for a request reach every line logged for it; a header that is none of them reaches no line.
func TestCorrelate(t *testing.T) {
	const (
		id    = "7f9d3a62-2f0e-4a1e-9b5a-6b0d9f5a8c11"
		trace = "0af7651916cd43dd8448eb211c80319c"
		span  = "b7ad6b7169203331"
	)
	for _, tt := range []struct {
		id, parent string
		want       map[string]string
	}{
		{id, "", map[string]string{"invocation": id}},
		{id, "00-" + trace + "-" + span + "-01", map[string]string{"invocation": id, "trace": trace, "span": span}},
		{"", "00-" + trace + "-" + span + "-00", map[string]string{"trace": trace, "span": span}},
		{"SECRET id", "SECRET", map[string]string{}},
		{"", "00-00000000000000000000000000000000-" + span + "-01", map[string]string{}},
		{"", "00-" + trace + "-0000000000000000-01", map[string]string{}},
		{"", "00-" + trace + "-" + span + "-01-SECRET", map[string]string{}},
	} {
		var out bytes.Buffer
		log := slog.New(Correlate(Correlate(slog.NewJSONHandler(&out, nil))))
		serve := (&server{}).invocationID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			log.InfoContext(r.Context(), "x")
		}))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/tick", nil)
		r.Header.Set(invocationHeader, tt.id)
		r.Header.Set("Traceparent", tt.parent)
		serve.ServeHTTP(httptest.NewRecorder(), r)
		got := map[string]string{}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		for _, own := range []string{"time", "level", "msg"} {
			delete(got, own)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q and %q (-want +got):\n%s", tt.id, tt.parent, diff)
		}
	}
}
