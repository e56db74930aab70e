package e2e

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"time"

	"fhirferry/local/fhirsim"
	"fhirferry/local/seed"
	"fhirferry/local/show"
)

// finish cuts over and holds both sides against each other.
func (w *world) finish() status {
	w.Helper()
	w.verb("cutover", nil)
	return w.completed()
}

// completed waits for the run's end, which must be clean, and holds both sides against each other.
func (w *world) completed() status {
	w.Helper()
	s := w.ended()
	if !s.Clean {
		w.Errorf("completed, but not clean: %s", display(s))
	}
	return s
}

// ended waits for the run's end, clean or not, and holds both sides against each other.
func (w *world) ended() status {
	w.Helper()
	s := w.untilState("completed")
	if s.Open() != 0 || s.Chunks["failed"] != 0 || s.EndedAt == nil || s.Resources.Rejected != 0 {
		w.Errorf("completed, but not as it should: %s", display(s))
	}
	w.equal(func(seed.Version) bool { return true })
	w.believed()
	return s
}

// equal wants exactly the versions of the source that are in scope on the destination.
func (w *world) equal(scope func(seed.Version) bool) {
	w.Helper()
	imported := func(v seed.Version) bool { return v.Type != "SearchParameter" } // those are moved by a step of their own
	c := show.Compare(versions(w.Source, func(v seed.Version) bool { return imported(v) && scope(v) }), versions(w.Destination, imported))
	if !c.Equal() {
		w.Errorf("source and destination differ: %+v\n%q", c.Total(), c.Examples)
	}
}

// versions are those of a service that are in scope.
func versions(s *fhirsim.Server, scope func(seed.Version) bool) iter.Seq[seed.Version] {
	return func(yield func(seed.Version) bool) {
		s.Versions(func(v fhirsim.Version) bool { return !scope(seed.Version(v)) || yield(milliseconds(seed.Version(v))) })
	}
}

// milliseconds cuts the instant in the body as a destination does, whose instants have no finer ticks (contract 0.2).
func milliseconds(v seed.Version) seed.Version {
	const second = "2006-01-02T15:04:05"
	fine, coarse := v.LastUpdated.Format(second+".0000000"), v.LastUpdated.Format(second+".000")
	v.Body = bytes.ReplaceAll(v.Body, []byte(fine), []byte(coarse))
	return v
}

// before is the scope that ends with the instant.
func before(end time.Time) func(seed.Version) bool {
	return func(v seed.Version) bool { return !v.LastUpdated.After(end) }
}

// believed wants every imported file to be of an export whose answer arrived and whose manifest was shown as often as
// FERRY_CONFIRMATIONS asks (design 3.5, invariants 10 and 14).
func (w *world) believed() {
	w.Helper()
	confirmations, err := strconv.Atoi(w.settings["FERRY_CONFIRMATIONS"])
	if err != nil {
		w.Fatal(err)
	}
	trusted := map[string]bool{}
	for _, job := range w.Source.Jobs() {
		for _, url := range job.URLs {
			trusted[url] = trusted[url] || !job.AnswerLost && !job.Cancelled && job.Shown >= confirmations
		}
	}
	files := 0
	for _, job := range w.Destination.Jobs() {
		for _, url := range job.URLs {
			files++
			if !trusted[url] {
				w.Errorf("import %d read %s, which is of no export that was confirmed %d times", job.ID, url, confirmations)
			}
		}
	}
	if files == 0 {
		w.Error("no file was imported")
	}
}

// withinLimits wants no more jobs open at one time than the settings allow (design 3.5, invariant 15).
func (w *world) withinLimits(exports, imports int) {
	w.Helper()
	if n := w.Source.MaxConcurrent("export"); n > exports {
		w.Errorf("%d exports were open at one time, the limit is %d", n, exports)
	}
	if n := w.Destination.MaxConcurrent("import"); n > imports {
		w.Errorf("%d imports were open at one time, the limit is %d", n, imports)
	}
}

// edges wants versions of the source to lie exactly on edges of the run's windows.
func (w *world) edges() {
	w.Helper()
	var cuts []int64
	for _, c := range w.chunks() {
		cuts = append(cuts, c.Since.UnixMilli(), c.Till.UnixMilli())
	}
	on := 0
	for range versions(w.Source, func(v seed.Version) bool { return slices.Contains(cuts, v.LastUpdated.UnixMilli()) }) {
		on++
	}
	if on < 3 {
		w.Errorf("only %d versions lie on edges of windows: the test shows too little", on)
	}
}
