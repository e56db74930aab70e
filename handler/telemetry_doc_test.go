package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// told is what the sources tell, or the page says that they do: the attributes of each event by its name, and the names of
// metrics with their dimensions.
type told map[string][]string

// Docs/telemetry.md and the sources name the same events with the same dimensions, and the same metrics: workbooks and
// alerts are written against the page.
func TestTelemetryPage(t *testing.T) {
	events, metrics := told{}, told{}
	for _, file := range sources(t, "handler") {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "handler/internal/telemetry/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, complaint := range readEvents(file, text, events, metrics) {
			t.Error(complaint)
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "telemetry.md"))
	if err != nil {
		t.Fatal(err)
	}
	written, reserved, writtenMetrics, dependency := readPage(t, string(page))
	if diff := cmp.Diff(sorted([]string{"duration", "name", "operation", "status", "success", "target"}), events["Dependency"]); diff != "" {
		t.Errorf("attributes of a dependency (-want +got):\n%s", diff)
	}
	if !slices.Contains(dependency, "customDimensions.operation") {
		t.Errorf("the page's fields of a dependency are %v, want its operation among them", dependency)
	}
	delete(events, "Dependency")
	// Telemetry itself says what it had to drop.
	events["TelemetryDropped"] = []string{"dropped"}
	for name := range reserved {
		if _, emitted := events[name]; emitted {
			t.Errorf("%s is told, and still among the reserved events of the page: move its line to the events", name)
		}
	}
	if diff := cmp.Diff(written, events); diff != "" {
		t.Errorf("events of docs/telemetry.md (-) and of the sources (+), with their dimensions:\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(writtenMetrics)), slices.Sorted(maps.Keys(metrics))); diff != "" {
		t.Errorf("metrics of docs/telemetry.md (-) and of the sources (+):\n%s", diff)
	}
	for name, dimensions := range metrics {
		want := []string{"run"}
		if strings.HasPrefix(name, "Export") || strings.HasPrefix(name, "Import") {
			want = []string{"run", "to"}
		}
		if diff := cmp.Diff(want, dimensions); diff != "" {
			t.Errorf("dimensions of metric %s (-want +got):\n%s", name, diff)
		}
	}
}

// A metric's name begins with a capital, a dimension's does not.
var metricName = regexp.MustCompile(`^[A-Z]`)

// readEvents adds what one file tells, and complains of what cannot be read from it.
func readEvents(file string, text []byte, events, metrics told) (complaints []string) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, 0)
	if err != nil {
		return []string{err.Error()}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		at := slices.IndexFunc(call.Args, func(a ast.Expr) bool { key, _ := attribute(a); return key == "event" })
		if at < 0 {
			return true
		}
		_, name := attribute(call.Args[at])
		complain := func(what string) {
			complaints = append(complaints, set.Position(call.Pos()).String()+": "+what)
		}
		if name == "" || call.Ellipsis.IsValid() {
			complain("the event and its dimensions are to be written out at the call")
			return true
		}
		var keys []string
		for n := at + 1; n < len(call.Args); n++ {
			key, _ := attribute(call.Args[n])
			if key == "" {
				key = literal(call.Args[n])
				n++ // its value
			}
			if key == "" {
				complain("dimension without a literal name")
				return true
			}
			keys = append(keys, key)
		}
		keys = sorted(keys)
		switch known, twice := events[name]; {
		case name == "Metrics":
			isMetric := func(key string) bool { return metricName.MatchString(key) }
			dimensions := slices.DeleteFunc(slices.Clone(keys), isMetric)
			for _, key := range keys {
				if isMetric(key) {
					metrics[key] = dimensions
				}
			}
		case twice && !slices.Equal(known, keys):
			complain(name + " is told elsewhere with other dimensions")
		default:
			events[name] = keys
		}
		return true
	})
	return complaints
}

// attribute reads slog.String("key", value) and its like; value is empty unless it is a literal.
func attribute(e ast.Expr) (key, value string) {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) != 2 {
		return "", ""
	}
	if s, ok := call.Fun.(*ast.SelectorExpr); !ok || !isNamed(s.X, "slog") {
		return "", ""
	}
	return literal(call.Args[0]), literal(call.Args[1])
}

func isNamed(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func literal(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}
	return text
}

func sorted(keys []string) []string { return slices.Sorted(slices.Values(keys)) }

// readPage reads the tables of the page: the first column names, the last lists dimensions, both in backquotes.
func readPage(t *testing.T, page string) (events, reserved, metrics told, dependency []string) {
	t.Helper()
	events, reserved, metrics = told{}, told{}, told{}
	quoted := regexp.MustCompile("`([^`]+)`")
	aside := regexp.MustCompile(`\([^)]*\)`) // what a dimension means
	heading, table := "", 0
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "## "):
			heading, table = strings.TrimSpace(line[3:]), 0
		case strings.HasPrefix(line, "|---"):
			table++
		case strings.HasPrefix(line, "| `"):
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			name := quoted.FindStringSubmatch(cells[0])[1]
			keys := []string{}
			for _, m := range quoted.FindAllStringSubmatch(aside.ReplaceAllString(cells[len(cells)-1], ""), -1) {
				keys = append(keys, m[1])
			}
			switch {
			case heading == "Events" && table == 1:
				events[name] = sorted(keys)
			case heading == "Events":
				reserved[name] = sorted(keys)
			case heading == "Metrics":
				metrics[name] = nil
			case heading == "Dependencies":
				dependency = append(dependency, name)
			}
		}
	}
	if len(events) < 15 || len(metrics) < 10 || len(dependency) < 5 {
		t.Fatalf("got %d events, %d metrics and %d fields of dependencies from the page, want those of its tables", len(events), len(metrics), len(dependency))
	}
	return events, reserved, metrics, dependency
}

// The reader of sources is tried on what it must find and must refuse.
func TestReadEvents(t *testing.T) {
	events, metrics := told{}, told{}
	complaints := readEvents("x.go", []byte(`package x
func f(name string, attrs []any) {
	log.InfoContext(ctx, "m", slog.String("event", "A"), "b", 1, slog.Int("c", g("d", "e")), "a", x)
	log.Debug("m", slog.String("event", "Metrics"), "run", 1, "Lag", 2)
	log.Info("m", "event of a line", 1)
	log.Info("m", slog.String("event", name))
	log.Info("m", slog.String("event", "B"), attrs...)
	log.Info("m", slog.String("event", "B"), name, 1)
	log.Info("m", slog.String("event", "A"), "z", 1)
}`), events, metrics)
	if len(complaints) != 4 {
		t.Errorf("got complaints %q, want four", complaints)
	}
	if diff := cmp.Diff(told{"A": {"a", "b", "c"}}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(told{"Lag": {"run"}}, metrics); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
