package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"fhirferry/local/azurite"
	"fhirferry/local/fhirsim"
	"fhirferry/local/funchost"
)

const (
	// scale is how long waits and jobs last as a share of reality. A nudge is delayed by whole seconds, so that a poll
	// of 30 s cannot become shorter than one second without being distorted.
	scale = 1.0 / 30
	// stepEvery is how often the simulated services do what has fallen due.
	stepEvery = 10 * time.Millisecond
	// workRate is how many resources of a kilobyte a worker of a service moves per second of real time: low, so that
	// few resources make jobs of minutes. Jobs stay below ten polls, from where waits grow by parts of a second that a
	// nudge rounds up.
	workRate = 0.6
)

// stage is the storage emulator, the two FHIR services and the app in a host.
type stage struct {
	azurite             *azurite.Azurite
	proxies             *azurite.Proxies
	source, destination *fhirsim.Server
	urls                [2]string // of the two
	staging             string    // where the run's files lie; it keeps the name when the emulator is started again
	host                *funchost.Host
	closers             []func()
}

// openStage starts storage and services. The emulator keeps its data in the folder, or in its memory when there is
// none.
func openStage(ctx context.Context, seed uint64, folder string) (_ *stage, err error) {
	s := &stage{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err = s.store(ctx, seed, folder); err != nil {
		return nil, err
	}
	s.staging = s.azurite.BlobEndpoint()
	blobs, err := fhirsim.NewAzureBlobs(s.azurite.ConnectionString())
	if err != nil {
		return nil, err
	}
	options := fhirsim.Options{Blobs: blobs, Scale: scale, Seed: seed, ExportRate: workRate, ImportRate: workRate}
	options.Generation = fhirsim.Gen1
	s.source = fhirsim.New(options)
	options.Generation = fhirsim.Gen2
	s.destination = fhirsim.New(options)
	for i, server := range []*fhirsim.Server{s.source, s.destination} {
		if s.urls[i], err = s.serve(server); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// store starts the emulator with a proxy before each service.
func (s *stage) store(ctx context.Context, seed uint64, folder string) (err error) {
	if s.azurite, err = azurite.Start(ctx, azurite.Options{Dir: folder, InMemory: folder == ""}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.azurite.Stop)
	if s.proxies, err = s.azurite.StartProxies(seed); err != nil {
		return err
	}
	s.closers = append(s.closers, s.proxies.Stop)
	return nil
}

func (s *stage) serve(server *fhirsim.Server) (string, error) {
	url, stop, err := fhirsim.Serve("127.0.0.1:0", server)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var stepping sync.WaitGroup
	stepping.Go(func() {
		for wait(ctx, stepEvery) {
			server.Step()
		}
	})
	s.closers = append(s.closers, stop, func() { cancel(); stepping.Wait() })
	return url, nil
}

// settings are the app settings, with every duration scaled from its default or from the sample settings; extra ones
// replace them.
func (s *stage) settings(extra map[string]string) []string {
	all := map[string]string{
		"AzureWebJobsStorage":      s.proxies.ConnectionString(),
		"FUNCTIONS_WORKER_RUNTIME": "custom",
		"FERRY_SOURCE_URL":         s.urls[0],
		"FERRY_DESTINATION_URL":    s.urls[1],
		// The source writes to staging directly, and names its files by that address.
		"FERRY_STAGING_URL":        s.staging,
		"FERRY_STAGING_CONNECTION": s.azurite.ConnectionString(),
		"FERRY_AUTH":               "none",
		"FERRY_SCHEDULE":           "*/2 * * * * *",
		"FERRY_QUEUE":              "fhirferry-work",
		"FERRY_POLL":               "1s",
		"FERRY_CONFIRM_INTERVAL":   "1s",
		"FERRY_SETTLE":             "10s",
		"FERRY_INTERVAL":           "30s",
		"FERRY_STALL":              "10m",
		"FERRY_REQUEST_TIMEOUT":    "10s",
		// An idle queue is looked at every 2 s; this is the least that a host accepts.
		"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.1",
	}
	maps.Copy(all, extra)
	var env []string
	for name, value := range all {
		env = append(env, name+"="+value)
	}
	return env
}

// open starts the app. The host keeps its own locks and timers past the proxies, so that what they count is the
// handler's, and the host's reading of the queue.
func (s *stage) open(ctx context.Context, b *bench, extra map[string]string) (err error) {
	s.host, err = funchost.Start(ctx, funchost.Options{
		AppRoot: b.order.dist, Env: s.settings(extra), StorageConnection: s.azurite.ConnectionString(),
		HostID: "fhirferry-bench", InstanceID: "instance-1", Environment: "Development",
		HandlerOut: b.log, Log: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.leave)
	return nil
}

// leave ends the host and its handler; the services go on.
func (s *stage) leave() {
	if s.host == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.host.Stop(ctx) // the listener of a host that ends is of no more use
	s.host = nil
}

func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	s.closers = nil
}

// counts is everything that was asked of anybody, by who and what.
func (s *stage) counts() tally {
	all := tally{}
	for name, n := range s.source.RequestCounts() {
		all["source "+name] = n
	}
	for name, n := range s.destination.RequestCounts() {
		all["destination "+name] = n
	}
	maps.Copy(all, s.proxies.Counts())
	return all
}

// fill loads the source with kilobyte resources spread evenly from first to last: every second one an Observation, the
// others of four more types, so that there are two lanes of equal work.
func (s *stage) fill(first, last time.Time, n int) error {
	others := []string{"Patient", "Encounter", "Condition", "Procedure"}
	var versions []fhirsim.Version
	for i := range n {
		of := "Observation"
		if i%2 == 1 {
			of = others[i/2%len(others)]
		}
		at := first.Add(last.Sub(first) / time.Duration(n) * time.Duration(i)).Truncate(time.Millisecond)
		body := fmt.Sprintf(`{"resourceType":%q,"text":{"status":"empty","div":"%0800d"}}`, of, i)
		versions = append(versions, fhirsim.Version{Type: of, ID: fmt.Sprintf("bench-%06d", i), VersionID: "1", LastUpdated: at, Body: []byte(body)})
	}
	if err := s.source.Load(versions...); err != nil {
		return fmt.Errorf("load the source: %w", err)
	}
	return nil
}

// arrived is the number of versions that the destination holds.
func (s *stage) arrived() int {
	total := 0
	for _, n := range s.destination.Counts() {
		total += n
	}
	return total
}

// wait returns false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
