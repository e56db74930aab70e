package server

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// answersByCall is what each call answers when all is well; nil: the document itself.
func answersByCall() map[string]any {
	return map[string]any{
		"GET /api/migration": statusJSON{}, "POST /api/migration/start": statusJSON{}, "POST /api/migration/pause": statusJSON{},
		"POST /api/migration/resume": statusJSON{}, "POST /api/migration/stop": statusJSON{}, "POST /api/migration/cutover": statusJSON{},
		"POST /api/migration/retry": statusJSON{}, "GET /api/migration/chunks": chunkPageJSON{}, "GET /api/migration/chunks/{id}": recordJSON{},
		"GET /api/migration/rejects": rejectPageJSON{}, "GET /api/migration/checks": checkListJSON{}, "POST /api/migration/checks": checkResultJSON{},
		"GET /api/migration/checks/{id}": checkResultJSON{}, "GET /api/migration/access": accessJSON{}, "GET /api/migration/openapi.json": nil,
	}
}

// shapes are the Go types that are written as JSON, by the names of their schemas.
func shapes() map[string]any {
	return map[string]any{
		"Status": statusJSON{}, "DeIdentification": deIdentificationJSON{}, "Quiet": quietJSON{}, "ChunkCounts": countsJSON{}, "Tally": tallyJSON{},
		"ShownCheck": shownCheckJSON{}, "RunProblem": problemJSON{}, "ChunkPage": chunkPageJSON{}, "Chunk": chunkJSON{}, "Job": jobJSON{},
		"ChunkRecord": recordJSON{}, "EndedJob": endedJobJSON{}, "Manifest": manifestJSON{}, "File": fileJSON{}, "RejectCounts": rejectsJSON{},
		"RejectPage": rejectPageJSON{}, "Reject": rejectJSON{}, "CheckList": checkListJSON{}, "CheckSummary": checkSummaryJSON{},
		"Check": checkResultJSON{}, "CountRow": countRowJSON{}, "CountPair": pairJSON{}, "SampleRow": sampleRowJSON{}, "SidePair": sidesJSON{},
		"Finding": findingJSON{}, "Access": accessJSON{}, "AccessLine": checkJSON{}, "Problem": problem{}, "SettingProblem": settingJSON{},
		"SearchParameters": parametersJSON{}, "Reindex": reindexJSON{},
	}
}

// enums are the Go types of words, by the names of their schemas.
func enums() map[string]any {
	return map[string]any{
		"MigrationState": migration.Shown(""), "Mode": migration.Mode(""), "SourceKind": migration.SourceKind(""), "ChunkState": migration.State(""),
		"CheckKind": migration.ErrandKind(""), "Verdict": migration.Verdict(""), "Side": migration.Side(""), "RejectClass": migration.RejectClass(""),
		"StepState": engine.StepState(""), "ReindexState": engine.ReindexState(""),
	}
}

// orders are the bodies that are read field by field; their schemas are compared with the readers.
func orders() []string { return []string{"StartOrder", "CheckOrder"} }

// TestEveryAnswerIsDescribed: each call has the schema of what it answers.
func TestEveryAnswerIsDescribed(t *testing.T) {
	names := nameByType()
	answers := answersByCall()
	for _, o := range operations(openapiDocument()) {
		answer, known := answers[o.route()]
		delete(answers, o.route())
		if !known {
			t.Errorf("%s: tell this test what it answers", o.route())
			continue
		}
		for _, status := range o.names("responses") {
			schema := o.at("responses", status, "content", "application/json", "schema")
			if strings.HasPrefix(status, "2") && answer != nil && schema.component() != names[reflect.TypeOf(answer)] {
				t.Errorf("%s %s: got the schema %q, want %q", o.route(), status, schema.component(), names[reflect.TypeOf(answer)])
			}
		}
	}
	if len(answers) > 0 {
		t.Errorf("not described: %v", slices.Sorted(maps.Keys(answers)))
	}
}

func nameByType() map[reflect.Type]string {
	names := map[reflect.Type]string{}
	for name, shape := range shapes() {
		names[reflect.TypeOf(shape)] = name
	}
	return names
}

// TestEverySchemaIsAShape: fields, types, what may be null and what may be left out, both ways.
func TestEverySchemaIsAShape(t *testing.T) {
	document := openapiDocument()
	known := slices.Concat(slices.Collect(maps.Keys(shapes())), slices.Collect(maps.Keys(enums())), orders())
	described := document.names("components", "schemas")
	for _, name := range described {
		if !slices.Contains(known, name) {
			t.Errorf("%s: no shape is written so", name)
		}
	}
	for name, shape := range shapes() {
		schema := document.at("components", "schemas", name)
		if schema == nil {
			t.Errorf("%s: not described", name)
			continue
		}
		if more := schema.at("additionalProperties"); !schema.hasType("object") || more == nil || more.value != false {
			t.Errorf("%s: want an object without further fields", name)
		}
		fields := fieldsOf(reflect.TypeOf(shape))
		var names, required []string
		for _, f := range fields {
			names = append(names, f.name)
			if !f.omitted {
				required = append(required, f.name)
			}
			property := schema.at("properties", f.name)
			if property == nil {
				t.Errorf("%s.%s: not described", name, f.name)
				continue
			}
			if wrong := matches(property, f.kind); wrong != "" {
				t.Errorf("%s.%s: %s", name, f.name, wrong)
			}
		}
		for _, got := range schema.names("properties") {
			if !slices.Contains(names, got) {
				t.Errorf("%s.%s: no shape has this field", name, got)
			}
		}
		if got := slices.Sorted(slices.Values(schema.texts("required"))); !slices.Equal(got, slices.Sorted(slices.Values(required))) {
			t.Errorf("%s: got required %q, want %q", name, got, required)
		}
	}
}

type shapeField struct {
	name    string
	kind    reflect.Type
	omitted bool // when it is empty
}

// fieldsOf are the fields that encoding/json writes of a type. Those of an embedded one give way to fields of the same
// name. A type that writes itself names its fields in what it writes.
func fieldsOf(shape reflect.Type) []shapeField {
	var fields []shapeField
	if _, own := reflect.Zero(shape).Interface().(json.Marshaler); own {
		raw, err := json.Marshal(reflect.Zero(shape).Interface())
		if err != nil {
			panic(err)
		}
		var written map[string]int64
		if err := json.Unmarshal(raw, &written); err != nil {
			panic(err)
		}
		for name := range written {
			fields = append(fields, shapeField{name: name, kind: reflect.TypeFor[int64]()})
		}
		return fields
	}
	var embedded []shapeField
	for i := range shape.NumField() {
		f := shape.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		omitted, kind := strings.Contains(options, "omit"), f.Type
		if f.Anonymous {
			embedded = append(embedded, fieldsOf(f.Type)...)
			continue
		}
		if omitted && kind.Kind() == reflect.Pointer {
			kind = kind.Elem() // it is left out where it would be null
		}
		fields = append(fields, shapeField{name, kind, omitted})
	}
	for _, e := range embedded {
		if !slices.ContainsFunc(fields, func(f shapeField) bool { return f.name == e.name }) {
			fields = append(fields, e)
		}
	}
	return fields
}

// matches compares a schema with the Go type that is written; it says what is wrong.
func matches(schema *node, kind reflect.Type) string {
	rest, null := schema.nullable()
	instants := kind == reflect.TypeFor[instant]()
	if want := kind.Kind() == reflect.Pointer || instants; null != want {
		return "got null " + strconv.FormatBool(null) + ", want " + strconv.FormatBool(want)
	}
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if name := nameByType()[kind]; name != "" {
		return unless(rest.component() == name, "want the schema "+name)
	}
	for name, word := range enums() {
		if reflect.TypeOf(word) == kind {
			return unless(rest.component() == name, "want the schema "+name)
		}
	}
	switch {
	case instants:
		return unless(schema.hasType("string") && schema.text("format") == "date-time", "want a date-time")
	case kind.PkgPath() != "":
		return "the type " + kind.String() + " is not known to this test: add it to its shapes or enums"
	case kind.Kind() == reflect.String:
		return unless(schema.hasType("string"), "want a string")
	case kind.Kind() == reflect.Bool:
		return unless(schema.hasType("boolean"), "want a boolean")
	case kind.Kind() == reflect.Int, kind.Kind() == reflect.Int64:
		return unless(schema.hasType("integer"), "want an integer")
	case kind.Kind() == reflect.Float64:
		return unless(schema.hasType("number"), "want a number")
	case kind == reflect.TypeFor[[]any]():
		return matchesRows(schema)
	case kind.Kind() == reflect.Slice:
		if !schema.hasType("array") || schema.at("items") == nil {
			return "want an array"
		}
		return matches(schema.at("items"), kind.Elem())
	}
	return "no schema is known for " + kind.String()
}

func unless(ok bool, wrong string) string {
	if ok {
		return ""
	}
	return wrong
}

// matchesRows compares the rows of a check with the kinds of them that showCheck writes.
func matchesRows(schema *node) string {
	var got []string
	for _, row := range schema.at("items", "anyOf").list() {
		got = append(got, row.component())
	}
	return unless(slices.Equal(got, []string{"CountRow", "SampleRow", "AccessLine"}), "want the rows of all kinds of checks")
}

// TestEnumsAreTheCodes: each word that the code has, and no other.
func TestEnumsAreTheCodes(t *testing.T) {
	document := openapiDocument()
	for name, word := range enums() {
		kind := reflect.TypeOf(word)
		want := constantsOf(t, kind)
		if kind == reflect.TypeFor[migration.ErrandKind]() {
			want = nil // an operator sees the kinds of checks alone
			for _, k := range migration.CheckKinds() {
				want = append(want, string(k))
			}
		}
		if got := document.at("components", "schemas", name).texts("enum"); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	var states []string
	for _, s := range migration.States() {
		states = append(states, string(s))
	}
	if got := document.at("components", "schemas", "ChunkState").texts("enum"); !slices.Equal(got, states) {
		t.Errorf("ChunkState: got %q, want the order of the walk %q", got, states)
	}
}

// constantsOf are the values of the typed constants of a type, from the source of its package.
func constantsOf(t *testing.T, kind reflect.Type) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.Base(kind.PkgPath()), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != kind.Name() {
				return true
			}
			for _, v := range spec.Values {
				if literal, ok := v.(*ast.BasicLit); ok {
					text, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatalf("%s: %v", file, err)
					}
					values = append(values, text)
				}
			}
			return true
		})
	}
	if len(values) < 2 {
		t.Fatalf("%s: got constants %q, want those of the package", kind, values)
	}
	return values
}
