package fhir

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const deprecatedBody = `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"business-rule",
 "details":{"coding":[{"system":"https://azurehealthcareapis.com/fhir/operation-outcome-code",
   "code":"service-deprecated","display":"FHIR service deprecated"}],
   "text":"This FHIR service has been deprecated."},
 "diagnostics":"This FHIR service is deprecated no longer accepts normal workloads."}]}`

const lockedBody = `{"severity":"Error","code":"Locked","diagnostics":"Service is locked for initial import mode."}`

// failure is an answer and the questions that say yes to it (design 3.8).
type failure struct {
	name  string
	reply reply
	want  string
}

func exportFailed(reason string) string {
	return outcomeBody("processing", "export operation failed for reason: "+reason)
}

func importFailed(reason string) string {
	return outcomeBody("processing", "import operation failed for reason: "+reason)
}

func check(t *testing.T, cases []failure, call func(context.Context, *Client) error) {
	t.Helper()
	for _, f := range cases {
		t.Run(f.name, func(t *testing.T) {
			server := serve(t, always(f.reply))
			e := asError(t, call(t.Context(), server.client(t, Options{})))
			if got := answers(e); got != f.want {
				t.Errorf("%v: got %q, want %q", e, got, f.want)
			}
			if e.Status != f.reply.status {
				t.Errorf("status: got %d, want %d", e.Status, f.reply.status)
			}
			if n := len(server.requests()); n != 1 {
				t.Errorf("%d requests were sent, want 1", n)
			}
		})
	}
}

// throttling is what a throttling server adds (contract 10.1).
func throttling() map[string]string {
	return map[string]string{"Retry-After": "1", "x-ms-retry-after-ms": "520"}
}

func TestKickOffFailures(t *testing.T) {
	cases := []failure{
		{"bad request", reply{400, nil, outcomeBody("invalid", "Missing required header; Prefer")}, "Permanent"},
		{"bad request without outcome", reply{400, nil, "<html>"}, "Permanent"},
		{"bad request with processing", reply{400, nil, exportFailed("x")}, "Permanent"},
		{"unauthorized", reply{401, nil, outcomeBody("login", "Authentication failed.")}, "Unauthorized"},
		{"forbidden", reply{403, nil, outcomeBody("forbidden", "Authorization failed.")}, "Forbidden"},
		{"not found", reply{404, nil, ""}, "Permanent"},
		{"timeout in the store", reply{408, nil, outcomeBody("timeout", "x")}, "OutcomeUnknown TimedOut"},
		{"conflict", reply{409, nil, ""}, ""},
		{"gone", reply{410, nil, outcomeBody("deleted", "x")}, ""},
		{"deprecated", reply{410, nil, deprecatedBody}, "Deprecated"},
		{"body too large", reply{413, nil, ""}, ""},
		{"unprocessable", reply{422, nil, outcomeBody("invalid", "x")}, "Permanent"},
		{"locked", reply{423, nil, lockedBody}, "Locked"},
		{"throttled", reply{429, throttling(), outcomeBody("throttled", "x")}, "Busy"},
		{"throttled without headers", reply{429, nil, outcomeBody("throttled", "x")}, "Busy"},
		{"throttled by a gateway", reply{429, nil, "<html>slow down"}, "Busy"},
		{"throttled, odd code", reply{429, nil, outcomeBody("processing", "x")}, "Busy"},
		{"server error", reply{500, nil, outcomeBody("exception", "x")}, ""},
		{"bad gateway", reply{502, nil, "<html>"}, "OutcomeUnknown"},
		{"unavailable", reply{503, nil, outcomeBody("processing", "x")}, "Busy"},
		{"unavailable without outcome", reply{503, nil, ""}, "Busy"},
		{"gateway timeout", reply{504, nil, ""}, "OutcomeUnknown TimedOut"},
		{"ok", reply{200, nil, "{}"}, "OutcomeUnknown"},
		{"created", reply{201, nil, ""}, "OutcomeUnknown"},
		{"no content", reply{204, nil, ""}, "OutcomeUnknown"},
		{"redirect", reply{307, map[string]string{"Location": "{base}/elsewhere"}, ""}, ""},
		{"no status URL", reply{202, nil, ""}, "OutcomeUnknown"},
		{"status URL elsewhere", reply{202, map[string]string{"Content-Location": "https://evil.example/_operations/export/1"}, ""}, "OutcomeUnknown"},
		{"status URL of another scheme", reply{202, map[string]string{"Content-Location": "ftp://x/1"}, ""}, "OutcomeUnknown"},
		{"unreadable status URL", reply{202, map[string]string{"Content-Location": "http://[::1"}, ""}, "OutcomeUnknown"},
	}
	t.Run("export", func(t *testing.T) {
		check(t, cases, func(ctx context.Context, c *Client) error { _, err := c.StartExport(ctx, ExportRequest{}); return err })
	})
	t.Run("import", func(t *testing.T) {
		check(t, cases, func(ctx context.Context, c *Client) error { _, err := c.StartImport(ctx, []byte("{}")); return err })
	})
}

// pollFailures holds for both kinds of job; failed makes a job's own failure.
func pollFailures(failed func(string) string) []failure {
	return []failure{
		{"unknown job", reply{404, nil, outcomeBody("not-found", `The requested job "1" was not found.`)}, "Gone"},
		{"unknown job, gateway", reply{404, nil, "<html>"}, "Gone"},
		{"gone", reply{410, nil, ""}, "Gone"},
		{"deprecated", reply{410, nil, deprecatedBody}, "Deprecated"},
		{"job failed, storage not found", reply{404, nil, failed("container not found")}, "JobFailed"},
		{"job failed", reply{500, nil, failed("Unknown Error.")}, "JobFailed"},
		{"job failed for two reasons", reply{500, nil, failed("a\r\nb")}, "JobFailed"},
		{"job failed with 503", reply{503, nil, failed("x")}, "JobFailed"},
		{"job throttled", reply{429, nil, failed("Request rate is large")}, "JobFailed JobThrottled"},
		{"job throttled, gateway adds headers", reply{429, throttling(), failed("Request rate is large")}, "JobFailed JobThrottled"},
		{"job throttled in other words", reply{429, nil, outcomeBody("processing", "Request rate is large")}, "JobFailed JobThrottled"},
		{"poll throttled", reply{429, throttling(), outcomeBody("throttled", "too many calls")}, "Busy"},
		{"poll throttled, odd code", reply{429, throttling(), outcomeBody("processing", "x")}, "Busy"},
		{"poll throttled without headers", reply{429, nil, outcomeBody("throttled", "x")}, "Busy"},
		{"poll throttled by a gateway", reply{429, nil, "slow down"}, "Busy"},
		{"job cancelled", reply{500, nil, outcomeBody("processing", "User requested cancellation of operation.")}, "JobFailed"},
		{"poll error", reply{500, nil, outcomeBody("exception", "export operation failed for reason: x")}, ""},
		{"poll error without outcome", reply{500, nil, "<html>"}, ""},
		{"store gives up on the poll", reply{503, nil, outcomeBody("processing", "A task was canceled.")}, "Busy"},
		{"unauthorized", reply{401, nil, ""}, "Unauthorized"},
		{"forbidden", reply{403, nil, outcomeBody("forbidden", "Authorization failed.")}, "Forbidden"},
		{"timeout in the store", reply{408, nil, outcomeBody("timeout", "x")}, "TimedOut"},
		{"bad gateway", reply{502, nil, ""}, ""},
		{"gateway timeout", reply{504, nil, "<html>"}, "TimedOut"},
		{"locked", reply{423, nil, lockedBody}, "Locked"},
		{"created", reply{201, nil, "{}"}, ""},
		{"no content", reply{204, nil, ""}, ""},
		{"redirect", reply{302, map[string]string{"Location": "https://evil.example/"}, ""}, ""},
		{"empty 200", reply{200, nil, ""}, ""},
		{"html 200", reply{200, map[string]string{"Content-Type": "text/html"}, "<html>Sign in</html>"}, ""},
		{"truncated 200", reply{200, nil, `{"output":[`}, ""},
		{"array 200", reply{200, nil, `[]`}, ""},
	}
}

func TestExportPollFailures(t *testing.T) {
	cases := append(pollFailures(exportFailed),
		failure{"bad request", reply{400, nil, outcomeBody("invalid", "x")}, ""},
		failure{"job failed with 400", reply{400, nil, exportFailed("bad group")}, "JobFailed"},
		failure{"job failed with 403", reply{403, nil, exportFailed("no access to storage")}, "Forbidden JobFailed"},
		failure{"out of memory", reply{413, nil, exportFailed("The FHIR Server ran out of memory")}, "JobFailed TooLarge"},
		failure{"too large in other words", reply{413, nil, ""}, "TooLarge"},
		failure{"too much data", reply{400, nil, exportFailed("Timespan in export request contains too much data for it")}, "JobFailed TooLarge"},
	)
	check(t, cases, func(ctx context.Context, c *Client) error {
		_, err := c.ExportStatus(ctx, c.BaseURL()+"/_operations/export/1")
		return err
	})
}

func TestImportPollFailures(t *testing.T) {
	cases := append(pollFailures(importFailed),
		failure{"etag", reply{400, nil, importFailed("Input file Etag not match. https://h/c/a")}, "JobFailed"},
		failure{"cancelled", reply{400, nil, outcomeBody("processing", "User requested cancellation of operation.")}, "JobFailed"},
		failure{"any 400", reply{400, nil, ""}, "JobFailed"},
		failure{"413", reply{413, nil, ""}, ""},
		failure{"too much data", reply{500, nil, importFailed("too much data")}, "JobFailed"},
	)
	check(t, cases, func(ctx context.Context, c *Client) error {
		_, err := c.ImportStatus(ctx, c.BaseURL()+"/_operations/import/1")
		return err
	})
}

func TestCountFailures(t *testing.T) {
	cases := []failure{
		{"overflow", reply{403, nil, outcomeBody("forbidden", "Search count returned 3000000000 and exceeds the maximum defined limit of 2147483647.")}, "TooMany"},
		{"role missing", reply{403, nil, outcomeBody("forbidden", "Authorization failed.")}, "Forbidden"},
		{"strict refusal", reply{400, nil, outcomeBody("invalid", "x")}, ""},
		{"not found", reply{404, nil, ""}, ""},
		{"deprecated", reply{410, nil, deprecatedBody}, "Deprecated"},
		{"timeout in the store", reply{408, nil, outcomeBody("timeout", "x")}, "TimedOut"},
		{"throttled", reply{429, throttling(), outcomeBody("throttled", "x")}, "Busy"},
		{"bad gateway", reply{502, nil, ""}, ""},
		{"unavailable", reply{503, nil, outcomeBody("processing", "x")}, "Busy"},
		{"no total", reply{200, nil, `{"resourceType":"Bundle","type":"searchset"}`}, ""},
		{"null total", reply{200, nil, `{"resourceType":"Bundle","total":null}`}, ""},
		{"negative total", reply{200, nil, `{"resourceType":"Bundle","total":-1}`}, ""},
		{"text total", reply{200, nil, `{"resourceType":"Bundle","total":"1"}`}, ""},
		{"not a bundle", reply{200, nil, `{"resourceType":"OperationOutcome","total":1}`}, ""},
		{"empty", reply{200, nil, ""}, ""},
		{"html", reply{200, nil, "<html>"}, ""},
		{"accepted", reply{202, nil, `{"resourceType":"Bundle","total":1}`}, ""},
	}
	check(t, cases, func(ctx context.Context, c *Client) error {
		_, err := c.Count(ctx, CountQuery{Types: []string{"Patient"}, History: true})
		return err
	})
}

func TestCancel(t *testing.T) {
	for _, c := range []struct {
		status          int
		export, imports string
	}{
		{200, "", ""}, {202, "", ""}, {204, "", ""}, {404, "", ""},
		{409, "409", ""}, {410, "", "410"}, {400, "400", "400"}, {401, "401", "401"}, {403, "403", "403"},
		{302, "302", "302"}, {429, "429", "429"}, {500, "500", "500"}, {503, "503", "503"},
	} {
		server := serve(t, always(reply{status: c.status}))
		client := server.client(t, Options{})
		for want, err := range map[string]error{
			"export " + c.export:  client.CancelExport(t.Context(), server.URL+"/_operations/export/1"),
			"import " + c.imports: client.CancelImport(t.Context(), server.URL+"/_operations/import/1"),
		} {
			kind, status, _ := strings.Cut(want, " ")
			if (err != nil) != (status != "") || err != nil && !strings.Contains(err.Error(), "cancel "+kind+": "+status) {
				t.Errorf("%d: %s: got %v, want %q", c.status, kind, err, status)
			}
		}
	}
}

func TestGoodPolls(t *testing.T) {
	for name, c := range map[string]struct {
		reply reply
		want  ExportStatus
	}{
		"empty 202":       {reply{202, nil, ""}, ExportStatus{}},
		"202 with body":   {reply{202, nil, `{"output":[]}`}, ExportStatus{Progress: 13}},
		"202 with html":   {reply{202, nil, `<html>`}, ExportStatus{Progress: 6}},
		"202 with a wait": {reply{202, map[string]string{"Retry-After": "120"}, ""}, ExportStatus{RetryAfter: 2 * time.Minute}},
		"200":             {reply{200, nil, " {\"output\":[] }\n"}, ExportStatus{Done: true, Manifest: []byte(" {\"output\":[] }\n")}},
	} {
		server := serve(t, always(c.reply))
		got, err := server.client(t, Options{}).ExportStatus(t.Context(), server.URL+"/_operations/export/1")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
		wantImport := ImportStatus{Done: c.want.Done, RetryAfter: c.want.RetryAfter, Progress: c.want.Progress, Result: c.want.Manifest}
		gotImport, err := server.client(t, Options{}).ImportStatus(t.Context(), server.URL+"/_operations/import/1")
		if diff := cmp.Diff(wantImport, gotImport); err != nil || diff != "" {
			t.Errorf("%s: import: %v (-want +got):\n%s", name, err, diff)
		}
	}
}
