// Package rig sets up what every rehearsal on this machine stands on: the storage emulator behind its proxies, a simulated
// source and destination that export to it and import from it, and the settings that lead the app there.
package rig

import (
	"context"
	"time"

	"fhirferry/local/azurite"
	"fhirferry/local/fhirsim"
)

// QueueName is FERRY_QUEUE of every app.
const QueueName = "fhirferry-work"

// stepEvery is how often the simulated services do what has fallen due.
const stepEvery = 10 * time.Millisecond

// Options say what a rig consists of. The services' Blobs and Seed are filled in.
type Options struct {
	Folder              string // where the emulator keeps its data; empty: in its memory
	Seed                uint64
	Source, Destination fhirsim.Options
}

// Rig is the storage emulator and two FHIR services.
type Rig struct {
	Azurite                   *azurite.Azurite
	Proxies                   *azurite.Proxies // before its services; an app's way to its own storage
	Source, Destination       *fhirsim.Server
	SourceURL, DestinationURL string
	StagingURL                string // keeps its name when the emulator is started again
	closers                   []func()
}

// Start starts storage and services.
func Start(ctx context.Context, o Options) (_ *Rig, err error) {
	r := &Rig{}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if err = r.Store(ctx, o.Seed, o.Folder); err != nil {
		return nil, err
	}
	r.StagingURL = r.Azurite.BlobEndpoint()
	blobs, err := fhirsim.NewAzureBlobs(r.Azurite.ConnectionString())
	if err != nil {
		return nil, err
	}
	o.Source.Blobs, o.Destination.Blobs = blobs, blobs
	o.Source.Seed, o.Destination.Seed = o.Seed, o.Seed+1
	r.Source, r.Destination = fhirsim.New(o.Source), fhirsim.New(o.Destination)
	if r.SourceURL, err = r.serve(r.Source); err != nil {
		return nil, err
	}
	r.DestinationURL, err = r.serve(r.Destination)
	return r, err
}

// Store starts the emulator with a proxy before each of its services. Called again after Azurite.Stop it starts the
// emulator anew over the same folder.
func (r *Rig) Store(ctx context.Context, seed uint64, folder string) (err error) {
	if r.Azurite, err = azurite.Start(ctx, azurite.Options{Dir: folder, InMemory: folder == ""}); err != nil {
		return err
	}
	r.closers = append(r.closers, r.Azurite.Stop)
	if r.Proxies, err = r.Azurite.StartProxies(seed); err != nil {
		return err
	}
	r.closers = append(r.closers, r.Proxies.Stop)
	return nil
}

// serve opens one service and keeps its jobs going.
func (r *Rig) serve(s *fhirsim.Server) (string, error) {
	url, stop, err := fhirsim.Serve("127.0.0.1:0", s)
	if err != nil {
		return "", err
	}
	r.closers = append(r.closers, stop, During(func(ctx context.Context) { Every(ctx, stepEvery, s.Step) }))
	return url, nil
}

// Close ends everything in the reverse order of its start; later calls do nothing.
func (r *Rig) Close() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]()
	}
	r.closers = nil
}

// Settings lead an app to the rig (operator contract 2). The source writes to staging past the proxies and names its
// files by that address.
func (r *Rig) Settings() map[string]string {
	return map[string]string{
		"AzureWebJobsStorage":      r.Proxies.ConnectionString(),
		"FUNCTIONS_WORKER_RUNTIME": "custom",
		"FERRY_SOURCE_URL":         r.SourceURL,
		"FERRY_DESTINATION_URL":    r.DestinationURL,
		"FERRY_STAGING_URL":        r.StagingURL,
		"FERRY_STAGING_CONNECTION": r.Azurite.ConnectionString(),
		"FERRY_AUTH":               "none",
		"FERRY_QUEUE":              QueueName,
	}
}
