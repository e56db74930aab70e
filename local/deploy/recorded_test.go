package deploy

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// item is a row as Application Insights would show it.
type item struct {
	at         time.Time
	table      string
	name       string
	value      float64           // of a metric
	columns    map[string]string // those that queries may read, besides the dimensions
	dimensions map[string]string // customDimensions and customMeasurements
}

// recording is an ingestion endpoint that keeps all that comes.
type recording struct {
	*httptest.Server
	came chan struct{}

	mu     sync.Mutex
	items  []item
	faults []string
}

func record(t *testing.T) *recording {
	t.Helper()
	r := &recording{came: make(chan struct{}, 1)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *recording) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	items, err := readItems(request)
	r.mu.Lock()
	r.items = append(r.items, items...)
	if err != nil {
		r.faults = append(r.faults, err.Error())
	}
	r.mu.Unlock()
	select {
	case r.came <- struct{}{}:
	default: // the one who waits knows already
	}
	w.WriteHeader(http.StatusOK)
}

// envelope is what an SDK sends for one item.
type envelope struct {
	Time string
	Tags map[string]string
	Data struct {
		BaseType string
		BaseData struct {
			Name, Type, Target, ResultCode, Duration string
			Success                                  *bool
			Metrics                                  []struct {
				Name  string
				Value float64
			}
			Exceptions   []struct{ TypeName string }
			Properties   map[string]string
			Measurements map[string]float64
		}
	}
}

func readItems(request *http.Request) ([]item, error) {
	body, err := io.ReadAll(request.Body)
	if err == nil && request.Header.Get("Content-Encoding") == "gzip" {
		var unpacked *gzip.Reader
		if unpacked, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(unpacked)
		}
	}
	var items []item
	for decoder := json.NewDecoder(bytes.NewReader(body)); err == nil; {
		var e envelope
		if err = decoder.Decode(&e); err == nil {
			var read []item
			read, err = e.items()
			items = append(items, read...)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return items, err
}

func (e envelope) items() ([]item, error) {
	at, err := time.Parse(time.RFC3339Nano, e.Time)
	if err != nil {
		return nil, fmt.Errorf("time of an item: %w", err)
	}
	data := e.Data.BaseData
	one := item{at: at, name: data.Name, dimensions: maps.Clone(data.Properties), columns: map[string]string{
		"timestamp": e.Time, "cloud_RoleName": e.Tags["ai.cloud.role"], "cloud_RoleInstance": e.Tags["ai.cloud.roleInstance"],
	}}
	if one.dimensions == nil {
		one.dimensions = map[string]string{}
	}
	for name, number := range data.Measurements {
		one.dimensions[name] = strconv.FormatFloat(number, 'f', -1, 64)
	}
	switch e.Data.BaseType {
	case "EventData":
		one.table = "customEvents"
	case "MetricData":
		one.table = "customMetrics"
		if len(data.Metrics) != 1 {
			return nil, fmt.Errorf("an item with %d metrics", len(data.Metrics))
		}
		one.name, one.value = data.Metrics[0].Name, data.Metrics[0].Value
		one.columns["value"] = strconv.FormatFloat(one.value, 'f', -1, 64)
	case "RemoteDependencyData":
		one.table = "dependencies"
		one.columns["type"], one.columns["target"], one.columns["resultCode"], one.columns["duration"] = data.Type, data.Target, data.ResultCode, data.Duration
		// The schema of the service: what is not sent counts as a success.
		one.columns["success"] = strconv.FormatBool(data.Success == nil || *data.Success)
	case "ExceptionData":
		one.table = "exceptions"
		if len(data.Exceptions) == 0 {
			return nil, fmt.Errorf("an item with no exception")
		}
		one.columns["type"] = data.Exceptions[0].TypeName
	default:
		return nil, fmt.Errorf("an item of type %q", e.Data.BaseType)
	}
	return []item{one}, nil
}

// of are the items of a table with a name; all of the table when it is empty.
func (r *recording) of(table, name string) []item {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.items), func(i item) bool { return i.table != table || name != "" && i.name != name })
}

// until waits for what has to come. The limit is an error bound: telemetry is sent every five seconds.
func (r *recording) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	for !done() {
		select {
		case <-r.came:
		case <-limit.C:
			t.Fatalf("it was never told: %s", what)
		}
	}
}

// latest is the last value of a metric by its run.
func (r *recording) latest(metric string) map[string]float64 {
	last := map[string]item{}
	for _, i := range r.of("customMetrics", metric) {
		if run := i.dimensions["run"]; !i.at.Before(last[run].at) {
			last[run] = i
		}
	}
	values := map[string]float64{}
	for run, i := range last {
		values[run] = i.value
	}
	return values
}

// pipeline is the part of a query that reads one table.
type pipeline struct{ file, table, text string }

func pipelines(queries map[string]string) []pipeline {
	var all []pipeline
	for file, query := range queries {
		query = comment.ReplaceAllString(query, "")
		at := tableName.FindAllStringIndex(query, -1)
		for i, span := range at {
			end := len(query)
			if i+1 < len(at) {
				end = at[i+1][0]
			}
			all = append(all, pipeline{file, query[span[0]:span[1]], query[span[1]:end]})
		}
	}
	return all
}

// names are the events or metrics that a pipeline reads.
func (p pipeline) names(s telemetry) []string {
	var names []string
	for _, condition := range nameIs.FindAllStringSubmatch(p.text, -1) {
		for _, name := range quoted.FindAllStringSubmatch(condition[2], -1) {
			if condition[1] != "startswith" {
				names = append(names, name[1])
				continue
			}
			for event := range s.events {
				if strings.HasPrefix(event, name[1]) {
					names = append(names, event)
				}
			}
		}
	}
	return names
}
