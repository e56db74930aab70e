package e2e

import (
	"context"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"fhirferry/local/fhirsim"
	"fhirferry/local/funchost"
	"fhirferry/local/rig"
	"fhirferry/local/seed"
)

// world is the storage emulator, two FHIR services, and the app between them once it is started.
type world struct {
	*testing.T
	*rig.Rig
	generator seed.Generator
	settings  map[string]string
	journal   *journal
	hosts     []*funchost.Host
}

// plan is what tests vary. Zero values: an Azure API for FHIR with a few hundred resources.
type plan struct {
	seed       uint64
	generation fhirsim.Generation
	resources  int
	scale      float64 // how long the services take as a share of the real time
	settings   map[string]string
	// deIdentifies lets the source export de-identified.
	deIdentifies bool
}

// newWorld starts storage and services and loads the source. All of it ends with the test.
func newWorld(t *testing.T, p plan) *world {
	t.Helper()
	w := &world{T: t, journal: &journal{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d; the last lines of hosts and handlers:\n%s", p.seed, w.journal.tail())
		}
	})
	if p.generation == 0 {
		p.generation = fhirsim.Gen1
	}
	if p.scale == 0 {
		p.scale = scale
	}
	var err error
	w.Rig, err = rig.Start(t.Context(), rig.Options{
		Seed:        p.seed,
		Source:      fhirsim.Options{Generation: p.generation, Scale: p.scale, AnonymizedExport: p.deIdentifies},
		Destination: fhirsim.Options{Generation: fhirsim.Gen2, Scale: p.scale},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.settings = w.defaults()
	maps.Copy(w.settings, p.settings)
	w.load(p)
	return w
}

// scale is the usual plan.scale: the 15 s of an export's quiet period are 45 ms.
const scale = 0.003

// defaults are settings with waits as much shorter as the services are faster (operator contract 2).
func (w *world) defaults() map[string]string {
	all := w.Settings()
	maps.Copy(all, map[string]string{
		"FERRY_SCHEDULE":         "*/1 * * * * *",
		"FERRY_WINDOW":           "240d",
		"FERRY_CHUNK_LIMIT":      "500",
		"FERRY_SETTLE":           "1s",
		"FERRY_INTERVAL":         "8s",
		"FERRY_POLL":             "100ms",
		"FERRY_CONFIRMATIONS":    "2",
		"FERRY_CONFIRM_INTERVAL": "100ms",
		"FERRY_STALL":            "30s",
		"FERRY_REQUEST_TIMEOUT":  "5s",
	})
	return all
}

// put keeps a file in the staging account.
func (w *world) put(container, name, content string) {
	w.Helper()
	blobs, err := fhirsim.NewAzureBlobs(w.Azurite.ConnectionString())
	if err != nil {
		w.Fatal(err)
	}
	if err := blobs.CreateContainer(w.Context(), container); err != nil {
		w.Fatal(err)
	}
	if err := blobs.Put(w.Context(), container, name, []byte(content)); err != nil {
		w.Fatal(err)
	}
}

// firstInstant is when the oldest resource was written. Windows begin there, so that edges are known beforehand.
func firstInstant() time.Time { return time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC) }

// lastInstant is later than everything that is there before a run.
func lastInstant() time.Time { return firstInstant().AddDate(0, 30, 0) }

// loaded are the types of what is there before a run: a few, since every file costs time. The writer adds others.
func loaded() []string { return []string{"Claim", "Condition", "Observation", "Patient", "Procedure"} }

// load fills the source: versions, soft deletes, groups that share a millisecond, resources on, just before and just
// after the edges of windows; on an Azure API for FHIR also instants finer than a millisecond.
func (w *world) load(p plan) {
	w.Helper()
	if p.resources == 0 {
		p.resources = 500
	}
	until := lastInstant()
	w.generator = seed.Generator{Seed: p.seed, Resources: p.resources, Since: firstInstant(), Until: until}
	for at := firstInstant(); at.Before(until); at = at.Add(30 * 24 * time.Hour) {
		w.generator.Edges = append(w.generator.Edges, at)
	}
	var all []fhirsim.Version
	n := 0
	for v := range w.generator.Versions() {
		if !slices.Contains(loaded(), v.Type) {
			continue
		}
		if n++; p.generation == fhirsim.Gen1 && n%10 == 0 && n > 20 {
			v.LastUpdated = v.LastUpdated.Add(123_400 * time.Nanosecond)
		}
		all = append(all, fhirsim.Version(v))
	}
	if err := w.Source.Load(all...); err != nil {
		w.Fatal(err)
	}
}

// start runs the given number of hosts over one packaged app, as instances of one Functions app.
func (w *world) start(hosts int) {
	w.Helper()
	for range hosts {
		w.startOver(os.Getenv(distVariable))
	}
}

// startOver adds a host over the packaged app in the folder.
func (w *world) startOver(folder string) {
	w.Helper()
	w.startHost(funchost.Options{AppRoot: folder})
}

func (w *world) startHost(o funchost.Options) {
	w.Helper()
	o.Env = rig.Env(w.settings)
	o.HostID, o.Environment = "fhirferry-e2e", "Development"
	o.HandlerOut, o.Log = w.journal, w.journal.records()
	o.RestartWhenGivenUp, o.RestartPause = true, 100*time.Millisecond
	o.TimerLease = 15 * time.Second // the least that storage accepts
	host, err := funchost.Start(w.Context(), o)
	if err != nil {
		w.Fatal(err)
	}
	w.hosts = append(w.hosts, host)
	w.Cleanup(func() { rig.StopHost(host) })
}

// known are resources that the source has.
func (w *world) known() []seed.Ref {
	return slices.DeleteFunc(w.generator.Refs(150), func(r seed.Ref) bool { return !slices.Contains(loaded(), r.Type) })
}

// write changes the source at the rate given, in writes a second, until stopped.
func (w *world) write(rate float64) (stop func()) {
	w.Helper()
	var done seed.Writes
	var err error
	end := rig.During(func(ctx context.Context) {
		done, err = seed.Writer{BaseURL: w.SourceURL, Seed: w.generator.Seed, Rate: rate, Known: w.known()}.Run(ctx)
	})
	w.Cleanup(end)
	return func() {
		w.Helper()
		end()
		if err != nil || done.Total() == 0 {
			w.Fatalf("the writer wrote %+v, error %v", done, err)
		}
	}
}
