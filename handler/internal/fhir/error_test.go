package fhir

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestErrorText(t *testing.T) {
	for name, c := range map[string]struct {
		reply reply
		want  string
	}{
		"outcome": {reply{400, map[string]string{"X-Request-Id": "req-9"}, outcomeBody("invalid", "Missing required header; Prefer")},
			"start export: 400 Bad Request (invalid): Missing required header; Prefer [request req-9]"},
		"outcome's own id": {reply{500, nil, outcomeBody("exception", "x")},
			"start export: 500 Internal Server Error (exception): x [request corr-1]"},
		"correlation header": {reply{500, map[string]string{"X-Correlation-Id": "c-1"}, ""},
			"start export: 500 Internal Server Error: no explanation [request c-1]"},
		"html is not repeated": {reply{502, map[string]string{"Content-Type": "text/html; charset=utf-8"}, "<html>Jane Doe</html>"},
			"start export: 502 Bad Gateway: the answer is text/html, not an OperationOutcome"},
		"broken json is not repeated": {reply{502, map[string]string{"Content-Type": "application/json"}, `{"name":"Jane`},
			"start export: 502 Bad Gateway: the answer is unreadable or cut off, not an OperationOutcome"},
		"other json is not repeated": {reply{500, nil, `{"name":"Jane"}`},
			"start export: 500 Internal Server Error: the answer is not an OperationOutcome"},
		"details without diagnostics": {reply{500, nil, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x","details":{"text":"why"}}]}`},
			"start export: 500 Internal Server Error (x): why"},
		"the worst issue counts": {reply{500, nil, `{"issue":[{"severity":"warning","code":"a","diagnostics":"a"},{"severity":"fatal","code":"b","diagnostics":"b"},{"severity":"error","code":"c","diagnostics":"c"}]}`},
			"start export: 500 Internal Server Error (b): b"},
		"no query strings": {reply{500, nil, outcomeBody("exception", "GET https://h/c/a?sig=hush&x=1 and /Patient?name=Doe\r\nfailed. Why?")},
			"start export: 500 Internal Server Error (exception): GET https://h/c/a?… and /Patient?… failed. Why? [request corr-1]"},
		"locked": {reply{423, nil, lockedBody},
			"start export: 423 Locked (Locked): Service is locked for initial import mode.; turn initial import mode off in the import settings of the FHIR service"},
		"role": {reply{403, nil, outcomeBody("forbidden", "Authorization failed.")},
			"start export: 403 Forbidden (forbidden): Authorization failed.; grant the identity the role FHIR Data Exporter on the source [request corr-1]"},
	} {
		server := serve(t, always(c.reply))
		_, err := server.client(t, Options{}).StartExport(t.Context(), ExportRequest{})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
	}
}

// TestRemedies: what a person can do about it is said for each cause that a person can mend.
func TestRemedies(t *testing.T) {
	for name, c := range map[string]struct {
		e    Error
		want string
	}{
		"import role":     {Error{Status: 403, kind: importPoll}, "FHIR Data Importer"},
		"reader role":     {Error{Status: 403, kind: counting}, "FHIR Data Reader"},
		"any role":        {Error{Status: 403}, "role"},
		"too many":        {Error{Status: 403, kind: counting, text: "search count returned 3"}, "shorter windows"},
		"token":           {Error{Status: 401}, "tenant"},
		"no token":        {Error{fault: tokenless}, "identity"},
		"no answer":       {Error{fault: silent}, "network"},
		"deprecated":      {Error{Status: 410, deprecated: true}, "only serves exports"},
		"not enabled":     {Error{Status: 400, text: `the requested "import" operation is not enabled`}, "enable the operation"},
		"no account":      {Error{Status: 400, text: "the import storage account is not configured correctly on the server."}, "integration storage account"},
		"another account": {Error{Status: 400, text: "input.url must match the configured integration storage account endpoint."}, "staging account"},
	} {
		if got := c.e.Remedy(); !strings.Contains(got, c.want) || !strings.Contains(c.e.Error(), c.want) {
			t.Errorf("%s: got %q, want something with %q", name, got, c.want)
		}
	}
}

func TestLongDiagnostics(t *testing.T) {
	// The cut must not hide what the questions look at.
	long := exportFailed(strings.Repeat("ä", 600) + " too much data")
	server := serve(t, always(reply{400, nil, long}))
	_, err := server.client(t, Options{}).ExportStatus(t.Context(), server.URL+"/_operations/export/1")
	e := asError(t, err)
	if n := utf8.RuneCountInString(e.Detail); n != 500 || !strings.HasSuffix(e.Detail, "…") {
		t.Errorf("detail has %d characters, want 500 and a sign of the cut", n)
	}
	if !e.TooLarge() || !e.JobFailed() {
		t.Errorf("got %q, want JobFailed TooLarge", answers(e))
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2024, 6, 1, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"nothing":              {nil, 0},
		"seconds":              {map[string]string{"Retry-After": "7"}, 7 * time.Second},
		"milliseconds win":     {map[string]string{"Retry-After": "1", "x-ms-retry-after-ms": "520"}, 520 * time.Millisecond},
		"odd milliseconds":     {map[string]string{"Retry-After": "1", "x-ms-retry-after-ms": "soon"}, time.Second},
		"date":                 {map[string]string{"Retry-After": "Sat, 01 Jun 2024 10:02:00 GMT"}, 2 * time.Minute},
		"date by their clock":  {map[string]string{"Retry-After": "Sat, 01 Jun 2024 11:02:00 GMT", "Date": "Sat, 01 Jun 2024 11:00:00 GMT"}, 2 * time.Minute},
		"date gone by":         {map[string]string{"Retry-After": "Sat, 01 Jun 2024 09:00:00 GMT"}, 0},
		"far date":             {map[string]string{"Retry-After": "Sat, 01 Jun 2030 09:00:00 GMT"}, time.Hour},
		"many seconds":         {map[string]string{"Retry-After": "86400"}, time.Hour},
		"more than fits":       {map[string]string{"Retry-After": "99999999999999999999"}, time.Hour},
		"negative":             {map[string]string{"Retry-After": "-5"}, 0},
		"less than fits":       {map[string]string{"Retry-After": "-99999999999999999999"}, 0},
		"words":                {map[string]string{"Retry-After": "in a while"}, 0},
		"spaces":               {map[string]string{"Retry-After": " 3 "}, 3 * time.Second},
		"overflow of the unit": {map[string]string{"Retry-After": "9223372036854775807"}, time.Hour},
	} {
		h := http.Header{}
		for k, v := range c.header {
			h.Set(k, v)
		}
		if got := retryAfter(h, now); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// TestRetryAfterOfAnError: the wait reaches the caller with the error.
func TestRetryAfterOfAnError(t *testing.T) {
	server := serve(t, always(reply{429, throttling(), outcomeBody("throttled", "x")}))
	_, err := server.client(t, Options{}).StartExport(t.Context(), ExportRequest{})
	if got, want := asError(t, err).RetryAfter, 520*time.Millisecond; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("1", "520", "")
	f.Add("Sat, 01 Jun 2024 10:02:00 GMT", "", "Sat, 01 Jun 2024 10:00:00 GMT")
	f.Add("99999999999999999999", "-1", "x")
	f.Fuzz(func(t *testing.T, seconds, millis, date string) {
		h := http.Header{"Retry-After": {seconds}, "X-Ms-Retry-After-Ms": {millis}, "Date": {date}}
		if got := retryAfter(h, time.Unix(1717236000, 0)); got < 0 || got > time.Hour {
			t.Errorf("got %s, want 0 to 1 h", got)
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, s := range []string{
		"", "<html>", "{", "[]", "null", lockedBody, deprecatedBody, outcomeBody("throttled", "a?b=c"),
		`{"issue":[]}`, `{"issue":[null]}`, `{"issue":[{"details":{"coding":[null]}}]}`, outcomeBody("x", "\x00\u2028 a\r\nb"),
	} {
		f.Add([]byte(s), "application/fhir+json", 500)
		f.Add([]byte(s), "text/html", 429)
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string, status int) {
		o := parseOutcome(body, contentType)
		c := &Client{Now: time.Now}
		e := c.failure(call{op: "check export", kind: exportPoll}, answer{status: status, outcome: o})
		if n := utf8.RuneCountInString(e.Detail); n > detailLimit || !utf8.ValidString(e.Detail) {
			t.Errorf("detail of %d characters", n)
		}
		if strings.ContainsAny(e.Detail, "\r\n\x00") || queryString.MatchString(strings.ReplaceAll(e.Detail, "?…", "")) {
			t.Errorf("detail is not tidy: %q", e.Detail)
		}
		if e.Error() == "" || e.Busy() && e.JobFailed() || e.Gone() && e.Deprecated() {
			t.Errorf("%v contradicts itself: %s", e, answers(e))
		}
	})
}
