package fhirsim

import (
	"strings"
	"testing"
)

// S42: what each role may do, 401 for an unknown token, 403 for an action that is not granted.
func TestRoles(t *testing.T) {
	s := newSim(t, Gen2, func(o *Options) {
		o.RequireToken = "all"
		o.Roles = map[string][]Role{"reader": {RoleReader}, "writer": {RoleWriter}, "exporter": {RoleExporter}, "importer": {RoleImporter},
			"contributor": {RoleContributor}, "both": {RoleExporter, RoleImporter}, "none": {}}
	})
	tokens := []string{"nobody", "none", "reader", "writer", "exporter", "importer", "both", "contributor", "all"}
	s.Put("Patient", "a", []byte(`{}`))
	for _, c := range []struct {
		method, path, body string
		want               string // by token: 1 for 401, 3 for 403, the rest is let through
	}{
		{"GET", "/metadata", "", "........."},
		{"GET", "/Patient/a", "", "13......."},
		{"GET", "/?_summary=count", "", "13......."},
		{"GET", "/Patient/_history", "", "13......."},
		{"PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`, "133.333.."},
		{"DELETE", "/Patient/none", "", "133.333.."},
		{"DELETE", "/Patient/none?hardDelete=true", "", "1333333.."},
		{"GET", "/$export", "", "1333.3..."},
		{"GET", "/Patient/$export", "", "1333.3..."},
		{"GET", "/_operations/export/99", "", "1333.3..."},
		{"DELETE", "/_operations/export/99", "", "1333.3..."},
		{"POST", "/$import", "{}", "13333...."},
		{"GET", "/_operations/import/99", "", "13333...."},
		{"DELETE", "/_operations/import/99", "", "13333...."},
		{"POST", "/$reindex", "{}", "1333333.."},
		{"GET", "/_operations/reindex/99", "", "1333333.."},
		{"PUT", "/SearchParameter/eye", parameterOf("eye", "http://x/eye"), "1333333.."},
		{"GET", "/SearchParameter", "", "13......."},
		{"GET", "/nonsense/at/all", "", "1........"},
	} {
		got := ""
		for _, token := range tokens {
			r := s.do(c.method, c.path, c.body, "Authorization", "Bearer "+token, "Content-Type", fhirJSON)
			switch r.status {
			case 401:
				got += "1"
			case 403:
				got += "3"
				if code, text := diagnostics(t, r); code != "forbidden" || text != "Authorization failed." {
					t.Errorf("%s %s by %s: got %s %s", c.method, c.path, token, code, text)
				}
			default:
				got += "."
			}
		}
		if got != c.want {
			t.Errorf("%s %s: got %s, want %s for %v", c.method, c.path, got, c.want, tokens)
		}
	}
	body := batchOf(entryFor("GET", "Patient/a", ""), entryFor("PUT", "Patient/b", `{"resourceType":"Patient","id":"b"}`), entryFor("PUT", "SearchParameter/n", parameterOf("n", "http://x/n")))
	for _, c := range [][2]string{{"none", "403 403 403"}, {"reader", "200 403 403"}, {"writer", "200 201 403"}, {"contributor", "200 200 201"}} {
		r := s.do("POST", "/", body, "Authorization", "Bearer "+c[0], "Content-Type", fhirJSON)
		var b batchReply
		mustDecode(t, r.body, &b)
		var got []string
		for _, e := range b.Entry {
			got = append(got, e.Response.Status)
		}
		if strings.Join(got, " ") != c[1] {
			t.Errorf("batch by %s: got %v, want %s", c[0], got, c[1])
		}
	}
	s.SetRoles("reader", RoleImporter)
	if r := s.do("POST", "/$import", "{}", "Authorization", "Bearer reader"); r.status != 400 {
		t.Errorf("after the grant: got %d, want the 400 of the body", r.status)
	}
	if r := s.do("GET", "/Patient", "", "Authorization", "reader"); r.status != 401 {
		t.Errorf("no bearer token: got %d, want 401", r.status)
	}
}

// An open-source server or another build can be played.
func TestSoftware(t *testing.T) {
	s := newSim(t, Gen2, func(o *Options) { o.SoftwareName, o.SoftwareVersion = "Microsoft FHIR Server", "4.0.9" })
	if body := s.get("/metadata").body; !strings.Contains(body, `"software":{"name":"Microsoft FHIR Server","version":"4.0.9"}`) {
		t.Errorf("got %s", body[:200])
	}
}
