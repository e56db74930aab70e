package deploy

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// TestQueriesReadRealRuns runs two migrations through the packaged app, one with every kind of trouble and one that ends
// well, and compares what they really sent with what the workbook and the alerts read.
func TestQueriesReadRealRuns(t *testing.T) {
	s := begin(t)
	s.trouble()
	s.ending()
	s.pages()

	read := pipelines(queries(t))
	described := sent(t)
	missing := func() []string {
		names := map[string]bool{}
		for _, p := range read {
			for _, name := range p.names(described) {
				if len(s.of(p.table, name)) == 0 {
					names[p.table+": "+name] = true
				}
			}
		}
		return slices.Sorted(maps.Keys(names))
	}
	t.Cleanup(func() {
		if names := missing(); t.Failed() && len(names) > 0 {
			t.Logf("not sent: %v", names)
		}
	})
	s.until(t, "every name that a query reads, and that nothing is failed any more", func() bool { return len(missing()) == 0 && !s.halted() })
	s.mu.Lock()
	if len(s.faults) > 0 {
		t.Errorf("what came could not be read: %v", s.faults)
	}
	s.mu.Unlock()

	checked := 0
	for _, p := range read {
		checked += p.compare(t, s.recording, described)
	}
	if checked < 50 {
		t.Errorf("got %d names of queries in what was sent, want more", checked)
	}
	s.alertsWouldFire()
}

// columnsOf are the columns that queries may read of a table, besides name and the dimensions. Requests and traces are the
// host's.
func columnsOf(table string) []string {
	common := []string{"timestamp", "cloud_RoleName", "cloud_RoleInstance"}
	return append(common, map[string][]string{
		"customMetrics": {"value"}, "dependencies": {"type", "target", "resultCode", "duration", "success"}, "exceptions": {"type"},
	}[table]...)
}

var asNumber = regexp.MustCompile(`to(?:long|int|real|double)\(customDimensions\.(\w+)\)`)

// compare wants the columns and dimensions that a pipeline reads on all that was sent of its names, and counts those.
func (p pipeline) compare(t *testing.T, r *recording, described telemetry) int {
	t.Helper()
	items := map[string][]item{}
	for _, name := range p.names(described) {
		if of := r.of(p.table, name); len(of) > 0 {
			items[name] = of
		}
	}
	if len(items) == 0 && (p.table == "dependencies" || p.table == "exceptions") {
		items[p.table] = r.of(p.table, "")
	}
	for name, all := range items {
		for _, i := range all {
			for _, column := range columnsOf(p.table) {
				if i.columns[column] == "" && regexp.MustCompile(`\b`+column+`\b`).MatchString(p.text) {
					t.Errorf("infra/watch/%s reads %s of %s, which was sent with %v", p.file, column, name, i.columns)
				}
			}
			for _, d := range asNumber.FindAllStringSubmatch(p.text, -1) {
				if _, err := strconv.ParseInt(i.dimensions[d[1]], 10, 64); err != nil {
					t.Errorf("infra/watch/%s reads %s of %s as a number, which was sent as %q", p.file, d[1], name, i.dimensions[d[1]])
				}
			}
		}
		for _, d := range dimension.FindAllStringSubmatch(p.text, -1) {
			key := d[1] + d[2]
			if !slices.ContainsFunc(all, func(i item) bool { _, there := i.dimensions[key]; return there }) {
				t.Errorf("infra/watch/%s reads %s of %s, which was sent with %v", p.file, key, name, all[len(all)-1].dimensions)
			}
		}
	}
	return len(items)
}

// alertsWouldFire holds the conditions of alerts and of what the workbook shows of trouble to what was sent. It says them
// anew: nothing here can run a query.
func (s *story) alertsWouldFire() {
	s.Helper()
	rejected, benign := s.latest("ResourcesRejected"), s.latest("ResourcesBenign")
	if !slices.ContainsFunc(slices.Collect(maps.Values(rejected)), func(n float64) bool { return n > 0 }) {
		s.Errorf("the alert rejects would not fire: %v", rejected)
	}
	classes := map[string]int{}
	for _, i := range s.of("customEvents", "RejectsClassified") {
		for _, class := range []string{"benign", "duplicate", "conflict", "malformed", "searchParameter", "other"} {
			n, err := strconv.Atoi(i.dimensions[class])
			if err != nil {
				s.Errorf("RejectsClassified tells %s as %q", class, i.dimensions[class])
			}
			if class != "benign" {
				class = "rejected"
			}
			classes[class] += n
		}
	}
	if want := map[string]int{"benign": total(benign), "rejected": total(rejected)}; !maps.Equal(classes, want) {
		s.Errorf("the classes of rejected lines sum up to %v, the metrics to %v", classes, want)
	}
	starts := map[string]int{}
	for _, i := range s.of("customEvents", "HandlerStarted") {
		starts[i.columns["cloud_RoleInstance"]]++
	}
	if want := map[string]int{"one": 2}; !maps.Equal(starts, want) {
		s.Errorf("handlers started by instance: got %v, want %v; restarts would not tell", starts, want)
	}
	behind := false
	for _, i := range s.of("customMetrics", "LagSeconds") {
		behind = behind || i.value > 24*3600
	}
	if !behind {
		s.Error("the alert lag would not fire: nothing was ever told of a source that is two years ahead")
	}
	answers := map[string]int{}
	for _, i := range s.of("dependencies", "") {
		if i.columns["type"] != "FHIR" {
			s.Errorf("a dependency of type %q", i.columns["type"])
		}
		if i.columns["success"] == "false" {
			answers[i.columns["resultCode"]]++
		}
	}
	if answers["429"] < 2 || answers["503"] < 2 || answers["500"] < 2 {
		s.Errorf("failed calls by status: got %v, want those of throttling, of a server that is away, and of a refused import", answers)
	}
	retried := false
	for _, i := range s.of("customEvents", "ChunkRetried") {
		retried = retried || i.dimensions["state"] != ""
	}
	if !retried {
		s.Error("no try of a chunk is told")
	}
}

func total(values map[string]float64) int {
	sum := 0
	for _, v := range values {
		sum += int(v)
	}
	return sum
}
