package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var formatVerb = regexp.MustCompile(`%[-+#0-9.\[\]]*[a-zA-Z]`)

// gap stands for what a text holds only at run time.
const gap = "…"

// folded is the text of an expression made of string literals, with a gap for everything else; empty: there is none.
func folded(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return formatVerb.ReplaceAllString(text, gap)
		}
	case *ast.BinaryExpr:
		left, right := folded(e.X), folded(e.Y)
		if e.Op == token.ADD && left+right != "" {
			if left == "" {
				left = gap
			}
			if right == "" {
				right = gap
			}
			return left + right
		}
	case *ast.ParenExpr:
		return folded(e.X)
	}
	return ""
}

// parsed is a source file of the tree.
func parsed(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// textsOf are the texts that a source file can produce.
func textsOf(file ast.Node) []string {
	var texts []string
	ast.Inspect(file, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if text := folded(e); text != "" {
				texts = append(texts, text)
				return false
			}
		}
		return true
	})
	return texts
}

// within reports whether the pieces of a text between its gaps stand in order in another.
func within(text, other string) bool {
	for piece := range strings.SplitSeq(text, gap) {
		at := strings.Index(other, piece)
		if at < 0 {
			return false
		}
		other = other[at+len(piece):]
	}
	return true
}

func TestFolded(t *testing.T) {
	e, err := parser.ParseExpr(`"a " + x + " b %s, %.60q" + ("c")`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := folded(e), "a … b …, …c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !within("a …, …c", "a … b …, …c") || within("b a", "a … b") || within("x", "a") {
		t.Error("within: want pieces in order, and no others")
	}
}

const troubleshooting = "../docs/troubleshooting.md"

var quoted = regexp.MustCompile("`([^`]+)`")

// TestTroubleshootingPage: each text that the page explains is one that the code can produce, and each remedy that the
// client for FHIR services knows is on the page.
func TestTroubleshootingPage(t *testing.T) {
	content, err := os.ReadFile(troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, file := range sources(t, "handler") {
		if !strings.HasSuffix(file, "_test.go") {
			texts = append(texts, textsOf(parsed(t, file))...)
		}
	}
	headings := 0
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "### ") {
			continue
		}
		for _, text := range quoted.FindAllStringSubmatch(line, -1) {
			headings++
			found := false
			for _, known := range texts {
				found = found || within(text[1], known)
			}
			if !found {
				t.Errorf("troubleshooting.md: %q is no text of the code", text[1])
			}
		}
	}
	if headings < 30 {
		t.Errorf("got %d texts, want those that an operator can meet", headings)
	}
	page := strings.Join(strings.Fields(string(content)), " ")
	ast.Inspect(parsed(t, "handler/internal/fhir/remedy.go"), func(n ast.Node) bool {
		returned, ok := n.(*ast.ReturnStmt)
		if !ok {
			return true
		}
		for _, remedy := range textsOf(returned) {
			if !within(remedy, page) {
				t.Errorf("troubleshooting.md: the remedy %q is missing", remedy)
			}
		}
		return false
	})
}
