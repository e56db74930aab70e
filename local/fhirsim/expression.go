package fhirsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// unsimulated is a search the real service answers and this one cannot.
type unsimulated string

func (u unsimulated) Error() string { return string(u) }

// condition is one search parameter of a request. Its values mean OR.
type condition struct {
	byType map[string]definition
	values []string
}

// newCondition refuses what the simulator cannot evaluate, so that no search is silently empty.
func newCondition(byType map[string]definition, values []string) (condition, error) {
	for name, d := range byType {
		if !slices.Contains([]string{"token", "string", "uri", "reference", "date", "number"}, d.Kind) {
			return condition{}, unsimulated(fmt.Sprintf("Searching by %s parameters is not simulated.", d.Kind))
		}
		if paths, ok := pathsOf(d.Expression, name); !ok || len(paths) == 0 {
			return condition{}, unsimulated(fmt.Sprintf("Searching by the expression '%s' is not simulated.", d.Expression))
		}
	}
	return condition{byType, values}, nil
}

func (c condition) matches(r *row) bool {
	d := c.byType[r.table.name]
	decoder := json.NewDecoder(bytes.NewReader(r.appendJSON(nil)))
	decoder.UseNumber()
	var resource any
	if err := decoder.Decode(&resource); err != nil {
		return false
	}
	paths, _ := pathsOf(d.Expression, r.table.name)
	for _, path := range paths {
		for _, value := range path.follow(resource) {
			if slices.ContainsFunc(c.values, func(asked string) bool { return fits(d.Kind, value, asked) }) {
				return true
			}
		}
	}
	return false
}

// step is one part of a path: a member, its items narrowed to one extension url or its value to one type.
type step struct {
	name string
	url  string // where(url='…')
	kind string // as(…) or ofType(…): the suffix of a value[x]
}

type fieldPath []step

var (
	pathForm = regexp.MustCompile(`^([A-Z][A-Za-z]*)((?:\.[a-z][A-Za-z]*(?:\((?:url *= *'[^']*'|[A-Za-z]*)\))?)+)$`)
	stepForm = regexp.MustCompile(`\.([a-z][A-Za-z]*)(?:\((?:url *= *'([^']*)'|([A-Za-z]*))\))?`)
)

// pathsOf reads the subset of FHIRPath that is simulated: alternatives of Type.member.member, with
// where(url='…'), as(Type) and ofType(Type) in between. Only the paths of the type are returned.
func pathsOf(expression, resourceType string) ([]fieldPath, bool) {
	var paths []fieldPath
	for _, alternative := range strings.Split(expression, "|") {
		m := pathForm.FindStringSubmatch(strings.TrimSpace(alternative))
		if m == nil {
			return nil, false
		}
		if m[1] != resourceType && m[1] != "Resource" && m[1] != "DomainResource" {
			continue
		}
		var path fieldPath
		for _, found := range stepForm.FindAllStringSubmatch(m[2], -1) {
			switch name := found[1]; {
			case name == "where" && found[2] != "" && len(path) > 0:
				path[len(path)-1].url = found[2]
			case (name == "as" || name == "ofType") && found[3] != "" && len(path) > 0:
				path[len(path)-1].kind = found[3]
			case found[2] != "" || strings.HasSuffix(found[0], ")"):
				return nil, false // a function that is not simulated
			default:
				path = append(path, step{name: name})
			}
		}
		paths = append(paths, path)
	}
	return paths, true
}

// follow is every value the path leads to.
func (p fieldPath) follow(from any) []any {
	found := []any{from}
	for _, s := range p {
		var next []any
		for _, value := range found {
			if object, ok := value.(map[string]any); ok {
				next = append(next, s.take(object)...)
			}
		}
		found = next
	}
	return found
}

func (s step) take(object map[string]any) []any {
	var items []any
	for name, value := range object {
		suffix, isChoice := strings.CutPrefix(name, s.name)
		switch {
		case name == s.name:
		case !isChoice || suffix == "" || suffix[0] < 'A' || suffix[0] > 'Z':
			continue
		case s.kind != "" && !strings.EqualFold(suffix, s.kind):
			continue
		case s.kind == "" && s.name != "value":
			continue // a longer name that only begins so
		}
		if list, ok := value.([]any); ok {
			items = append(items, list...)
		} else {
			items = append(items, value)
		}
	}
	if s.url == "" {
		return items
	}
	return slices.DeleteFunc(items, func(item any) bool {
		object, ok := item.(map[string]any)
		return !ok || object["url"] != s.url
	})
}

// fits compares one value with what was asked for: a token by equality, with or without its system; a string
// by its beginning in any case; a date by the beginning of its text; everything else by equality.
func fits(kind string, value any, asked string) bool {
	object, isObject := value.(map[string]any)
	plain := fmt.Sprint(value)
	switch kind {
	case "token":
		if isObject {
			return tokenFits(object, asked)
		}
		return plain == asked
	case "string":
		if isObject {
			for _, member := range object {
				if listFits(kind, member, asked) {
					return true
				}
			}
			return false
		}
		return strings.HasPrefix(strings.ToLower(plain), strings.ToLower(asked))
	case "reference":
		reference, _ := object["reference"].(string)
		return reference == asked || strings.HasSuffix(reference, "/"+asked)
	case "date":
		return !isObject && strings.HasPrefix(plain, asked)
	}
	return !isObject && plain == asked
}

func listFits(kind string, value any, asked string) bool {
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, func(item any) bool { return fits(kind, item, asked) })
	}
	return fits(kind, value, asked)
}

// tokenFits looks at a Coding, a CodeableConcept or an Identifier.
func tokenFits(object map[string]any, asked string) bool {
	if codings, ok := object["coding"].([]any); ok {
		return slices.ContainsFunc(codings, func(item any) bool { return fits("token", item, asked) })
	}
	code, isCoding := object["code"].(string)
	if !isCoding {
		code, _ = object["value"].(string)
	}
	system, _ := object["system"].(string)
	if wanted, name, ok := strings.Cut(asked, "|"); ok {
		return system == wanted && (name == "" || name == code)
	}
	return code == asked
}
