package fhirsim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func batchOf(entries ...string) string {
	return `{"resourceType":"Bundle","type":"batch","entry":[` + strings.Join(entries, ",") + `]}`
}

func entryFor(method, url, resource string) string {
	if resource != "" {
		resource = `"resource":` + resource + `,`
	}
	return fmt.Sprintf(`{%s"request":{"method":%q,"url":%q}}`, resource, method, url)
}

// batchStatuses posts a batch and lists the status of each entry.
func (s *sim) batchStatuses(body string) (string, batchReply) {
	s.t.Helper()
	r := s.do("POST", "/", body, "Content-Type", fhirJSON)
	var b batchReply
	mustDecode(s.t, r.body, &b)
	if r.status != 200 || b.Type != "batch-response" {
		s.t.Fatalf("batch: got %d %s", r.status, r.body)
	}
	var list []string
	for _, e := range b.Entry {
		list = append(list, e.Response.Status)
	}
	return strings.Join(list, " "), b
}

// S40 and F28: a batch is 200 whatever becomes of its entries.
func TestBatch(t *testing.T) {
	s := newSim(t, Gen2)
	name := "http://hl7.org/fhir/SearchParameter/Patient-name"
	put := func(id string) string {
		return entryFor("PUT", "SearchParameter/"+id, parameterOf(id, "http://x/"+id))
	}
	body := batchOf(put("a"), entryFor("POST", "SearchParameter", parameterOf("b", "http://x/b")), entryFor("PUT", "SearchParameter/n", parameterOf("n", name)),
		entryFor("GET", "SearchParameter?url=http://x/a", ""), entryFor("GET", "SearchParameter/none", ""), entryFor("DELETE", "SearchParameter/a", ""),
		entryFor("POST", "$reindex", `{"resourceType":"Parameters"}`), entryFor("GET", "https://elsewhere.example/Patient", ""), entryFor("PUT", "Shoe/a", `{}`))
	got, b := s.batchStatuses(body)
	if got != "201 201 405 200 404 204 405 400 404" {
		t.Errorf("got %s", got)
	}
	if first := b.Entry[0]; first.Response.Etag != `W/"1"` || first.Response.Location != s.url+"/SearchParameter/a/_history/1" || !strings.Contains(string(first.Resource), "http://x/a") {
		t.Errorf("first entry: got %+v", first)
	}
	if third := b.Entry[2]; !strings.Contains(string(third.Response.Outcome), "OperationOutcome") || third.Resource != nil {
		t.Errorf("refused entry: got %+v", third)
	}
	if i := slices.IndexFunc(s.Requests(), func(r Request) bool { return r.Body == body }); i < 0 {
		t.Error("the body of the batch was not recorded")
	}

	s.Faults().ThrottleBatch(1, 1)
	if got, _ := s.batchStatuses(batchOf(put("c"), put("d"), put("e"))); got != "201 429 429" {
		t.Errorf("throttled: got %s", got)
	}
	s.Faults().RefuseSearchParameter(1, 409, "PUT /SearchParameter/d", "")
	if got, _ := s.batchStatuses(batchOf(put("c"), put("d"), put("e"))); got != "200 409 201" {
		t.Errorf("chosen entry: got %s", got)
	}
	s.postReindex()
	if got, _ := s.batchStatuses(batchOf(put("f"), put("g"))); got != "409 409" {
		t.Errorf("during a reindex: got %s", got)
	}
}

// S40: the batches that are refused as a whole, and leave nothing behind.
func TestBatchRefused(t *testing.T) {
	s := newSim(t, Gen2)
	put := func(id string, change ...string) string {
		return entryFor("PUT", "SearchParameter/"+id, parameterOf(id, "http://x/"+id, change...))
	}
	var many []string
	for i := range 501 {
		many = append(many, put(fmt.Sprintf("m%d", i)))
	}
	for name, c := range map[string]struct {
		body string
		kind string
		want int
	}{
		"one url twice":     {batchOf(put("a"), put("b", "url", "http://x/a")), fhirJSON, 400},
		"one code twice":    {batchOf(put("a"), put("b", "code", "eye-a")), fhirJSON, 400},
		"too many":          {batchOf(many...), fhirJSON, 400},
		"no Bundle":         {`{"resourceType":"Patient"}`, fhirJSON, 400},
		"no JSON":           {`{`, fhirJSON, 400},
		"a history":         {`{"resourceType":"Bundle","type":"history"}`, fhirJSON, 400},
		"a transaction":     {`{"resourceType":"Bundle","type":"transaction"}`, fhirJSON, 501},
		"other media type":  {batchOf(put("a")), "text/plain", 415},
		"without any media": {batchOf(put("a")), "", 415},
	} {
		if r := s.do("POST", "/", c.body, "Content-Type", c.kind); r.status != c.want {
			t.Errorf("%s: got %d %s, want %d", name, r.status, r.body, c.want)
		}
	}
	if r := s.do("POST", "/", batchOf(put("a")), "Content-Type", fhirJSON, "Prefer", "handling=loose"); r.status != 400 {
		t.Errorf("bad handling: got %d, want 400", r.status)
	}
	if got := s.Counts(); len(got) != 0 {
		t.Errorf("got %v stored, want nothing", got)
	}
	if got, _ := s.batchStatuses(batchOf(many[:500]...)); strings.Count(got, "201") != 500 {
		t.Errorf("500 entries: got %s", got)
	}
}
