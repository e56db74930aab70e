package engine

import (
	"testing"

	"fhirferry/handler/internal/fhir"
)

// What is searchable at the destination and not stored there is built in only when it is one of FHIR's own: another was
// deleted there a while ago, and would be lost in silence.
func TestOnlyDefinitionsOfFHIRAreBuiltIn(t *testing.T) {
	for url, builtIn := range map[string]bool{
		"http://hl7.org/fhir/SearchParameter/Patient-name":         true,
		"http://hl7.org/fhir/us/core/SearchParameter/us-core-race": true,
		"http://example.org/SearchParameter/deleted":               false,
		"http://hl7.org.example.org/fhir/SearchParameter/deleted":  false,
	} {
		p := fhir.SearchParameter{ID: "p", URL: url, Code: "p", Bases: []string{"Patient"}, Content: []byte(`{"url":"` + url + `"}`)}
		plan := planParameters([]fhir.SearchParameter{p}, nil, []fhir.Definition{{URL: url, Code: "p", Bases: []string{"Patient"}}})
		if got := len(plan.BuiltIn) == 1; got != builtIn || len(plan.BuiltIn)+len(plan.Write) != 1 {
			t.Errorf("%s: got built in %v and to be written %v, want built in: %t", url, plan.BuiltIn, plan.Write, builtIn)
		}
	}
}
