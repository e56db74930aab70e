package deploy

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"fhirferry/local/fhirsim"
	"fhirferry/local/funchost"
	"fhirferry/local/rig"
	"fhirferry/local/seed"
)

// recording is an ingestion endpoint that keeps which names came in which table, and with which dimensions.
type recording struct {
	*httptest.Server
	came chan struct{}

	mu     sync.Mutex
	names  map[string]map[string][]string // table, name, dimensions
	faults []string
}

func record(t *testing.T) *recording {
	t.Helper()
	r := &recording{came: make(chan struct{}, 1), names: map[string]map[string][]string{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *recording) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if err := r.keep(request); err != nil {
		r.mu.Lock()
		r.faults = append(r.faults, err.Error())
		r.mu.Unlock()
	}
	select {
	case r.came <- struct{}{}:
	default: // the one who waits knows already
	}
	w.WriteHeader(http.StatusOK)
}

func (r *recording) keep(request *http.Request) error {
	body, err := io.ReadAll(request.Body)
	if err == nil && request.Header.Get("Content-Encoding") == "gzip" {
		var unpacked *gzip.Reader
		if unpacked, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(unpacked)
		}
	}
	for decoder := json.NewDecoder(bytes.NewReader(body)); err == nil; {
		var envelope struct {
			Data struct {
				BaseType string
				BaseData struct {
					Name         string
					Metrics      []struct{ Name string }
					Properties   map[string]string
					Measurements map[string]float64
				}
			}
		}
		if err = decoder.Decode(&envelope); err == nil {
			data := envelope.Data.BaseData
			dimensions := slices.Concat(slices.Collect(maps.Keys(data.Properties)), slices.Collect(maps.Keys(data.Measurements)))
			names := []string{data.Name}
			for _, m := range data.Metrics {
				names = append(names, m.Name)
			}
			r.add(envelope.Data.BaseType, names, dimensions)
		}
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func (r *recording) add(kind string, names, dimensions []string) {
	table := map[string]string{"EventData": "customEvents", "MetricData": "customMetrics", "RemoteDependencyData": "dependencies"}[kind]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[table] == nil {
		r.names[table] = map[string][]string{}
	}
	for _, name := range names {
		if name != "" {
			r.names[table][name] = append(r.names[table][name], dimensions...)
		}
	}
}

// missing are the names that a whole run must send and that have not come.
func (r *recording) missing() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var missing []string
	for table, names := range map[string][]string{
		"customEvents": {"HandlerStarted", "MigrationStarted", "RoundClosed", "ChunkMoved", "MigrationCompleted"},
		"customMetrics": {"ResourcesExported", "ResourcesImported", "ResourcesRejected", "ResourcesSkipped", "ChunksPlanned", "ChunksExporting", "ChunksExported",
			"ChunksImporting", "ChunksImported", "ChunksSplit", "ChunksFailed", "ChunksCancelled", "LagSeconds", "ExportSeconds", "ImportSeconds"},
		"dependencies": {"GET /$export", "POST /$import"},
	} {
		for _, name := range names {
			if r.names[table][name] == nil {
				missing = append(missing, table+": "+name)
			}
		}
	}
	return missing
}

// TestQueriesReadARealRun runs a whole migration through the packaged app and compares what it really sent with what the
// workbook and the alerts read.
func TestQueriesReadARealRun(t *testing.T) {
	if os.Getenv("REQUIRE_AZURITE") == "" {
		if _, err := os.Stat(filepath.Join(root, "local/node_modules/azurite")); err != nil {
			t.Skip("the storage emulator is not installed: make deps")
		}
	}
	r := record(t)
	migrate(t, r.URL)
	limit := time.NewTimer(2 * time.Minute) // an error bound; the run takes seconds
	defer limit.Stop()
	for missing := r.missing(); len(missing) > 0; missing = r.missing() {
		select {
		case <-r.came:
		case <-limit.C:
			t.Fatalf("the run never sent %v", missing)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) > 0 {
		t.Errorf("what came could not be read: %v", r.faults)
	}
	checked := 0
	for file, query := range queries(t) {
		query = regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(query, "")
		at := tableName.FindAllStringIndex(query, -1)
		for i, span := range at {
			end := len(query)
			if i+1 < len(at) {
				end = at[i+1][0]
			}
			checked += r.compare(t, file, query[span[0]:span[1]], query[span[1]:end])
		}
	}
	if checked < 20 {
		t.Errorf("got %d names of queries in what was sent, want those of every run", checked)
	}
}

// compare wants the dimensions that a pipeline reads on each of its names that were sent, and counts those.
func (r *recording) compare(t *testing.T, file, table, pipeline string) int {
	t.Helper()
	var sent []string
	if table == "dependencies" {
		sent = slices.Collect(maps.Keys(r.names[table]))
	}
	for _, condition := range nameIs.FindAllStringSubmatch(pipeline, -1) {
		for _, name := range quoted.FindAllStringSubmatch(condition[2], -1) {
			if condition[1] != "startswith" && r.names[table][name[1]] != nil {
				sent = append(sent, name[1])
			}
		}
	}
	for _, name := range sent {
		for _, d := range dimension.FindAllStringSubmatch(pipeline, -1) {
			if key := d[1] + d[2]; !slices.Contains(r.names[table][name], key) {
				t.Errorf("infra/watch/%s reads %s of %s, which was sent with %v", file, key, name, slices.Compact(slices.Sorted(slices.Values(r.names[table][name]))))
			}
		}
	}
	return len(sent)
}

// migrate starts a run of the packaged app over a small source, and leaves it running until the test ends.
func migrate(t *testing.T, ingestion string) {
	t.Helper()
	_, archive := packed(t)
	const scale = 0.003
	world, err := rig.Start(t.Context(), rig.Options{
		Seed:        91,
		Source:      fhirsim.Options{Generation: fhirsim.Gen1, Scale: scale},
		Destination: fhirsim.Options{Generation: fhirsim.Gen2, Scale: scale},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	since := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	for v := range (seed.Generator{Seed: 91, Resources: 60, Since: since, Until: since.AddDate(0, 6, 0)}).Versions() {
		if err := world.Source.Load(fhirsim.Version(v)); err != nil {
			t.Fatal(err)
		}
	}
	settings := world.Settings()
	maps.Copy(settings, map[string]string{
		"FERRY_MODE": "once", "FERRY_SCHEDULE": "*/1 * * * * *", "FERRY_SETTLE": "1s", "FERRY_POLL": "100ms", "FERRY_CONFIRMATIONS": "2",
		"FERRY_CONFIRM_INTERVAL": "100ms", "FERRY_REQUEST_TIMEOUT": "5s",
		"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=" + ingestion,
	})
	host, err := funchost.Start(t.Context(), funchost.Options{
		AppRoot: unpacked(t, archive), HostID: "recorded", Environment: "Development", Env: append(rig.Env(settings), "PATH="+os.Getenv("PATH"), "TMPDIR="+t.TempDir()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rig.StopHost(host) })
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, host.URL()+"/api/migration/start", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // only read
	if answer.StatusCode != http.StatusAccepted {
		body, err := io.ReadAll(answer.Body)
		t.Fatalf("start: %d %s %v", answer.StatusCode, body, err)
	}
}
