package server

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sourcesHere are the parsed production files of this package.
func sourcesHere(t *testing.T) []*ast.File {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".go") && !strings.HasSuffix(entry.Name(), "_test.go") {
			parsed, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, parsed)
		}
	}
	return files
}

// namesReadBy lists, by function, the names that pick finds in it.
func namesReadBy(t *testing.T, pick func(ast.Node) []ast.Expr) map[string][]string {
	t.Helper()
	read := map[string][]string{}
	for _, file := range sourcesHere(t) {
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				for _, e := range pick(n) {
					literal, ok := e.(*ast.BasicLit)
					if !ok || literal.Kind != token.STRING {
						continue
					}
					if name, err := strconv.Unquote(literal.Value); err == nil && !slices.Contains(read[f.Name.Name], name) {
						read[f.Name.Name] = append(read[f.Name.Name], name)
					}
				}
				return true
			})
		}
	}
	return read
}

// TestParametersAreThoseRead: each parameter of a query that the code reads is described, and the reverse.
func TestParametersAreThoseRead(t *testing.T) {
	readers := map[string]string{
		"GET /api/migration/chunks":  "readChunkQuery",
		"GET /api/migration/rejects": "readRejectQuery",
	}
	read := namesReadBy(t, func(n ast.Node) []ast.Expr {
		switch n := n.(type) {
		case *ast.IndexExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "values" {
				return []ast.Expr{n.Index}
			}
		case *ast.SelectorExpr:
			if slices.Contains([]string{"FormValue", "PostFormValue", "Query", "ParseForm"}, n.Sel.Name) {
				t.Errorf("%s: this test does not see what it reads", n.Sel.Name)
			}
		}
		return nil
	})
	for name := range read {
		if !slices.Contains(slices.Collect(maps.Values(readers)), name) {
			t.Errorf("%s reads a query: tell this test of which call", name)
		}
	}
	for _, o := range operations(openapiDocument()) {
		got := slices.Sorted(slices.Values(o.parameters("query")))
		want := slices.Sorted(slices.Values(read[readers[o.route()]]))
		if !slices.Equal(got, want) {
			t.Errorf("%s: got parameters %q, want %q", o.route(), got, want)
		}
	}
}

// TestParametersAreHeldToTheirSchema: a call takes the example of each of its parameters, and refuses, by name, what the
// schema refuses.
func TestParametersAreHeldToTheirSchema(t *testing.T) {
	for _, o := range operations(openapiDocument()) {
		for _, p := range o.at("parameters").list() {
			if p.text("in") != "query" {
				continue
			}
			name, example := p.text("name"), fmt.Sprint(p.at("example").value)
			s := open(t, result{})
			if got := s.send(o.method, o.path+"?"+name+"="+url.QueryEscape(example), ""); got.status != 200 {
				t.Errorf("%s: %s=%s: got %+v, want 200", o.route(), name, example, got)
			}
			plain := open(t, result{})
			plain.send(o.method, o.path, "")
			if slices.Equal(s.calls, plain.calls) {
				t.Errorf("%s: %s=%s makes no difference", o.route(), name, example)
			}
			for _, bad := range []string{"!", "0 "} {
				wantProblem(t, open(t, result{}).send(o.method, o.path+"?"+name+"="+url.QueryEscape(bad), ""), http.StatusUnprocessableEntity, name+": ")
			}
			if name == "limit" {
				least := fmt.Sprint(p.at("schema", "minimum").value)
				if got := open(t, result{}).send(o.method, o.path+"?limit="+least, ""); got.status != 200 || least != "1" {
					t.Errorf("%s: limit=%s: got %+v, want 200", o.route(), least, got)
				}
			}
		}
	}
}

// TestPatternsAreTheCodes: the forms of the document are the regular expressions of the code.
func TestPatternsAreTheCodes(t *testing.T) {
	known := map[string][]string{
		typeForm.String():         {"type", "types"},
		chunkForm.String():        {"after", "chunk"},
		rejectCursorForm.String(): {"after"},
		durationForm.String():     {"window"},
	}
	used := map[string]bool{}
	var of func(name string, n *node)
	of = func(name string, n *node) {
		for _, k := range n.keys {
			child := n.fields[k]
			if k == "pattern" {
				text, _ := child.value.(string)
				used[text] = true
				if !slices.Contains(known[text], name) {
					t.Errorf("%s: got the pattern %s, which is not that of the code", name, text)
				}
				continue
			}
			if parameter := child.text("name"); parameter != "" {
				of(parameter, child)
			} else if slices.Contains([]string{"schema", "anyOf", "items", "in"}, k) {
				of(name, child)
			} else {
				of(k, child)
			}
		}
		for _, item := range n.items {
			if parameter := item.text("name"); parameter != "" {
				of(parameter, item)
			} else {
				of(name, item)
			}
		}
	}
	of("", openapiDocument())
	for pattern := range known {
		if !used[pattern] {
			t.Errorf("no description has the pattern %s", pattern)
		}
	}
}

// TestFieldsAreThoseRead: each field of a body that the code reads is described, and the reverse.
func TestFieldsAreThoseRead(t *testing.T) {
	document := openapiDocument()
	read := namesReadBy(t, func(n ast.Node) []ast.Expr {
		literal, ok := n.(*ast.CompositeLit)
		if !ok {
			return nil
		}
		if _, ok := literal.Type.(*ast.MapType); !ok {
			return nil
		}
		var keys []ast.Expr
		for _, e := range literal.Elts {
			if pair, ok := e.(*ast.KeyValueExpr); ok {
				keys = append(keys, pair.Key)
			}
		}
		return keys
	})
	for order, reader := range map[string]string{"StartOrder": "override", "CheckOrder": "orderField"} {
		got := slices.Sorted(slices.Values(document.names("components", "schemas", order, "properties")))
		if want := slices.Sorted(slices.Values(read[reader])); !slices.Equal(got, want) {
			t.Errorf("%s: got fields %q, want %q", order, got, want)
		}
	}
}

// TestBodiesAreHeldToTheirSchema sends bodies that lie on both sides of every bound: what the schema takes the code takes,
// and what the one refuses the other does.
func TestBodiesAreHeldToTheirSchema(t *testing.T) {
	instants := []any{"2024-01-31T00:00:00Z", "2024-01-31T00:00:00.123+01:00", nil, "yesterday", "2024-01-31", 5, ""}
	types := []any{[]string{"Patient"}, []string{"Patient", "Observation"}, "Patient", nil, []string{}, []string{"patient"}, 5, []any{5}}
	for _, c := range []struct {
		path, order string
		base        map[string]any
		values      map[string][]any
	}{
		{"/api/migration/start", "StartOrder", map[string]any{}, map[string][]any{
			"mode": {"once", "continuous", nil, "export", "Once", "", 5}, "since": instants, "until": instants, "types": types,
			"window": {"30d", "250ms", nil, "30", "d", "-1d", "1w", 30, ""}, "more": {1},
		}},
		{"/api/migration/checks", "CheckOrder", map[string]any{"kind": "deep"}, map[string][]any{
			"kind": {"surface", "deep", "access", nil, "reindex", "parameters", "", 5}, "types": types, "asOf": instants,
			"sample": {1, 100, nil, 0, 101, 1.5, "5"}, "seed": {0, mostSeed, nil, -1, mostSeed + 1, "5"}, "more": {1},
		}},
	} {
		schema := schemaAt(t, "/components/schemas/"+c.order)
		for field, values := range c.values {
			for _, value := range values {
				body := maps.Clone(c.base)
				body[field] = value
				raw, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				valid := schema.Validate(anyJSON(t, raw)) == nil
				got := open(t, result{}).send("POST", c.path, string(raw))
				if taken := got.status == http.StatusAccepted; taken != valid {
					t.Errorf("%s %s: got %d %s, and the schema takes it: %v", c.path, raw, got.status, got.body, valid)
				}
			}
		}
	}
}
