package show

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"

	"fhirferry/local/seed"
)

// maxExamples is how many unequal versions a comparison names.
const maxExamples = 20

// Row is what a comparison found for one resource type, counted in versions.
type Row struct {
	Type        string
	Source      int
	Destination int
	Missing     int // on the source only
	Extra       int // on the destination only
	Different   int // on both, with other content
}

// Comparison is what the two sides have in common and what not.
type Comparison struct {
	Rows     []Row    // sorted by type
	Examples []string // some versions that are missing, extra or different
}

// Compare holds every version of the source against the destination. Two versions are the same one when type,
// id, version id, lastUpdated to the millisecond and deletion agree; their contents are compared as JSON, with
// numbers by their text and the order of members ignored. Each side is read once, and once more when something
// is unequal and must be named. Per version some 100 bytes are held, never a body.
func Compare(source, destination iter.Seq[seed.Version]) Comparison {
	var sides [2]map[digest]content
	var reading sync.WaitGroup
	for i, side := range []iter.Seq[seed.Version]{source, destination} {
		reading.Go(func() { sides[i] = contents(side) })
	}
	reading.Wait()
	unequal := map[digest]string{}
	rows := map[string]*Row{}
	row := func(name string) *Row {
		if rows[name] == nil {
			rows[name] = &Row{Type: name}
		}
		return rows[name]
	}
	for key, there := range sides[0] {
		r := row(there.kind)
		r.Source += there.count
		here, ok := sides[1][key]
		switch {
		case here.count < there.count:
			r.Missing += there.count - here.count
			unequal[key] = "missing"
		case here.count > there.count:
			r.Extra += here.count - there.count
			unequal[key] = "extra"
		}
		if ok && here.body != there.body {
			r.Different++
			unequal[key] = "different"
		}
	}
	for key, here := range sides[1] {
		r := row(here.kind)
		r.Destination += here.count
		if _, ok := sides[0][key]; !ok {
			r.Extra += here.count
			unequal[key] = "extra"
		}
	}
	c := Comparison{}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		c.Rows = append(c.Rows, *rows[name])
	}
	c.Examples = examples(unequal, source, destination)
	return c
}

// content is one version as a side holds it.
type content struct {
	kind  string // resource type
	body  digest
	count int // how often the version occurs; a sound store has it once
}

func contents(side iter.Seq[seed.Version]) map[digest]content {
	all := map[digest]content{}
	names := map[string]string{} // one string per type, not one per version
	for v := range side {
		if _, ok := names[v.Type]; !ok {
			names[v.Type] = v.Type
		}
		key := keyOf(v)
		all[key] = content{kind: names[v.Type], body: digestOf(canonical(v.Body)), count: all[key].count + 1}
	}
	return all
}

func keyOf(v seed.Version) digest {
	text := make([]byte, 0, 128)
	for _, part := range []string{v.Type, v.ID, v.VersionID, strconv.FormatInt(v.LastUpdated.UnixMilli(), 10), strconv.FormatBool(v.Deleted)} {
		text = append(append(text, part...), 0)
	}
	return digestOf(text)
}

// examples names some of the unequal versions.
func examples(unequal map[digest]string, sides ...iter.Seq[seed.Version]) []string {
	if len(unequal) == 0 {
		return nil
	}
	var named []string
	for _, side := range sides {
		for v := range side {
			key := keyOf(v)
			what, ok := unequal[key]
			if !ok {
				continue
			}
			delete(unequal, key) // named once
			form := ""
			if v.Deleted {
				form = ", a soft delete"
			}
			named = append(named, fmt.Sprintf("%s: %s/%s version %s of %s%s", what, v.Type, v.ID, v.VersionID, v.LastUpdated.UTC().Format("2006-01-02T15:04:05.000Z"), form))
			if len(named) == maxExamples {
				return named
			}
		}
	}
	return named
}

// Total is the sum of all rows, under the name "total".
func (c Comparison) Total() Row {
	total := Row{Type: "total"}
	for _, r := range c.Rows {
		total.Source += r.Source
		total.Destination += r.Destination
		total.Missing += r.Missing
		total.Extra += r.Extra
		total.Different += r.Different
	}
	return total
}

// Equal is true when nothing is missing, extra or different and there was something to compare.
func (c Comparison) Equal() bool {
	t := c.Total()
	return t.Source > 0 && cmp.Or(t.Missing, t.Extra, t.Different) == 0
}
