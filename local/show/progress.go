package show

import "time"

// speedSpan is how far back the speed shown looks. Imports land in lumps, one per job, so less would flicker.
const speedSpan = 10 * time.Second

// Progress turns successive statuses into frames.
type Progress struct {
	Started time.Time // when the run was started
	samples []sample
}

type sample struct {
	at   time.Time
	done int64
}

// Frame is one picture of a running migration.
type Frame struct {
	Status
	Passed    time.Duration // since the start of the run
	Total     int64         // versions the source holds now
	Speed     float64       // versions per second, lately
	Remaining time.Duration // estimate; negative: unknown
	Note      string        // what else happens right now; may be empty
}

// Add takes a status read at an instant, while the source held total versions.
func (p *Progress) Add(at time.Time, status Status, total int64, note string) Frame {
	done := status.settled()
	p.samples = append(p.samples, sample{at, done})
	for len(p.samples) > 2 && at.Sub(p.samples[1].at) >= speedSpan {
		p.samples = p.samples[1:]
	}
	f := Frame{Status: status, Passed: at.Sub(p.Started), Total: total, Remaining: -1, Note: note}
	if span := at.Sub(p.samples[0].at).Seconds(); span > 0 {
		f.Speed = float64(done-p.samples[0].done) / span
	}
	if left := total - done; left <= 0 {
		f.Remaining = 0
	} else if done > 0 && f.Passed > 0 {
		f.Remaining = time.Duration(float64(left) / float64(done) * float64(f.Passed))
	}
	return f
}

// Share is the part of the source's versions that is settled, from 0 to 1. Versions on shared edges of windows
// count twice, so it is capped.
func (f Frame) Share() float64 {
	if f.Total <= 0 {
		return 0
	}
	return min(1, float64(f.settled())/float64(f.Total))
}
