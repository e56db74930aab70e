package deploy

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	grammar "github.com/tree-sitter-grammars/tree-sitter-bicep/bindings/go"
	sitter "github.com/tree-sitter/go-tree-sitter"
)

const root = "../.."

// file is a Bicep file by its declarations.
type file struct {
	path      string // from the root
	params    map[string]param
	outputs   map[string]string // to the text of their values
	variables map[string]string // likewise
	modules   []call
	resources []string // types with their API versions
	text      string
	tree      *sitter.Tree
}

type param struct {
	kind        string // type
	value       string // text of the default; empty: required
	description string
	secure      bool
	order       int
}

// call is one use of a module.
type call struct {
	name      string
	path      string            // from the root
	arguments map[string]string // to the text of their values
}

// bicepFiles are all templates of infra/, parsed. A fault of syntax ends the test.
func bicepFiles(t *testing.T) map[string]*file {
	t.Helper()
	files := map[string]*file{}
	for _, pattern := range []string{"infra/*.bicep", "infra/modules/*.bicep"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			f := read(t, strings.TrimPrefix(filepath.ToSlash(name), root+"/"))
			files[f.path] = f
		}
	}
	if files["infra/main.bicep"] == nil || len(files) < 8 {
		t.Fatalf("got %d Bicep files, want main.bicep and its modules", len(files))
	}
	return files
}

func read(t *testing.T, name string) *file {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	f := &file{path: name, text: string(text), params: map[string]param{}, outputs: map[string]string{}, variables: map[string]string{}}
	var faults []string
	f.tree, faults = parse(t, f.text)
	for _, fault := range faults {
		t.Errorf("%s:%s", name, fault)
	}
	if len(faults) > 0 {
		t.FailNow()
	}
	f.declare()
	return f
}

// parse gives the syntax tree and each place that the grammar does not understand.
func parse(t *testing.T, text string) (*sitter.Tree, []string) {
	t.Helper()
	parser := sitter.NewParser()
	defer parser.Close()
	if err := parser.SetLanguage(sitter.NewLanguage(grammar.Language())); err != nil {
		t.Fatal(err)
	}
	tree := parser.Parse([]byte(text), nil)
	t.Cleanup(tree.Close)
	var faults []string
	visit(tree.RootNode(), func(n *sitter.Node) bool {
		if n.IsError() || n.IsMissing() {
			at := n.StartPosition()
			faults = append(faults, fmt.Sprintf("%d:%d: not Bicep: %.60q", at.Row+1, at.Column+1, n.Utf8Text([]byte(text))))
			return false
		}
		return true
	})
	return tree, faults
}

// visit goes through a tree from the top; false leaves out what is below.
func visit(n *sitter.Node, each func(*sitter.Node) bool) {
	if !each(n) {
		return
	}
	for i := range n.ChildCount() {
		visit(n.Child(i), each)
	}
}

func (f *file) of(n *sitter.Node) string { return n.Utf8Text([]byte(f.text)) }

// unquoted is a string without interpolation.
func (f *file) unquoted(n *sitter.Node) string {
	return strings.ReplaceAll(strings.Trim(f.of(n), "'"), `\'`, "'")
}

func (f *file) declare() {
	top := f.tree.RootNode()
	var decorators []*sitter.Node
	for i := range top.NamedChildCount() {
		n := top.NamedChild(i)
		switch n.Kind() {
		case "comment", "diagnostic_comment":
			continue
		case "decorators":
			decorators = append(decorators, n)
			continue
		case "parameter_declaration":
			p := param{kind: f.of(n.NamedChild(1)), order: len(f.params)}
			if n.NamedChildCount() > 2 {
				p.value = f.of(n.NamedChild(2))
			}
			for _, d := range decorators {
				f.decorate(&p, d)
			}
			f.params[f.of(n.NamedChild(0))] = p
		case "output_declaration":
			f.outputs[f.of(n.NamedChild(0))] = f.of(n.NamedChild(2))
		case "variable_declaration":
			f.variables[f.of(n.NamedChild(0))] = f.of(n.NamedChild(1))
		case "resource_declaration":
			f.resources = append(f.resources, f.unquoted(n.NamedChild(1)))
		case "module_declaration":
			f.modules = append(f.modules, call{
				name:      f.of(n.NamedChild(0)),
				path:      path.Join(path.Dir(f.path), f.unquoted(n.NamedChild(1))),
				arguments: f.arguments(n.NamedChild(2)),
			})
		}
		decorators = nil
	}
}

func (f *file) decorate(p *param, decorators *sitter.Node) {
	visit(decorators, func(n *sitter.Node) bool {
		if n.Kind() != "call_expression" {
			return true
		}
		switch f.of(n.ChildByFieldName("function")) {
		case "secure":
			p.secure = true
		case "description":
			p.description = f.unquoted(n.ChildByFieldName("arguments").NamedChild(0))
		}
		return false
	})
}

// arguments are the properties of params in a module's body, behind its condition or its loop.
func (f *file) arguments(body *sitter.Node) map[string]string {
	found := map[string]string{}
	visit(body, func(n *sitter.Node) bool {
		if n.Kind() != "object_property" {
			return true
		}
		if f.of(n.NamedChild(0)) == "params" {
			all := n.NamedChild(1)
			for i := range all.NamedChildCount() {
				if p := all.NamedChild(i); p.Kind() == "object_property" {
					found[f.of(p.NamedChild(0))] = f.of(p.NamedChild(1))
				}
			}
		}
		return false // only the outermost properties are those of the module
	})
	return found
}

func TestTheGrammarBites(t *testing.T) {
	for text, good := range map[string]bool{
		"param a string = 'x'":               true,
		"param a string = 'x":                false,
		"output a string = b.c":              true,
		"resource a 'b@1' = { name: }":       false,
		"var a = [for x in y: x":             false,
		"module m 'a.bicep' = if (b) {\n}\n": true,
	} {
		if _, faults := parse(t, text); (len(faults) == 0) != good {
			t.Errorf("%q: got faults %v, want good %v", text, faults, good)
		}
	}
}
