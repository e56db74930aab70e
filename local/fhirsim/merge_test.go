package fhirsim

import (
	"fmt"
	"strings"
	"testing"
)

// line is a compact notation: id/version@HH:MM, ! for a delete, # for other content.
func line(spec string) string {
	id, rest, _ := strings.Cut(spec, "/")
	version, when, _ := strings.Cut(rest, "@")
	meta, body := "", `,"active":true`
	if strings.HasSuffix(when, "#") {
		when, body = strings.TrimSuffix(when, "#"), `,"active":false`
	}
	if strings.HasSuffix(when, "!") {
		when, body = strings.TrimSuffix(when, "!"), ""
		meta = `,"extension":[` + deletedExtension + `]`
	}
	if version != "" {
		meta = fmt.Sprintf(`,"versionId":%q`, version) + meta
	}
	if when != "" {
		meta = fmt.Sprintf(`,"lastUpdated":"2024-01-01T%s:00+00:00"`, when) + meta
	}
	return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"meta":{%s}%s}`, id, strings.TrimPrefix(meta, ","), body)
}

// S28: contract 6.2 and 6.3, each situation with the jobs it takes.
func TestMergeRules(t *testing.T) {
	cases := []struct {
		name     string
		negative bool
		jobs     []string // space-separated lines
		errors   string   // kinds of errors of all jobs: d duplicate, c conflict
		want     string
	}{
		{"same job again", false, []string{"a/1@01:00 a/2@02:00", "a/1@01:00 a/2@02:00"}, "", "a/1@01:00 a/2@02:00"},
		{"identical twice in a batch", false, []string{"a/1@01:00 a/1@01:00"}, "d", "a/1@01:00"},
		{"same instant, string order", false, []string{"a/10@01:00 a/9@01:00#"}, "d", "a/9@01:00"},
		{"same instant later, other content", false, []string{"a/1@01:00", "a/1@01:00#"}, "c", "a/1@01:00"},
		{"same instant later, other version", false, []string{"a/1@01:00", "a/2@01:00"}, "c", "a/1@01:00"},
		{"same instant later, unversioned and equal", false, []string{"a/7@01:00", "a/guid-1@01:00"}, "", "a/7@01:00"},
		{"older after newer", false, []string{"a/5@05:00", "a/2@02:00"}, "", "a/2@02:00 a/5@05:00"},
		{"same version twice", false, []string{"a/1@01:00 a/1@02:00"}, "d", "a/1@02:00"},
		{"versions against dates", false, []string{"a/1@02:00 a/2@01:00"}, "c", "a/2@01:00"},
		{"higher version, older date", false, []string{"a/3@03:00", "a/4@02:00"}, "c", "a/3@03:00"},
		{"number taken", false, []string{"a/1@01:00 a/5@05:00", "a/1@02:00"}, "c", "a/1@01:00 a/5@05:00"},
		{"negative refused", false, []string{"a/-1@01:00"}, "c", ""},
		{"negative allowed", true, []string{"a/-1@01:00"}, "", "a/-1@01:00"},
		{"delete of the unknown", false, []string{"a/2@01:00!"}, "", "a/2!@01:00"},
		{"delete, then older live", false, []string{"a/3@03:00!", "a/1@01:00 a/2@02:00"}, "", "a/1@01:00 a/2@02:00 a/3!@03:00"},
		{"guids in one batch", false, []string{"a/z-9@03:00 a/y-8@01:00 a/x-7@02:00"}, "", "a/1@01:00 a/2@02:00 a/3@03:00"},
		{"guid after a number", false, []string{"a/4@04:00", "a/guid-5@05:00"}, "", "a/4@04:00 a/5@05:00"},
		{"guid in a gap", false, []string{"a/4@04:00", "a/guid-3@03:00"}, "", "a/3@03:00 a/4@04:00"},
		{"guid between, no gap", false, []string{"a/1@01:00 a/2@03:00", "a/guid@02:00"}, "c", "a/1@01:00 a/2@03:00"},
		{"guid between, negative", true, []string{"a/1@01:00 a/2@03:00", "a/guid@02:00"}, "", "a/1@01:00 a/-1@02:00 a/2@03:00"},
		{"older guids after newer ones", true, []string{"a/new@03:00", "a/old@01:00 a/mid@02:00"}, "", "a/-1@01:00 a/-2@02:00 a/1@03:00"},
		{"older guid, not allowed", false, []string{"a/new@03:00", "a/old@01:00"}, "c", "a/1@03:00"},
		{"version without date is undated", false, []string{"a/7@"}, "", "a/1@10:00"},
		{"undated and unchanged", false, []string{"a/3@03:00", "a/@"}, "", "a/3@03:00"},
		{"undated and changed", false, []string{"a/3@03:00", "a/@#"}, "", "a/3@03:00 a/4@10:02"},
		{"undated twice", false, []string{"a/@ a/@#"}, "d", "a/1@10:00"},
		{"two ids", false, []string{"a/1@01:00 b/1@01:00"}, "", "a/1@01:00 b/1@01:00"},
	}
	for _, c := range cases {
		s := newSim(t, Gen2, func(o *Options) { o.Scale = 1e-6 })
		kinds := ""
		for i, job := range c.jobs {
			var lines, extra []string
			for spec := range strings.FieldsSeq(job) {
				lines = append(lines, line(spec))
			}
			if c.negative {
				extra = append(extra, negative)
			}
			url := s.putFile(fmt.Sprint(i), lines...)
			status := s.startedImport(importBodyOf(fmt.Sprint(i), []string{url}, extra...))
			s.clock.add(59e9)
			s.Step()
			var b importBody
			mustDecode(t, s.get(status).body, &b)
			rejected := 0
			for _, e := range b.Error {
				rejected += e.Count
				file := s.file(e.URL)
				kinds += strings.Repeat("d", strings.Count(file, "import duplicate")) + strings.Repeat("c", strings.Count(file, "version conflict"))
			}
			if b.Output[0].Count+rejected != len(lines) {
				t.Errorf("%s: job %d: %d accepted and %d errors of %d lines", c.name, i, b.Output[0].Count, rejected, len(lines))
			}
			s.clock.add(2e9)
		}
		if got := s.stored(); got != c.want || kinds != c.errors {
			t.Errorf("%s: got %q with errors %q, want %q with %q", c.name, got, kinds, c.want, c.errors)
		}
	}
}

// The destination's own later write collides with the history that arrives (contract 6.3).
func TestOwnWriteConflicts(t *testing.T) {
	s := newSim(t, Gen2)
	s.Put("Patient", "a", []byte(`{"resourceType":"Patient","id":"a"}`))
	s.settle()
	b := s.imported("x", []string{line("a/1@01:00"), line("a/2@02:00"), line("a/3@03:00")})
	if b.Output[0].Count != 0 || b.Error[0].Count != 3 {
		t.Errorf("got %+v, want 3 conflicts", b)
	}
}

// S29, S30: errors of single lines; what is not checked.
func TestLineErrors(t *testing.T) {
	cases := []struct{ line, want string }{
		{line("a/1@01:00"), ""},
		{`{"resourceType":"Patient","id":"now","meta":{"lastUpdated":"2024-06-01T11:00:09Z"}}`, ""},
		{`{"resourceType":"Patient","id":"late","meta":{"lastUpdated":"2024-06-01T13:00:11Z"}}`, "LastUpdated in the resource cannot be in the future."},
		{`{"resourceType":"Patient","id":"tz","meta":{"versionId":"1","lastUpdated":"2024-01-01T02:00:00.1239+02:00"}}`, ""},
		{`{"resourceType":"Patient","id":"bad","meta":{"lastUpdated":"yesterday"}}`, "Type checking the data"},
		{`{"resourceType":"Patient","id":"a b"}`, "Invalid resource id: 'a b'. "},
		{`{"resourceType":"Patient"}`, "Invalid resource id: ''. "},
		{`{"resourceType":"SearchParameter","id":"s"}`, "SearchParameter resources cannot be processed by import."},
		{`{"resourceType":"Shoe","id":"s"}`, "Type checking the data: Unknown type 'Shoe'."},
		{`{"resourceType":"Patient","id":"c","link":{"reference":"Patient?identifier=1"}}`, ""},
		{`{"resourceType":"Patient","id":"r","link":{"reference":"Organization/none"}}`, ""},
		{`[1]`, "Invalid JSON encountered: "},
		{`{"resourceType":7}`, "Invalid JSON encountered: element 'resourceType'"},
	}
	for _, c := range cases {
		s := newSim(t, Gen2)
		b := s.imported("x", []string{c.line})
		switch {
		case c.want == "" && len(b.Error) != 0:
			t.Errorf("%s: got error %s", c.line, s.file(b.Error[0].URL))
		case c.want != "" && (len(b.Error) != 1 || !strings.Contains(s.file(b.Error[0].URL), `"text":"`+c.want)):
			t.Errorf("%s: got %+v, want %q", c.line, b, c.want)
		}
		if strings.Contains(c.line, `"tz"`) && s.stored() != "tz/1@00:00" {
			t.Errorf("offset: got %s", s.stored())
		}
	}
}

// Content is compared after re-serializing: the order of members and white space are nothing.
func TestReimportInOtherOrder(t *testing.T) {
	s := newSim(t, Gen2)
	s.imported("x", []string{`{"resourceType":"Patient","id":"a","meta":{"versionId":"1","lastUpdated":"2024-01-01T00:00:00Z","tag":[],"profile":["p"]},"active":true,"name":[{"family":"x","text":"y"}]}`})
	b := s.imported("y", []string{`{ "id":"a", "name":[{"text":"y","family":"x"}], "active":true, "meta":{"profile":["p"],"tag":[],"lastUpdated":"2024-01-01T00:00:00Z","versionId":"1"},"resourceType":"Patient" }`})
	if b.Output[0].Count != 1 || s.stored() != "a/1@00:00" {
		t.Errorf("got %+v and %s, want a success without a write", b, s.stored())
	}
}
