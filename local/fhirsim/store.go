package fhirsim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Version is one version of one resource, as seeded by Load and listed by Versions.
type Version struct {
	Type, ID, VersionID string
	LastUpdated         time.Time
	Deleted             bool
	// Body is the resource. Load overwrites type, id, meta.versionId and meta.lastUpdated with the fields
	// above and accepts an empty body for a delete.
	Body []byte
}

// Put creates or updates a resource now and returns its version number and lastUpdated, which has
// millisecond precision as in both stores (contract 0.2). It panics when body is not a JSON object.
func (s *Server) Put(resourceType, id string, body []byte) (version int, at time.Time) {
	p, err := parseResource(body)
	if err != nil {
		panic(fmt.Sprintf("fhirsim: put %s/%s: %v", resourceType, id, err))
	}
	s.stepIfIdle()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.write(resourceType, id, p.content, false)
	n, _ := r.number()
	return n, time.Unix(0, r.at).UTC()
}

// Delete soft-deletes a resource now: a version with the soft-delete mark is stored, also for an id that
// never existed (contract 9 and 6.3). Deleting what is deleted already stores nothing.
func (s *Server) Delete(resourceType, id string) {
	s.stepIfIdle()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.softDelete(resourceType, id)
}

// HardDelete removes a resource with its history; exports show no trace of it (contract 3).
func (s *Server) HardDelete(resourceType, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tables[resourceType]; t != nil {
		t.remove(id)
	}
	s.late = slices.DeleteFunc(s.late, func(w lateWrite) bool {
		return w.row.table.name == resourceType && w.row.id == id
	})
}

// lateWrite is a version that has its lastUpdated but is not visible yet (contract 1.4, commit lag).
type lateWrite struct {
	row     *row
	visible time.Time
}

func (s *Server) table(resourceType string) *table {
	t := s.tables[resourceType]
	if t == nil {
		t = &table{name: resourceType, heads: map[string]*row{}}
		s.tables[resourceType] = t
	}
	return t
}

// newest is the last written version of id, visible or not.
func (s *Server) newest(t *table, id string) *row {
	head := t.heads[id]
	for _, w := range s.late {
		if w.row.table == t && w.row.id == id && (head == nil || compareRows(w.row, head) > 0) {
			head = w.row
		}
	}
	return head
}

// write stores a new version dated now, never before or at the instant of the version it follows.
func (s *Server) write(resourceType, id string, c content, deleted bool) *row {
	t := s.table(resourceType)
	now := s.opt.Now()
	at := now.Truncate(time.Millisecond).UnixNano()
	version := 1
	if head := s.newest(t, id); head != nil {
		version = nextVersion(head)
		if head.at >= at {
			at = time.Unix(0, head.at).Truncate(time.Millisecond).Add(time.Millisecond).UnixNano()
		}
	}
	r := &row{table: t, id: id, version: strconv.Itoa(version), at: at, deleted: deleted,
		body: c.data, metaLen: uint32(c.meta)}
	if lag := s.faults.lateness(); lag > 0 {
		s.late = append(s.late, lateWrite{r, now.Add(lag)})
		return r
	}
	t.insert([]*row{r})
	return r
}

// nextVersion follows the highest number of the chain; a chain of GUID-like versions goes on with its length.
func nextVersion(head *row) int {
	highest, count := 0, 0
	for r := head; r != nil; r = r.older {
		count++
		if n, ok := r.number(); ok {
			highest = max(highest, n)
		}
	}
	if highest == 0 {
		return count + 1
	}
	return highest + 1
}

func (s *Server) softDelete(resourceType, id string) *row {
	if head := s.newest(s.table(resourceType), id); head != nil && head.deleted {
		return head
	}
	return s.write(resourceType, id, content{}.asDeleted(), true)
}

// commitLate makes the writes visible whose time has come.
func (s *Server) commitLate(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = slices.DeleteFunc(s.late, func(w lateWrite) bool {
		if w.visible.After(now) {
			return false
		}
		w.row.table.insert([]*row{w.row})
		return true
	})
}

// Load seeds versions with the dates and version ids given; Gen2 dates are cut to milliseconds. Nothing
// is stored when one of them is unusable.
func (s *Server) Load(versions ...Version) error {
	parsedRows := make([]row, len(versions))
	for i, v := range versions {
		if err := s.loadRow(&parsedRows[i], v); err != nil {
			return fmt.Errorf("load %s/%s version %s: %w", v.Type, v.ID, v.VersionID, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	byTable := map[*table][]*row{}
	for i := range parsedRows {
		t := s.table(versions[i].Type)
		parsedRows[i].table = t
		byTable[t] = append(byTable[t], &parsedRows[i])
	}
	for t, added := range byTable {
		t.insert(added)
	}
	return nil
}

func (s *Server) loadRow(r *row, v Version) error {
	if !s.knowsType(v.Type) {
		return errors.New("unknown resource type")
	}
	if !validID(v.ID) || v.VersionID == "" || v.LastUpdated.IsZero() {
		return errors.New("id, version id and lastUpdated are required")
	}
	var c content
	if len(v.Body) > 0 {
		p, err := parseResource(v.Body)
		if err != nil {
			return err
		}
		c = p.content
	} else if !v.Deleted {
		return errors.New("body is empty")
	}
	if v.Deleted {
		c = c.asDeleted()
	}
	at := v.LastUpdated.Truncate(s.opt.precision()).UnixNano()
	*r = row{id: v.ID, version: v.VersionID, at: at, deleted: v.Deleted, body: c.data, metaLen: uint32(c.meta)}
	return nil
}

// Versions lists every visible version in (type, id, lastUpdated) order. Body is the line as an export
// shows it, members of meta first. The server must not be used from inside yield.
func (s *Server) Versions(yield func(Version) bool) {
	s.stepIfIdle()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		t := s.tables[name]
		for _, id := range slices.Sorted(maps.Keys(t.heads)) {
			if !yieldChain(t.heads[id], yield) {
				return
			}
		}
	}
}

func yieldChain(head *row, yield func(Version) bool) bool {
	var chain []*row
	for r := head; r != nil; r = r.older {
		chain = append(chain, r)
	}
	for _, r := range slices.Backward(chain) {
		v := Version{Type: r.table.name, ID: r.id, VersionID: r.version,
			LastUpdated: time.Unix(0, r.at).UTC(), Deleted: r.deleted, Body: r.appendJSON(nil)}
		if !yield(v) {
			return false
		}
	}
	return true
}

// Counts is the number of visible versions by type, deletes included.
func (s *Server) Counts() map[string]int {
	s.stepIfIdle()
	s.mu.RLock()
	defer s.mu.RUnlock()
	counts := map[string]int{}
	for name, t := range s.tables {
		if len(t.rows) > 0 {
			counts[name] = len(t.rows)
		}
	}
	return counts
}

// Empty removes all resources. Jobs and, above all, registrations of imports stay (S23, F32).
func (s *Server) Empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		for _, r := range t.rows {
			r.gone = true
		}
	}
	s.tables = map[string]*table{}
	s.enabled, s.readDefinitions = map[string]definition{}, map[*row]definition{}
	s.late = nil
}
