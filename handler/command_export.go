package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// mostRequests bounds what export-url prints: more is a mistake in -window.
const mostRequests = 10_000

// exportURL prints the kick-off requests for given settings and sends none.
func exportURL(_ context.Context, args []string, t terminal) error {
	s := newSwitches("export-url")
	for name, setting := range map[string]string{
		"source": "FERRY_SOURCE_URL", "container": "FERRY_STAGING_CONTAINER", "since": "FERRY_SINCE", "till": "FERRY_UNTIL",
		"types": "FERRY_RESOURCE_TYPES", "window": "FERRY_WINDOW", "max-count": "FERRY_MAX_COUNT",
		"anonymization-config": "FERRY_ANONYMIZATION_CONFIG", "anonymization-config-etag": "FERRY_ANONYMIZATION_CONFIG_ETAG",
	} {
		s.setting(name, setting)
	}
	for name, setting := range map[string]string{
		"history": "FERRY_HISTORY", "deleted": "FERRY_DELETED", "parallel": "FERRY_PARALLEL",
	} {
		s.boolean(name, setting)
	}
	generation := s.String("generation", "gen1", "")
	each := s.Bool("each-type", false, "")
	format := s.String("format", "curl", "")
	if err := s.parse(args, 0); err != nil {
		return err
	}
	c, err := s.config(t, "FERRY_SOURCE_URL", "FERRY_STAGING_CONTAINER", "FERRY_SINCE", "FERRY_UNTIL", "FERRY_RESOURCE_TYPES",
		"FERRY_WINDOW", "FERRY_HISTORY", "FERRY_DELETED", "FERRY_PARALLEL", "FERRY_MAX_COUNT", "FERRY_ANONYMIZATION_CONFIG",
		"FERRY_ANONYMIZATION_CONFIG_ETAG")
	if err != nil {
		return err
	}
	write, known := map[string]func([]fhir.ByHand) string{"curl": asCurl, "http": asHTTP, "urls": asURLs}[*format]
	switch {
	case !known:
		return misused("-format: unknown value %s; give curl, http or urls", quote(*format))
	case *generation != "gen1" && *generation != "gen2":
		return misused("-generation: unknown value %s; give gen1 for Azure API for FHIR, gen2 for an AHDS FHIR service", quote(*generation))
	case *each && len(c.types) == 0:
		return misused("-each-type: it needs the types by name; give -types")
	case c.until.After(t.now):
		return misused("%s: it lies in the future, where a server reads on while it exports and nothing says up to where; "+
			"give an instant after the last write and before now", s.called("FERRY_UNTIL"))
	}
	windows, err := c.windows(s)
	if err != nil {
		return err
	}
	requests, err := c.exports(windows, *generation == "gen2", *each)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(t.stdout, write(requests)); err != nil {
		return fmt.Errorf("write the requests: %w", err)
	}
	explainExports(t.stderr, c, windows, requests, *generation == "gen2")
	return nil
}

// windows cuts the span into pieces that share their edges (invariant 1).
func (c config) windows(s *switches) ([]migration.Window, error) {
	whole := migration.Window{Since: c.since, Till: c.until}
	if c.window == 0 {
		return []migration.Window{whole}, nil
	}
	if c.since.IsZero() || c.until.IsZero() {
		return nil, misused("%s: a span can only be cut when both its ends are known; give -since, not after the oldest resource, and -till",
			s.called("FERRY_WINDOW"))
	}
	if pieces := whole.Length() / c.window; pieces >= mostRequests {
		return nil, misused("%s: it would cut the span into more than %d requests; give a longer one", s.called("FERRY_WINDOW"), mostRequests)
	}
	return whole.Every(c.window, mostRequests), nil
}

// exports makes the requests, in window order. Where the upper bound is exclusive the last one reaches a millisecond
// further, so that the last instant is in it (contract 1.4).
func (c config) exports(windows []migration.Window, gen2, each bool) ([]fhir.ByHand, error) {
	lists := [][]string{c.types}
	if each {
		lists = nil
		for _, name := range c.types {
			lists = append(lists, []string{name})
		}
	}
	var requests []fhir.ByHand
	for i, w := range windows {
		if gen2 && c.parallel && i == len(windows)-1 && !w.Till.IsZero() {
			w.Till = w.Till.Add(migration.Instant)
		}
		for _, types := range lists {
			r := fhir.ExportRequest{
				Types: types, Since: w.Since, Till: w.Till, Container: c.stagingContainer,
				Parallel: c.parallel, History: c.history, Deleted: c.deleted, MaxCount: c.maxCount,
				AnonymizationConfig: c.anonymizationConfig, AnonymizationETag: c.anonymizationETag,
			}
			request, err := r.ByHand(c.sourceURL)
			if err != nil {
				return nil, err
			}
			requests = append(requests, request)
		}
	}
	return requests, nil
}

func asCurl(requests []fhir.ByHand) string {
	var text strings.Builder
	text.WriteString(tokenLine(requests[0].Scope))
	for _, r := range requests {
		text.WriteString(curl(r, "") + "\n")
	}
	return text.String()
}

func asHTTP(requests []fhir.ByHand) string {
	var texts []string
	for _, r := range requests {
		texts = append(texts, fmt.Sprintf("%s %s\n%s\nAuthorization: Bearer {{token}}\n", r.Method, r.URL, strings.Join(r.Headers, "\n")))
	}
	return strings.Join(texts, "\n###\n\n")
}

func asURLs(requests []fhir.ByHand) string {
	var text strings.Builder
	for _, r := range requests {
		text.WriteString(r.URL + "\n")
	}
	return text.String()
}

// explainExports says what the requests leave open.
func explainExports(w io.Writer, c config, windows []migration.Window, requests []fhir.ByHand, gen2 bool) {
	note := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	note("%s in %s", plural(len(requests), "request"), plural(len(windows), "window"))
	if len(windows) > 1 {
		note("neighbours share their edge, so that nothing lies between them: do not shift one by a millisecond")
		note("import the windows one after the other, the oldest first: two versions of one resource must not race each other")
	}
	if gen2 && c.parallel && !c.until.IsZero() {
		note("_till of the last window is a millisecond after %s, because the server leaves out what lies exactly on it", c.until.Format(time.RFC3339Nano))
	}
	if c.until.IsZero() {
		note("without -till the export ends at the instant of its own kick-off: nothing may write to the source meanwhile")
	}
	if !c.history && !c.until.IsZero() {
		note("without earlier versions a resource that is changed after -till is in none of these exports: nothing may write to the source any more")
	}
	if c.anonymizationConfig != "" {
		note("import nothing before the manifest's request shows _anonymizationConfig: give import-payload the same -anonymization-config")
	}
	note("each request that is sent starts a job, a repeated one starts a second job: keep the Content-Location of its answer")
	note("an export is complete when its Content-Location answers 200 three times in a row, half a minute apart, with the same files")
}
