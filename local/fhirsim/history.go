package fhirsim

import (
	"iter"
	"net/http"
)

func isHistory(c *call) bool { return c.path[len(c.path)-1] == "_history" }

// history answers the three levels of _history (contract 7.3). Parameters it does not know, _type and
// _lastUpdated among them, are ignored.
func (s *Server) history(c *call) answer {
	w, refused := s.historySpan(c)
	if refused != nil {
		return *refused
	}
	p, err := s.readPage(c)
	if err != nil || p.badSort != "" || p.byType {
		return invalid(c, "Sorting by the given parameter or the value of _count or ct is not supported.")
	}
	if c.query.Get("_sort") == "" {
		p.order = -1
	}
	names, id := s.types, ""
	if len(c.path) > 1 {
		names = c.path[:1]
	}
	if len(c.path) == 3 {
		id = c.path[1]
	}
	base := s.baseURL(c)
	s.mu.RLock()
	defer s.mu.RUnlock()
	rows := s.ordered(names, w, p.order)
	if id != "" {
		t := s.tables[names[0]]
		if t == nil || t.heads[id] == nil {
			return resourceUnknown(c, names[0], id)
		}
		rows = chainWithin(t.heads[id], w, p.order)
	}
	total := 0
	if id == "" {
		for _, name := range names {
			if t := s.tables[name]; t != nil {
				total += len(t.within(w))
			}
		}
	} else {
		for range rows {
			total++
		}
	}
	if isCount(c.query) {
		return s.countAnswer(c, base, "history", total)
	}
	if c.query.Get("_total") != "accurate" {
		total = -1
	} else if refused := s.overflow(c, total); refused != nil {
		return *refused
	}
	return s.pageAnswer(c, base, p, "history", total, rows, func(*row) bool { return true })
}

// historySpan reads _since, _before and _at.
func (s *Server) historySpan(c *call) (span, *answer) {
	w := everything()
	forbid := func(text string) (span, *answer) {
		a := outcome(c.now, http.StatusForbidden, "forbidden", text)
		return w, &a
	}
	if c.query.Has("_at") && (c.query.Has("_since") || c.query.Has("_before")) {
		return forbid("The parameter _at cannot be used together with _since or _before.")
	}
	step := s.opt.precision()
	for _, name := range []string{"_since", "_before", "_at"} {
		if !c.query.Has(name) {
			continue
		}
		date, err := parseInterval(c.query.Get(name))
		if err != nil {
			a := invalid(c, "'%s' The date time string '%s' is not in a correct format.", name, c.query.Get(name))
			return w, &a
		}
		switch low := date.low.Truncate(step).UnixNano(); name {
		case "_since":
			w.from = low
		case "_before":
			if date.low.After(c.now) {
				return forbid("The parameter _before cannot be a value in the future.")
			}
			w.to = low
		case "_at":
			w = span{low, date.high.Truncate(step).Add(step).UnixNano()}
		}
	}
	return w, nil
}

// chainWithin yields the versions of one id.
func chainWithin(head *row, w span, order int) iter.Seq[*row] {
	var chain []*row
	for r := head; r != nil; r = r.older {
		if r.at >= w.from && r.at < w.to {
			chain = append(chain, r)
		}
	}
	return func(yield func(*row) bool) {
		for i := range chain {
			r := chain[i]
			if order > 0 {
				r = chain[len(chain)-1-i]
			}
			if !yield(r) {
				return
			}
		}
	}
}
