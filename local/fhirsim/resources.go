package fhirsim

import (
	"fmt"
	"net/http"
	"regexp"
	"time"
)

var resourceID = regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)

func validID(id string) bool { return resourceID.MatchString(id) }

func resourceUnknown(c *call, resourceType, id string) answer {
	return outcome(c.now, http.StatusNotFound, "not-found",
		fmt.Sprintf("Resource type '%s' with id '%s' couldn't be found.", resourceType, id))
}

// read answers GET /{Type}/{id}: 410 with ETag when deleted (contract 9).
func (s *Server) read(c *call) answer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var head *row
	if t := s.tables[c.path[0]]; t != nil {
		head = t.heads[c.path[1]]
	}
	return resourceAnswer(c, head)
}

// readVersion answers GET /{Type}/{id}/_history/{version}.
func (s *Server) readVersion(c *call) answer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var r *row
	if t := s.tables[c.path[0]]; t != nil {
		for r = t.heads[c.path[1]]; r != nil && r.version != c.path[3]; {
			r = r.older
		}
	}
	return resourceAnswer(c, r)
}

func resourceAnswer(c *call, r *row) answer {
	if r == nil {
		return resourceUnknown(c, c.path[0], c.path[1])
	}
	if r.deleted {
		return outcome(c.now, http.StatusGone, "deleted",
			fmt.Sprintf("Resource type '%s' with id '%s' has been deleted.", c.path[0], c.path[1])).with("ETag", weakTag(r))
	}
	a := answer{status: http.StatusOK, contentType: fhirJSON, body: r.appendJSON(nil)}
	return a.with("ETag", weakTag(r)).with("Last-Modified", time.Unix(0, r.at).UTC().Format(http.TimeFormat))
}

// update answers PUT /{Type}/{id}.
func (s *Server) update(c *call) answer {
	p, refused := readResource(c)
	if refused != nil {
		return *refused
	}
	if p.id != c.path[1] {
		return invalid(c, "The id of the resource and of the URL do not match.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.table(c.path[0]).heads[p.id] == nil
	if fresh && s.opt.RefuseUpdateCreate {
		return methodNotAllowed(c)
	}
	if c.path[0] != searchParameter {
		return s.store(c, p, fresh)
	}
	if refused := s.checkParameter(c, p.id); refused != nil {
		return *refused
	}
	before := s.storedDefinitions()[p.id]
	a := s.store(c, p, fresh)
	s.noteParameter(before, s.storedDefinitions()[p.id])
	return a
}

// create answers POST /{Type} with an id from the seed.
func (s *Server) create(c *call) answer {
	p, refused := readResource(c)
	if refused != nil {
		return *refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.path[0] == searchParameter {
		if refused := s.checkParameter(c, ""); refused != nil {
			return *refused
		}
	}
	p.id = fmt.Sprintf("%016x%016x", s.rng.Uint64(), s.rng.Uint64())
	return s.store(c, p, true)
}

// store writes and answers. The caller holds mu.
func (s *Server) store(c *call, p parsed, fresh bool) answer {
	r := s.write(c.path[0], p.id, p.content, false)
	a := resourceAnswer(c, r)
	if fresh {
		a.status = http.StatusCreated
	}
	return a
}

func readResource(c *call) (parsed, *answer) {
	p, err := parseResource(c.content)
	switch {
	case err != nil:
		a := invalid(c, "The body is not a resource: %s", err)
		return p, &a
	case p.resourceType != c.path[0]:
		a := invalid(c, "Resource type in the URL must match resourceType in the resource.")
		return p, &a
	case c.Method == http.MethodPut && !validID(p.id):
		a := invalid(c, "The id of the resource is missing or not valid.")
		return p, &a
	}
	return p, nil
}

// delete answers DELETE /{Type}/{id}: 204, also for an absent id (contract 9). A soft delete has an ETag.
func (s *Server) delete(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table(c.path[0])
	if c.path[0] == searchParameter {
		if s.activeReindex() != nil {
			return outcome(c.now, http.StatusConflict, "conflict", changesLocked)
		}
		s.noteParameter(s.storedDefinitions()[c.path[1]], definition{})
	}
	a := answer{status: http.StatusNoContent}
	if isHardDelete(c) {
		t.remove(c.path[1])
		return a
	}
	if s.newest(t, c.path[1]) == nil {
		return a
	}
	return a.with("ETag", weakTag(s.softDelete(c.path[0], c.path[1])))
}
