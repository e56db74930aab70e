package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// found are the first groups of all matches, sorted.
func found(pattern, text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return all
}

// The runbook has an entry for everything that an operator can be shown or woken by, and for nothing else. The sources are
// read as text, for they cannot be imported from here.
func TestRunbookHasAnEntryForEverything(t *testing.T) {
	runbook := content(t, "docs/operate.md")
	telemetryPage := content(t, "docs/telemetry.md")
	_, listed, _ := strings.Cut(telemetryPage, "\n### When a person is needed\n")
	listed, _, _ = strings.Cut(listed, "\n## ")
	needed, notNeeded, cut := strings.Cut(listed, "These need nobody:")
	if !cut {
		t.Fatal("docs/telemetry.md does not say which events need a person, and which need nobody")
	}
	kinds := content(t, "handler/internal/migration/check.go")
	kinds = regexp.MustCompile(`func CheckKinds\(\).*`).FindString(kinds)
	var checks []string
	for _, constant := range found(`(\w+Errand)\b`, kinds) {
		checks = append(checks, found(constant+`\s+ErrandKind = "(\w+)"`, content(t, "handler/internal/migration/errand.go"))...)
	}
	slices.Sort(checks)
	for _, c := range []struct {
		heading string
		want    []string
		least   int
	}{
		{"State", found(`Shown\w+\s+Shown = "(\w+)"`, content(t, "handler/internal/migration/run.go")), 8},
		{"Alert", found(`(?m)^    name: '([\w-]+)'$`, content(t, "infra/modules/alerts.bicep")), 6},
		{"Event", found("`([A-Z]\\w+)`", needed), 8},
		{"Check", checks, 3},
		{"Class", found(`Reject\s+RejectClass = "(\w+)"`, content(t, "handler/internal/migration/reject.go")), 6},
	} {
		got := found("(?m)^### "+c.heading+" `([^`]+)`$", runbook)
		if !slices.Equal(got, c.want) || len(got) < c.least {
			t.Errorf("docs/operate.md: entries %q: got %v, want %v", c.heading, got, c.want)
		}
	}
	told := slices.Concat(found("`([A-Z]\\w+)`", needed), found("`([A-Z]\\w+)`", notNeeded))
	slices.Sort(told)
	events := sent(t).events
	for event := range events {
		if !slices.Contains(told, event) {
			t.Errorf("docs/telemetry.md does not say whether %s needs a person", event)
		}
	}
	if len(told) != len(events) {
		t.Errorf("docs/telemetry.md tells whether a person is needed of %d events and has %d", len(told), len(events))
	}
}

// What an alert says is found on the page by its words.
func TestRunbookHasTheWordsOfAlerts(t *testing.T) {
	runbook := content(t, "docs/operate.md")
	rules := regexp.MustCompile(`(?m)^    name: '([\w-]+)'\n    title: '(.+)'$`).FindAllStringSubmatch(content(t, "infra/modules/alerts.bicep"), -1)
	if len(rules) < 6 {
		t.Fatalf("got rules %v", rules)
	}
	for _, r := range rules {
		title := regexp.MustCompile(`\$\{\w+\}`).ReplaceAllString(r[2], "n")
		if want := "`fhirferry: " + r[1] + "`. *" + title + "*"; !strings.Contains(runbook, want) {
			t.Errorf("docs/operate.md does not have %q", want)
		}
	}
}

// anchor is a heading as it is linked to.
func anchor(heading string) string {
	heading = strings.ToLower(strings.TrimSpace(heading))
	heading = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, "")
	return strings.ReplaceAll(heading, " ", "-")
}

var fence = regexp.MustCompile("(?ms)^ *```.*?^ *```$")

// Every link between the pages leads to a page and a heading that are there; the index names every page, and so does the
// README.
func TestPagesLinkToEachOther(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(files) < 10 {
		t.Fatalf("got pages %v, %v", files, err)
	}
	pages := map[string]string{"README.md": fence.ReplaceAllString(content(t, "README.md"), "")}
	for _, f := range files {
		name := "docs/" + filepath.Base(f)
		pages[name] = fence.ReplaceAllString(content(t, name), "")
	}
	anchors := map[string][]string{}
	for name, text := range pages {
		for _, h := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
			anchors[name] = append(anchors[name], anchor(h[1]))
		}
	}
	linked := map[string]bool{}
	for name, text := range pages {
		for _, l := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			path, heading, _ := strings.Cut(l[1], "#")
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			linked[name+" "+target] = true
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, l[1])
			} else if heading != "" && !slices.Contains(anchors[target], heading) {
				t.Errorf("%s links to %s, which has no such heading", name, l[1])
			}
		}
	}
	for name := range pages {
		if name != "docs/README.md" && name != "README.md" && !linked["docs/README.md "+name] {
			t.Errorf("docs/README.md does not name %s", name)
		}
		if name != "README.md" && !linked["README.md "+name] {
			t.Errorf("README.md does not link to %s", name)
		}
	}
}
