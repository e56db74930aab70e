package fhirsim

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func (s *sim) bundle(path string, headers ...string) bundle {
	s.t.Helper()
	r := s.do("GET", path, "", headers...)
	if r.status != 200 {
		s.t.Fatalf("GET %s: got %d %s", path, r.status, r.body)
	}
	var b bundle
	mustDecode(s.t, r.body, &b)
	return b
}

func (b bundle) next() string {
	for _, l := range b.Link {
		if l.Relation == "next" {
			return l.URL
		}
	}
	return ""
}

// found lists the matches of a bundle as id/version.
func found(t *testing.T, b bundle) []string {
	t.Helper()
	var list []string
	for _, e := range b.Entry {
		var o struct {
			ID   string
			Meta struct{ VersionID string }
		}
		if e.Search["mode"] == "outcome" {
			continue
		}
		if err := json.Unmarshal(e.Resource, &o); err != nil {
			t.Fatal(err)
		}
		list = append(list, o.ID+"/"+o.Meta.VersionID)
	}
	return list
}

func searchSeed() []Version {
	deleted := patient("gone", "2", "2024-05-04T00:00:00Z")
	deleted.Deleted = true
	observation := patient("o", "1", "2024-05-02T00:00:00Z")
	observation.Type = "Observation"
	return []Version{
		patient("a", "1", "2024-05-01T00:00:00Z"), patient("a", "2", "2024-05-03T00:00:00Z"),
		patient("b", "1", "2024-05-02T00:00:00.500Z"),
		patient("gone", "1", "2024-04-30T00:00:00Z"), deleted, observation,
	}
}

// S37: counts by type, by window, with every operator, on both servers.
func TestCounts(t *testing.T) {
	cases := []struct {
		path string
		want int
	}{
		{"/?_summary=count", 3},
		{"/?_count=0", 3},
		{"/Patient?_summary=count", 2},
		{"/?_type=Patient,Observation&_summary=count", 3},
		{"/?_type=Observation&_summary=count", 1},
		{"/Patient?_summary=count&_lastUpdated=ge2024-05-03T00:00:00.000Z", 1},
		{"/Patient?_summary=count&_lastUpdated=gt2024-05-03T00:00:00.000Z", 0},
		{"/?_summary=count&_lastUpdated=ge2024-05-02T00:00:00.000Z&_lastUpdated=lt2024-05-03T00:00:00.000Z", 2},
		{"/?_summary=count&_lastUpdated=ge2024-05-02T00:00:00.000Z&_lastUpdated=le2024-05-03T00:00:00.000Z", 3},
		{"/?_summary=count&_lastUpdated=2024-05-02", 2},
		{"/?_summary=count&_lastUpdated=le2024-05-02T00:00:00Z", 2}, // a partial second reaches to its end
		{"/?_summary=count&_lastUpdated=le2024-05-02T00:00:00.499Z", 1},
		{"/?_summary=count&_lastUpdated=ne2024-05-02", 1},
		{"/Patient?_summary=count&_id=a,b", 2},
		{"/_history?_summary=count", 6},
		{"/Patient/_history?_summary=count", 5},
		{"/Patient/a/_history?_summary=count", 2},
		{"/Patient/_history?_summary=count&_since=2024-05-01T00:00:00.000Z&_before=2024-05-04T00:00:00.000Z", 3},
		{"/_history?_summary=count&_type=Observation&_lastUpdated=gt2030", 6}, // ignored
		{"/Patient/_history?_summary=count&_at=2024-05-03", 1},
	}
	for _, g := range []Generation{Gen1, Gen2} {
		s := newSim(t, g)
		s.load(searchSeed()...)
		for _, c := range cases {
			b := s.bundle(c.path, "Prefer", "handling=strict")
			if b.Total == nil || *b.Total != c.want || len(b.Entry) != 0 {
				t.Errorf("generation %d: %s: got %v, want %d", g, c.path, b.Total, c.want)
			}
		}
		if got := s.RequestCounts()["GET /{Type}/_history?_summary=count"]; got != 3 {
			t.Errorf("got %d type history counts recorded, want 3", got)
		}
		s.Faults().CountFails(1, 500)
		if r := s.get("/?_summary=count"); r.status != 500 {
			t.Errorf("CountFails: got %d", r.status)
		}
	}
}

// S37: pages of every size give the same rows in order; short and empty pages have a next link.
func TestPaging(t *testing.T) {
	s := newSim(t, Gen1)
	var seed []Version
	for i := range 30 {
		v := patient(fmt.Sprintf("p%02d", i), "1", "2024-05-01T00:00:00Z")
		v.LastUpdated = v.LastUpdated.Add(time.Duration(i/4) * time.Millisecond) // several share one ms
		v.Type = []string{"Patient", "Observation"}[i%2]
		seed = append(seed, v)
	}
	s.load(seed...)
	for _, path := range []string{"/?_sort=_lastUpdated", "/?_sort=-_lastUpdated", "/_history?", "/_history?_sort=_lastUpdated", "/Patient?", "/Patient/_history?"} {
		var whole []string
		for _, count := range []int{30, 1, 7} {
			if count == 7 {
				s.Faults().EmptyPages(2)
				_ = s.Faults().Arm("ShortPages", Arm{Times: 2, Skip: 1})
			}
			var rows []string
			for next := fmt.Sprintf("%s&_count=%d", path, count); next != ""; {
				b := s.bundle(next)
				rows = append(rows, found(t, b)...)
				next = b.next()
			}
			if whole == nil {
				whole = rows
			}
			if strings.Join(rows, " ") != strings.Join(whole, " ") {
				t.Errorf("%s in pages of %d: got %v, want %v", path, count, rows, whole)
			}
		}
		if want := map[bool]int{true: 15, false: 30}[strings.HasPrefix(path, "/Patient")]; len(whole) != want {
			t.Errorf("%s: got %d rows, want %d", path, len(whole), want)
		}
	}
	if r := s.get("/Patient?ct=nonsense"); r.status != 400 {
		t.Errorf("bad token: got %d, want 400", r.status)
	}
	if b := s.bundle("/Patient?_count=5000"); b.Entry[0].Search["mode"] != "outcome" || len(b.Entry) != 16 {
		t.Errorf("capped: got %d entries, want an outcome first", len(b.Entry))
	}
	if b := s.bundle("/Patient"); len(b.Entry) != 10 {
		t.Errorf("default: got %d entries, want 10", len(b.Entry))
	}
	b := s.bundle("/Patient?_total=accurate&_count=2")
	if next, _ := url.Parse(b.next()); *b.Total != 15 || next.Query().Has("_total") {
		t.Errorf("got total %v and next %s", b.Total, b.next())
	}
}

// The oldest resource, also when it is deleted (contract 7.2).
func TestOldest(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(searchSeed()...)
	if got := found(t, s.bundle("/?_sort=_lastUpdated&_count=1")); len(got) != 1 || got[0] != "o/1" {
		t.Errorf("current: got %v, want o/1", got)
	}
	b := s.bundle("/_history?_sort=_lastUpdated&_count=1")
	if got := found(t, b); len(got) != 1 || got[0] != "gone/1" || b.Entry[0].Response["lastModified"] != "2024-04-30T00:00:00.000+00:00" {
		t.Errorf("history: got %v, want gone/1", got)
	}
	b = s.bundle("/Patient/gone/_history")
	if len(b.Entry) != 2 || b.Entry[0].Request["method"] != "DELETE" || b.Entry[1].Request["method"] != "PUT" || b.Type != "history" {
		t.Errorf("got %+v", b.Entry)
	}
	empty := newSim(t, Gen1)
	if b := empty.bundle("/_history?_sort=_lastUpdated&_count=1"); len(b.Entry) != 0 || b.next() != "" {
		t.Errorf("empty server: got %+v", b)
	}
}

// S38 and F31: lenient drops, strict refuses; the rules of _history and refusals by 403.
func TestStrictAndRefusals(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(searchSeed()...)
	if b := s.bundle("/Patient?_summary=count&shoe=1"); *b.Total != 2 || len(b.Entry) != 0 {
		t.Errorf("lenient count: got %v with %d entries, want 2 without a warning", *b.Total, len(b.Entry))
	}
	if b := s.bundle("/Patient?shoe=1&_sort=size"); b.Entry[0].Search["mode"] != "outcome" || len(found(t, b)) != 2 {
		t.Errorf("lenient search: got %+v", b.Entry)
	}
	cases := []struct {
		path, prefer string
		want         int
	}{
		{"/Patient?_summary=count&shoe=1", "handling=strict", 400},
		{"/Patient?_sort=size", "handling=strict", 400},
		{"/Patient?_sort=_type,_lastUpdated", "handling=strict", 400}, // gen2 only
		{"/Patient?_summary=count", "handling=loose", 400},
		{"/Patient?_total=estimate", "", 403},
		{"/?_type=Shoe", "", 400},
		{"/Patient?_lastUpdated=ge2024-99", "", 400},
		{"/Patient?_lastUpdated=zz2024", "", 400},
		{"/_history?_before=2030", "", 403},
		{"/_history?_before=2024-06-01T10:00:00.001Z", "", 403},
		{"/_history?_before=2024-06-01T10:00:00.000Z", "", 200},
		{"/_history?_at=2024&_since=2023", "", 403},
		{"/_history?_since=x", "", 400},
		{"/_history?_sort=id", "", 400},
		{"/Patient/none/_history", "", 404},
		{"/Shoe", "", 404},
	}
	for _, c := range cases {
		headers := []string{"Prefer", c.prefer}
		if c.prefer == "" {
			headers = nil
		}
		if r := s.do("GET", c.path, "", headers...); r.status != c.want {
			t.Errorf("%s %s: got %d %s, want %d", c.path, c.prefer, r.status, r.body, c.want)
		}
	}
	gen2 := newSim(t, Gen2)
	gen2.load(searchSeed()...)
	if got := found(t, gen2.bundle("/?_sort=_type,_lastUpdated", "Prefer", "handling=strict")); strings.Join(got, " ") != "o/1 b/1 a/2" {
		t.Errorf("gen2 by type: got %v", got)
	}
}

// The store keeps its orders however versions arrive, and dates of one id never stand still.
func TestStoreOrder(t *testing.T) {
	s := newSim(t, Gen1)
	s.load(patient("c", "3", "2024-05-03T00:00:00Z"))
	s.load(patient("a", "1", "2024-05-01T00:00:00Z"), patient("z", "1", "2024-05-05T00:00:00Z"))
	s.load(patient("c", "2", "2024-05-02T00:00:00Z"), patient("c", "4", "2024-05-04T00:00:00Z"))
	if got := strings.Join(found(t, s.bundle("/_history?_sort=_lastUpdated")), " "); got != "a/1 c/2 c/3 c/4 z/1" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(found(t, s.bundle("/Patient/c/_history")), " "); got != "c/4 c/3 c/2" {
		t.Errorf("one id: got %s", got)
	}
	_, first := s.Put("Patient", "c", []byte(`{}`))
	version, second := s.Put("Patient", "c", []byte(`{}`))
	if version != 6 || !second.After(first) {
		t.Errorf("got version %d at %s after %s", version, second, first)
	}
	for i := range 1001 {
		s.Put("Device", fmt.Sprintf("d%d", i), []byte(`{}`))
	}
	if got := len(found(t, s.bundle("/Device?_count=2000"))); got != 1000 {
		t.Errorf("got %d entries, want at most 1000", got)
	}
	for _, bad := range []Version{{Type: "Shoe", ID: "a", VersionID: "1"}, {Type: "Patient", ID: "a/b", VersionID: "1"},
		{Type: "Patient", ID: "a", VersionID: "1", LastUpdated: start}, {Type: "Patient", ID: "a", VersionID: "1", LastUpdated: start, Body: []byte("{")}} {
		if s.Load(bad) == nil {
			t.Errorf("load accepted %+v", bad)
		}
	}
}
