package fhirsim

import (
	"net/http"
	"strings"
)

// find maps a request to the name of its route and its handler: the whole surface in one place.
// A route that asks for a count is named with "?_summary=count".
func (s *Server) find(c *call) (string, func(*call) answer) {
	pattern, handle := s.findPath(c)
	if c.Method == http.MethodGet && isCount(c.query) && !strings.Contains(pattern, "$") {
		pattern += "?_summary=count"
	}
	return pattern, handle
}

func (s *Server) findPath(c *call) (string, func(*call) answer) {
	p := c.path
	switch {
	case p[0] == "_operations" && len(p) == 3 && p[1] == "export":
		return "/_operations/export/{id}", byMethod(c, verbs{get: s.exportStatus, del: s.cancelExport})
	case p[0] == "_operations" && len(p) == 3 && p[1] == "import":
		return "/_operations/import/{id}", byMethod(c, verbs{get: s.importStatus, del: s.cancelImport})
	case p[0] == "_operations" && len(p) == 3 && p[1] == "reindex":
		return "/_operations/reindex/{id}", byMethod(c, verbs{get: s.reindexStatus, del: s.cancelReindex})
	case len(p) == 2 && p[0] == "health" && p[1] == "check":
		return "/health/check", byMethod(c, verbs{get: health})
	case len(p) == 1:
		return s.findShort(c)
	case !s.knowsType(p[0]):
		return "/{unknown}", notFound
	case len(p) == 2 && p[1] == "_history":
		return "/{Type}/_history", byMethod(c, verbs{get: s.history})
	case len(p) == 2 && p[1] == "$export":
		return "/{Type}/$export", byMethod(c, verbs{get: s.startExport})
	case len(p) == 2:
		return "/{Type}/{id}", byMethod(c, verbs{get: s.read, put: s.update, del: s.delete})
	case len(p) == 3 && p[2] == "_history":
		return "/{Type}/{id}/_history", byMethod(c, verbs{get: s.history})
	case len(p) == 3 && p[2] == "$export":
		return "/{Type}/{id}/$export", byMethod(c, verbs{get: s.startExport})
	case len(p) == 4 && p[2] == "_history":
		return "/{Type}/{id}/_history/{version}", byMethod(c, verbs{get: s.readVersion})
	}
	return "/{unknown}", notFound
}

func (s *Server) findShort(c *call) (string, func(*call) answer) {
	switch name := c.path[0]; {
	case name == "":
		return "/", byMethod(c, verbs{get: s.search, post: s.batch})
	case name == "metadata":
		return "/metadata", byMethod(c, verbs{get: s.metadata})
	case name == "_history":
		return "/_history", byMethod(c, verbs{get: s.history})
	case name == "$export":
		return "/$export", byMethod(c, verbs{get: s.startExport})
	case name == "$import":
		return "/$import", byMethod(c, verbs{post: s.startImport})
	case name == "$reindex":
		return "/$reindex", byMethod(c, verbs{get: s.showReindex, post: s.startReindex})
	case s.knowsType(name):
		return "/{Type}", byMethod(c, verbs{get: s.search, post: s.create})
	}
	return "/{unknown}", notFound
}

type verbs struct{ get, post, put, del func(*call) answer }

func byMethod(c *call, v verbs) func(*call) answer {
	handle := map[string]func(*call) answer{
		http.MethodGet: v.get, http.MethodPost: v.post, http.MethodPut: v.put, http.MethodDelete: v.del,
	}[c.Method]
	if handle == nil {
		return methodNotAllowed
	}
	return handle
}

func notFound(c *call) answer {
	return outcome(c.now, http.StatusNotFound, "not-found", "The requested route was not found.")
}

func methodNotAllowed(c *call) answer {
	return outcome(c.now, http.StatusMethodNotAllowed, "not-supported", "The requested action is not allowed.")
}

func health(*call) answer {
	return answer{status: http.StatusOK, contentType: "application/json", body: []byte(`{"overallStatus":"Healthy"}`)}
}
