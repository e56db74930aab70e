package server

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// described holds an answer against the document. Every request that a test of this package sends comes through here.
func (s *site) described(req *http.Request, got reply) {
	s.t.Helper()
	document := openapiDocument()
	for _, o := range operations(document) {
		if o.method != req.Method || !samePath(o.path, req.URL.Path) {
			continue
		}
		status := strconv.Itoa(got.status)
		if o.at("responses", status) == nil {
			status = "default"
		}
		if status == "default" && got.status < 400 {
			s.t.Errorf("%s: answers %d, which the document does not know", o.route(), got.status)
			return
		}
		place := "/paths/" + strings.ReplaceAll(o.path, "/", "~1") + "/" + strings.ToLower(o.method) + "/responses/" + status
		if ref := o.text("responses", status, "$ref"); ref != "" {
			place = strings.TrimPrefix(ref, "#")
		}
		answer := o.at("responses", status).resolve(document)
		kind := got.header.Get("Content-Type")
		if answer.at("content", kind) == nil {
			s.t.Errorf("%s %d: answers %q, want one of %q", o.route(), got.status, kind, answer.names("content"))
			return
		}
		for _, name := range answer.names("headers") {
			if got.header.Get(name) == "" {
				s.t.Errorf("%s %d: has no header %s", o.route(), got.status, name)
			}
		}
		schema := schemaAt(s.t, place+"/content/"+strings.ReplaceAll(kind, "/", "~1")+"/schema")
		if err := schema.Validate(anyJSON(s.t, []byte(got.body))); err != nil {
			s.t.Errorf("%s %d: the answer is not as the document has it: %v\n%s", o.route(), got.status, err, got.body)
		}
		return
	}
}

// samePath reports whether a request's path is one of a path with parameters.
func samePath(described, asked string) bool {
	want, got := strings.Split(described, "/"), strings.Split(strings.TrimSuffix(asked, "/"), "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != got[i] && !(strings.HasPrefix(want[i], "{") && got[i] != "") {
			return false
		}
	}
	return true
}

func TestPathsOfTheDocument(t *testing.T) {
	for _, c := range []struct {
		described, asked string
		want             bool
	}{
		{"/api/migration", "/api/migration/", true}, {"/api/migration/checks/{id}", "/api/migration/checks/x", true},
		{"/api/migration/checks/{id}", "/api/migration/checks/", false}, {"/api/migration/checks", "/api/migration/chunks", false},
	} {
		if got := samePath(c.described, c.asked); got != c.want {
			t.Errorf("%s for %s: got %v, want %v", c.described, c.asked, got, c.want)
		}
	}
}
