package migration

import (
	"slices"
	"time"
)

// minutesPerDay is the end of a day on its own clock.
const minutesPerDay = 24 * 60

// QuietHours are the times at which no new job is started (operator contract 2, FERRY_QUIET_HOURS): it is quiet while any
// of the windows is. What is in flight lands, and planning goes on. Empty: it is never quiet.
type QuietHours []QuietWindow

// QuietWindow is a span that comes back every week. It goes by the wall clock of its zone and knows no other time: a
// begin that a change of the clock leaves out comes with the first instant after the gap, and an hour that is lived
// through twice is quiet both times.
type QuietWindow struct {
	Days       [7]bool // on which it begins, by time.Weekday
	Begin, End int     // minutes after midnight, up to 1440; an End before Begin is on the following day
	Zone       *time.Location
}

// Quiet reports whether no new job may be started now.
func (q QuietHours) Quiet(now time.Time) bool {
	return slices.ContainsFunc(q, func(w QuietWindow) bool { return w.left(now) > 0 })
}

// Opening is the first instant, not before now, at which it is not quiet; windows that touch or overlap are passed
// through as one. False: there is none within the longest time for which it can be quiet without being so for ever, a
// week and a change of the clock.
func (q QuietHours) Opening(now time.Time) (time.Time, bool) {
	for t := now; t.Sub(now) <= 8*24*time.Hour; {
		i := slices.IndexFunc(q, func(w QuietWindow) bool { return w.left(t) > 0 })
		if i < 0 {
			return t, true
		}
		t = q[i].stretch(t)
	}
	return time.Time{}, false
}

// Opens reports whether jobs can be started in every week of the year. Windows of several zones may leave an opening in
// summer and none in winter, so a year with all its changes of the clock is looked through.
func (q QuietHours) Opens() bool {
	const weeks = 53
	week := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for range weeks {
		next := week.AddDate(0, 0, 7)
		if t, ok := q.Opening(week); !ok || !t.Before(next) {
			return false
		}
		week = next
	}
	return true
}

// Hushed reports whether a step must wait for the opening: one that makes a server work. The step that starts a reindex
// is the destination's, and may go on where imports may.
func (l Limits) Hushed(kind ErrandKind, now time.Time) bool {
	switch kind {
	case ParametersErrand:
		return l.Quiet.Quiet(now)
	case ReindexErrand:
		return l.Quiet.Quiet(now) && !l.QuietImports
	}
	return false
}

// left is how long the window goes on by the wall clock; zero: it is not quiet at t.
func (w QuietWindow) left(t time.Time) time.Duration {
	local := t.In(w.Zone)
	hour, minute, second := local.Clock()
	now := hour*60 + minute
	day := local.Weekday()
	end := w.End
	if overnight := w.End < w.Begin; overnight {
		if w.Days[(day+6)%7] && now < w.End {
			return remaining(w.End, now, second, local)
		}
		end = minutesPerDay // the rest belongs to the following day, which asks for itself
	}
	if w.Days[day] && w.Begin <= now && now < end {
		return remaining(end, now, second, local)
	}
	return 0
}

func remaining(end, now, second int, local time.Time) time.Duration {
	return time.Duration(end-now)*time.Minute - time.Duration(second)*time.Second - time.Duration(local.Nanosecond())
}

// stretch is the instant up to which the window, which is quiet at t, is known to stay so: where it ends, or where the
// clock changes before.
func (w QuietWindow) stretch(t time.Time) time.Time {
	end := t.Add(w.left(t))
	if _, change := t.In(w.Zone).ZoneBounds(); !change.IsZero() && change.Before(end) {
		return change.In(t.Location())
	}
	return end
}
