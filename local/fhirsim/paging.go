package fhirsim

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// page is the part of a search that cuts its result.
type page struct {
	count    int
	order    int  // 1: oldest first, -1: newest first
	byType   bool // by type first
	after    *mark
	badSort  string // an unsupported _sort
	warnings []string
}

// mark is the last row of a page: what ct stands for.
type mark struct {
	At      int64  `json:"a"`
	Type    string `json:"t"`
	ID      string `json:"i"`
	Version string `json:"v"`
}

func markOf(r *row) mark { return mark{r.at, r.table.name, r.id, r.version} }

func (m mark) token() string {
	data, _ := json.Marshal(m)
	return base64.RawURLEncoding.EncodeToString(data)
}

func parseMark(token string) (mark, error) {
	var m mark
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	return m, err
}

// passed reports whether r was shown up to the mark.
func (p page) passed(r *row) bool {
	if p.after == nil {
		return false
	}
	shown := &row{table: &table{name: p.after.Type}, at: p.after.At, id: p.after.ID, version: p.after.Version}
	if shown.table.name == r.table.name {
		shown.table = r.table
	}
	if p.byType && shown.table != r.table {
		return cmp.Compare(r.table.name, shown.table.name) < 0
	}
	return compareRows(r, shown)*p.order <= 0
}

// ordered yields the rows of the types within a span, merged by lastUpdated. The caller holds mu.
func (s *Server) ordered(names []string, w span, order int) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		var lists [][]*row
		for _, name := range names {
			if t := s.tables[name]; t != nil && len(t.within(w)) > 0 {
				lists = append(lists, t.within(w))
			}
		}
		for len(lists) > 0 {
			best := 0
			for i := range lists {
				if compareRows(endOf(lists[i], order), endOf(lists[best], order))*order < 0 {
					best = i
				}
			}
			if !yield(endOf(lists[best], order)) {
				return
			}
			if lists[best] = withoutEnd(lists[best], order); len(lists[best]) == 0 {
				lists = append(lists[:best], lists[best+1:]...)
			}
		}
	}
}

func endOf(rows []*row, order int) *row {
	if order > 0 {
		return rows[0]
	}
	return rows[len(rows)-1]
}

func withoutEnd(rows []*row, order int) []*row {
	if order > 0 {
		return rows[1:]
	}
	return rows[:len(rows)-1]
}

type bundle struct {
	ResourceType string            `json:"resourceType"`
	ID           string            `json:"id"`
	Meta         map[string]string `json:"meta,omitempty"`
	Type         string            `json:"type"`
	Total        *int              `json:"total,omitempty"`
	Link         []link            `json:"link"`
	Entry        []entry           `json:"entry,omitempty"`
}

type link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type entry struct {
	FullURL  string            `json:"fullUrl,omitempty"`
	Resource json.RawMessage   `json:"resource,omitempty"`
	Search   map[string]string `json:"search,omitempty"`
	Request  map[string]string `json:"request,omitempty"`
	Response map[string]string `json:"response,omitempty"`
}

// pageAnswer makes the Bundle of one page. total below 0 is left out. The caller holds mu.
func (s *Server) pageAnswer(c *call, base string, p page, kind string, total int, rows iter.Seq[*row], wanted func(*row) bool) answer {
	b := bundle{ResourceType: "Bundle", ID: fmt.Sprintf("b%x", c.now.UnixNano()), Type: kind,
		Meta: map[string]string{"lastUpdated": formatInstant(c.now.Truncate(time.Millisecond).UnixNano())}}
	if total >= 0 {
		b.Total = &total
	}
	for _, warning := range p.warnings {
		b.Entry = append(b.Entry, warningEntry(warning))
	}
	count := p.count
	if _, hit := s.faults.strike(faultShortPages, c); hit {
		count /= 2
	}
	if _, hit := s.faults.strike(faultEmptyPages, c); hit {
		count = 0
	}
	last, shown := p.after, 0
	for r := range rows {
		if !wanted(r) || p.passed(r) {
			continue
		}
		if shown == count {
			next := nextURL(c, base, last)
			b.Link = append(b.Link, link{"next", next})
			break
		}
		b.Entry = append(b.Entry, s.entryOf(base, kind, r))
		m := markOf(r)
		last = &m
		shown++
	}
	b.Link = append(b.Link, link{"self", base + c.URL.RequestURI()})
	return jsonAnswer(http.StatusOK, fhirJSON, b)
}

// nextURL repeats the request with the token of the last row; _total is not carried on (contract 7.1). A page
// that shows nothing from the start gets a token before every row.
func nextURL(c *call, base string, last *mark) string {
	if last == nil {
		last = &mark{At: -1 << 63}
		if c.query.Get("_sort") == "-_lastUpdated" || isHistory(c) && c.query.Get("_sort") == "" {
			last.At = 1<<63 - 1
		}
	}
	query := url.Values{}
	for name, values := range c.query {
		if name != "_total" {
			query[name] = values
		}
	}
	query.Set("ct", last.token())
	return base + c.URL.Path + "?" + query.Encode()
}

func warningEntry(warning string) entry {
	resource, _ := json.Marshal(operationOutcome{"OperationOutcome", "", nil,
		[]issue{{Severity: "warning", Code: "not-supported", Diagnostics: warning}}})
	if strings.Contains(warning, "lowered") {
		resource, _ = json.Marshal(operationOutcome{"OperationOutcome", "", nil,
			[]issue{{Severity: "information", Code: "informational", Diagnostics: warning}}})
	}
	return entry{Resource: resource, Search: map[string]string{"mode": "outcome"}}
}

func (s *Server) entryOf(base, kind string, r *row) entry {
	path := r.table.name + "/" + r.id
	e := entry{FullURL: base + "/" + path, Resource: r.appendJSON(nil)}
	if kind == "searchset" {
		e.Search = map[string]string{"mode": "match"}
		return e
	}
	e.FullURL += "/_history/" + r.version
	method := http.MethodPut
	if r.deleted {
		method = http.MethodDelete
		if s.opt.HistoryOmitsDeleted {
			e.Resource = nil
		}
	}
	e.Request = map[string]string{"method": method, "url": path}
	e.Response = map[string]string{"etag": weakTag(r), "lastModified": formatInstant(r.at)}
	return e
}

func weakTag(r *row) string { return `W/"` + r.version + `"` }
