package fhirsim

import (
	"net/http"
	"slices"
)

// metadata answers GET /metadata (contract 7.6): without authentication; $import is never advertised;
// transaction and includes tell gen2 from gen1.
func (s *Server) metadata(*call) answer {
	type named struct {
		Name string `json:"name"`
	}
	type code struct {
		Code string `json:"code"`
	}
	type resource struct {
		Type         string  `json:"type"`
		Interaction  []code  `json:"interaction"`
		Versioning   string  `json:"versioning"`
		ReadHistory  bool    `json:"readHistory"`
		UpdateCreate bool    `json:"updateCreate"`
		SearchParam  []named `json:"searchParam"`
	}
	type rest struct {
		Mode        string     `json:"mode"`
		Resource    []resource `json:"resource"`
		Interaction []code     `json:"interaction"`
		Operation   []named    `json:"operation"`
	}
	operations := []string{"export", "patient-export", "group-export", "reindex", "convert-data", "member-match",
		"patient-everything"}
	interactions := []string{"batch", "search-system", "history-system"}
	if s.opt.Generation == Gen2 {
		operations = append(operations, "bulk-delete", "includes")
		interactions = append(interactions, "transaction")
	}
	r := rest{Mode: "server"}
	for _, name := range interactions {
		r.Interaction = append(r.Interaction, code{name})
	}
	for _, name := range slices.Sorted(slices.Values(operations)) {
		r.Operation = append(r.Operation, named{name})
	}
	for _, name := range s.types {
		r.Resource = append(r.Resource, resource{Type: name, Versioning: s.opt.Versioning, ReadHistory: true,
			Interaction:  []code{{"create"}, {"read"}, {"update"}, {"delete"}, {"vread"}, {"history-type"}, {"search-type"}},
			UpdateCreate: !s.opt.RefuseUpdateCreate, SearchParam: []named{{"_id"}, {"_lastUpdated"}}})
	}
	return jsonAnswer(http.StatusOK, fhirJSON, map[string]any{
		"resourceType": "CapabilityStatement", "status": "active", "kind": "instance",
		"fhirVersion": s.opt.FHIRVersion, "format": []string{"json"},
		"software": map[string]string{"name": "Simulated FHIR server", "version": "5.0.0"},
		"rest":     []rest{r},
	})
}
