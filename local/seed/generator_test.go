package seed

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"
)

func TestGeneratorIsDeterministic(t *testing.T) {
	sum := func(seed uint64) [32]byte {
		h := sha256.New()
		for v := range (Generator{Seed: seed, Resources: 2_000}).Versions() {
			h.Write(v.Body)
		}
		return [32]byte(h.Sum(nil))
	}
	if first, again := sum(7), sum(7); first != again {
		t.Error("the same seed gave different bytes")
	}
	if sum(7) == sum(8) {
		t.Error("different seeds gave the same bytes")
	}
}

func TestGeneratorDefaultsAreBigEnough(t *testing.T) {
	g := Generator{}.WithDefaults()
	edges := map[int64]bool{}
	for _, edge := range g.Edges {
		edges[edge.UnixMilli()] = true
	}
	all, _ := g.events()
	types, resources := map[uint8]bool{}, map[[2]uint32]bool{}
	var deletes, onEdge, sharing int
	for i, e := range all {
		types[e.kind] = true
		resources[[2]uint32{uint32(e.kind), e.n}] = true
		if e.deleted {
			deletes++
		}
		if edges[e.at] {
			onEdge++
		}
		if i > 0 && e.at == all[i-1].at {
			sharing++
		}
	}
	if got := len(resources); got < 50_000 {
		t.Errorf("resources: got %d, want at least 50000", got)
	}
	if got := len(types); got < 15 {
		t.Errorf("types: got %d, want at least 15", got)
	}
	first, last := time.UnixMilli(all[0].at), time.UnixMilli(all[len(all)-1].at)
	if !first.Equal(g.Since) || last.Sub(first) < 5*365*24*time.Hour {
		t.Errorf("span: got %s to %s, want at least five years from %s", first, last, g.Since)
	}
	if len(all) < len(resources)*5/4 || deletes < 500 || onEdge < 1000 || sharing < 5000 {
		t.Errorf("got %d versions, %d deletes, %d on edges, %d sharing a millisecond", len(all), deletes, onEdge, sharing)
	}
}

func TestGeneratorKeepsItsInvariants(t *testing.T) {
	type past struct {
		at      time.Time
		version string
	}
	seen := map[Ref]past{}
	before := time.Time{}
	widths := map[int]bool{}
	g := Generator{Seed: 3, Resources: 4_000}.WithDefaults()
	for v := range g.Versions() {
		name := v.Type + "/" + v.ID + "/" + v.VersionID
		if v.LastUpdated.Before(before) || v.LastUpdated.Before(g.Since) || !v.LastUpdated.Before(g.Until) {
			t.Fatalf("%s: lastUpdated %s after %s, out of order or range", name, v.LastUpdated, before)
		}
		before = v.LastUpdated
		ref := Ref{v.Type, v.ID}
		want := map[string]string{"": "1", "1": "2", "2": "3", "3": "4", "4": "5", "5": "6", "6": "7"}[seen[ref].version]
		if v.VersionID != want || !v.LastUpdated.After(seen[ref].at) {
			t.Fatalf("%s at %s follows version %q at %s", name, v.LastUpdated, seen[ref].version, seen[ref].at)
		}
		seen[ref] = past{v.LastUpdated, v.VersionID}
		checkBody(t, v)
		for _, r := range string(v.Body) {
			widths[utf8.RuneLen(r)] = true
		}
	}
	if len(widths) != 4 {
		t.Errorf("UTF-8 widths in bodies: got %v, want 1, 2, 3 and 4", widths)
	}
}

// checkBody holds a body against the version's own fields.
func checkBody(t *testing.T, v Version) {
	t.Helper()
	var body struct {
		ResourceType, ID string
		Meta             struct{ VersionID, LastUpdated string }
	}
	if err := json.Unmarshal(v.Body, &body); err != nil {
		t.Fatalf("%s/%s: %v", v.Type, v.ID, err)
	}
	at, err := time.Parse(time.RFC3339, body.Meta.LastUpdated)
	if err != nil || !at.Equal(v.LastUpdated) || body.Meta.VersionID != v.VersionID || body.ResourceType != v.Type || body.ID != v.ID {
		t.Fatalf("%s/%s/%s at %s: body says %+v (%v)", v.Type, v.ID, v.VersionID, v.LastUpdated, body, err)
	}
	if bytes.ContainsAny(v.Body, "\n\r") {
		t.Fatalf("%s/%s: the body is more than one line", v.Type, v.ID)
	}
}

func TestRefsNameResourcesThatExist(t *testing.T) {
	g := Generator{Seed: 11, Resources: 500}
	there := map[Ref]bool{}
	for v := range g.Versions() {
		there[Ref{v.Type, v.ID}] = true
	}
	for _, ref := range g.Refs(200) {
		if !there[ref] {
			t.Fatalf("%v is not among the generated resources", ref)
		}
	}
}

func TestGeneratorUsesGivenEdges(t *testing.T) {
	edge := time.Date(2020, time.May, 17, 3, 4, 5, 678e6, time.UTC)
	g := Generator{Resources: 1_000, Edges: []time.Time{edge.AddDate(-50, 0, 0), edge}}
	near := map[time.Duration]int{}
	for v := range g.Versions() {
		if d := v.LastUpdated.Sub(edge); d.Abs() <= time.Millisecond {
			near[d]++
		}
	}
	for _, d := range []time.Duration{-time.Millisecond, 0, time.Millisecond} {
		if near[d] < 20 {
			t.Errorf("versions at the edge %+v: got %d, want at least 20", d, near[d])
		}
	}
}

func BenchmarkVersions(b *testing.B) {
	for b.Loop() {
		n := 0
		for v := range (Generator{Resources: 50_000}).Versions() {
			n += len(v.Body)
		}
		b.SetBytes(int64(n))
	}
}
