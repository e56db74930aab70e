package fhirsim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a check reads of one resource: each version, and its history in pages, the delete among them.
func TestReadingOneResource(t *testing.T) {
	for _, g := range []Generation{Gen1, Gen2} {
		s := newSim(t, g)
		var seed []Version
		for i := range 7 {
			v := patient("a", fmt.Sprint(i+1), "2024-05-01T00:00:00Z")
			v.LastUpdated = v.LastUpdated.Add(time.Duration(i/2) * time.Millisecond) // pairs share one ms
			v.Deleted = i == 4
			seed = append(seed, v)
		}
		s.load(append(seed, patient("b", "1", "2024-05-01T00:00:00Z"))...)
		for version, want := range map[string]int{"1": 200, "5": 410, "7": 200, "8": 404} {
			r := s.get("/Patient/a/_history/" + version)
			if r.status != want || want == 200 && !strings.Contains(r.body, `"versionId":"`+version+`"`) {
				t.Errorf("generation %d: version %s: got %d %s, want %d", g, version, r.status, r.body, want)
			}
		}
		if r := s.get("/Patient/none/_history/1"); r.status != 404 {
			t.Errorf("unknown id: got %d, want 404", r.status)
		}
		for sort, want := range map[string]string{"": "a/7 a/6 a/5 a/4 a/3 a/2 a/1", "_lastUpdated": "a/1 a/2 a/3 a/4 a/5 a/6 a/7"} {
			var rows, methods []string
			for next := "/Patient/a/_history?_count=3&_sort=" + sort; next != ""; {
				b := s.bundle(next)
				for _, e := range b.Entry {
					methods = append(methods, e.Request["method"])
				}
				rows = append(rows, found(t, b)...)
				next = b.next()
			}
			if got := strings.Join(rows, " "); got != want {
				t.Errorf("generation %d: history sorted by %q: got %s, want %s", g, sort, got, want)
			}
			if i := slices.Index(methods, "DELETE"); strings.Count(strings.Join(methods, " "), "DELETE") != 1 || rows[i] != "a/5" {
				t.Errorf("generation %d: got methods %v for %v", g, methods, rows)
			}
		}
		window := "/Patient/a/_history?_since=2024-05-01T00:00:00.001Z&_before=2024-05-01T00:00:00.003Z"
		if got := strings.Join(found(t, s.bundle(window)), " "); got != "a/6 a/5 a/4 a/3" {
			t.Errorf("generation %d: window: got %s", g, got)
		}
	}
}

// What a check reads of one type: a window of its history and of its current resources in pages, and a list of ids.
func TestReadingOneType(t *testing.T) {
	for _, g := range []Generation{Gen1, Gen2} {
		s := newSim(t, g)
		var seed []Version
		for i := range 40 {
			v := patient(fmt.Sprintf("p%02d", i%20), fmt.Sprint(i/20+1), "2024-05-01T00:00:00Z")
			v.LastUpdated = v.LastUpdated.Add(time.Duration(i) * time.Hour)
			seed = append(seed, v)
		}
		s.load(seed...)
		all := func(path string) []string {
			t.Helper()
			var rows []string
			for next := path; next != ""; {
				b := s.bundle(next, "Prefer", "handling=strict")
				rows = append(rows, found(t, b)...)
				next = b.next()
			}
			return rows
		}
		history := "/Patient/_history?_since=2024-05-01T18:00:00.000Z&_before=2024-05-01T23:00:00.000Z&_count=2&_sort="
		if got := strings.Join(all(history+"_lastUpdated"), " "); got != "p18/1 p19/1 p00/2 p01/2 p02/2" {
			t.Errorf("generation %d: history upwards: got %s", g, got)
		}
		if got := strings.Join(all(history+"-_lastUpdated"), " "); got != "p02/2 p01/2 p00/2 p19/1 p18/1" {
			t.Errorf("generation %d: history downwards: got %s", g, got)
		}
		current := "/Patient?_lastUpdated=ge2024-05-01T18:00:00.000Z&_lastUpdated=lt2024-05-01T23:00:00.000Z&_count=2&_sort="
		if got := strings.Join(all(current+"_lastUpdated"), " "); got != "p00/2 p01/2 p02/2" {
			t.Errorf("generation %d: search upwards: got %s", g, got)
		}
		if got := strings.Join(all(current+"-_lastUpdated"), " "); got != "p02/2 p01/2 p00/2" {
			t.Errorf("generation %d: search downwards: got %s", g, got)
		}
		if got := strings.Join(all("/Patient?_id=p03,none,p07&_sort=_lastUpdated"), " "); got != "p03/2 p07/2" {
			t.Errorf("generation %d: by ids: got %s", g, got)
		}
	}
}

// Contract 7.1: a count above the limit is refused, for searches, histories and totals, and in parts it is not.
func TestCountOverflow(t *testing.T) {
	for _, g := range []Generation{Gen1, Gen2} {
		s := newSim(t, g)
		s.load(searchSeed()...)
		s.Faults().LimitCounts(2)
		for path, want := range map[string]string{
			"/?_summary=count":                   "Search count returned 3 and exceeds the maximum defined limit of 2.",
			"/Patient?_summary=count":            "",
			"/Patient/_history?_summary=count":   "Search count returned 5 and exceeds the maximum defined limit of 2.",
			"/_history?_count=0":                 "Search count returned 6 and exceeds the maximum defined limit of 2.",
			"/Patient/a/_history?_summary=count": "",
			"/?_total=accurate":                  "exceeds",
			"/_history?_total=accurate":          "exceeds",
			"/_history":                          "",
			"/Patient/_history?_summary=count&_before=2024-05-02T00:00:00.000Z": "",
		} {
			r := s.get(path)
			if want == "" {
				if r.status != 200 {
					t.Errorf("generation %d: %s: got %d %s, want 200", g, path, r.status, r.body)
				}
				continue
			}
			if code, text := diagnostics(t, r); r.status != 403 || code != "forbidden" || !strings.Contains(text, want) {
				t.Errorf("generation %d: %s: got %d %s %s", g, path, r.status, code, text)
			}
		}
		s.Faults().Clear("LimitCounts")
		if b := s.bundle("/?_summary=count"); *b.Total != 3 {
			t.Errorf("cleared: got %d", *b.Total)
		}
	}
}
