package migration

import "testing"

// The kind of a source, and with it the rule for its upper bound, comes from what it says it can do. What is not
// recognised is asked for the millisecond more: too much is harmless, too little is lost.
func TestKindOf(t *testing.T) {
	exports := []string{"export", "group-export", "patient-export"}
	with := func(more ...string) []string { return append(append([]string{}, exports...), more...) }
	for name, tc := range map[string]struct {
		transactions bool
		operations   []string
		want         SourceKind
		exclusive    bool
	}{
		"Azure API for FHIR":           {false, with("reindex", "convert-data"), AzureAPIForFHIR, false},
		"AHDS":                         {true, with("reindex", "includes", "bulk-delete"), AHDS, true},
		"AHDS before includes":         {true, with("reindex"), AHDS, true},
		"includes without transaction": {false, with("includes"), UnknownSource, true},
		"another server":               {true, []string{"export", "reindex", "validate"}, UnknownSource, true},
		"exports nothing":              {false, nil, UnknownSource, true},
	} {
		got := KindOf(tc.transactions, tc.operations)
		if got != tc.want || got.Exclusive() != tc.exclusive {
			t.Errorf("%s: got %s, exclusive %t; want %s, %t", name, got, got.Exclusive(), tc.want, tc.exclusive)
		}
	}
}
