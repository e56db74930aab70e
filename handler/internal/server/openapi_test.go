package server

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi/datamodel"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"fhirferry/handler/internal/engine"
)

// The document and the code are kept equal: this file looks at the document as a whole, the files beside it at shapes,
// at what is accepted, and at every answer that a test of this package gets.

func TestDescriptionNeedsNoEngine(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"usable": func(*Options) {},
		"no engine": func(o *Options) {
			o.Verbs, o.Settings = nil, []engine.SettingProblem{{Setting: "FERRY_POLL", Detail: "is no duration", Remedy: "write 30s"}}
		},
	} {
		s := open(t, result{}, change)
		got := s.send("GET", "/api/migration/openapi.json", "")
		if got.status != 200 || got.header.Get("Content-Type") != "application/json" || got.body != string(description) {
			t.Errorf("%s: got %d %v and %d bytes, want the document of %d bytes", name, got.status, got.header, len(got.body), len(description))
		}
		if len(s.calls) > 0 || s.log.Len() > 0 {
			t.Errorf("%s: got calls %v and log %q, want none", name, s.calls, s.log)
		}
	}
}

// TestDescriptionIsOpenAPI holds the document to the schema that the OpenAPI Initiative publishes for 3.1, and its
// schemas to JSON Schema 2020-12.
func TestDescriptionIsOpenAPI(t *testing.T) {
	published, err := jsonschema.UnmarshalJSON(strings.NewReader(datamodel.OpenAPI31SchemaData))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("https://openapi.test/3.1", published); err != nil {
		t.Fatal(err)
	}
	openapi := compiler.MustCompile("https://openapi.test/3.1")
	value := anyJSON(t, description)
	if err := openapi.Validate(value); err != nil {
		t.Errorf("the document is no OpenAPI 3.1: %v", err)
	}
	delete(value.(map[string]any)["info"].(map[string]any), "version")
	if openapi.Validate(value) == nil {
		t.Error("a document without its version passes: the schema checks nothing")
	}
	document := openapiDocument()
	for _, name := range document.names("components", "schemas") {
		schemaAt(t, "/components/schemas/"+name)
	}
	ids := map[string]string{}
	for _, o := range operations(document) {
		id := o.text("operationId")
		if other, twice := ids[id]; twice {
			t.Errorf("operationId %s: at %s and %s", id, other, o.route())
		}
		ids[id] = o.route()
	}
}

// TestDescriptionIsWhole: each $ref leads somewhere, and each component is used.
func TestDescriptionIsWhole(t *testing.T) {
	document := openapiDocument()
	used := map[string]bool{}
	document.walk("#", func(place string, n *node) {
		if n.at("$ref") == nil || strings.Contains(place, "/examples/") {
			return
		}
		used[n.text("$ref")] = true
		if n.resolve(document) == nil {
			t.Errorf("%s: $ref %q leads nowhere", place, n.text("$ref"))
		}
	})
	for _, kind := range []string{"schemas", "responses"} {
		for _, name := range document.names("components", kind) {
			if !used["#/components/"+kind+"/"+name] {
				t.Errorf("components/%s/%s: nothing refers to it", kind, name)
			}
		}
	}
}

// TestEveryRouteIsDescribed, and every description has a route.
func TestEveryRouteIsDescribed(t *testing.T) {
	notAnOperators := map[string]string{
		"GET /":               "the host's probe",
		"POST /tick":          "the host's timer",
		"POST /visit":         "the host's queue",
		"GET /api/migration/": "GET /api/migration, as the host may write it",
	}
	var want, got []string
	for _, route := range routes(t) {
		if _, left := notAnOperators[route]; !left {
			want = append(want, route)
		}
	}
	for _, o := range operations(openapiDocument()) {
		got = append(got, o.route())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("calls of the document:\ngot  %q\nwant %q", got, want)
	}
}

// TestTagsNameTheFunction: the tag of a call says whose key opens it, and both ways to send one are there.
func TestTagsNameTheFunction(t *testing.T) {
	document := openapiDocument()
	all := routes(t)
	for _, o := range operations(document) {
		tags := o.texts("tags")
		if len(tags) != 1 || !slices.Contains(served(t, tags[0], all), o.route()) {
			t.Errorf("%s: got tags %q, want the one function that brings it here", o.route(), tags)
		}
		if o.at("security") != nil {
			t.Errorf("%s: has a security of its own; want the key that every call needs", o.route())
		}
		for _, name := range o.pathParameters() {
			if !strings.Contains(o.path, "{"+name+"}") {
				t.Errorf("%s: parameter %s is not in the path", o.route(), name)
			}
		}
		if got, want := len(o.pathParameters()), strings.Count(o.path, "{"); got != want {
			t.Errorf("%s: got %d parameters of the path, want %d", o.route(), got, want)
		}
	}
	ways := map[string]string{}
	for _, required := range document.at("security").items {
		for _, name := range required.keys {
			scheme := document.at("components", "securitySchemes", name)
			ways[scheme.text("in")] = scheme.text("name")
		}
	}
	if want := map[string]string{"header": "x-functions-key", "query": "code"}; !maps.Equal(ways, want) {
		t.Errorf("ways to send a key: got %v, want %v", ways, want)
	}
}

// TestErrorsAreDescribed: each call tells its errors by status, all in the one form, and what else may come.
func TestErrorsAreDescribed(t *testing.T) {
	document := openapiDocument()
	for _, o := range operations(document) {
		for _, status := range o.names("responses") {
			answer := o.at("responses", status).resolve(document)
			content := answer.names("content")
			switch {
			case answer.text("description") == "":
				t.Errorf("%s %s: has no description", o.route(), status)
			case strings.HasPrefix(status, "2"):
				if !slices.Equal(content, []string{"application/json"}) {
					t.Errorf("%s %s: got content %q, want JSON", o.route(), status, content)
				}
			case status == "401":
				if content != nil {
					t.Errorf("%s 401: got content %q, want none: the host answers", o.route(), content)
				}
			case !slices.Equal(content, []string{"application/problem+json"}) || answer.at("content", content[0], "schema").component() != "Problem":
				t.Errorf("%s %s: got content %q, want a Problem", o.route(), status, content)
			}
		}
		for _, status := range []string{"401", "default"} {
			if o.at("responses", status) == nil {
				t.Errorf("%s: want the answer %s", o.route(), status)
			}
		}
		if takes := o.at("requestBody") != nil; takes != (o.at("responses", "413") != nil) {
			t.Errorf("%s: takes a body %v, and 413 says otherwise", o.route(), takes)
		}
	}
}

// TestEveryNullHasAMeaning, every field a description, and every value of an enum too.
func TestEveryNullHasAMeaning(t *testing.T) {
	document := openapiDocument()
	for _, name := range document.names("components", "schemas") {
		schema := document.at("components", "schemas", name)
		said := schema.text("description")
		if said == "" {
			t.Errorf("%s: has no description", name)
		}
		for _, value := range schema.texts("enum") {
			if !strings.Contains(said, "- `"+value+"`: ") {
				t.Errorf("%s: does not say what %s means", name, value)
			}
		}
		for _, field := range schema.names("properties") {
			property := schema.at("properties", field)
			said := property.text("description")
			_, null := property.nullable()
			for _, way := range property.at("anyOf").list() {
				null = null || way.text("type") == "null"
			}
			if said == "" || null && !strings.Contains(strings.ToLower(said), "null: ") {
				t.Errorf("%s.%s: got description %q, want what it means, and what null does", name, field, said)
			}
		}
	}
}

// TestExamplesAreValid: a person who copies one gets what the schema promises.
func TestExamplesAreValid(t *testing.T) {
	checked := 0
	openapiDocument().walk("", func(place string, n *node) {
		if n.at("schema") == nil {
			return
		}
		schema := schemaAt(t, place+"/schema")
		value := func(tail string) {
			checked++
			if err := schema.Validate(valueAt(t, place+tail)); err != nil {
				t.Errorf("%s%s: %v", place, tail, err)
			}
		}
		if n.at("example") != nil {
			value("/example")
		}
		for _, name := range n.names("examples") {
			value("/examples/" + name + "/value")
		}
		if n.at("example") == nil && n.at("examples") == nil && n.text("schema", "type") != "string" {
			t.Errorf("%s: has no example", place)
		}
	})
	if checked < 30 {
		t.Errorf("got %d examples, want those of every call", checked)
	}
}

func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	return n.items
}

func (o operationOf) parameters(in string) (names []string) {
	for _, p := range o.at("parameters").list() {
		if p.text("in") == in {
			names = append(names, p.text("name"))
		}
	}
	return names
}

func (o operationOf) pathParameters() []string { return o.parameters("path") }

func anyJSON(t *testing.T, raw []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("read JSON: %v", err)
	}
	return value
}

// valueAt is the value at a JSON pointer into the document.
func valueAt(t *testing.T, pointer string) any {
	t.Helper()
	value := anyJSON(t, description)
	for _, name := range strings.Split(pointer, "/")[1:] {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		switch within := value.(type) {
		case map[string]any:
			value = within[name]
		case []any:
			var i int
			if err := json.Unmarshal([]byte(name), &i); err != nil || i >= len(within) {
				t.Fatalf("%s: there is no %q", pointer, name)
			}
			value = within[i]
		default:
			t.Fatalf("%s: nothing below %q", pointer, name)
		}
	}
	return value
}

// schemas compiles each schema of the document once for all tests, none of which runs beside another.
var schemas = sync.OnceValues(func() (*jsonschema.Compiler, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	return compiler, compiler.AddResource("https://openapi.test/openapi.json", value)
})

// schemaAt is the schema at a JSON pointer into the document.
func schemaAt(t *testing.T, pointer string) *jsonschema.Schema {
	t.Helper()
	compiler, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("https://openapi.test/openapi.json#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer))
	if err != nil {
		t.Fatalf("schema at %s: %v", pointer, err)
	}
	return schema
}
