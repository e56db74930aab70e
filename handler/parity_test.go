package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// parityRow is a row of a table with the four columns of parity.md.
type parityRow struct {
	line                        int
	theirs, here, better, tests string
}

func parityRows(t *testing.T) []parityRow {
	t.Helper()
	text, err := os.ReadFile("../docs/parity.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []parityRow
	for n, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| Theirs |") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			t.Errorf("parity.md:%d: got %d columns, want 4", n+1, len(cells))
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, parityRow{n + 1, cells[0], cells[1], cells[2], cells[3]})
	}
	if len(rows) < 120 {
		t.Fatalf("got %d rows, want one for each thing that the other tool does", len(rows))
	}
	return rows
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

// existingTests are the names of all test functions of the tree.
func existingTests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, file := range sources(t, "handler", "local") {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range testFunction.FindAllStringSubmatch(string(text), -1) {
			names[found[1]] = true
		}
	}
	return names
}

// TestParityPage: each row of parity.md is complete, and its tests exist. A row without a test is left out, or a text.
func TestParityPage(t *testing.T) {
	exists := existingTests(t)
	for _, row := range parityRows(t) {
		switch {
		case row.theirs == "" || row.here == "" || row.tests == "":
			t.Errorf("parity.md:%d: a column is empty", row.line)
		case row.tests == "—" && row.better == "" && !strings.Contains(row.here, ".md"):
			t.Errorf("parity.md:%d: neither a test, nor a reason, nor a page", row.line)
		case row.tests == "—":
			continue
		}
		for name := range strings.SplitSeq(row.tests, ", ") {
			if bare := strings.Trim(name, "`"); !exists[bare] || name != "`"+bare+"`" {
				t.Errorf("parity.md:%d: %s is no test of the tree", row.line, name)
			}
		}
	}
}

var pageLink = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)

// TestLinksOfPages: a link from one page to another, or to a heading, leads somewhere.
func TestLinksOfPages(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("got pages %v, %v", pages, err)
	}
	for _, page := range append(pages, readme) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range pageLink.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			target := page
			if link[1] != "" {
				target = filepath.Join(filepath.Dir(page), link[1])
			}
			content, err := os.ReadFile(target)
			if err != nil {
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s: link to %s: %v", page, link[1], err)
				}
				continue
			}
			if link[2] != "" && !slices.Contains(anchors(string(content)), link[2]) {
				t.Errorf("%s: link to %s%s: no such heading", page, link[1], link[2])
			}
		}
	}
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors are the fragments by which GitHub knows a page's headings.
func anchors(page string) []string {
	var found []string
	for line := range strings.Lines(page) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			bare := notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			found = append(found, "#"+strings.ReplaceAll(bare, " ", "-"))
		}
	}
	return found
}
