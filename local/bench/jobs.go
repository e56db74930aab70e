package main

import (
	"slices"
	"time"

	"fhirferry/local/fhirsim"
)

// span is a time from one instant to another.
type span struct{ from, to time.Time }

func (s span) length() time.Duration { return s.to.Sub(s.from) }

// gaps are the times within the whole in which no job is open at any of the servers, in order.
func gaps(whole span, jobs []fhirsim.JobInfo) []span {
	sorted := slices.SortedFunc(slices.Values(jobs), func(a, b fhirsim.JobInfo) int { return a.Created.Compare(b.Created) })
	var idle []span
	at := whole.from
	for _, j := range sorted {
		if j.Created.After(whole.to) {
			break
		}
		if j.Created.After(at) {
			idle = append(idle, span{at, j.Created})
		}
		if j.Ended.IsZero() {
			return idle
		}
		if j.Ended.After(at) {
			at = j.Ended
		}
	}
	if at.Before(whole.to) {
		idle = append(idle, span{at, whole.to})
	}
	return idle
}

func sum(spans []span) (total time.Duration) {
	for _, s := range spans {
		total += s.length()
	}
	return total
}

// ofKind are the jobs of one kind, "export" or "import".
func ofKind(jobs []fhirsim.JobInfo, kind string) []fhirsim.JobInfo {
	return slices.DeleteFunc(slices.Clone(jobs), func(j fhirsim.JobInfo) bool { return j.Kind != kind })
}

// lengths are how long ended jobs took.
func lengths(jobs []fhirsim.JobInfo) []time.Duration {
	var all []time.Duration
	for _, j := range jobs {
		if !j.Ended.IsZero() {
			all = append(all, j.Ended.Sub(j.Created))
		}
	}
	return all
}

// lasts is the first job's beginning to the last one's end.
func lasts(jobs []fhirsim.JobInfo) span {
	var s span
	for _, j := range jobs {
		if s.from.IsZero() || j.Created.Before(s.from) {
			s.from = j.Created
		}
		if j.Ended.After(s.to) {
			s.to = j.Ended
		}
	}
	return s
}
