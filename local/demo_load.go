package main

import (
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"fhirferry/local/fhirsim"
	"fhirferry/local/seed"
)

// oldestYear is the year of the first resource: the definitions come before the clinical data.
const oldestYear = 2018

// batch is how many versions are loaded at once.
const batch = 2000

// window is FERRY_WINDOW of the demonstration. Windows begin at the oldest resource and are halved, so that the
// edges of all of them are known beforehand and resources can be put on them exactly.
const window = 192 * 24 * time.Hour

func oldest() time.Time { return time.Date(oldestYear, time.October, 1, 0, 0, 0, 0, time.UTC) }

// edges are the months' first instants and every instant at which a window of the run may be cut, in order.
func edges() []time.Time {
	var all []time.Time
	for at := oldest(); at.Year() < oldestYear+7; at = at.Add(window / 8) {
		all = append(all, at)
	}
	for month := oldest(); month.Year() < oldestYear+7; month = month.AddDate(0, 1, 0) {
		all = append(all, month)
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// load fills the source with definitions and clinical resources.
func (p *pair) load(o order, say func(string, ...any)) error {
	began := time.Now()
	definitions, large, err := p.loadDefinitions(o.definitions)
	if err != nil {
		return err
	}
	say("loaded %d HL7 definitions, %d of them above 1 MB, in %.1f s", definitions, large, time.Since(began).Seconds())
	return p.loadClinical(say)
}

func (p *pair) loadClinical(say func(string, ...any)) error {
	began := time.Now()
	resources, types, versions, until := map[seed.Ref]bool{}, map[string]bool{}, 0, time.Time{}
	load := loader{to: p.Source}
	for v := range p.generator.Versions() {
		resources[seed.Ref{Type: v.Type, ID: v.ID}], types[v.Type] = true, true
		versions, until = versions+1, v.LastUpdated
		if err := load.add(v); err != nil {
			return err
		}
	}
	if err := load.flush(); err != nil {
		return err
	}
	say("loaded %d versions of %d clinical resources of %d types up to %s in %.1f s",
		versions, len(resources), len(types), until.Format(time.DateOnly), time.Since(began).Seconds())
	return nil
}

func (p *pair) loadDefinitions(folder string) (n, large int, err error) {
	if _, err := os.Stat(folder); err != nil {
		return 0, 0, fmt.Errorf("find the HL7 definitions: %w; run make demo, which installs them, or npm ci in local/", err)
	}
	load := loader{to: p.Source}
	for v, err := range seed.Definitions(os.DirFS(folder), oldest()) {
		if err != nil {
			return 0, 0, err
		}
		if err := load.add(v); err != nil {
			return 0, 0, err
		}
		n++
		if len(v.Body) > 1_000_000 {
			large++
		}
	}
	return n, large, load.flush()
}

// loader hands versions to a service in batches.
type loader struct {
	to      *fhirsim.Server
	waiting []fhirsim.Version
}

func (l *loader) add(v seed.Version) error {
	l.waiting = append(l.waiting, fhirsim.Version(v))
	if len(l.waiting) < batch {
		return nil
	}
	return l.flush()
}

func (l *loader) flush() error {
	defer func() { l.waiting = l.waiting[:0] }()
	return l.to.Load(l.waiting...)
}

// inScope yields every version of a service that a run promises to move.
func inScope(s *fhirsim.Server) iter.Seq[seed.Version] {
	return func(yield func(seed.Version) bool) {
		s.Versions(func(v fhirsim.Version) bool { return v.Type == apart || yield(seed.Version(v)) })
	}
}

// held is the number of versions in scope that a service holds.
func held(s *fhirsim.Server) int64 {
	total := 0
	for name, n := range s.Counts() {
		if name != apart {
			total += n
		}
	}
	return int64(total)
}

// asked is the number of requests a service got, without those of the writer.
func asked(s *fhirsim.Server) int {
	total := 0
	for route, n := range s.RequestCounts() {
		if !strings.HasPrefix(route, "PUT ") && !strings.HasSuffix(route, "DELETE /{Type}/{id}") {
			total += n
		}
	}
	return total
}

// onEdge is the number of versions of the source whose lastUpdated is one of the given milliseconds.
func (p *pair) onEdge(cuts map[int64]bool) int {
	n := 0
	for v := range inScope(p.Source) {
		if cuts[v.LastUpdated.UnixMilli()] {
			n++
		}
	}
	return n
}
