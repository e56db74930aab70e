package fhir

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

var (
	// resourceID is the form of a FHIR id; it goes into paths.
	resourceID = regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)
	// elementName is the form of a member's name that may be shown. FHIR allows no other.
	elementName = regexp.MustCompile(`^_?[A-Za-z][A-Za-z0-9]{0,63}$`)
)

// Differences names the elements in which the destination's copy of a version is not the source's, as paths such as
// name[0].family, in order, never a value. Contents are compared as JSON: the order of members and the spelling of
// strings are nothing, for the destination writes the stored JSON anew (contract 6.1); numbers are compared by their
// text, for 1.0 and 1.00 differ in precision.
//
// Left out is only what the services are allowed to change: meta.lastUpdated, whose millisecond the caller looked up and
// whose offset and finer ticks an import may write in another way (6.1); a meta.versionId that is no int32, which an
// import renumbers (6.1, 6.3); and what a soft delete holds, for the mark in meta.extension is taken off and put on, and
// older builds keep no content (3).
func Differences(source, destination Version) []string {
	if source.Deleted || destination.Deleted {
		if source.Deleted != destination.Deleted {
			return []string{"(deleted)"}
		}
		return nil
	}
	_, err := strconv.ParseInt(source.VersionID, 10, 32)
	d := differ{renumbered: err != nil}
	d.objects("", source.content, destination.content)
	return d.paths
}

type differ struct {
	renumbered bool
	paths      []string
}

func (d *differ) note(path string) { d.paths = append(d.paths, path) }

func (d *differ) values(path string, a, b any) {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			d.objects(path, a, b)
			return
		}
	case []any:
		if b, ok := b.([]any); ok {
			d.arrays(path, a, b)
			return
		}
	case json.Number:
		if b, ok := b.(json.Number); ok && a.String() == b.String() {
			return
		}
	case string:
		if b, ok := b.(string); ok && a == b {
			return
		}
	case bool:
		if b, ok := b.(bool); ok && a == b {
			return
		}
	case nil:
		if b == nil {
			return
		}
	}
	d.note(path)
}

func (d *differ) objects(path string, a, b map[string]any) {
	names := slices.Collect(maps.Keys(a))
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		at := shown(name)
		if path != "" {
			at = path + "." + at
		}
		if at == "meta.lastUpdated" || at == "meta.versionId" && d.renumbered {
			continue
		}
		av, inA := a[name]
		bv, inB := b[name]
		if inA != inB {
			d.note(at)
			continue
		}
		d.values(at, av, bv)
	}
}

func (d *differ) arrays(path string, a, b []any) {
	for i := range max(len(a), len(b)) {
		at := path + "[" + strconv.Itoa(i) + "]"
		if i >= len(a) || i >= len(b) {
			d.note(at)
			continue
		}
		d.values(at, a[i], b[i])
	}
}

// shown is a member's name, or a sign for what no FHIR element is called.
func shown(name string) string {
	if elementName.MatchString(name) {
		return name
	}
	return "?"
}
