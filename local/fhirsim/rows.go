package fhirsim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one stored version. Its fields never change after it is inserted, except older and gone.
type row struct {
	table   *table
	id      string
	version string
	older   *row
	body    []byte // content.data
	metaLen uint32 // content.meta
	deleted bool
	gone    bool  // hard-deleted; exports in progress may still hold the pointer
	at      int64 // lastUpdated, Unix nanoseconds
}

// table holds all versions of one type.
type table struct {
	name  string
	heads map[string]*row // newest version by id; row.older leads to the earlier ones
	rows  []*row          // by compareRows
	live  int             // ids whose newest version is not deleted
}

// lastUpdatedLayout has the seven digits of gen1 ticks; trailing zeros beyond milliseconds are cut.
const lastUpdatedLayout = "2006-01-02T15:04:05.0000000"

func formatInstant(at int64) string {
	text := time.Unix(0, at).UTC().Format(lastUpdatedLayout)
	return strings.TrimSuffix(text, "0000") + "+00:00"
}

func (r *row) content() content { return content{r.body, int(r.metaLen)} }

// appendJSON writes the resource as the service shows it.
func (r *row) appendJSON(to []byte) []byte {
	head := `"resourceType":"` + r.table.name + `","id":"` + r.id + `"`
	meta := `"versionId":"` + r.version + `","lastUpdated":"` + formatInstant(r.at) + `"`
	return r.content().appendJSON(to, head, meta)
}

func (r *row) current() bool { return !r.gone && r.table.heads[r.id] == r }

// number is the version as an int32, and whether it is one.
func (r *row) number() (int, bool) { return versionNumber(r.version) }

func versionNumber(version string) (int, bool) {
	n, err := strconv.ParseInt(version, 10, 32)
	return int(n), err == nil
}

// compareRows orders versions by lastUpdated, type, id and version number.
func compareRows(a, b *row) int {
	if a.at != b.at {
		return cmp.Compare(a.at, b.at)
	}
	if a.table != b.table {
		return cmp.Compare(a.table.name, b.table.name)
	}
	if a.id != b.id {
		return cmp.Compare(a.id, b.id)
	}
	return compareVersions(a, b)
}

func compareVersions(a, b *row) int {
	na, aIsNumber := a.number()
	nb, bIsNumber := b.number()
	if aIsNumber && bIsNumber {
		return cmp.Compare(na, nb)
	}
	return cmp.Compare(a.version, b.version)
}

// insert adds rows to the table, keeping every order. The cost is that of moving the rows later than
// the earliest new one.
func (t *table) insert(added []*row) {
	slices.SortFunc(added, compareRows)
	for _, r := range added {
		t.link(r)
	}
	i, j := len(t.rows)-1, len(added)-1
	t.rows = append(t.rows, added...)
	for k := len(t.rows) - 1; j >= 0; k-- {
		if i >= 0 && compareRows(t.rows[i], added[j]) > 0 {
			t.rows[k] = t.rows[i]
			i--
			continue
		}
		t.rows[k] = added[j]
		j--
	}
}

// link puts r into the chain of its id.
func (t *table) link(r *row) {
	head := t.heads[r.id]
	if head != nil && !head.deleted {
		t.live--
	}
	if head == nil || compareRows(r, head) > 0 {
		r.older = head
		t.heads[r.id] = r
	} else {
		before := head
		for before.older != nil && compareRows(before.older, r) > 0 {
			before = before.older
		}
		r.older, before.older = before.older, r
	}
	if !t.heads[r.id].deleted {
		t.live++
	}
}

// remove takes every version of id out.
func (t *table) remove(id string) {
	head := t.heads[id]
	if head == nil {
		return
	}
	if !head.deleted {
		t.live--
	}
	for r := head; r != nil; r = r.older {
		r.gone = true
	}
	delete(t.heads, id)
	t.rows = slices.DeleteFunc(t.rows, func(r *row) bool { return r.gone })
}

// span is a range of lastUpdated in Unix nanoseconds, [from, to).
type span struct{ from, to int64 }

func (t *table) within(w span) []*row {
	at := func(r *row, instant int64) int { return cmp.Compare(r.at, instant) }
	i, _ := slices.BinarySearchFunc(t.rows, w.from, at)
	j, _ := slices.BinarySearchFunc(t.rows, w.to, at)
	if i > j {
		return nil
	}
	return t.rows[i:j]
}

// asOf is the newest version of id before the instant.
func (t *table) asOf(id string, before int64) *row {
	r := t.heads[id]
	for r != nil && r.at >= before {
		r = r.older
	}
	return r
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
