package fhir

import (
	"encoding/json"
	"mime"
	"regexp"
	"strings"
	"unicode"
)

// detailLimit is the longest diagnostics kept, in characters.
const detailLimit = 500

// queryString finds the query of a URL, absolute or not; it may hold a signature or a person's data.
var queryString = regexp.MustCompile(`\?[^\s"'<>]*=[^\s"'<>]*`)

// outcome is what an error body says. The zero value: nothing that could be understood.
type outcome struct {
	found      bool // the body was an OperationOutcome, or the bare issue of a locked server (contract 4.6)
	id         string
	code       string
	text       string // diagnostics, or what stands in for them; untrimmed
	deprecated bool   // coding service-deprecated (contract 0.4)
}

type issue struct {
	Severity    string `json:"severity"`
	Code        string `json:"code"`
	Diagnostics string `json:"diagnostics"`
	Details     struct {
		Text   string `json:"text"`
		Coding []struct {
			Code string `json:"code"`
		} `json:"coding"`
	} `json:"details"`
}

// parseOutcome reads an error body. A body that is no outcome is described by its kind, never repeated.
func parseOutcome(body []byte, contentType string) outcome {
	var doc struct {
		ResourceType string  `json:"resourceType"`
		ID           string  `json:"id"`
		Issue        []issue `json:"issue"`
		issue
	}
	if len(strings.TrimSpace(string(body))) == 0 {
		return outcome{text: "no explanation"}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return outcome{text: "the answer is " + kindOfBody(contentType) + ", not an OperationOutcome"}
	}
	if len(doc.Issue) == 0 {
		if doc.Diagnostics == "" {
			return outcome{text: "the answer is not an OperationOutcome"}
		}
		doc.Issue = []issue{doc.issue}
	}
	worst := doc.Issue[0]
	o := outcome{found: true, id: doc.ID}
	for _, i := range doc.Issue {
		for _, coding := range i.Details.Coding {
			o.deprecated = o.deprecated || coding.Code == "service-deprecated"
		}
		if worst.Severity != "error" && worst.Severity != "fatal" && (i.Severity == "error" || i.Severity == "fatal") {
			worst = i
		}
	}
	o.code, o.text = worst.Code, worst.Diagnostics
	if o.text == "" {
		o.text = worst.Details.Text
	}
	return o
}

func kindOfBody(contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || strings.Contains(kind, "json") {
		return "unreadable or cut off"
	}
	return tidy(kind)
}

// tidy makes text fit for a row and a log: one line, no query strings, at most detailLimit characters.
func tidy(text string) string {
	text = queryString.ReplaceAllString(strings.ToValidUTF8(text, "\uFFFD"), "?…")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if runes := []rune(text); len(runes) > detailLimit {
		text = string(runes[:detailLimit-1]) + "…"
	}
	return text
}
