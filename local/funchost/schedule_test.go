package funchost

import (
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, text, zone string) time.Time {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := time.ParseInLocation("2006-01-02 15:04:05", text, location)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestNextOccurrence(t *testing.T) {
	cases := []struct{ name, schedule, now, want string }{
		{"every minute, six fields", "0 * * * * *", "2026-11-24 10:00:00", "2026-11-24 10:01:00"},
		{"every minute, five fields", "* * * * *", "2026-11-24 10:00:30", "2026-11-24 10:01:00"},
		{"every second", "*/1 * * * * *", "2026-11-24 10:00:00", "2026-11-24 10:00:01"},
		{"step", "*/15 * * * * *", "2026-11-24 10:00:46", "2026-11-24 10:01:00"},
		{"step from a value", "0 5/20 * * * *", "2026-11-24 10:26:00", "2026-11-24 10:45:00"},
		{"step in a range", "0 0 8-18/5 * * *", "2026-11-24 09:00:00", "2026-11-24 13:00:00"},
		{"reversed range", "0 0 18-8/5 * * *", "2026-11-24 09:00:00", "2026-11-24 13:00:00"},
		{"list", "0 0 6,18 * * *", "2026-11-24 06:00:00", "2026-11-24 18:00:00"},
		{"month names", "0 0 0 1 Feb,dec *", "2026-11-24 10:00:00", "2026-12-01 00:00:00"},
		{"weekday names in a range", "0 30 9 * * Mon-FRIDAY", "2026-11-27 10:00:00", "2026-11-30 09:30:00"},
		{"beginning of a name", "0 0 0 * * w", "2026-11-24 10:00:00", "2026-11-25 00:00:00"},
		{"Sunday is 0", "0 0 0 * * 0", "2026-11-24 10:00:00", "2026-11-29 00:00:00"},
		{"both day fields must match", "0 0 0 13 * 5", "2026-03-14 00:00:00", "2026-11-13 00:00:00"},
		{"29 February", "0 0 0 29 2 *", "2026-03-01 00:00:00", "2028-02-29 00:00:00"},
		{"29 February on a Monday", "0 0 0 29 2 1", "2028-03-01 00:00:00", "2044-02-29 00:00:00"},
		{"end of the year", "59 59 23 31 12 *", "2026-12-31 23:59:59", "2027-12-31 23:59:59"},
		{"time span", "00:05:00", "2026-11-24 10:00:01", "2026-11-24 10:05:01"},
		{"time span of days", "1.12:00:00", "2026-11-24 10:00:00", "2026-11-25 22:00:00"},
	}
	for _, c := range cases {
		s, err := parseSchedule(c.schedule, time.UTC)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, want := s.next(at(t, c.now, "UTC")), at(t, c.want, "UTC"); !got.Equal(want) {
			t.Errorf("%s: after %s got %s, want %s", c.name, c.now, got, want)
		}
	}
}

func TestAScheduleThatNeverComes(t *testing.T) {
	s, err := parseSchedule("0 0 0 30 2 *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.next(at(t, "2026-01-01 00:00:00", "UTC")); !got.IsZero() {
		t.Errorf("got %s, want no occurrence", got)
	}
}

// In Berlin the clocks go forward on 29 March 2026 at 02:00 and back on 25 October at
// 03:00.
func TestChangesOfTheClocks(t *testing.T) {
	cases := []struct{ name, schedule, now, want string }{
		{"a skipped time moves forward", "0 30 2 * * *", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"},
		{"a time after the gap", "0 30 3 * * *", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"},
		{"the day after", "0 30 2 * * *", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"},
		{"every hour through the gap", "0 0 * * * *", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},
		{"a repeated time, first pass", "0 30 2 * * *", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"},
		{"a repeated time fires once", "0 30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{"from within the second pass", "0 30 2 * * *", "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"},
		{"a time after the repeated hour", "0 0 3 * * *", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"},
		{"every half hour, into the second pass", "0 */30 * * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"},
		{"every half hour, in the second pass", "0 */30 * * * *", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"},
		{"every half hour, out of it", "0 */30 * * * *", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"},
		{"every hour, into the second pass", "0 0 * * * *", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"},
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		s, err := parseSchedule(c.schedule, berlin)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.next(now).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s: after %s got %s, want %s", c.name, c.now, got, c.want)
		}
	}
}

func TestBadSchedules(t *testing.T) {
	for _, text := range []string{"", "* * * *", "* * * * * * *", "60 * * * * *", "0 0 24 * * *", "0 0 0 0 * *",
		"0 0 0 * 13 *", "0 0 0 * * 7", "a * * * * *", "1- * * * * *", "-1 * * * * *", ", * * * * *",
		"*/x * * * * *", "1,,2 * * * * *", "0 0 0 * * Xday", "00:00:00", "25:00:00", "00:61:00"} {
		if _, err := parseSchedule(text, time.UTC); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestFrequent(t *testing.T) {
	for text, want := range map[string]bool{"*/30 * * * * *": true, "0 * * * * *": false, "0,1 0 * * * *": true,
		"00:00:59": true, "00:01:00": false, "0 0 0 30 2 *": false} {
		s, err := parseSchedule(text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.frequent(at(t, "2026-11-24 10:00:00", "UTC")); got != want {
			t.Errorf("frequent(%q) = %t, want %t", text, got, want)
		}
	}
}

// FuzzSchedule checks that every accepted schedule moves forward, that its occurrence
// is one it names, and that no earlier second is.
func FuzzSchedule(f *testing.F) {
	for _, text := range []string{"0 * * * * *", "*/7 1-5/2 8,9 1 jan,feb mon-fri", "5 4 * * sun", "00:01:30", "0 0 0 30 2 *", "9-1/0 * * * * *"} {
		f.Add(text, int64(1_795_000_000))
	}
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		s, err := parseSchedule(text, time.UTC)
		if err != nil || s.cron == nil || strings.Count(text, " ") > 20 {
			return
		}
		now := time.Unix(seconds%4_000_000_000, 0).UTC()
		next := s.next(now)
		if next.IsZero() {
			return
		}
		if !next.After(now) || !s.cron.names(next) {
			t.Fatalf("%q: after %s got %s", text, now, next)
		}
		for earlier := now.Add(time.Second); earlier.Before(next) && earlier.Sub(now) < time.Hour; earlier = earlier.Add(time.Second) {
			if s.cron.names(earlier) {
				t.Fatalf("%q: after %s got %s, but %s comes before", text, now, next, earlier)
			}
		}
	})
}

// names says by each field alone that the schedule fires at t.
func (c ncrontab) names(t time.Time) bool {
	return has(c.second, t.Second()) && has(c.minute, t.Minute()) && has(c.hour, t.Hour()) &&
		has(c.day, t.Day()) && has(c.month, int(t.Month())) && has(c.weekday, int(t.Weekday()))
}
