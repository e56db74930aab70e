package fhirsim

import (
	"strings"
	"testing"
	"time"
)

// S22: the validations of contract 4.3, in their order and with their texts.
func TestImportRefusals(t *testing.T) {
	good := "https://acct.blob.example/in/a.ndjson"
	input := func(url, typ string) string {
		return `{"name":"input","part":[{"name":"type","valueString":"` + typ + `"},{"name":"url","valueUri":"` + url + `"}]}`
	}
	format := `{"name":"inputFormat","valueString":"application/fhir+ndjson"}`
	mode := func(m string) string { return `{"name":"mode","valueString":"` + m + `"}` }
	storage := `{"name":"storageDetail","part":[{"name":"type","valueCode":"s3"}]}`
	body := func(items ...string) string {
		return `{"resourceType":"Parameters","parameter":[` + strings.Join(items, ",") + `]}`
	}
	cases := []struct{ name, body, want string }{
		{"not JSON", "{", "Import request must be specified as a Paramters."},
		{"not Parameters", `{"resourceType":"Patient"}`, "Import request must be specified as a Paramters."},
		{"slice beyond int32", body(format, input(good, ""), `{"name":"processingUnitBytesToRead","valueInteger":3000000000}`), "Import request must be"},
		{"format before storage", body(storage), "Value of the following parameter inputFormat is invalid."},
		{"storage before inputs", body(format, storage), "Value of the following parameter storageDetails is invalid."},
		{"no input", body(format), "Value of the following parameter input is invalid."},
		{"duplicates before types", body(format, input(good, "Shoe"), input(good, "Shoe")), "Import request cannot have duplicate files. Found duplicates: " + good + ". "},
		{"type before url", body(format, input("relative", "Shoe")), "Requested operation does not support resource type: Shoe."},
		{"relative", body(format, input("in/a.ndjson", "")), "Value of the following parameter input.url is invalid."},
		{"query", body(format, input(good+"?sv=1", "")), "Value of the following parameter input.url is invalid."},
		{"one bad url before a foreign host", body(format, input("https://other.example/a", ""), input("in/a", "")), "Value of the following parameter input.url is invalid."},
		{"foreign host before search parameter", body(format, input("https://other.example/a", "SearchParameter")), "input.url must match the configured integration storage account endpoint."},
		{"other scheme", body(format, input("http://acct.blob.example/in/a", "")), "input.url must match"},
		{"search parameter before mode", body(format, input(good, "SearchParameter"), mode("Load")), "Requested operation does not support resource type: SearchParameter."},
		{"mode", body(format, input(good, ""), mode("Load")), "The import mode 'Load'"},
		{"initial", body(format, input(good, ""), mode("initialload")), "Initial import mode is not enabled. Please update"},
	}
	s := newSim(t, Gen2)
	for _, c := range cases {
		r := s.postImport(c.body)
		code, text := diagnostics(t, r)
		if r.status != 400 || code != "invalid" || !strings.HasPrefix(text, c.want) {
			t.Errorf("%s: got %d %s %q, want 400 invalid %q", c.name, r.status, code, text, c.want)
		}
	}
	ok := body(format, input(good, "Patient"), mode("incrementalLOAD"))
	headers := []struct {
		list []string
		want string
	}{
		{[]string{"Content-Type", fhirJSON}, `Value supplied, ,  for the "Prefer"`},
		{[]string{"Content-Type", fhirJSON, "Prefer", "respond-async, handling=strict"}, `Value supplied, respond-async, handling=strict,  for the "Prefer"`},
		{[]string{"Content-Type", "application/json", "Prefer", "respond-async"}, "Value supplied, application/json,"},
	}
	for _, h := range headers {
		r := s.do("POST", "/$import", ok, h.list...)
		if _, text := diagnostics(t, r); r.status != 400 || !strings.HasPrefix(text, h.want) {
			t.Errorf("headers %v: got %d %q", h.list, r.status, text)
		}
	}
	if len(s.Jobs()) != 0 {
		t.Fatalf("got %d jobs after refusals", len(s.Jobs()))
	}
}

// What a kick-off accepts, and who accepts nothing.
func TestImportAcceptances(t *testing.T) {
	parameters := func(url, extra string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"inputFormat","valueString":"application/FHIR+ndjson"},` +
			extra + `{"name":"input","part":[{"name":"url","valueString":"` + url + `"}]}]}`
	}
	good := "https://acct.blob.example/in/a.ndjson"
	initial := `{"name":"mode","valueString":"InitialLoad"},`
	s := newSim(t, Gen2)
	for _, accepted := range []string{
		parameters(good, `{"name":"mode","valueString":"incrementalLOAD"},`),
		parameters("https://acct.blob.example:444/elsewhere/a", ""), // port and path are not compared
		parameters(good, initial+`{"name":"force","valueBoolean":true},`),
	} {
		if r := s.postImport(accepted); r.status != 202 {
			t.Errorf("got %d %s, want 202", r.status, r.body)
		}
	}
	for name, other := range map[string]*sim{"gen1": newSim(t, Gen1), "disabled": newSim(t, Gen2, func(o *Options) { o.ImportDisabled = true })} {
		if _, text := diagnostics(t, other.postImport("{")); text != `The requested "import" operation is not enabled` {
			t.Errorf("%s: got %q", name, text)
		}
	}
	locked := newSim(t, Gen2, func(o *Options) { o.InitialMode = true })
	if r := locked.postImport(parameters(good, initial)); r.status != 202 {
		t.Errorf("initial mode: got %d, want 202", r.status)
	}
}

// S23: the body is the identity, in any state and after the data is gone; any difference is another job.
func TestImportRegistration(t *testing.T) {
	s := newSim(t, Gen2)
	file := s.putFile("a.ndjson", `{"resourceType":"Patient","id":"a","meta":{"versionId":"1","lastUpdated":"2024-01-01T00:00:00Z"}}`)
	other := s.putFile("b.ndjson")
	body := importBodyOf("run/1", []string{file, other})
	first := s.startedImport(body)
	if got := s.startedImport(body); got != first {
		t.Errorf("while created: got %s, want %s", got, first)
	}
	s.settle()
	s.Empty()
	if got := s.startedImport(body); got != first {
		t.Errorf("completed and emptied: got %s, want %s", got, first)
	}
	s.settle()
	if len(s.Counts()) != 0 {
		t.Errorf("the old job loaded data again: %v", s.Counts())
	}
	for name, different := range map[string]string{
		"attempt": importBodyOf("run/2", []string{file, other}),
		"order":   importBodyOf("run/1", []string{other, file}),
		"flag":    importBodyOf("run/1", []string{file, other}, negative),
		"slice":   importBodyOf("run/1", []string{file, other}, `{"name":"processingUnitBytesToRead","valueInteger":77}`),
		"errors":  importBodyOf("run/1", []string{file, other}, `{"name":"errorContainerName","valueString":"errs"}`),
	} {
		if got := s.startedImport(different); got == first {
			t.Errorf("another %s gave the same job", name)
		}
	}
	failing := importBodyOf("fail", []string{s.blobs.Endpoint() + "/in/missing.ndjson"})
	dead := s.startedImport(failing)
	s.settle()
	if r := s.get(dead); r.status != 404 {
		t.Fatalf("missing file: got %d", r.status)
	}
	if got := s.startedImport(failing); got != dead {
		t.Errorf("failed: got %s, want the dead job %s", got, dead)
	}
	cancelled := importBodyOf("cancel", []string{file})
	gone := s.startedImport(cancelled)
	s.do("DELETE", gone, "")
	if got := s.startedImport(cancelled); got != gone {
		t.Errorf("cancelled: got %s, want the dead job %s", got, gone)
	}
	if id := s.Jobs()[0].ID; id > 1000 || !s.Jobs()[0].Created.Equal(start) {
		t.Errorf("got id %d, want a small one", id)
	}
	s.clock.add(time.Hour)
}
