package fhir

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// LineFault is what an import had against a line (contract 5.3).
type LineFault int

// The faults of lines.
const (
	OtherLine           LineFault = iota // none of the following
	DuplicateLine                        // the same id and lastUpdated, or version, once more within one batch
	ConflictLine                         // it contradicts what is stored
	MalformedLine                        // it could not be read as a resource
	SearchParameterLine                  // a type that an import does not take
)

// ErrorLine is one line of an error file: an input line that was not accepted.
type ErrorLine struct {
	Fault  LineFault
	ID     string // of the resource, where the text names one; empty: it does not
	Offset int64  // where in the input file the slice begins, in bytes
	Line   int64  // among the lines of the slice that are not empty, from 1
	Text   string // what the server says, without anything that it may have taken from the resource
}

var (
	placeOfLine   = regexp.MustCompile(`line: ([0-9]{1,18}) with stream start offset: ([0-9]{1,18})`)
	duplicateLine = regexp.MustCompile(`^Failed to import duplicate resource, resource id: ([A-Za-z0-9.-]{1,64})(, line: [0-9]{1,18})?\.?$`)
	conflictLine  = regexp.MustCompile(`^Failed to import resource with version conflict, resource id: ([A-Za-z0-9.-]{1,64})(, line: [0-9]{1,18})?\.?$`)
)

// ParseErrorLine reads a line of an error file. One without the place of the line it tells about is of no use.
func ParseErrorLine(b []byte) (ErrorLine, error) {
	var doc struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return ErrorLine{}, fmt.Errorf("not a line of an error file: %w", plainJSON(err))
	}
	if doc.ResourceType != "OperationOutcome" || len(doc.Issue) == 0 {
		return ErrorLine{}, errors.New("not an OperationOutcome with an issue")
	}
	place := placeOfLine.FindStringSubmatch(doc.Issue[0].Diagnostics)
	if place == nil {
		return ErrorLine{}, errors.New("the diagnostics do not say which line it is about")
	}
	e := faultOf(strings.TrimSpace(doc.Issue[0].Details.Text))
	e.Line, _ = strconv.ParseInt(place[1], 10, 64) // at most 18 digits
	e.Offset, _ = strconv.ParseInt(place[2], 10, 64)
	if e.Line == 0 {
		return ErrorLine{}, errors.New("the diagnostics name line 0; lines count from 1")
	}
	return e, nil
}

// faultOf tells the known texts apart. They are kept as they are; of any other only known words are.
func faultOf(text string) ErrorLine {
	if m := duplicateLine.FindStringSubmatch(text); m != nil {
		return ErrorLine{Fault: DuplicateLine, ID: m[1], Text: text}
	}
	if m := conflictLine.FindStringSubmatch(text); m != nil {
		return ErrorLine{Fault: ConflictLine, ID: m[1], Text: text}
	}
	switch text {
	case "SearchParameter resources cannot be processed by import.":
		return ErrorLine{Fault: SearchParameterLine, Text: text}
	case "LastUpdated in the resource cannot be in the future.", "Resource type not match.",
		"Conditional reference is not supported for $import in InitialLoad.":
		return ErrorLine{Text: text}
	}
	e := ErrorLine{Text: withoutValues(text)}
	lower := strings.ToLower(text)
	for _, sign := range []struct {
		begins bool
		text   string
		fault  LineFault
	}{
		{true, "failed to import duplicate resource", DuplicateLine},
		{true, "failed to import resource with version conflict", ConflictLine},
		{true, "invalid resource id", MalformedLine},
		{true, "type checking the data", MalformedLine},
		{false, "json", MalformedLine},
		{false, "pars", MalformedLine},
		{false, "deserializ", MalformedLine},
		{false, "unexpected", MalformedLine},
		{false, "unterminated", MalformedLine},
		{false, "unknown element", MalformedLine},
		{false, "error converting value", MalformedLine},
		{false, "could not convert", MalformedLine},
		{false, "not valid", MalformedLine},
		{false, "invalid", MalformedLine},
	} {
		if sign.begins && strings.HasPrefix(lower, sign.text) || !sign.begins && strings.Contains(lower, sign.text) {
			e.Fault = sign.fault
			return e
		}
	}
	return e
}
