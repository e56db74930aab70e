package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"fhirferry/local/fhirsim"
	"fhirferry/local/funchost"
	"fhirferry/local/rig"
)

const (
	// scale is how long waits and jobs last as a share of reality. A nudge is delayed by whole seconds, so that a poll
	// of 30 s cannot become shorter than one second without being distorted.
	scale = 1.0 / 30
	// workRate is how many resources of a kilobyte a worker of a service moves per second of real time: low, so that
	// few resources make jobs of minutes. Jobs stay below ten polls, from where waits grow by parts of a second that a
	// nudge rounds up.
	workRate = 0.6
)

// stage is the storage emulator, the two FHIR services and the app in a host.
type stage struct {
	*rig.Rig
	host *funchost.Host
}

// openStage starts storage and services. The emulator keeps its data in the folder, or in its memory when there is
// none.
func openStage(ctx context.Context, seed uint64, folder string) (*stage, error) {
	source := fhirsim.Options{Generation: fhirsim.Gen1, Scale: scale, ExportRate: workRate, ImportRate: workRate}
	destination := source
	destination.Generation = fhirsim.Gen2
	r, err := rig.Start(ctx, rig.Options{Folder: folder, Seed: seed, Source: source, Destination: destination})
	if err != nil {
		return nil, err
	}
	return &stage{Rig: r}, nil
}

// settings are the app settings, with every duration scaled from its default or from the sample settings; extra ones
// replace them.
func (s *stage) settings(extra map[string]string) []string {
	all := s.Settings()
	maps.Copy(all, map[string]string{
		"FERRY_SCHEDULE":         "*/2 * * * * *",
		"FERRY_POLL":             "1s",
		"FERRY_CONFIRM_INTERVAL": "1s",
		"FERRY_SETTLE":           "10s",
		"FERRY_INTERVAL":         "30s",
		"FERRY_STALL":            "10m",
		"FERRY_REQUEST_TIMEOUT":  "10s",
		// An idle queue is looked at every 2 s; this is the least that a host accepts.
		"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.1",
	})
	maps.Copy(all, extra)
	return rig.Env(all)
}

// open starts the app. The host keeps its own locks and timers past the proxies, so that what they count is the
// handler's, and the host's reading of the queue.
func (s *stage) open(ctx context.Context, b *bench, extra map[string]string) (err error) {
	s.host, err = funchost.Start(ctx, funchost.Options{
		AppRoot: b.order.dist, Env: s.settings(extra), StorageConnection: s.Azurite.ConnectionString(),
		HostID: "fhirferry-bench", InstanceID: "instance-1", Environment: "Development",
		HandlerOut: b.log, Log: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	if err != nil {
		return err
	}
	return nil
}

// leave ends the host and its handler; the services go on.
func (s *stage) leave() {
	if s.host == nil {
		return
	}
	rig.StopHost(s.host)
	s.host = nil
}

func (s *stage) close() {
	s.leave()
	s.Close()
}

// counts is everything that was asked of anybody, by who and what.
func (s *stage) counts() tally {
	all := tally{}
	for name, n := range s.Source.RequestCounts() {
		all["source "+name] = n
	}
	for name, n := range s.Destination.RequestCounts() {
		all["destination "+name] = n
	}
	maps.Copy(all, s.Proxies.Counts())
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
	if err := s.Source.Load(versions...); err != nil {
		return fmt.Errorf("load the source: %w", err)
	}
	return nil
}

// arrived is the number of versions that the destination holds.
func (s *stage) arrived() int {
	total := 0
	for _, n := range s.Destination.Counts() {
		total += n
	}
	return total
}
