package main

import (
	"context"
	"sync"
	"time"

	"fhirferry/local/azurite"
	"fhirferry/local/fhirsim"
	"fhirferry/local/seed"
)

// stepEvery is how often the simulated services do what has fallen due.
const stepEvery = 20 * time.Millisecond

// pair is the storage emulator and the two FHIR services.
type pair struct {
	azurite        *azurite.Azurite
	proxies        *azurite.Proxies
	source         *fhirsim.Server
	destination    *fhirsim.Server
	sourceURL      string
	destinationURL string
	generator      seed.Generator
	closers        []func()
}

func startPair(ctx context.Context, o order) (_ *pair, err error) {
	p := &pair{generator: seed.Generator{Seed: o.seed, Resources: o.resources, Edges: edges()}}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if p.azurite, err = azurite.Start(ctx, azurite.Options{InMemory: true}); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.azurite.Stop)
	if p.proxies, err = p.azurite.StartProxies(o.seed); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.proxies.Stop)
	blobs, err := fhirsim.NewAzureBlobs(p.azurite.ConnectionString())
	if err != nil {
		return nil, err
	}
	p.source = fhirsim.New(fhirsim.Options{Generation: fhirsim.Gen1, Blobs: blobs, Scale: o.scale, Seed: o.seed})
	p.destination = fhirsim.New(fhirsim.Options{Generation: fhirsim.Gen2, Blobs: blobs, Scale: o.scale, Seed: o.seed})
	if p.sourceURL, err = p.serve(p.source, o.source); err != nil {
		return nil, err
	}
	p.destinationURL, err = p.serve(p.destination, o.destination)
	return p, err
}

// serve opens one service, arms its faults and keeps its jobs going.
func (p *pair) serve(s *fhirsim.Server, faults []fault) (string, error) {
	for _, f := range faults {
		if err := s.Faults().Arm(f.name, f.arm); err != nil {
			return "", err
		}
	}
	url, stop, err := fhirsim.Serve("127.0.0.1:0", s)
	if err != nil {
		return "", err
	}
	p.closers = append(p.closers, stop, during(func(ctx context.Context) {
		ticker := time.NewTicker(stepEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				s.Step()
			}
		}
	}))
	return url, nil
}

// during runs work until the returned function is called, which waits for its end.
func during(work func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { work(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// stop ends everything in the reverse order of its start.
func (p *pair) stop() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
	p.closers = nil
}

// stored is the number of storage requests of hosts and handlers; the services' own go past the proxies.
func (p *pair) stored() int {
	if p.proxies == nil {
		return 0
	}
	total := 0
	for _, n := range p.proxies.Counts() {
		total += n
	}
	return total
}

// disturbStorage lets the given share of the storage requests of hosts and handlers fail: half of them answered
// busy, a quarter done but with the answer lost, a quarter refused.
func (p *pair) disturbStorage(share float64) {
	if share <= 0 {
		return
	}
	p.proxies.Inject(azurite.Fault{Effect: azurite.Busy, Probability: share / 2})
	p.proxies.Inject(azurite.Fault{Effect: azurite.Drop, Probability: share / 4})
	p.proxies.Inject(azurite.Fault{Effect: azurite.Refuse, Probability: share / 4})
}
