package fhirsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

const searchParameter = "SearchParameter"

// maxDefinitionURL is the longest url of a SearchParameter (contract 8.2).
const maxDefinitionURL = 128

const changesLocked = "Changes to search parameters are not allowed while a reindex job is in progress." +
	" Please wait for the reindex job to complete, or cancel it, and try again."

// checkParameter refuses a SearchParameter by the rules of contract 8.2. id is the resource's for PUT. The
// caller holds mu.
func (s *Server) checkParameter(c *call, id string) *answer {
	refuse := func(status int, code, format string, args ...any) *answer {
		a := outcome(c.now, status, code, fmt.Sprintf(format, args...))
		return &a
	}
	if arm, hit := s.faults.strike(faultRefuseSearchParameter, c); hit {
		return refuse(arm.Status, "processing", "%s", orElse(arm.Text, "The search parameter could not be stored."))
	}
	if s.activeReindex() != nil {
		return refuse(http.StatusConflict, "conflict", "%s", changesLocked)
	}
	var d definition
	if err := json.Unmarshal(c.content, &d); err != nil {
		return refuse(http.StatusBadRequest, "invalid", "The body is not a SearchParameter: %s", err)
	}
	switch {
	case d.URL == "":
		return refuse(http.StatusBadRequest, "invalid", "The search parameter must have a definition URL.")
	case len(d.URL) > maxDefinitionURL:
		return refuse(http.StatusBadRequest, "invalid",
			"The definition URL of a search parameter must not be longer than %d characters.", maxDefinitionURL)
	case c.Method == http.MethodPut && s.isBuiltIn(d.URL):
		return refuse(http.StatusMethodNotAllowed, "not-supported", "The search parameter '%s' is built in.", d.URL)
	}
	if text := s.unusable(d); text != "" {
		return refuse(http.StatusBadRequest, "invalid", "%s", text)
	}
	if text := s.collision(d, id); text != "" {
		return refuse(http.StatusBadRequest, "invalid", "%s", text)
	}
	return nil
}

func (s *Server) isBuiltIn(url string) bool {
	return slices.ContainsFunc(s.builtIn, func(d definition) bool { return d.URL == url })
}

// unusable says why a definition cannot be searched by; empty: it can. The real service knows all of FHIRPath
// and refuses what it cannot index; here an expression only has to be there.
func (s *Server) unusable(d definition) string {
	kinds := []string{"number", "date", "string", "token", "reference", "composite", "quantity", "uri"}
	if !slices.Contains(kinds, d.Kind) {
		return fmt.Sprintf("The search parameter type '%s' is not supported.", d.Kind)
	}
	if d.Expression == "" || d.Code == "" || len(d.Base) == 0 {
		return fmt.Sprintf("The search parameter '%s' has no code, base or expression.", d.URL)
	}
	for _, base := range d.Base {
		if base != "Resource" && base != "DomainResource" && !s.knowsType(base) {
			return fmt.Sprintf("The search parameter '%s' has an unknown base '%s'.", d.URL, base)
		}
	}
	return ""
}

// collision says which rule another definition forbids this one by; empty: none. The caller holds mu.
func (s *Server) collision(d definition, id string) string {
	others := s.storedDefinitions()
	delete(others, id)
	for i, built := range s.builtIn {
		others[fmt.Sprintf("/%d", i)] = built // no resource has such an id
	}
	for _, other := range others {
		if other.URL == d.URL {
			return fmt.Sprintf("A search parameter with the same definition URL '%s' already exists.", d.URL)
		}
	}
	for _, other := range others {
		if base, shared := d.sharedBase(other); shared && other.Code == d.Code && !d.same(other) {
			return fmt.Sprintf("A search parameter with the same code value '%s' already exists for base type '%s'.", d.Code, base)
		}
	}
	return ""
}

// noteParameter takes a changed or deleted parameter out of use until the next reindex; one that means what it
// meant stays. The caller holds mu.
func (s *Server) noteParameter(before, after definition) {
	unchanged := before.URL == after.URL && before.Code == after.Code && before.same(after) &&
		slices.Equal(before.Base, after.Base)
	if !unchanged {
		delete(s.enabled, before.URL)
	}
}
