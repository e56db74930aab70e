package fhirsim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// parameterOf makes a SearchParameter; a later pair replaces a member.
func parameterOf(id, url string, change ...string) string {
	members := map[string]string{"url": url, "code": "eye-" + id, "type": "token", "expression": "Patient.extension.where(url='http://x/eye').value", "base": `["Patient"]`}
	for i := 0; i+1 < len(change); i += 2 {
		members[change[i]] = change[i+1]
	}
	text := fmt.Sprintf(`{"resourceType":"SearchParameter","id":%q`, id)
	for _, name := range []string{"url", "code", "type", "expression"} {
		if members[name] != "" {
			text += fmt.Sprintf(`,%q:%q`, name, members[name])
		}
	}
	return text + `,"base":` + members["base"] + `}`
}

func (s *sim) putParameter(id, body string) reply {
	s.t.Helper()
	return s.do("PUT", "/SearchParameter/"+id, body, "Content-Type", fhirJSON)
}

// reindexed runs a reindex to its end.
func (s *sim) reindexed() {
	s.t.Helper()
	r := s.do("POST", "/$reindex", `{"resourceType":"Parameters","parameter":[]}`, "Content-Type", fhirJSON)
	if r.status != 201 {
		s.t.Fatalf("$reindex: got %d %s", r.status, r.body)
	}
	s.settle()
	if got := s.reindexStatusOf(r.header.Get("Content-Location")); got != "Completed" {
		s.t.Fatalf("$reindex: got %s, want Completed", got)
	}
}

// offered lists the codes with their definitions that /metadata names for a type.
func (s *sim) offered(resourceType string) map[string]string {
	s.t.Helper()
	var m struct {
		Rest []struct {
			Resource []struct {
				Type        string
				SearchParam []struct{ Name, Definition, Type string }
			}
		}
	}
	mustDecode(s.t, s.get("/metadata").body, &m)
	codes := map[string]string{}
	for _, r := range m.Rest[0].Resource {
		for _, p := range r.SearchParam {
			if r.Type == resourceType {
				codes[p.Name] = p.Definition
			}
		}
	}
	return codes
}

// S40: the refusals of contract 8.2, in the order a client would meet them.
func TestSearchParameterRefusals(t *testing.T) {
	for _, g := range []Generation{Gen1, Gen2} {
		s := newSim(t, g)
		if r := s.putParameter("eye", parameterOf("eye", "http://x/eye")); r.status != 201 {
			t.Fatalf("first: got %d %s", r.status, r.body)
		}
		for _, c := range []struct {
			name, method, path, body string
			want                     int
			text                     string
		}{
			{"again, the same", "PUT", "eye", parameterOf("eye", "http://x/eye"), 200, ""},
			{"post of a known url", "POST", "", parameterOf("two", "http://x/eye"), 400, "A search parameter with the same definition URL 'http://x/eye' already exists."},
			{"put of a known url under another id", "PUT", "two", parameterOf("two", "http://x/eye"), 400, "same definition URL"},
			{"post of a built-in url", "POST", "", parameterOf("n", "http://hl7.org/fhir/SearchParameter/Patient-name"), 400, "same definition URL"},
			{"put of a built-in url", "PUT", "n", parameterOf("n", "http://hl7.org/fhir/SearchParameter/Patient-name"), 405, ""},
			{"same code, other expression", "PUT", "three", parameterOf("three", "http://x/three", "code", "eye-eye", "expression", "Patient.gender"), 400,
				"A search parameter with the same code value 'eye-eye' already exists for base type 'Patient'."},
			{"same code, other type", "POST", "", parameterOf("three", "http://x/three", "code", "eye-eye", "type", "string"), 400, "same code value"},
			{"same code as a built-in one, on all types", "POST", "", parameterOf("g", "http://x/g", "code", "gender", "base", `["Resource"]`), 400, "base type 'Patient'"},
			{"same code and meaning", "PUT", "twin", parameterOf("twin", "http://x/twin", "code", "eye-eye"), 201, ""},
			{"same code, other base", "PUT", "dev", parameterOf("dev", "http://x/dev", "code", "eye-eye", "base", `["Device"]`, "expression", "Device.x"), 201, ""},
			{"no url", "POST", "", parameterOf("a", ""), 400, "definition URL"},
			{"url too long", "POST", "", parameterOf("a", "http://x/"+strings.Repeat("y", 120)), 400, "128"},
			{"url of the greatest length", "PUT", "long", parameterOf("long", "http://x/"+strings.Repeat("y", 119)), 201, ""},
			{"unsupported type", "POST", "", parameterOf("a", "http://x/a", "type", "special"), 400, "special"},
			{"no expression", "POST", "", parameterOf("a", "http://x/a", "expression", ""), 400, "expression"},
			{"unknown base", "POST", "", parameterOf("a", "http://x/a", "base", `["Shoe"]`), 400, "Shoe"},
			{"base of the wrong shape", "POST", "", parameterOf("a", "http://x/a", "base", `"Patient"`), 400, "not a SearchParameter"},
		} {
			r := s.do(c.method, strings.TrimSuffix("/SearchParameter/"+c.path, "/"), c.body, "Content-Type", fhirJSON)
			if r.status != c.want || !strings.Contains(r.body, c.text) {
				t.Errorf("generation %d: %s: got %d %s, want %d %s", g, c.name, r.status, r.body, c.want, c.text)
			}
		}
		if got := s.Counts()["SearchParameter"]; got != 5 {
			t.Errorf("generation %d: got %d versions stored, want 5", g, got)
		}
		s.Faults().RefuseSearchParameter(1, 424, "PUT /SearchParameter/other", "not applied")
		if r := s.putParameter("eye", parameterOf("eye", "http://x/eye")); r.status != 200 {
			t.Errorf("fault for another id: got %d", r.status)
		}
		if r := s.putParameter("other", parameterOf("other", "http://x/other")); r.status != 424 || !strings.Contains(r.body, "not applied") {
			t.Errorf("fault: got %d %s", r.status, r.body)
		}
	}
}

// S40: paging and url of GET /SearchParameter; built-in parameters are no rows; gen1 pages may be short and empty.
func TestSearchParameterSearch(t *testing.T) {
	s := newSim(t, Gen1)
	for i := range 25 {
		s.Put("SearchParameter", fmt.Sprintf("p%02d", i), []byte(parameterOf(fmt.Sprintf("p%02d", i), fmt.Sprintf("http://x/%02d", i))))
	}
	if err := s.Faults().Arm("EmptyPages", Arm{Times: 1, Skip: 1, Route: "GET /SearchParameter"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Faults().Arm("ShortPages", Arm{Times: 1, Route: "GET /SearchParameter"}); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	seen := map[string]bool{}
	s.bundle("/Patient") // of another type, so no match for the faults
	for next := "/SearchParameter?_count=10"; next != ""; {
		b := s.bundle(next)
		for _, id := range found(t, b) {
			seen[id] = true
		}
		sizes = append(sizes, len(b.Entry))
		next = b.next()
	}
	if !slices.Equal(sizes, []int{5, 0, 10, 10}) || len(seen) != 25 {
		t.Errorf("got pages of %v with %d parameters, want 5 0 10 10 with 25", sizes, len(seen))
	}
	if got := found(t, s.bundle("/SearchParameter?url=http://x/07", "Prefer", "handling=strict")); !slices.Equal(got, []string{"p07/1"}) {
		t.Errorf("by url: got %v", got)
	}
	if got := found(t, s.bundle("/SearchParameter?url=http://x/eye")); len(got) != 0 {
		t.Errorf("an extension's url is not the parameter's: got %v", got)
	}
	if r := s.do("GET", "/Patient?url=x", "", "Prefer", "handling=strict"); r.status != 400 {
		t.Errorf("url of a type without one: got %d, want 400", r.status)
	}
}

// S40: a parameter is listed and usable only after a completed reindex, and no more once changed or deleted.
func TestSearchParameterBecomesUsable(t *testing.T) {
	const url = "http://x/eye"
	s := newSim(t, Gen2)
	s.Put("Patient", "blue", []byte(`{"extension":[{"url":"http://x/hair","valueCode":"brown"},{"url":"http://x/eye","valueCode":"blue"}]}`))
	s.Put("Patient", "brown", []byte(`{"extension":[{"url":"http://x/hair","valueCode":"blue"},{"url":"http://x/eye","valueCode":"brown"}]}`))
	strict := func(want int, header ...string) []string {
		t.Helper()
		r := s.do("GET", "/Patient?eye-eye=blue", "", append(header, "Prefer", "handling=strict")...)
		if r.status != want {
			t.Fatalf("strict search: got %d %s, want %d", r.status, r.body, want)
		}
		if want != 200 {
			return nil
		}
		var b bundle
		mustDecode(t, r.body, &b)
		return found(t, b)
	}
	s.putParameter("eye", parameterOf("eye", url))
	strict(400)
	if b := s.bundle("/Patient?eye-eye=blue"); len(found(t, b)) != 2 || b.Entry[0].Search["mode"] != "outcome" {
		t.Errorf("lenient, before: got %v, want both patients and a warning", found(t, b))
	}
	if got := s.offered("Patient"); got["eye-eye"] != "" || got["gender"] != "http://hl7.org/fhir/SearchParameter/individual-gender" {
		t.Errorf("before: /metadata offers %v", got)
	}
	if got := strict(200, "x-ms-use-partial-indices", "true"); !slices.Equal(got, []string{"blue/1"}) {
		t.Errorf("with partial indices: got %v", got)
	}
	s.reindexed()
	if got := strict(200); !slices.Equal(got, []string{"blue/1"}) {
		t.Errorf("after: got %v", got)
	}
	if got := s.offered("Patient")["eye-eye"]; got != url {
		t.Errorf("after: /metadata offers %q", got)
	}
	if got := s.offered("Device")["eye-eye"]; got != "" {
		t.Errorf("another base: /metadata offers %q", got)
	}
	s.putParameter("eye", parameterOf("eye", url))
	strict(200) // the same definition again
	s.putParameter("eye", parameterOf("eye", url, "type", "string"))
	strict(400)
	s.reindexed()
	strict(200)
	if r := s.do("DELETE", "/SearchParameter/eye", ""); r.status != 204 {
		t.Errorf("delete: got %d", r.status)
	}
	strict(400)

	seeded := newSim(t, Gen1)
	seeded.Put("SearchParameter", "eye", []byte(parameterOf("eye", url)))
	seeded.EnableSearchParameters()
	if got := seeded.offered("Patient")["eye-eye"]; got != url {
		t.Errorf("seeded: /metadata offers %q", got)
	}
}

// The subset of expressions and values that searches understand; what is beyond is refused, never silently empty.
func TestSearchByContent(t *testing.T) {
	s := newSim(t, Gen2)
	s.Put("Patient", "a", []byte(`{"gender":"male","birthDate":"1970-01-02","active":true,"name":[{"family":"Doe","given":["Ann"]}],
		"identifier":[{"system":"http://mrn","value":"12"}],"generalPractitioner":[{"reference":"Practitioner/9"}],"multipleBirthInteger":2}`))
	s.Put("Observation", "o", []byte(`{"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"1-8"}]},"subject":{"reference":"Patient/a"}}`))
	for i, c := range []struct{ expression, kind string }{
		{"Patient.active", "token"}, {"Patient.multipleBirth.ofType(integer) | Device.x", "number"}, {"Resource.id", "string"},
		{"Patient.name.where(use='official').family", "string"}, {"Patient.multipleBirth", "quantity"},
	} {
		id := fmt.Sprintf("x%d", i)
		if r := s.putParameter(id, parameterOf(id, "http://x/"+id, "code", id, "expression", c.expression, "type", c.kind)); r.status != 201 {
			t.Fatalf("%s: got %d %s", c.expression, r.status, r.body)
		}
	}
	s.reindexed()
	for query, want := range map[string]int{
		"Patient?gender=male": 1, "Patient?gender=female": 0, "Patient?gender=female,male": 1, "Patient?gender=male&name=doe": 1, "Patient?gender=male&name=x": 0,
		"Patient?name=ann": 1, "Patient?name=nn": 0, "Patient?birthdate=1970": 1, "Patient?birthdate=1971": 0,
		"Patient?identifier=12": 1, "Patient?identifier=http://mrn|12": 1, "Patient?identifier=http://mrn|": 1, "Patient?identifier=http://other|12": 0,
		"Observation?code=1-8": 1, "Observation?code=http://loinc.org|1-8": 1, "Observation?code=1": 0, "Observation?patient=Patient/a": 1, "Observation?patient=a": 1,
		"Observation?patient=b": 0, "Patient?x0=true": 1, "Patient?x1=2": 1, "Patient?x1=3": 0, "Patient?x2=A": 1,
		"Patient?_summary=count&gender=male&_lastUpdated=gt2030": 0,
	} {
		b := s.bundle("/"+strings.ReplaceAll(query, "|", "%7C")+"&_summary=count", "Prefer", "handling=strict")
		if *b.Total != want {
			t.Errorf("%s: got %d, want %d", query, *b.Total, want)
		}
	}
	for query, want := range map[string]int{"Patient?x3=a": 501, "Patient?x4=1": 501, "?_type=Patient,Observation&gender=male": 400, "?_type=Patient&gender=male": 200,
		"Patient?name:exact=Doe": 400} {
		if r := s.do("GET", "/"+query, "", "Prefer", "handling=strict"); r.status != want {
			t.Errorf("%s: got %d, want %d", query, r.status, want)
		}
	}
}

// S41: a deprecated gen1 gives its search parameters by export alone.
func TestSearchParametersByExport(t *testing.T) {
	s := newSim(t, Gen1)
	s.Put("SearchParameter", "eye", []byte(parameterOf("eye", "http://x/eye")))
	s.Put("Patient", "a", []byte(`{}`))
	s.clock.add(time.Minute)
	s.Faults().Deprecate()
	if r := s.get("/SearchParameter"); r.status != 410 {
		t.Errorf("search: got %d, want 410", r.status)
	}
	m, lines := s.exported("/$export?_type=SearchParameter")
	if len(m.Output) != 1 || m.Output[0].Type != "SearchParameter" || len(lines) != 1 || !strings.Contains(lines[0], `"url":"http://x/eye"`) {
		t.Errorf("got %+v with %v", m.Output, lines)
	}
}
