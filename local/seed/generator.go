package seed

import (
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Generator invents clinical resources. The zero value gives 50,000 of them between 2019-01-01 and 2025-07-01.
//
// About a third of the resources have further versions, one in twenty-five ends in a soft delete and a quarter
// of those come back. Of every fifty resources of a type, ten share one millisecond; of every twenty, one lies
// exactly on an edge, one a millisecond before it and one a millisecond after it.
type Generator struct {
	Seed      uint64
	Resources int         // how many resources; each has one or more versions
	Since     time.Time   // no version earlier than this; the first resource is exactly on it
	Until     time.Time   // every version is earlier than this
	Edges     []time.Time // instants to place resources on, in ascending order; none in range: every month's first millisecond
}

// event is one version to come: small, so that a million of them can be sorted before the first body is made.
type event struct {
	at      int64 // milliseconds since 1970
	kind    uint8 // index into kinds()
	n       uint32
	version uint16
	deleted bool
}

// WithDefaults is g with every empty field filled.
func (g Generator) WithDefaults() Generator {
	if g.Resources <= 0 {
		g.Resources = 50_000
	}
	if g.Since.IsZero() {
		g.Since = time.Date(2019, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	if g.Until.IsZero() {
		g.Until = time.Date(2025, time.July, 1, 0, 0, 0, 0, time.UTC)
	}
	g.Since, g.Until = g.Since.UTC().Truncate(time.Millisecond), g.Until.UTC().Truncate(time.Millisecond)
	inside := make([]time.Time, 0, len(g.Edges))
	for _, edge := range g.Edges {
		if !edge.Before(g.Since) && edge.Before(g.Until) {
			inside = append(inside, edge)
		}
	}
	if g.Edges = inside; len(inside) == 0 {
		g.Edges = monthStarts(g.Since, g.Until)
	}
	return g
}

func monthStarts(since, until time.Time) []time.Time {
	edges := []time.Time{since}
	month := time.Date(since.Year(), since.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	for ; month.Before(until); month = month.AddDate(0, 1, 0) {
		edges = append(edges, month)
	}
	return edges
}

// Versions yields every version of every resource in ascending order of lastUpdated. Bodies are made one by one.
func (g Generator) Versions() iter.Seq[Version] {
	g = g.WithDefaults()
	return func(yield func(Version) bool) {
		all, counts := g.events()
		make := maker{seed: g.Seed, kinds: kinds(), counts: counts}
		for _, e := range all {
			if !yield(make.version(e)) {
				return
			}
		}
	}
}

// Refs names n resources that Versions yields, chosen by the seed; a name may occur twice.
func (g Generator) Refs(n int) []Ref {
	g = g.WithDefaults()
	all, counts := kinds(), g.counts()
	r := rand.New(rand.NewPCG(g.Seed, 0x5EED))
	refs := make([]Ref, 0, n)
	for len(refs) < n {
		k := r.IntN(len(all))
		refs = append(refs, Ref{Type: all[k].name, ID: resourceID(all[k].name, r.IntN(counts[k]))})
	}
	return refs
}

// counts shares the resources out over the kinds by weight; every kind has at least one.
func (g Generator) counts() []int {
	all := kinds()
	total := 0
	for _, k := range all {
		total += k.weight
	}
	counts, left := make([]int, len(all)), g.Resources
	for i, k := range all {
		counts[i] = max(1, g.Resources*k.weight/total)
		left -= counts[i]
	}
	heaviest := 0
	for i, k := range all {
		if k.weight > all[heaviest].weight {
			heaviest = i
		}
	}
	counts[heaviest] = max(1, counts[heaviest]+left)
	return counts
}

// events plans every version without its body.
func (g Generator) events() ([]event, []int) {
	counts := g.counts()
	all := make([]event, 0, g.Resources*3/2)
	for kind, count := range counts {
		r := rand.New(rand.NewPCG(g.Seed, uint64(kind)))
		var shared int64
		for n := range count {
			at := g.firstInstant(r, kind, n)
			switch place := n % 50; {
			case place == 30:
				shared = at
			case place > 30 && place < 40:
				at = shared
			}
			all = g.history(all, r, event{at: at, kind: uint8(kind), n: uint32(n), version: 1})
		}
	}
	slices.SortFunc(all, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind), cmp.Compare(a.n, b.n), cmp.Compare(a.version, b.version))
	})
	return all, counts
}

// firstInstant is when the n-th resource of a kind was created.
func (g Generator) firstInstant(r *rand.Rand, kind, n int) int64 {
	since, until := g.Since.UnixMilli(), g.Until.UnixMilli()
	edge := g.Edges[(n/20+kind*7)%len(g.Edges)].UnixMilli()
	if kind == 0 && n == 0 {
		edge = since
	}
	anywhere := since + r.Int64N(until-since)
	switch n % 20 {
	case 0:
		return edge
	case 1:
		return max(since, edge-1)
	case 2:
		return min(until-1, edge+1)
	}
	return anywhere
}

// history appends a resource's creation and what follows it.
func (g Generator) history(all []event, r *rand.Rand, e event) []event {
	all = append(all, e)
	until := g.Until.UnixMilli()
	further, fate := 0, r.Float64()
	if r.Float64() < 0.3 {
		further = 1 + r.IntN(4)
	}
	for range further {
		e.at, e.version = g.later(r, e.at), e.version+1
		if e.at >= until {
			return all
		}
		all = append(all, e)
	}
	for _, limit := range []float64{0.04, 0.01} { // deleted; and of those some come back
		if fate >= limit {
			return all
		}
		e.at, e.version, e.deleted = g.later(r, e.at), e.version+1, !e.deleted
		if e.at >= until {
			return all
		}
		all = append(all, e)
	}
	return all
}

// later is an instant up to four months after at, and now and then exactly on the next edge.
func (g Generator) later(r *rand.Rand, at int64) int64 {
	if r.IntN(20) == 0 {
		for _, edge := range g.Edges {
			if edge.UnixMilli() > at {
				return edge.UnixMilli()
			}
		}
	}
	return at + 1 + r.Int64N((120 * 24 * time.Hour).Milliseconds())
}

// maker turns events into versions.
type maker struct {
	seed   uint64
	kinds  []kind
	counts []int
}

func (m maker) version(e event) Version {
	k := m.kinds[e.kind]
	v := Version{
		Type: k.name, ID: resourceID(k.name, int(e.n)), VersionID: strconv.Itoa(int(e.version)),
		LastUpdated: time.UnixMilli(e.at).UTC(), Deleted: e.deleted,
	}
	body := resource{}
	if !e.deleted {
		identity := rand.New(rand.NewPCG(m.seed^uint64(e.kind)<<56, uint64(e.n)+1))
		body = k.body(&story{
			Rand: identity, n: int(e.n), version: int(e.version), at: v.LastUpdated,
			change: rand.New(rand.NewPCG(m.seed+uint64(e.version)<<40, uint64(e.kind)<<32|uint64(e.n))),
			count:  m.count,
		})
	}
	body["resourceType"], body["id"] = v.Type, v.ID
	body["meta"] = resource{"versionId": v.VersionID, "lastUpdated": v.LastUpdated.Format(Instant)}
	raw, err := encode(body)
	if err != nil { // the bodies hold strings, numbers, maps and slices only
		panic(fmt.Sprintf("encode %s/%s: %v", v.Type, v.ID, err))
	}
	v.Body = raw
	return v
}

// count is how many resources of a type there are.
func (m maker) count(name string) int {
	for i, k := range m.kinds {
		if k.name == name {
			return m.counts[i]
		}
	}
	return 1
}
