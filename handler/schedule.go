package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// cronField is one position of an NCRONTAB expression and the values it may hold.
type cronField struct {
	name        string
	least, most int
	names       string // of months or days, by their first three letters; numbering begins at least
}

func cronFields() []cronField {
	return []cronField{
		{"second", 0, 59, ""},
		{"minute", 0, 59, ""},
		{"hour", 0, 23, ""},
		{"day", 1, 31, ""},
		{"month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"},
		{"day of the week", 0, 6, "sun mon tue wed thu fri sat"},
	}
}

// schedule reads the timer's NCRONTAB. The host reads the same setting by itself and leaves the function out when it
// cannot (host contract 1.10), so a typing error must be named here.
func (r *reader) schedule(name string) string {
	value := r.text(name)
	const remedy = "set six fields (second minute hour day month weekday), such as 0 * * * * * for every minute"
	if value == "" {
		r.report(name, "it is required and empty; without it the host leaves the timer out without a word", remedy)
		return ""
	}
	if err := cronFault(value); err != nil {
		r.report(name, quote(value)+": "+err.Error(), remedy)
		return ""
	}
	return value
}

func cronFault(text string) error {
	parts := strings.Fields(text)
	fields := cronFields()
	if len(parts) == len(fields)-1 {
		fields = fields[1:] // without seconds
	}
	if len(parts) != len(fields) {
		return fmt.Errorf("it has %d fields, not 6 or 5", len(parts))
	}
	for i, f := range fields {
		for item := range strings.SplitSeq(parts[i], ",") {
			if !f.accepts(item) {
				return fmt.Errorf("%s %s is not accepted", f.name, quote(item))
			}
		}
	}
	return nil
}

// An item is *, a value or a span, each with an optional step.
var cronItem = regexp.MustCompile(`^(?:\*|([0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?)(?:/[1-9][0-9]?)?$`)

func (f cronField) accepts(item string) bool {
	parts := cronItem.FindStringSubmatch(item)
	return parts != nil && (parts[1] == "" || f.holds(parts[1])) && (parts[2] == "" || f.holds(parts[2]))
}

func (f cronField) holds(value string) bool {
	if n, err := strconv.Atoi(value); err == nil {
		return n >= f.least && n <= f.most
	}
	return len(value) >= 3 && f.names != "" && strings.Contains(" "+f.names+" ", " "+strings.ToLower(value[:3])+" ")
}
