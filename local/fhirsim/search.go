package fhirsim

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// filter is what a search asks of a row.
type filter struct {
	ids        []string // empty: any
	within     span
	except     []span
	conditions []condition // search parameters of the resources' content
}

func (f filter) matches(r *row) bool {
	if r.at < f.within.from || r.at >= f.within.to {
		return false
	}
	for _, hole := range f.except {
		if r.at >= hole.from && r.at < hole.to {
			return false
		}
	}
	if len(f.ids) > 0 && !slices.Contains(f.ids, r.id) {
		return false
	}
	for _, asked := range f.conditions {
		if !asked.matches(r) {
			return false
		}
	}
	return true
}

// isOpen reports whether every row passes.
func (f filter) isOpen() bool {
	return f.within == everything() && len(f.except)+len(f.ids)+len(f.conditions) == 0
}

func everything() span { return span{math.MinInt64, math.MaxInt64} }

// parseFilter reads the search parameters of a search on the types; those that one of the types lacks are
// returned for strict and lenient handling (contract 7.5). With partial indices custom parameters will do that
// no reindex has enabled yet.
func (s *Server) parseFilter(names []string, values url.Values, partial bool) (f filter, unsupported []string, err error) {
	f.within = everything()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list := values[name]
		switch name {
		case "_id":
			f.ids = strings.Split(strings.Join(list, ","), ",")
		case "_lastUpdated":
			for _, value := range list {
				if err := f.restrict(value, s.opt.precision()); err != nil {
					return f, nil, err
				}
			}
		case "_type", "_count", "_summary", "_sort", "_total", "ct", "_format", "_pretty", "_elements":
		default:
			s.mu.Lock()
			byType, ok := s.usable(names, name, partial)
			s.mu.Unlock()
			if !ok {
				unsupported = append(unsupported, name)
				continue
			}
			for _, value := range list {
				asked, err := newCondition(byType, strings.Split(value, ","))
				if err != nil {
					return f, nil, err
				}
				f.conditions = append(f.conditions, asked)
			}
		}
	}
	return f, unsupported, nil
}

// restrict adds one _lastUpdated condition; several mean AND (contract 7.1). Gen2 compares milliseconds.
func (f *filter) restrict(value string, step time.Duration) error {
	prefix := "eq"
	if len(value) > 2 && value[0] > '9' {
		prefix, value = value[:2], value[2:]
	}
	date, err := parseInterval(value)
	if err != nil {
		return refuse("Value '%s' of the _lastUpdated parameter is not a date.", value)
	}
	low := date.low.Truncate(step).UnixNano()
	after := date.high.Truncate(step).Add(step).UnixNano()
	switch prefix {
	case "eq", "ap":
		f.within.from, f.within.to = max(f.within.from, low), min(f.within.to, after)
	case "ge":
		f.within.from = max(f.within.from, low)
	case "gt", "sa":
		f.within.from = max(f.within.from, after)
	case "le":
		f.within.to = min(f.within.to, after)
	case "lt", "eb":
		f.within.to = min(f.within.to, low)
	case "ne":
		f.except = append(f.except, span{low, after})
	default:
		return refuse("The prefix '%s' of the _lastUpdated parameter is not supported.", prefix)
	}
	return nil
}

func isCount(query url.Values) bool {
	return query.Get("_summary") == "count" || query.Get("_count") == "0"
}

// search answers GET / and GET /{Type} (contract 7.1, 7.2 and 7.4).
func (s *Server) search(c *call) answer {
	strict, ok := strictness(c)
	if !ok {
		return invalid(c, "The value of the handling preference is not valid.")
	}
	names, err := s.searchedTypes(c)
	if err != nil {
		return invalid(c, "%s", err)
	}
	f, unsupported, err := s.parseFilter(names, c.query, c.Header.Get("x-ms-use-partial-indices") == "true")
	if beyond := unsimulated(""); errors.As(err, &beyond) {
		return outcome(c.now, http.StatusNotImplemented, "not-supported", beyond.Error())
	}
	if err != nil {
		return invalid(c, "%s", err)
	}
	p, err := s.readPage(c)
	if err != nil {
		return invalid(c, "%s", err)
	}
	if p.badSort != "" {
		unsupported = append(unsupported, "_sort="+p.badSort)
	}
	if strict && len(unsupported) > 0 {
		return invalid(c, "The search parameter '%s' is not supported.", unsupported[0])
	}
	for _, name := range unsupported {
		p.warnings = append(p.warnings, fmt.Sprintf("The search parameter '%s' is not supported and was ignored.", name))
	}
	if c.query.Get("_total") == "estimate" {
		return outcome(c.now, http.StatusForbidden, "forbidden", "The value 'estimate' of _total is not supported.")
	}
	base := s.baseURL(c)
	s.mu.RLock()
	defer s.mu.RUnlock()
	wanted := func(r *row) bool { return r.current() && !r.deleted && f.matches(r) }
	if isCount(c.query) {
		return s.countAnswer(c, base, "searchset", s.countRows(names, f, wanted))
	}
	total := -1
	if c.query.Get("_total") == "accurate" {
		total = s.countRows(names, f, wanted)
		if refused := s.overflow(c, total); refused != nil {
			return *refused
		}
	}
	return s.pageAnswer(c, base, p, "searchset", total, s.ordered(names, f.within, p.order), wanted)
}

func (s *Server) searchedTypes(c *call) ([]string, error) {
	if c.path[0] != "" {
		return []string{c.path[0]}, nil
	}
	if !c.query.Has("_type") {
		return s.types, nil
	}
	names := strings.Split(strings.Join(c.query["_type"], ","), ",")
	for _, name := range names {
		if !s.knowsType(name) {
			return nil, refuse("The resource type '%s' is not supported.", name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// countRows counts what a search matches. The caller holds mu.
func (s *Server) countRows(names []string, f filter, wanted func(*row) bool) int {
	n := 0
	for _, name := range names {
		t := s.tables[name]
		switch {
		case t == nil:
		case f.isOpen():
			n += t.live
		default:
			for _, r := range t.within(f.within) {
				n += boolToInt(wanted(r))
			}
		}
	}
	return n
}

func (s *Server) countAnswer(c *call, base, kind string, total int) answer {
	if arm, hit := s.faults.strike(faultCountFails, c); hit {
		return outcome(c.now, arm.Status, "exception", "The count could not be made.")
	}
	if refused := s.overflow(c, total); refused != nil {
		return *refused
	}
	return jsonAnswer(http.StatusOK, fhirJSON, bundle{ResourceType: "Bundle", ID: fmt.Sprintf("b%x", c.now.UnixNano()),
		Type: kind, Total: &total, Link: []link{{"self", base + c.URL.RequestURI()}}})
}

// overflow refuses a count above the limit of both stores, or above a lower one set by the fault LimitCounts
// (contract 7.1).
func (s *Server) overflow(c *call, total int) *answer {
	limit := math.MaxInt32
	if arm, on := s.faults.standing(faultLimitCounts); on {
		limit = arm.Count
	}
	if total <= limit {
		return nil
	}
	a := outcome(c.now, http.StatusForbidden, "forbidden",
		fmt.Sprintf("Search count returned %d and exceeds the maximum defined limit of %d.", total, limit))
	return &a
}

// readPage reads what search and history have in common: _count, _sort and ct.
func (s *Server) readPage(c *call) (page, error) {
	p := page{count: 10, order: 1}
	if value := c.query.Get("_count"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return p, refuse("The value '%s' of _count is not valid.", value)
		}
		if n > maxSearchCount {
			p.warnings = append(p.warnings, fmt.Sprintf("The requested _count of %d was lowered to %d.", n, maxSearchCount))
		}
		p.count = min(n, maxSearchCount)
	}
	switch sort := c.query.Get("_sort"); sort {
	case "", "_lastUpdated":
	case "-_lastUpdated":
		p.order = -1
	case "_type,_lastUpdated":
		p.byType = s.opt.Generation == Gen2
		p.badSort = map[bool]string{false: sort}[p.byType]
	default:
		p.badSort = sort
	}
	if token := c.query.Get("ct"); token != "" {
		mark, err := parseMark(token)
		if err != nil {
			return p, refuse("The continuation token is not valid.")
		}
		p.after = &mark
	}
	return p, nil
}
