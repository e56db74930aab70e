package fhirsim

import (
	"cmp"
	"net/http"
	"slices"
)

// metadata answers GET /metadata (contract 7.6): without authentication; $import is never advertised;
// transaction and includes tell gen2 from gen1.
func (s *Server) metadata(*call) answer {
	type named struct {
		Name string `json:"name"`
	}
	type param struct {
		Name       string `json:"name"`
		Definition string `json:"definition"`
		Type       string `json:"type"`
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
		SearchParam  []param `json:"searchParam"`
	}
	type rest struct {
		Mode        string     `json:"mode"`
		Resource    []resource `json:"resource"`
		Interaction []code     `json:"interaction"`
		Operation   []named    `json:"operation"`
	}
	operations := []string{"export", "patient-export", "group-export", "reindex", "convert-data", "member-match",
		"patient-everything"}
	if s.opt.AnonymizedExport {
		operations = append(operations, "anonymized-export")
	}
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
	offered := s.offeredParameters()
	for _, name := range s.types {
		var params []param
		for _, d := range offered[name] {
			params = append(params, param{d.Code, d.URL, d.Kind})
		}
		r.Resource = append(r.Resource, resource{Type: name, Versioning: s.opt.Versioning, ReadHistory: true,
			Interaction:  []code{{"create"}, {"read"}, {"update"}, {"delete"}, {"vread"}, {"history-type"}, {"search-type"}},
			UpdateCreate: !s.opt.RefuseUpdateCreate, SearchParam: params})
	}
	return jsonAnswer(http.StatusOK, fhirJSON, map[string]any{
		"resourceType": "CapabilityStatement", "status": "active", "kind": "instance",
		"fhirVersion": s.opt.FHIRVersion, "format": []string{"json"},
		"software": map[string]string{"name": s.opt.SoftwareName, "version": s.opt.SoftwareVersion},
		"rest":     []rest{r},
	})
}

// offeredParameters are the search parameters in use by type, in order of code and url.
func (s *Server) offeredParameters() map[string][]definition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := slices.Clone(s.builtIn)
	for _, d := range s.enabled {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b definition) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.URL, b.URL))
	})
	offered := map[string][]definition{}
	for _, name := range s.types {
		for _, d := range all {
			if d.appliesTo(name) {
				offered[name] = append(offered[name], d)
			}
		}
	}
	return offered
}
