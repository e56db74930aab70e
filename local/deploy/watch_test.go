package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// queries are the files of infra/watch by their names.
func queries(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "infra/watch/*.kql"))
	if err != nil || len(names) < 10 {
		t.Fatalf("got queries %v, %v", names, err)
	}
	all := map[string]string{}
	for _, name := range names {
		all[filepath.Base(name)] = content(t, "infra/watch/"+filepath.Base(name))
	}
	return all
}

// pageQueries are the queries that pages show, by page and number.
func pageQueries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, page := range []string{"docs/operate.md", "docs/cutover.md", "docs/disaster-recovery.md", "docs/telemetry.md"} {
		for i, query := range blocks(content(t, page), "kusto") {
			all[fmt.Sprintf("%s, query %d", page, i+1)] = strings.ReplaceAll(query, `"`, "'")
		}
	}
	return all
}

var (
	placeholder = regexp.MustCompile(`\{(\w+)\}`)
	comment     = regexp.MustCompile(`(?m)^\s*//.*$`)
)

// Kusto's own parser and binder find nothing wrong with the queries, and do find what is wrong with two that are.
func TestQueriesAreKusto(t *testing.T) {
	modules, err := filepath.Abs(filepath.Join(root, "local/node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "@kusto")); err != nil {
		if os.Getenv("REQUIRE_AZURITE") != "" {
			t.Fatalf("the parser of Kusto is required here: run make deps: %v", err)
		}
		t.Skip("the parser of Kusto is not installed: make deps")
	}
	all := queries(t)
	maps.Copy(all, pageQueries(t))
	for name, query := range all {
		all[name] = placeholder.ReplaceAllString(query, "3")
	}
	all["misspelt column"], all["misspelt operator"] = "customEvents | where nam == 'x'", "customEvents | wher name == 'x'"
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	check := exec.Command("node", "testdata/kql.cjs", modules)
	check.Stdin, check.Stderr = strings.NewReader(string(input)), os.Stderr
	output, err := check.Output()
	if err != nil {
		t.Fatalf("parse the queries: %v", err)
	}
	var faults []struct{ Name, Text string }
	if err := json.Unmarshal(output, &faults); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, fault := range faults {
		found[fault.Name] = true
		if !strings.HasPrefix(fault.Name, "misspelt") {
			t.Errorf("%s: %s", fault.Name, fault.Text)
		}
	}
	if !found["misspelt column"] || !found["misspelt operator"] {
		t.Errorf("got faults %v, want those of the misspelt queries too", faults)
	}
}

// telemetry is what docs/telemetry.md says the handler sends; a test of the handler keeps that page equal to the code.
type telemetry struct {
	events  map[string][]string // to their dimensions
	metrics map[string]bool
}

var (
	row         = regexp.MustCompile("(?m)^\\| `([A-Z]\\w+)` \\|([^|]*)\\|(?:([^|]*)\\|)?$")
	inBrackets  = regexp.MustCompile(`\([^)]*\)`)
	inBackticks = regexp.MustCompile("`(\\w+)`")
)

func sent(t *testing.T) telemetry {
	t.Helper()
	page := content(t, "docs/telemetry.md")
	_, page, found := strings.Cut(page, "\n## Events\n")
	events, rest, alsoFound := strings.Cut(page, "\n## Metrics\n")
	metrics, _, _ := strings.Cut(rest, "\n## ")
	if !found || !alsoFound {
		t.Fatal("docs/telemetry.md has no sections Events and Metrics")
	}
	s := telemetry{map[string][]string{}, map[string]bool{}}
	for _, r := range row.FindAllStringSubmatch(events, -1) {
		var dimensions []string
		for _, d := range inBackticks.FindAllStringSubmatch(inBrackets.ReplaceAllString(r[3], ""), -1) {
			dimensions = append(dimensions, d[1])
		}
		s.events[r[1]] = dimensions
	}
	for _, r := range row.FindAllStringSubmatch(metrics, -1) {
		s.metrics[r[1]] = true
	}
	if len(s.events) < 20 || len(s.metrics) < 10 || !slices.Contains(s.events["ChunkMoved"], "rejected") {
		t.Fatalf("docs/telemetry.md: got %d events and %d metrics", len(s.events), len(s.metrics))
	}
	return s
}

var (
	tableName = regexp.MustCompile(`\b(customEvents|customMetrics|dependencies|exceptions|requests|traces)\b`)
	nameIs    = regexp.MustCompile(`\bname (==|in|startswith) (\([^)]*\)|'\w+')`)
	quoted    = regexp.MustCompile(`'(\w+)'`)
	dimension = regexp.MustCompile(`\bcustom(?:Dimensions|Measurements)(?:\.(\w+)|\['(\w+)'\])`)
)

// Every event, metric and dimension that a query names is one that the handler sends, and each from where it is sent.
func TestQueriesNameWhatIsSent(t *testing.T) {
	s := sent(t)
	all := queries(t)
	maps.Copy(all, pageQueries(t))
	read := map[string]bool{}
	for _, p := range pipelines(all) {
		read[p.file] = true
		for _, fault := range s.faults(p.table, p.text) {
			t.Errorf("%s: %s", p.file, fault)
		}
	}
	for file := range all {
		if !read[file] {
			t.Errorf("%s reads no table", file)
		}
	}
	for _, bad := range [][2]string{
		{"customEvents", "| where name == 'ChunkMove'"},
		{"customMetrics", "| where name in ('ChunkMoved')"},
		{"customEvents", "| where name == 'RoundClosed' | extend x = customDimensions.kinds"},
	} {
		if len(s.faults(bad[0], bad[1])) != 1 {
			t.Errorf("%v: want one fault, got %v", bad, s.faults(bad[0], bad[1]))
		}
	}
}

// faults are the names in one pipeline that its table does not have.
func (s telemetry) faults(table, pipeline string) []string {
	var faults []string
	dimensions := []string{"run", "invocation"}
	if table == "dependencies" {
		dimensions = append(dimensions, "operation")
	}
	conditions := nameIs.FindAllStringSubmatch(pipeline, -1)
	if table == "customEvents" && len(conditions) == 0 { // it reads of every event
		dimensions = slices.Concat(append(slices.Collect(maps.Values(s.events)), dimensions)...)
	}
	for _, condition := range conditions {
		for _, name := range quoted.FindAllStringSubmatch(condition[2], -1) {
			named := []string{name[1]}
			if condition[1] == "startswith" {
				named = slices.DeleteFunc(slices.Sorted(maps.Keys(s.events)), func(e string) bool { return !strings.HasPrefix(e, name[1]) })
			}
			for _, n := range named {
				switch of, isEvent := s.events[n]; {
				case table == "customEvents" && isEvent:
					dimensions = append(dimensions, of...)
				case table == "customMetrics" && s.metrics[n]:
					if strings.HasSuffix(n, "Seconds") && n != "LagSeconds" {
						dimensions = append(dimensions, "to")
					}
				default:
					faults = append(faults, table+" has no "+n)
				}
			}
		}
	}
	for _, d := range dimension.FindAllStringSubmatch(pipeline, -1) {
		if name := d[1] + d[2]; !slices.Contains(dimensions, name) {
			faults = append(faults, table+" has no dimension "+name+" there")
		}
	}
	return faults
}

// Each query is shown or watched, with its placeholders filled; each alert is told of in docs/deploy.md.
func TestQueriesAreUsed(t *testing.T) {
	files := bicepFiles(t)
	templates := files["infra/modules/workbook.bicep"].text + files["infra/modules/alerts.bicep"].text
	all := queries(t)
	for file, query := range all {
		if !strings.Contains(templates, "loadTextContent('../watch/"+file+"')") {
			t.Errorf("infra/watch/%s is used nowhere", file)
		}
		for _, p := range placeholder.FindAllString(query, -1) {
			if !strings.Contains(templates, "loadTextContent('../watch/"+file+"'), '"+p+"', string(") {
				t.Errorf("infra/watch/%s: nothing is put in for %s", file, p)
			}
		}
	}
	for _, used := range regexp.MustCompile(`loadTextContent\('\.\./watch/([^']+)'\)`).FindAllStringSubmatch(templates, -1) {
		if all[used[1]] == "" {
			t.Errorf("infra/watch/%s is missing", used[1])
		}
	}
	page := content(t, "docs/deploy.md")
	var alerts []string
	for _, r := range regexp.MustCompile(`(?m)^    name: '([\w-]+)'$`).FindAllStringSubmatch(files["infra/modules/alerts.bicep"].text, -1) {
		alerts = append(alerts, r[1])
		if !strings.Contains(page, "| `"+r[1]+"` |") {
			t.Errorf("docs/deploy.md does not tell what to do about the alert %s", r[1])
		}
	}
	if want := []string{"halted", "no-progress", "rejects", "lag", "restarts", "poison"}; !slices.Equal(alerts, want) {
		t.Errorf("got alerts %v, want %v", alerts, want)
	}
}
