package main

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"fhirferry/handler/internal/telemetry"
)

// reader turns texts of the environment into typed values and keeps what is wrong with them.
type reader struct {
	getenv    func(string) string
	fallbacks map[string]string
	problems  []problem
}

func newReader(getenv func(string) string) *reader {
	r := &reader{getenv: getenv, fallbacks: map[string]string{}}
	for _, s := range settingsTable() {
		r.fallbacks[s.name] = s.fallback
	}
	return r
}

func (r *reader) report(setting, detail, remedy string) {
	r.problems = append(r.problems, problem{setting, detail, remedy})
}

// text is the value, or the default: empty means the default (operator contract 2).
func (r *reader) text(name string) string {
	if value := r.getenv(name); value != "" {
		return value
	}
	return r.fallbacks[name]
}

// quote shows a value that is no secret, cut where it is long.
func quote(value string) string { return fmt.Sprintf("%.60q", value) }

// word reads one of a few words.
func (r *reader) word(name string, words ...string) string {
	value := r.text(name)
	if slices.Contains(words, value) {
		return value
	}
	r.report(name, "unknown value "+quote(value), "set "+strings.Join(words, " or "))
	return r.fallbacks[name]
}

func (r *reader) boolean(name string) bool { return r.word(name, "true", "false") == "true" }

// integer reads a number between least and most.
func (r *reader) integer(name string, least, most int64) int64 {
	value := r.text(name)
	n, err := strconv.ParseInt(value, 10, 64)
	if err == nil && n >= least && n <= most {
		return n
	}
	r.report(name, "want a whole number, got "+quote(value), fmt.Sprintf("set a number from %d to %d", least, most))
	n, _ = strconv.ParseInt(r.fallbacks[name], 10, 64)
	return n
}

var durationForm = regexp.MustCompile(`^([0-9]+)(ms|s|m|h|d)$`)

// parseDuration reads a number and a unit, and returns zero for anything else.
func parseDuration(text string) time.Duration {
	parts := durationForm.FindStringSubmatch(text)
	if parts == nil {
		return 0
	}
	unit := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}[parts[2]]
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || n > math.MaxInt64/int64(unit) {
		return 0
	}
	return time.Duration(n) * unit
}

// duration reads a positive duration; zero means that the setting and its default are empty.
func (r *reader) duration(name string) time.Duration {
	value := r.text(name)
	if value == "" {
		return 0
	}
	d := parseDuration(value)
	if d > 0 {
		return d
	}
	r.report(name, "want a duration above zero, got "+quote(value), "set a number and a unit, such as 30d, 12h, 5m, 30s or 250ms")
	return parseDuration(r.fallbacks[name])
}

// instant reads an instant and cuts it to the millisecond, the grain of lastUpdated; zero means that it is empty.
func (r *reader) instant(name string) time.Time {
	value := r.text(name)
	if value == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil || t.IsZero() { // the zero time means "no bound"
		r.report(name, "want an RFC 3339 instant, got "+quote(value), "set an instant such as 2024-01-31T00:00:00Z, or leave it empty")
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

var typeForm = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}$`)

// resourceTypes reads a list of FHIR type names. Which of them exist is the source's knowledge.
func (r *reader) resourceTypes(name string) []string {
	value := r.text(name)
	if value == "" {
		return nil
	}
	var types []string
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		if !typeForm.MatchString(item) {
			r.report(name, quote(item)+" is not a FHIR resource type",
				"set type names separated by commas, such as Patient,Observation, or leave it empty for every type")
			return nil
		}
		types = append(types, item)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// address reads a required URL. Its value is never shown: it may hold a password or a signature.
func (r *reader) address(name, wanted string) string {
	value := r.text(name)
	if value == "" {
		r.report(name, "it is required and empty", "set "+wanted)
		return ""
	}
	if fault := addressFault(value); fault != "" {
		r.report(name, fault, "set "+wanted)
		return ""
	}
	return strings.TrimRight(value, "/")
}

// addressFault says what keeps a text from being the base of a service; empty: nothing.
func addressFault(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil, strings.ContainsAny(text, " \t\r\n"):
		return "it cannot be read as a URL"
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return "it is not an absolute http or https URL with a host"
	case u.User != nil:
		return "it holds a user name or password"
	case strings.ContainsAny(text, "?#"):
		return "it holds a query or a fragment"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "it is plain http to another machine, where tokens and data would travel unprotected"
	}
	return ""
}

// loopback reports whether a host name is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Azure's rule for names of queues and containers: letters and digits in groups joined by single hyphens.
var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// azureName reads the name of a queue or a container.
func (r *reader) azureName(name string) string {
	value := r.text(name)
	remedy := "set 3 to 63 lower-case letters, digits and single hyphens, such as fhirferry-work"
	switch {
	case value == "":
		r.report(name, "it is required and empty; without it the host leaves the function out without a word", remedy)
	case len(value) < 3 || len(value) > 63 || !nameForm.MatchString(value):
		r.report(name, quote(value)+" is not a name that Azure Storage accepts", remedy)
	default:
		return value
	}
	return r.fallbacks[name]
}

// mode reads how the run ends; two of its four values are known but not in force.
func (r *reader) mode(name string) string {
	value := r.text(name)
	if value == "export" || value == "import" {
		r.report(name, "the mode "+value+" is not supported yet", "set continuous or once")
		return value
	}
	return r.word(name, "continuous", "once")
}

// blobName reads the name of a blob, without its container. A colon is refused: older servers take it for the end of
// the name.
func (r *reader) blobName(name string) string {
	value := r.text(name)
	odd := func(c rune) bool { return !unicode.IsPrint(c) || strings.ContainsRune(`:\?#%`, c) }
	if len(value) > 1024 || strings.ContainsFunc(value, odd) || strings.HasPrefix(value, "/") || strings.Contains(value, "..") {
		r.report(name, quote(value)+" is not the name of a blob", "set the name alone, such as rules.json or hospital/rules.json")
		return ""
	}
	return value
}

var etagForm = regexp.MustCompile(`^"?([!#-~]{1,200}?)"?$`)

// etag reads an etag, with its quotes or without, and drops them.
func (r *reader) etag(name string) string {
	value := r.text(name)
	if value == "" {
		return ""
	}
	parts := etagForm.FindStringSubmatch(value)
	if parts == nil {
		r.report(name, quote(value)+" is not an etag", "copy it from the blob's properties, such as 0x8DC5A2B3C4D5E6F, or leave it empty")
		return ""
	}
	return parts[1]
}

// sourceClient reads the credentials for a source in another tenant: all three or none.
func (r *reader) sourceClient() (tenant, client string, key secret) {
	names := []string{"FERRY_SOURCE_TENANT_ID", "FERRY_SOURCE_CLIENT_ID", "FERRY_SOURCE_CLIENT_SECRET"}
	var missing []string
	for _, name := range names {
		if r.text(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return r.text(names[0]), r.text(names[1]), newSecret(r.text(names[2]))
	}
	if len(missing) < len(names) {
		for _, name := range missing {
			r.report(name, "it is empty while others of the source's client credentials are set",
				"set all of "+strings.Join(names, ", ")+", or none to use the identity of the app")
		}
	}
	return "", "", secret{}
}

// insights reads the connection string of Application Insights.
func (r *reader) insights(name string) secret {
	value := r.text(name)
	if value == "" {
		return secret{}
	}
	if err := telemetry.Check(value); err != nil {
		r.report(name, err.Error(),
			"copy the connection string from the overview of the Application Insights resource, or leave it empty")
		return secret{}
	}
	return newSecret(value)
}
