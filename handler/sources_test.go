package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// forbidden are the functions that production code does not call, with the files that may after all.
func forbidden() map[string][]string {
	environment := []string{"handler/main.go", "handler/config.go"}
	return map[string][]string{
		"time.Sleep": nil, "time.After": nil, "time.AfterFunc": nil, "time.Tick": nil, "time.NewTicker": nil, "time.NewTimer": nil,
		"os.Getenv": environment, "os.LookupEnv": environment, "os.Environ": environment,
		"os.Exit": {"handler/main.go"}, "net/http.Get": nil, "net/http.Post": nil, "net/http.DefaultClient": nil,
	}
}

// finding is one broken rule in a source file.
type finding struct {
	line int
	what string
}

// inspect applies the rules for production code to one file; file is its path from the root.
func inspect(file string, text []byte) ([]finding, error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var found []finding
	report := func(at token.Pos, format string, args ...any) {
		found = append(found, finding{set.Position(at).Line, fmt.Sprintf(format, args...)})
	}
	imports := importNames(parsed)
	for _, declared := range parsed.Decls {
		inspectDeclaration(declared, imports, report)
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			if file != "handler/main.go" {
				report(n.Pos(), "go statement: only main.go starts goroutines")
			}
		case *ast.SelectorExpr:
			name := imports[fmt.Sprint(n.X)] + "." + n.Sel.Name
			if allowed, refused := forbidden()[name]; refused && !slices.Contains(allowed, file) {
				report(n.Pos(), "%s: waiting is data, and the environment is read once", name)
			}
			if name == "time.Now" && path.Dir(file) == "handler/internal/migration" {
				report(n.Pos(), "time.Now: time is an argument here")
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if s, ok := left.(*ast.SelectorExpr); ok && s.Sel.Name == "State" && !ownsState(file) {
					report(n.Pos(), "State assigned outside the transitions")
				}
			}
		case *ast.InterfaceType:
			if len(n.Methods.List) > 0 && file != "handler/internal/engine/ports.go" {
				report(n.Pos(), "an interface more: the engine's three are enough until a second implementation exists")
			}
		}
		return true
	})
	return found, nil
}

// ownsState: a chunk's state is assigned by the transitions alone (design H2). The server saves no chunks; its State is
// a word in a query.
func ownsState(file string) bool {
	folder, name := path.Split(file)
	return folder == "handler/internal/server/" || folder == "handler/internal/migration/" &&
		(strings.HasPrefix(name, "chunk") || strings.HasPrefix(name, "transition"))
}

// inspectDeclaration refuses init functions and package variables other than sentinel errors, compiled regular
// expressions, embedded files, and claims that a type keeps an interface.
func inspectDeclaration(declared ast.Decl, imports map[string]string, report func(token.Pos, string, ...any)) {
	if f, ok := declared.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
		report(f.Pos(), "init: a reader who starts at main must see everything")
	}
	g, ok := declared.(*ast.GenDecl)
	if !ok || g.Tok != token.VAR {
		return
	}
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec)
		if embedded(g.Doc) || embedded(v.Doc) || v.Names[0].Name == "_" {
			continue
		}
		constant := len(v.Values) > 0
		for _, value := range v.Values {
			call, ok := value.(*ast.CallExpr)
			constant = constant && ok && slices.Contains([]string{"errors.New", "fmt.Errorf", "regexp.MustCompile"}, callee(call, imports))
		}
		if !constant {
			report(v.Pos(), "package variable %s: only errors, regular expressions and embedded files", v.Names[0].Name)
		}
	}
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// callee is the function that is called, by its import path and name.
func callee(call *ast.CallExpr, imports map[string]string) string {
	s, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	return imports[fmt.Sprint(s.X)] + "." + s.Sel.Name
}

// importNames maps the names by which a file knows its imports to their paths.
func importNames(file *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range file.Imports {
		full, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(full)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = full
	}
	return names
}

func TestProductionSources(t *testing.T) {
	for _, file := range sources(t, "handler") {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "handler/internal/store/storetest/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		found, err := inspect(file, text)
		if err != nil {
			t.Error(err)
		}
		for _, f := range found {
			t.Errorf("%s:%d: %s", file, f.line, f.what)
		}
	}
}

// A test that skips itself must fail instead where everything is demanded (design H20), so that go test's "ok" means
// that everything ran.
func TestSkipsAreRefusedOnDemand(t *testing.T) {
	seen := 0
	for _, file := range sources(t, "handler", "local") {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if file == "handler/sources_test.go" || !bytes.Contains(text, []byte(".Skip")) && !bytes.Contains(text, []byte("testing.Short")) {
			continue
		}
		for n, line := range strings.Split(string(text), "\n") {
			call := strings.Contains(line, ".Skip(") || strings.Contains(line, ".Skipf(") || strings.Contains(line, ".SkipNow(")
			if !call && !strings.Contains(line, "testing.Short(") {
				continue
			}
			seen++
			if !bytes.Contains(text, []byte("REQUIRE_AZURITE")) {
				t.Errorf("%s:%d: skips without asking for REQUIRE_AZURITE", file, n+1)
			}
		}
	}
	if seen == 0 {
		t.Error("no test skips itself: this rule checks nothing any more; remove it")
	}
}

// The rules themselves are tried on what they must refuse and must let through.
func TestInspect(t *testing.T) {
	const bad = `package engine
import ("errors"; clock "time"; "os"; "net/http")
var count int
var table = map[string]int{}
var (
	errGood = errors.New("x")
	errBad  = struct{}{}
)
func init() {}
type doer interface{ Do() }
func f(c *chunk) {
	go f(c)
	clock.Sleep(1)
	<-clock.After(1)
	_ = os.Getenv("X")
	http.Get("x")
	c.State = "x"
	c.State, c.n = "x", 1
	if c.State == "x" { _ = clock.Now() }
}`
	found, err := inspect("handler/internal/engine/visit.go", []byte(bad))
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	for _, f := range found {
		lines = append(lines, f.line)
	}
	slices.Sort(lines)
	if diff := cmp.Diff([]int{3, 4, 7, 9, 10, 12, 13, 14, 15, 16, 17, 18}, lines); diff != "" {
		t.Errorf("lines refused (-want +got):\n%s%v", diff, found)
	}
	const good = `package main
import ("os"; "regexp")
var form = regexp.MustCompile("x")
//go:embed x
var file []byte
func main() { go run(os.Getenv) }
func Time() { time.Sleep(1) } // not the package
`
	if found, err := inspect("handler/main.go", []byte(good)); err != nil || len(found) != 0 {
		t.Errorf("got %v, %v; want nothing refused", found, err)
	}
	if found, _ := inspect("handler/internal/migration/run.go", []byte("package migration\nimport \"time\"\nvar _ = f\nfunc f() { time.Now() }")); len(found) != 1 {
		t.Errorf("got %v, want time.Now refused", found)
	}
	if found, _ := inspect("handler/internal/migration/chunk.go", []byte("package migration\nfunc f(c *Chunk) { c.State = Planned }")); len(found) != 0 {
		t.Errorf("got %v, want a transition let through", found)
	}
}
