package fhirsim

import (
	"encoding/json"
	"slices"
)

// definition is one search parameter: a built-in one, or what a stored SearchParameter says (contract 8).
type definition struct {
	URL        string   `json:"url"`
	Code       string   `json:"code"`
	Kind       string   `json:"type"`
	Expression string   `json:"expression"`
	Base       []string `json:"base"`
}

// appliesTo reports whether the parameter can be used on a resource type.
func (d definition) appliesTo(resourceType string) bool {
	return slices.ContainsFunc(d.Base, func(base string) bool {
		return base == resourceType || base == "Resource" || base == "DomainResource"
	})
}

// sharedBase is a base both can be used on; false when there is none.
func (d definition) sharedBase(other definition) (string, bool) {
	for _, base := range d.Base {
		if other.appliesTo(base) {
			return base, true
		}
	}
	for _, base := range other.Base {
		if d.appliesTo(base) {
			return base, true
		}
	}
	return "", false
}

// same reports whether two parameters mean the same, by whatever url.
func (d definition) same(other definition) bool {
	return d.Kind == other.Kind && d.Expression == other.Expression
}

// builtIns are the search parameters every server has from the start: a handful of R4's own per type. They are
// embedded and no stored rows, so GET /SearchParameter does not show them (contract 8.1).
func builtIns() []definition {
	const core = "http://hl7.org/fhir/SearchParameter/"
	all := []string{"Resource"}
	return []definition{
		{core + "Resource-id", "_id", "token", "Resource.id", all},
		{core + "Resource-lastUpdated", "_lastUpdated", "date", "Resource.meta.lastUpdated", all},
		{core + "Resource-profile", "_profile", "uri", "Resource.meta.profile", all},
		{core + "Resource-tag", "_tag", "token", "Resource.meta.tag", all},
		{core + "conformance-url", "url", "uri", "Resource.url", []string{"CapabilityStatement", "CodeSystem",
			"CompartmentDefinition", "ConceptMap", "GraphDefinition", "ImplementationGuide", "MessageDefinition",
			"OperationDefinition", "SearchParameter", "StructureDefinition", "StructureMap",
			"TerminologyCapabilities", "ValueSet"}},
		{core + "Patient-identifier", "identifier", "token", "Patient.identifier", []string{"Patient"}},
		{core + "Patient-name", "name", "string", "Patient.name", []string{"Patient"}},
		{core + "individual-gender", "gender", "token", "Patient.gender", []string{"Patient"}},
		{core + "individual-birthdate", "birthdate", "date", "Patient.birthDate", []string{"Patient"}},
		{core + "clinical-code", "code", "token", "Condition.code | Observation.code",
			[]string{"Condition", "Observation"}},
		{core + "clinical-patient", "patient", "reference", "Condition.subject | Encounter.subject | Observation.subject",
			[]string{"Condition", "Encounter", "Observation"}},
		{core + "Observation-status", "status", "token", "Observation.status", []string{"Observation"}},
		{core + "Encounter-class", "class", "token", "Encounter.class", []string{"Encounter"}},
		{core + "Encounter-status", "status", "token", "Encounter.status", []string{"Encounter"}},
	}
}

// storedDefinitions are the current custom search parameters by resource id, enabled or not. A row that is no
// usable definition has an empty url. The caller holds mu for writing.
func (s *Server) storedDefinitions() map[string]definition {
	list := map[string]definition{}
	t := s.tables[searchParameter]
	if t == nil {
		return list
	}
	for id, head := range t.heads {
		if head.deleted {
			continue
		}
		d, known := s.readDefinitions[head]
		if !known {
			_ = json.Unmarshal(head.appendJSON(nil), &d) // odd members leave the definition without use
			s.readDefinitions[head] = d
		}
		list[id] = d
	}
	return list
}

// EnableSearchParameters makes every stored SearchParameter usable and listed in /metadata, as a completed
// reindex does. It is for seeding a server whose rows came by Put or Load.
func (s *Server) EnableSearchParameters() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enableStored()
}

// enableStored takes over what is stored: parameters that went away are forgotten. The caller holds mu.
func (s *Server) enableStored() {
	s.enabled = map[string]definition{}
	for _, d := range s.storedDefinitions() {
		if d.URL != "" {
			s.enabled[d.URL] = d
		}
	}
}

// usable finds the parameter of a name for each of the types; false when one of them lacks it. With partial
// indices a stored parameter will do that no reindex has enabled yet (contract 8.3). The caller holds mu, for
// writing when partial.
func (s *Server) usable(names []string, code string, partial bool) (map[string]definition, bool) {
	byType := map[string]definition{}
	consider := func(d definition) {
		for _, name := range names {
			if d.Code == code && d.appliesTo(name) {
				byType[name] = d
			}
		}
	}
	if partial {
		for _, d := range s.storedDefinitions() {
			consider(d)
		}
	}
	for _, d := range s.enabled {
		consider(d)
	}
	for _, d := range s.builtIn {
		consider(d)
	}
	return byType, len(names) > 0 && len(byType) == len(names)
}
