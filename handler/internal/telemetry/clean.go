package telemetry

import (
	"regexp"
	"strings"
)

// textLimit is the longest text sent, in bytes; the service takes 8,192 in a dimension.
const textLimit = 4000

// What must never leave, whoever logged it: the query of a URL, which may hold a signature or what was searched for;
// bearer tokens, and what looks like one by itself; keys of connection strings and signatures outside a URL.
var (
	urlQuery    = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://[^\s"'<>?#]*)[?#][^\s"'<>]*`)
	urlUser     = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)[^\s"'<>/@]*@`)
	pathQuery   = regexp.MustCompile(`(/[^\s"'<>?]*)\?[^\s"'<>]*`)
	bearer      = regexp.MustCompile(`(?i)\bbearer\s+[^\s"',;]+`)
	webToken    = regexp.MustCompile(`\beyJ[0-9A-Za-z_-]{8,}(\.[0-9A-Za-z_-]*)*`)
	secretParts = regexp.MustCompile(`(?i)\b(AccountKey|SharedAccessKey|SharedAccessSignature|client_secret|password|sig)=[^\s"'&;]+`)
)

// clean makes a text fit to be sent.
func clean(text string) string {
	if strings.ContainsAny(text, "?#@= ") || strings.Contains(text, "eyJ") { // most texts are ids and words
		text = urlUser.ReplaceAllString(text, "$1")
		text = urlQuery.ReplaceAllString(text, "$1")
		text = pathQuery.ReplaceAllString(text, "$1")
		text = bearer.ReplaceAllString(text, "bearer …")
		text = webToken.ReplaceAllString(text, "…")
		text = secretParts.ReplaceAllString(text, "$1=…")
	}
	if len(text) > textLimit {
		text = strings.ToValidUTF8(text[:textLimit], "") + "…"
	}
	return text
}
