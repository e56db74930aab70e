package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// parametersPlan is what the comparison of both services came to. Custom is what is stored at the source and not built in
// at the destination; built in is what that lists as searchable and does not store, if it is one of FHIR's own. What is
// stored at the destination with the same content, under whatever id, is there already. The resource types of the run play
// no part: a definition is a setting of the service, small, and missed later otherwise.
type parametersPlan struct {
	Write   []plannedParameter `json:"write"`   // missing, or of other content; by url and id
	Present []string           `json:"present"` // urls
	BuiltIn []string           `json:"builtIn"` // urls
	Doubles []doubleParameter  `json:"doubles"`
	Taken   []plannedParameter `json:"taken"` // whose id stands for another definition at the destination
}

type plannedParameter struct {
	parameterName
	Resource json.RawMessage `json:"resource"`
	// Rivals are definitions of the destination that a refusal may be about: of the same url under another id, or of the
	// same code on a base in common.
	Rivals []parameterName `json:"rivals"`
}

// parameterName is a definition as people know it.
type parameterName struct {
	ID    string   `json:"id"` // empty: built in
	URL   string   `json:"url"`
	Code  string   `json:"code"`
	Bases []string `json:"bases"`
}

// doubleParameter is a definition whose url another one at the source has too, which was changed later.
type doubleParameter struct {
	parameterName
	Kept string `json:"kept"` // id
}

func nameOf(p fhir.SearchParameter) parameterName {
	return parameterName{p.ID, p.URL, p.Code, p.Bases}
}

func (n parameterName) String() string {
	return fmt.Sprintf("%s (%s on %s)", n.URL, n.Code, some(n.Bases))
}

// fhirDefinitions begins the url of every definition that a server is built with: those of FHIR and of its US Core guide
// (contract 8.1).
const fhirDefinitions = "http://hl7.org/fhir/"

// planParameters compares what is stored at the source with what is stored at the destination and what that lists as
// searchable.
func planParameters(source, destination []fhir.SearchParameter, listed []fhir.Definition) parametersPlan {
	var plan parametersPlan
	stored, byID := map[string]fhir.SearchParameter{}, map[string]fhir.SearchParameter{}
	for _, d := range destination {
		stored[d.URL], byID[d.ID] = d, d
	}
	searchable := map[string]bool{}
	for _, l := range listed {
		searchable[l.URL] = true
	}
	// The newest of one url comes first.
	ordered := slices.SortedFunc(maps.Values(newestByID(source)), func(a, b fhir.SearchParameter) int {
		return cmp.Or(cmp.Compare(a.URL, b.URL), b.LastUpdated.Compare(a.LastUpdated), cmp.Compare(a.ID, b.ID))
	})
	for i, p := range ordered {
		there, isStored := stored[p.URL]
		holder, idTaken := byID[p.ID]
		switch {
		case strings.HasPrefix(p.URL, fhirDefinitions) && !isStored && searchable[p.URL]:
			plan.BuiltIn = append(plan.BuiltIn, p.URL)
		case p.URL != "" && i > 0 && ordered[i-1].URL == p.URL:
			plan.Doubles = append(plan.Doubles, doubleParameter{nameOf(p), newestOf(ordered, i).ID})
		case p.URL != "" && isStored && p.Same(there):
			plan.Present = append(plan.Present, p.URL)
		case idTaken && holder.URL != p.URL:
			plan.Taken = append(plan.Taken, plannedParameter{nameOf(p), p.Content, []parameterName{nameOf(holder)}})
		default:
			plan.Write = append(plan.Write, plannedParameter{nameOf(p), p.Content, rivals(p, destination, listed, stored)})
		}
	}
	return plan
}

// newestByID leaves out what was read twice, for it was changed between two pages.
func newestByID(read []fhir.SearchParameter) map[string]fhir.SearchParameter {
	newest := map[string]fhir.SearchParameter{}
	for _, p := range read {
		if before, twice := newest[p.ID]; !twice || !p.LastUpdated.Before(before.LastUpdated) {
			newest[p.ID] = p
		}
	}
	return newest
}

// newestOf is the first of those that share the url of the ith.
func newestOf(ordered []fhir.SearchParameter, i int) fhir.SearchParameter {
	for i > 0 && ordered[i-1].URL == ordered[i].URL {
		i--
	}
	return ordered[i]
}

func rivals(p fhir.SearchParameter, destination []fhir.SearchParameter, listed []fhir.Definition, stored map[string]fhir.SearchParameter) []parameterName {
	var found []parameterName
	for _, d := range destination {
		if d.ID != p.ID && (d.URL == p.URL || d.Code == p.Code && shareBase(d.Bases, p.Bases)) {
			found = append(found, nameOf(d))
		}
	}
	for _, l := range listed {
		if _, isStored := stored[l.URL]; !isStored && l.Code == p.Code && shareBase(l.Bases, p.Bases) {
			found = append(found, parameterName{URL: l.URL, Code: l.Code, Bases: l.Bases})
		}
	}
	return found
}

// shareBase reports whether two definitions are for a type in common.
func shareBase(a, b []string) bool {
	all := func(base string) bool { return base == "Resource" || base == "DomainResource" }
	if slices.ContainsFunc(a, all) || slices.ContainsFunc(b, all) {
		return len(a) > 0 && len(b) > 0
	}
	return slices.ContainsFunc(a, func(base string) bool { return slices.Contains(b, base) })
}

// tally is what the comparison alone tells.
func (p parametersPlan) tally() migration.Parameters {
	return migration.Parameters{
		Found:   len(p.Write) + len(p.Present) + len(p.Doubles) + len(p.Taken),
		Present: len(p.Present),
		Failed:  len(p.Doubles) + len(p.Taken),
	}
}

// batch chooses what is written next of what is left: at most size entries, and none that shares its url, or its code on
// a base, with another, for then the bundle is refused as a whole (contract 8.2). Those come in a later one.
func batch(left []plannedParameter, size int) []plannedParameter {
	var chosen []plannedParameter
	for _, p := range left {
		clash := slices.ContainsFunc(chosen, func(c plannedParameter) bool {
			return c.URL == p.URL || c.Code == p.Code && shareBase(c.Bases, p.Bases)
		})
		if !clash {
			chosen = append(chosen, p)
		}
		if len(chosen) == size {
			break
		}
	}
	return chosen
}

// doubts are the problems of what the plan leaves out.
func (p parametersPlan) doubts() []string {
	var all []string
	for _, d := range p.Doubles {
		all = append(all, fmt.Sprintf("search parameter %s is at the source twice, as ids %s and %s: the later changed one, %s, was "+
			"moved; delete the other there", d.URL, d.ID, d.Kept, d.Kept))
	}
	for _, t := range p.Taken {
		all = append(all, fmt.Sprintf("search parameter %s was not moved: the destination's %s has its id %s; delete that one, or move "+
			"this one by hand", t.parameterName, strings.Join(namesOf(t.Rivals), ", "), t.ID))
	}
	return all
}

func namesOf(list []parameterName) []string {
	var names []string
	for _, n := range list {
		names = append(names, n.String())
	}
	return names
}
