package fhirsim

import (
	"net/http"
	"slices"
	"strings"
)

// Role is one of the roles of contract 10.3, held by a token (Options.Roles).
type Role string

// The roles and what they grant.
const (
	RoleReader      Role = "reader"      // read
	RoleWriter      Role = "writer"      // read, write without hard deletes
	RoleExporter    Role = "exporter"    // read, export
	RoleImporter    Role = "importer"    // read, import
	RoleContributor Role = "contributor" // all, reindex and hard deletes among it
)

// action is what a request needs.
type action string

const (
	actRead       action = "read"
	actWrite      action = "write"
	actExport     action = "export"
	actImport     action = "import"
	actReindex    action = "reindex"
	actHardDelete action = "hardDelete"
)

func (r Role) grants(wanted action) bool {
	switch r {
	case RoleContributor:
		return true
	case RoleReader:
		return wanted == actRead
	case RoleWriter:
		return wanted == actRead || wanted == actWrite
	case RoleExporter:
		return wanted == actRead || wanted == actExport
	case RoleImporter:
		return wanted == actRead || wanted == actImport
	}
	return false
}

// needs are the actions a request needs, by its route. A batch needs none itself: its entries do.
func needs(c *call) []action {
	pattern, _, _ := strings.Cut(strings.TrimPrefix(c.route, c.Method+" "), "?")
	switch {
	case pattern == "/metadata" || pattern == "/health/check" || pattern == "/{unknown}" || c.route == "POST /":
		return nil
	case strings.HasSuffix(pattern, "$export") || pattern == "/_operations/export/{id}":
		return []action{actExport}
	case pattern == "/$import" || pattern == "/_operations/import/{id}":
		return []action{actImport}
	case pattern == "/$reindex" || pattern == "/_operations/reindex/{id}":
		return []action{actReindex}
	case c.Method == http.MethodGet:
		return []action{actRead}
	}
	wanted := []action{actWrite}
	if c.path[0] == searchParameter {
		wanted = append(wanted, actReindex) // contract 8.2
	}
	if c.Method == http.MethodDelete && isHardDelete(c) {
		wanted = append(wanted, actHardDelete)
	}
	return wanted
}

func isHardDelete(c *call) bool {
	return c.query.Get("hardDelete") == "true" || c.query.Get("_hardDelete") == "true"
}

// SetRoles changes what a token may do; with no roles it is known and may do nothing.
func (s *Server) SetRoles(token string, roles ...Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[token] = slices.Clone(roles)
}

// rolesOf are the roles of the request's token; false for a token that is not known. RequireToken's may do
// everything, and so may everybody when no token is set up at all. The caller holds mu.
func (s *Server) rolesOf(c *call) ([]Role, bool) {
	if s.token == "" && len(s.roles) == 0 {
		return []Role{RoleContributor}, true
	}
	token, found := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	if found && s.token != "" && token == s.token {
		return []Role{RoleContributor}, true
	}
	roles, known := s.roles[token]
	return roles, found && known
}

// forbidden reports whether the token lacks an action that the request needs (contract 10.3).
func (s *Server) forbidden(c *call) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	roles, _ := s.rolesOf(c)
	for _, wanted := range needs(c) {
		if !slices.ContainsFunc(roles, func(r Role) bool { return r.grants(wanted) }) {
			return true
		}
	}
	return false
}

func forbiddenAnswer(c *call) answer {
	return outcome(c.now, http.StatusForbidden, "forbidden", "Authorization failed.")
}
