package funchost

import (
	"strings"
	"time"
	_ "time/tzdata" // the time zone of an app setting is known on every machine
)

// schedule says when a timer fires. Exactly one of cron and period is set.
type schedule struct {
	cron     *ncrontab
	period   time.Duration
	location *time.Location
}

// parseSchedule reads NCRONTAB, which is evaluated in the location, or a TimeSpan
// (host contract 1.10).
func parseSchedule(text string, location *time.Location) (schedule, error) {
	text = strings.TrimSpace(text)
	if period, err := parseTimeSpan(text); err == nil && period > 0 {
		return schedule{period: period, location: location}, nil
	}
	cron, err := parseNCrontab(text)
	if err != nil {
		return schedule{}, err
	}
	return schedule{cron: &cron, location: location}, nil
}

// next is the first occurrence later than now; zero when there is none.
func (s schedule) next(now time.Time) time.Time {
	now = now.In(s.location)
	if s.cron == nil {
		return now.Add(s.period)
	}
	from := wall(now)
	for {
		w := s.cron.after(from)
		if w.IsZero() {
			return w
		}
		at, fires := s.instant(w, now)
		if fires {
			return at
		}
		from = w
	}
}

// instant turns a wall-clock time after now into the moment it is meant to be.
//
// When the clocks go forward a time that does not exist moves forward with them. When
// they go back, a time that comes twice fires the first time only, except that a
// schedule of every hour goes on in both (host contract 6.2).
func (s schedule) instant(w, now time.Time) (time.Time, bool) {
	before := offset(now)
	asBefore := w.Add(-before).In(s.location)
	after := offset(asBefore)
	if after == before {
		// In the second pass of a repeated hour the first has had its turn.
		earlier := asBefore.Add(-time.Hour)
		repeated := wall(earlier).Equal(w)
		return asBefore, !repeated || s.cron.everyHour()
	}
	asAfter := w.Add(-after).In(s.location)
	if after > before {
		if offset(asAfter) == after {
			return asAfter, true
		}
		return asBefore, true // the skipped time, as far into the new hour
	}
	if s.cron.everyHour() {
		if repeated := s.firstRepeated(now, asBefore); !repeated.IsZero() {
			return repeated, true
		}
	}
	return asAfter, true
}

// firstRepeated is the schedule's first time in the second pass of a repeated hour,
// given that the clocks go back between now and end.
func (s schedule) firstRepeated(now, end time.Time) time.Time {
	change := now
	for step := end.Sub(now); step >= time.Second; step /= 2 {
		for offset(change.Add(step)) == offset(now) && change.Add(step).Before(end) {
			change = change.Add(step)
		}
	}
	change = change.Truncate(time.Second)
	first := change.Add(time.Second)
	w := s.cron.after(wall(first).Add(-time.Second))
	if w.IsZero() {
		return w
	}
	return w.Add(-offset(first)).In(s.location)
}

// frequent says that the schedule fires more often than once a minute, for which the
// host keeps no status (host contract 6.3).
func (s schedule) frequent(now time.Time) bool {
	at := s.next(now)
	for range 4 {
		following := s.next(at)
		if at.IsZero() || following.IsZero() {
			return false
		}
		if following.Sub(at) < time.Minute {
			return true
		}
		at = following
	}
	return false
}

// wall is what the clock on the wall shows, as a time in UTC.
func wall(t time.Time) time.Time { return t.Add(offset(t)).UTC() }

func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}
