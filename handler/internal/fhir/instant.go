package fhir

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const instantFormat = "2006-01-02T15:04:05.000Z"

var typeName = regexp.MustCompile(`^[A-Z][A-Za-z]*$`)

// lower and upper write an instant with full precision in UTC, because servers fill what is missing each in their own
// way (contract 1.4). Anything finer than a millisecond widens the window: a repeat is harmless, a gap is not.
func lower(t time.Time) string {
	return t.UTC().Truncate(time.Millisecond).Format(instantFormat)
}

func upper(t time.Time) string {
	floor := t.UTC().Truncate(time.Millisecond)
	if floor.Before(t) {
		floor = floor.Add(time.Millisecond)
	}
	return floor.Format(instantFormat)
}

// sortedTypes checks that the names are resource type names and returns them in order: they go into paths and lists.
func sortedTypes(names []string) ([]string, error) {
	for _, name := range names {
		if !typeName.MatchString(name) {
			return nil, fmt.Errorf("%q is not a resource type", name)
		}
	}
	return slices.Sorted(slices.Values(names)), nil
}

func list(names []string) string { return strings.Join(names, ",") }
