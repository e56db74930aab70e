package main

import (
	"context"

	"fhirferry/local/azurite"
	"fhirferry/local/fhirsim"
	"fhirferry/local/rig"
	"fhirferry/local/seed"
)

// pair is the storage emulator and the two FHIR services.
type pair struct {
	*rig.Rig
	generator seed.Generator
}

func startPair(ctx context.Context, o order) (*pair, error) {
	r, err := rig.Start(ctx, rig.Options{
		Seed:        o.seed,
		Source:      fhirsim.Options{Generation: fhirsim.Gen1, Scale: o.scale},
		Destination: fhirsim.Options{Generation: fhirsim.Gen2, Scale: o.scale},
	})
	if err != nil {
		return nil, err
	}
	p := &pair{Rig: r, generator: seed.Generator{Seed: o.seed, Resources: o.resources, Edges: edges()}}
	for server, faults := range map[*fhirsim.Server][]fault{p.Source: o.source, p.Destination: o.destination} {
		for _, f := range faults {
			if err := server.Faults().Arm(f.name, f.arm); err != nil {
				p.Close()
				return nil, err
			}
		}
	}
	p.Destination.Faults().DuplicateErrors(duplicates) // something for the app to find harmless
	return p, nil
}

// duplicates is how many lines the destination calls duplicates although it has stored them.
const duplicates = 3

// stored is the number of storage requests of hosts and handlers; the services' own go past the proxies.
func (p *pair) stored() int {
	total := 0
	for _, n := range p.Proxies.Counts() {
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
	p.Proxies.Inject(azurite.Fault{Effect: azurite.Busy, Probability: share / 2})
	p.Proxies.Inject(azurite.Fault{Effect: azurite.Drop, Probability: share / 4})
	p.Proxies.Inject(azurite.Fault{Effect: azurite.Refuse, Probability: share / 4})
}
