package funchost

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// placeholder is one {parameter} of a route template: *name, name:constraint, name?.
var placeholder = regexp.MustCompile(`^\{(\*{0,2})([A-Za-z_]\w*)(?::(int|long|guid|alpha|bool))?(\?)?\}$`)

// constraints are the patterns of the route constraints that are simulated.
var constraints = regexp.MustCompile(`^(?:(int:|long:)-?\d+|(guid:)[0-9a-fA-F-]{36}|(alpha:)[A-Za-z]+|(bool:)(?i:true|false))$`)

// route is an ASP.NET route template without its prefix, cut at slashes.
type route []segment

// segment is a literal, or a parameter when literal is "".
type segment struct {
	literal    string
	constraint string
	optional   bool
	rest       bool // takes all that is left, also nothing
}

func parseRoute(template string) (route, error) {
	template = strings.Trim(template, "/")
	lower := strings.ToLower(template)
	if strings.HasPrefix(lower, "admin") || strings.HasPrefix(lower, "runtime") {
		return nil, fmt.Errorf("route %q is the host's own", template)
	}
	var r route
	parts := strings.Split(template, "/")
	for i, part := range parts {
		if !strings.ContainsAny(part, "{}") {
			r = append(r, segment{literal: part})
			continue
		}
		m := placeholder.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("route part %q: %w", part, errNotSimulated)
		}
		s := segment{constraint: m[3], optional: m[4] != "", rest: m[1] != ""}
		if (s.rest || s.optional) && i != len(parts)-1 {
			return nil, errors.New("a catch-all or optional parameter must be the last")
		}
		r = append(r, s)
	}
	return r, nil
}

// match says whether the path, without the prefix, is one of the route's.
func (r route) match(path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if parts[0] == "" {
		parts = nil
	}
	for i, s := range r {
		if s.rest {
			return true
		}
		if i >= len(parts) {
			return s.optional
		}
		if !s.accepts(parts[i]) {
			return false
		}
	}
	return len(parts) == len(r)
}

func (s segment) accepts(part string) bool {
	switch {
	case s.literal != "":
		return strings.EqualFold(s.literal, part)
	case s.constraint != "":
		return constraints.MatchString(s.constraint + ":" + part)
	}
	return part != ""
}

// before orders routes that match the same path: literals first, then constrained,
// plain and catch-all parameters.
func (r route) before(other route) int {
	for i := range min(len(r), len(other)) {
		if a, b := r[i].rank(), other[i].rank(); a != b {
			return a - b
		}
	}
	return len(other) - len(r)
}

func (s segment) rank() int {
	switch {
	case s.literal != "":
		return 0
	case s.rest:
		return 3
	case s.constraint != "":
		return 1
	}
	return 2
}
