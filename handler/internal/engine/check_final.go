package engine

import (
	"fmt"
	"strings"

	"fhirferry/handler/internal/migration"
)

// typesNamed is how many resource types the check at the end of a run names in problems of their own.
const typesNamed = 20

// finalProblems are what the check at the end of a run leaves in doubt: every difference, and every count that could not
// be had. The run completes all the same, and is not clean.
func (v *errandVisit) finalProblems(all findings) []migration.Problem {
	if !v.errand.Step {
		return nil
	}
	var problems []migration.Problem
	doubt := func(format string, args ...any) {
		problems = append(problems, migration.Problem{At: v.Now(), Doubt: true, Detail: "final check: " + fmt.Sprintf(format, args...)})
	}
	if v.errand.Check.ExportOnly {
		doubt("the counts could not be checked: the source is deprecated; the destination's counts are in check %s", v.errand.ID)
	}
	for _, note := range v.errand.Check.Notes {
		doubt("%s", note)
	}
	unnamed := 0
	for _, row := range all.Counts {
		switch {
		case row.Verdict == migration.Equal, row.Verdict == migration.Unknown && v.errand.Check.ExportOnly:
		case len(problems) >= typesNamed:
			unnamed++
		case row.Verdict == migration.Unknown:
			doubt("%s is unknown: %s", row.Type, row.Reason)
		default:
			doubt("%s differs: %s", row.Type, tellCounts(row))
		}
	}
	if unnamed > 0 {
		doubt("%d more resource types differ or could not be counted; they are in check %s", unnamed, v.errand.ID)
	}
	return problems
}

// tellCounts writes the counts that were compared, and what explains them.
func tellCounts(row migration.CountRow) string {
	var parts []string
	for _, m := range []struct {
		measure migration.Measure
		what    string
	}{{migration.CurrentBefore, "current resources"}, {migration.VersionsBefore, "versions"}} {
		source, _, known := row.Answer(migration.AtSource, m.measure)
		destination, _, both := row.Answer(migration.AtDestination, m.measure)
		if known && both {
			parts = append(parts, fmt.Sprintf("%d %s at the source and %d at the destination", source.Count, m.what, destination.Count))
		}
	}
	if row.Reason != "" {
		parts = append(parts, row.Reason)
	}
	return strings.Join(parts, ", ")
}
