package fhirsim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// importLine is one parsed line of an import (contract 6.1).
type importLine struct {
	line      int
	typ, id   string
	version   string // "1" when unversioned
	number    int
	at        int64
	dated     bool
	versioned bool
	deleted   bool
	content
}

func (l *importLine) duplicate() lineError {
	return lineError{l.line, fmt.Sprintf("Failed to import duplicate resource, resource id: %s, line: %d", l.id, l.line)}
}

func (l *importLine) conflict() lineError {
	return lineError{l.line,
		fmt.Sprintf("Failed to import resource with version conflict, resource id: %s, line: %d", l.id, l.line)}
}

// parseLine reads one line; reason is the text of a line error.
func (s *Server) parseLine(data []byte, number int, inputType, mode string, now time.Time) (l *importLine, reason string) {
	p, err := parseResource(data)
	l = &importLine{line: number, typ: p.resourceType, id: p.id, deleted: p.deleted, content: p.content}
	switch {
	case err != nil:
		return l, "Invalid JSON encountered: " + err.Error()
	case !s.knowsType(p.resourceType):
		return l, fmt.Sprintf("Type checking the data: Unknown type '%s'.", p.resourceType)
	case p.resourceType == "SearchParameter":
		return l, "SearchParameter resources cannot be processed by import."
	case inputType != "" && inputType != p.resourceType:
		return l, "Resource type not match."
	case !validID(p.id):
		return l, fmt.Sprintf("Invalid resource id: '%s'. An id has 1 to 64 letters, digits, '-' and '.'.", p.id)
	case mode == "InitialLoad" && strings.Contains(string(p.data), `"reference":"`+p.resourceType+`?`):
		return l, "Conditional reference is not supported for $import in InitialLoad."
	}
	l.at, l.version = now.Truncate(time.Millisecond).UnixNano(), "1"
	if p.lastUpdated != "" && mode != "InitialLoad" {
		at, err := time.Parse(time.RFC3339Nano, p.lastUpdated)
		if err != nil {
			return l, "Type checking the data: meta.lastUpdated is not an instant."
		}
		if at.After(now.Add(futureSlack)) {
			return l, "LastUpdated in the resource cannot be in the future."
		}
		l.at, l.dated = at.Truncate(time.Millisecond).UnixNano(), true
	}
	if n, ok := versionNumber(p.versionID); ok && l.dated {
		l.version, l.number, l.versioned = strconv.Itoa(n), n, true
	}
	return l, ""
}

// merger takes one batch through the steps of contract 6.2.
type merger struct {
	s        *Server
	negative bool
	now      time.Time
	failed   []lineError
}

// merge stores a batch of lines and returns the errors. The caller holds mu.
func (s *Server) merge(batch []*importLine, negative bool, now time.Time) []lineError {
	m := &merger{s: s, negative: negative, now: now}
	batch = m.dropDuplicates(batch)
	batch = m.dropKnown(batch)
	batch = m.dropTwinVersions(batch)
	byID := map[[2]string][]*importLine{}
	var order [][2]string
	for _, l := range batch {
		key := [2]string{l.typ, l.id}
		if byID[key] == nil {
			order = append(order, key)
		}
		byID[key] = append(byID[key], l)
	}
	fresh := map[*table][]*row{}
	for _, key := range order {
		t := s.table(key[0])
		lines := byID[key]
		m.storeVersioned(t, lines, fresh)
		m.storeUnversioned(t, lines, fresh)
	}
	for t, rows := range fresh {
		t.insert(rows)
	}
	return m.failed
}

// dropDuplicates is step 1: one line per (type, id, lastUpdated), undated ones per (type, id). The highest
// version by the order of strings stays.
func (m *merger) dropDuplicates(batch []*importLine) []*importLine {
	type key struct {
		typ, id string
		at      int64
	}
	keyOf := func(l *importLine) key {
		if !l.dated {
			return key{l.typ, l.id, -1}
		}
		return key{l.typ, l.id, l.at}
	}
	best := map[key]*importLine{}
	for _, l := range batch {
		if k := keyOf(l); best[k] == nil || l.version > best[k].version {
			best[k] = l
		}
	}
	return m.keep(batch, func(l *importLine) bool { return best[keyOf(l)] == l }, (*importLine).duplicate)
}

func (m *merger) keep(batch []*importLine, stays func(*importLine) bool, why func(*importLine) lineError) []*importLine {
	var kept []*importLine
	for _, l := range batch {
		if stays(l) {
			kept = append(kept, l)
		} else {
			m.failed = append(m.failed, why(l))
		}
	}
	return kept
}

// dropKnown is step 2: a line whose instant is stored for its id is a success without a write when it is
// unversioned or of that version, and equal; else a conflict.
func (m *merger) dropKnown(batch []*importLine) []*importLine {
	var kept []*importLine
	for _, l := range batch {
		r := m.s.table(l.typ).heads[l.id]
		for r != nil && r.at != l.at {
			r = r.older
		}
		switch {
		case r == nil || !l.dated:
			kept = append(kept, l)
		case (!l.versioned || l.version == r.version) && l.deleted == r.deleted && l.equal(r.content()):
		default:
			m.failed = append(m.failed, l.conflict())
		}
	}
	return kept
}

// dropTwinVersions begins step 3: of one (id, version) twice in the batch the later one stays.
func (m *merger) dropTwinVersions(batch []*importLine) []*importLine {
	best := map[[3]string]*importLine{}
	for _, l := range batch {
		k := [3]string{l.typ, l.id, l.version}
		if l.versioned && (best[k] == nil || l.at > best[k].at) {
			best[k] = l
		}
	}
	return m.keep(batch, func(l *importLine) bool {
		return !l.versioned || best[[3]string{l.typ, l.id, l.version}] == l
	}, (*importLine).duplicate)
}

// storeVersioned is the rest of step 3 for one id: versions and dates must go the same way within the batch
// and against the current row, and a stored number must not come again with another date.
func (m *merger) storeVersioned(t *table, lines []*importLine, fresh map[*table][]*row) {
	sorted := slices.Clone(lines)
	slices.SortFunc(sorted, func(a, b *importLine) int { return cmp.Compare(b.number, a.number) })
	var above *importLine
	for _, l := range sorted {
		if !l.versioned {
			continue
		}
		if l.number < 0 && !m.negative || above != nil && l.at >= above.at || contradicts(t.heads[l.id], l) {
			m.failed = append(m.failed, l.conflict())
			continue
		}
		above = l
		fresh[t] = append(fresh[t], l.row(t, l.number))
	}
}

func contradicts(head *row, l *importLine) bool {
	if head == nil {
		return false
	}
	if n, _ := head.number(); cmp.Compare(l.number, n) != cmp.Compare(l.at, head.at) {
		return true
	}
	for r := head; r != nil; r = r.older {
		if r.version == l.version {
			return true
		}
	}
	return false
}

func (l *importLine) row(t *table, number int) *row {
	return &row{table: t, id: l.id, version: strconv.Itoa(number), at: l.at, deleted: l.deleted,
		body: l.data, metaLen: uint32(l.meta)}
}

// storeUnversioned is steps 4 and 5 for one id. It sees the rows stored so far, those of this batch included.
func (m *merger) storeUnversioned(t *table, lines []*importLine, fresh map[*table][]*row) {
	var unversioned []*importLine
	for _, l := range lines {
		if !l.versioned {
			unversioned = append(unversioned, l)
		}
	}
	if len(unversioned) == 0 {
		return
	}
	t.insert(fresh[t])
	delete(fresh, t)
	slices.SortFunc(unversioned, func(a, b *importLine) int {
		return cmp.Or(boolToInt(b.dated)-boolToInt(a.dated), cmp.Compare(a.at, b.at))
	})
	for _, l := range unversioned {
		head := t.heads[l.id]
		if !l.dated {
			if head != nil {
				if head.deleted == l.deleted && l.equal(head.content()) {
					continue
				}
				l.at = max(l.at, head.at+int64(time.Millisecond))
			}
			t.insert([]*row{l.row(t, following(head))})
			continue
		}
		if number, ok := m.place(head, l); ok {
			t.insert([]*row{l.row(t, number)})
		} else {
			m.failed = append(m.failed, l.conflict())
		}
	}
}

func following(head *row) int {
	if head == nil {
		return 1
	}
	n, _ := head.number()
	return n + 1
}

// place finds the number of a dated line without one: behind the current row, in the gap below its
// successor, or negative when that is allowed (step 4).
func (m *merger) place(head *row, l *importLine) (int, bool) {
	if head == nil || l.at > head.at {
		return max(following(head), 1), true
	}
	successor, lowest := head, 0
	for r := head; r != nil; r = r.older {
		if n, _ := r.number(); n < lowest {
			lowest = n
		}
		if r.at > l.at {
			successor = r
		}
	}
	above, _ := successor.number()
	below := 0
	if successor.older != nil {
		below, _ = successor.older.number()
	}
	if number := above - 1; number > max(below, 0) {
		return number, true
	}
	return lowest - 1, m.negative
}
