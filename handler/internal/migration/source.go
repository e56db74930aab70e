package migration

import "slices"

// SourceKind is which of the servers the source is, as its capability statement shows (contract 7.6). It decides how the
// upper bound of an export is understood (contract 1.4).
type SourceKind string

// The kinds of sources. The open-source FHIR server is the same code base as both services and counts as the one whose
// store it has.
const (
	AzureAPIForFHIR SourceKind = "azureApiForFhir" // gen1, and the open-source server on Cosmos DB
	AHDS            SourceKind = "ahds"            // gen2, and the open-source server on SQL
	UnknownSource   SourceKind = "unknown"         // neither, or a statement that contradicts itself
)

// KindOf recognises a source by what it says it can do: this code base names its exports of patients and groups, and
// only its newer store takes transactions and, in newer builds, has the operation includes.
func KindOf(transactions bool, operations []string) SourceKind {
	familiar := slices.Contains(operations, "patient-export") && slices.Contains(operations, "group-export")
	includes := slices.Contains(operations, "includes")
	switch {
	case familiar && transactions:
		return AHDS
	case familiar && !includes:
		return AzureAPIForFHIR
	}
	return UnknownSource
}

// Exclusive reports whether the upper bound of a parallel export must be taken for exclusive, so that the last window is
// asked for a millisecond more. Asking an inclusive one so moves at most a millisecond too much; the other way round
// what lies on the bound would be lost, so a source that is not recognised is asked so too.
func (k SourceKind) Exclusive() bool { return k != AzureAPIForFHIR }

// Describe says in words what the source is and which bounds its exports have.
func (k SourceKind) Describe(parallel bool) string {
	bound := "the upper bound of an export (_till) is inclusive: what lies on the edge of two windows crosses twice, harmlessly"
	if k == AHDS && parallel {
		bound = "_till is exclusive in parallel exports: what lies on an edge crosses once"
	}
	switch k {
	case AzureAPIForFHIR:
		return "Azure API for FHIR, or the open-source FHIR server on Cosmos DB; " + bound
	case AHDS:
		return "a FHIR service of Azure Health Data Services, or the open-source FHIR server on SQL; " + bound
	}
	return "not recognised as a Microsoft FHIR server; its exports are asked so that nothing on an edge can be lost, " +
		"whichever way it takes their upper bound"
}
