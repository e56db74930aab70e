package fhirsim

import (
	"fmt"
	"strings"
	"testing"
)

// S6, S7: which versions a window holds, by generation and mode.
func TestExportWindows(t *testing.T) {
	seed := []Version{
		patient("before", "1", "2024-04-30T23:59:59.999Z"),
		patient("low", "1", "2024-05-01T00:00:00.000Z"),
		patient("mid", "1", "2024-05-01T12:00:00.000Z"),
		patient("edge", "1", "2024-05-02T00:00:00.000Z"),
		patient("tail", "1", "2024-05-02T00:00:00.900Z"),
		patient("after", "1", "2024-05-03T00:00:00.000Z"),
		patient("moved", "1", "2024-05-01T13:00:00.000Z"), patient("moved", "2", "2024-05-09T13:00:00.000Z"),
		patient("old", "1", "2024-05-01T14:00:00.000Z"), patient("old", "2", "2024-05-01T15:00:00.000Z"),
	}
	full := "_since=2024-05-01T00:00:00.000Z&_till=2024-05-02T00:00:00.000Z"
	cases := []struct {
		name  string
		g     Generation
		query string
		want  string
	}{
		{"gen1 inclusive", Gen1, full, "edge/1 low/1 mid/1 old/2"},
		{"gen1 parallel", Gen1, full + "&_isParallel=true", "edge/1 low/1 mid/1 old/2"},
		{"gen1 history", Gen1, full + "&includeAssociatedData=_history", "edge/1 low/1 mid/1 moved/1 old/1 old/2"},
		{"gen1 second fills high", Gen1, "_since=2024-05-01T00:00:00Z&_till=2024-05-02T00:00:00Z", "edge/1 low/1 mid/1 old/2 tail/1"},
		{"gen1 day fills high", Gen1, "_since=2024-05-02&_till=2024-05-02", "edge/1 tail/1"},
		{"gen2 parallel exclusive, as of till", Gen2, full, "low/1 mid/1 moved/1 old/2"},
		{"gen2 parallel fills low", Gen2, "_since=2024-05-01&_till=2024-05-02", "low/1 mid/1 moved/1 old/2"},
		{"gen2 parallel history", Gen2, full + "&includeAssociatedData=_history", "low/1 mid/1 moved/1 old/1 old/2"},
		{"gen2 sequential inclusive", Gen2, full + "&_isParallel=false", "edge/1 low/1 mid/1 old/2"},
		{"no since", Gen1, "_till=2024-05-01T00:00:00.000Z", "before/1 low/1"},
		{"no till", Gen1, "_since=2024-05-03T00:00:00.000Z", "after/1 moved/2"},
		{"order unchecked", Gen1, "_since=2024-05-03&_till=2020", ""},
	}
	for _, c := range cases {
		s := newSim(t, c.g)
		s.load(seed...)
		_, lines := s.exported("/$export?" + c.query)
		if got := names(t, lines); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// Gen1 rows may have ticks below the millisecond; gen2 cuts them.
func TestFineTicks(t *testing.T) {
	for g, want := range map[Generation]string{Gen1: "2024-05-01T00:00:00.0001234+00:00", Gen2: "2024-05-01T00:00:00.000+00:00"} {
		s := newSim(t, g)
		s.load(patient("a", "1", "2024-05-01T00:00:00.0001234Z"))
		_, lines := s.exported("/$export?_isParallel=false&_till=2024-05-01T00:00:00Z")
		if !strings.Contains(strings.Join(lines, ""), want) {
			t.Errorf("generation %d: got %v, want lastUpdated %s", g, lines, want)
		}
		_, lines = s.exported("/$export?_isParallel=false&_till=2024-05-01T00:00:00.000Z")
		if found := len(lines) == 1; found != (g == Gen2) {
			t.Errorf("generation %d: exact till: got %v", g, lines)
		}
	}
}

// S3: _maxCount limits the lines of a file; one file per unit and type. Observation comes first on gen2.
func TestMaxCountLimitsFiles(t *testing.T) {
	for _, c := range []struct {
		g     Generation
		query string
		files int
	}{
		{Gen1, "", 2}, // 25 lines of two types in one page
		{Gen1, "_maxCount=10", 4},
		{Gen2, "_maxCount=10", 4},
	} {
		s := newSim(t, c.g)
		for i := range 15 {
			s.load(patient(fmt.Sprintf("p%d", i), "1", "2024-01-01T00:00:00Z"))
		}
		for i := range 10 {
			v := patient(fmt.Sprintf("o%d", i), "1", "2024-02-01T00:00:00Z")
			v.Type = "Observation"
			s.load(v)
		}
		m, lines := s.exported("/$export?" + c.query)
		for _, f := range m.Output {
			if strings.Contains(c.query, "10") && f.Count > 10 {
				t.Errorf("generation %d: file of %d lines, want at most 10", c.g, f.Count)
			}
		}
		if len(lines) != 25 || len(m.Output) < c.files-1 || len(m.Output) > c.files {
			t.Errorf("generation %d %s: got %d lines in %d files, want 25 in about %d", c.g, c.query, len(lines), len(m.Output), c.files)
		}
	}
}

// S19, S20, S21: the lines themselves.
func TestExportedLines(t *testing.T) {
	s := newSim(t, Gen1)
	long := strings.Repeat("漢é𝄞x", 300_000)
	s.load(
		Version{Type: "Patient", ID: "a", VersionID: "5f00aa-guid", LastUpdated: at("2024-01-01T00:00:00.001Z"), Body: []byte(`{"name":[{"family":"` + long + `"}]}`)},
		Version{Type: "Patient", ID: "a", VersionID: "2", LastUpdated: at("2024-01-01T00:00:00.001Z"), Body: []byte(`{ "meta": {"profile": ["p"], "versionId":"9"}, "active" : true }`)},
		Version{Type: "Patient", ID: "b", VersionID: "1", LastUpdated: at("2024-01-01T00:00:00.001Z"), Deleted: true},
	)
	cases := map[string]string{
		"":                        "a/5f00aa-guid",
		"_history":                "a/2 a/5f00aa-guid",
		"_deleted":                "a/5f00aa-guid b/1!",
		"_history,_deleted":       "a/2 a/5f00aa-guid b/1!",
		"_history&_type=Resource": "",
	}
	for query, want := range cases {
		if query != "" {
			query = "?includeAssociatedData=" + query
		}
		_, lines := s.exported("/$export" + query)
		if got := names(t, lines); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
		for _, line := range lines {
			if strings.Contains(line, `"2"`) && line != `{"resourceType":"Patient","id":"a","meta":{"versionId":"2","lastUpdated":"2024-01-01T00:00:00.001+00:00","profile":["p"]},"active":true}` {
				t.Errorf("got line %s", line)
			}
			if strings.Contains(line, `"b"`) && !strings.Contains(line, `"meta":{"versionId":"1","lastUpdated":"2024-01-01T00:00:00.001+00:00","extension":[{"url":"http://azurehealthcareapis.com/data-extensions/deleted-state","valueString":"soft-deleted"}]}`) {
				t.Errorf("got deleted line %s", line)
			}
		}
	}
	s.HardDelete("Patient", "a")
	if _, lines := s.exported("/$export?includeAssociatedData=_history,_deleted"); names(t, lines) != "b/1!" {
		t.Errorf("after a hard delete: got %q", names(t, lines))
	}
}
