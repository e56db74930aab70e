package migration

import (
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata" // the rules of the zones are the same on every machine
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// everyDay is a window from and to a time of day, both in minutes.
func everyDay(begin, end int, z *time.Location) QuietWindow {
	return QuietWindow{Days: [7]bool{true, true, true, true, true, true, true}, Begin: begin, End: end, Zone: z}
}

func utc(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func clock(hour, minute int) int { return hour*60 + minute }

// When it is quiet, told by the edges: each instant is the first of a stretch that is quiet, or open, up to the next.
func TestQuietEdges(t *testing.T) {
	london, sydney, howe := zone(t, "Europe/London"), zone(t, "Australia/Sydney"), zone(t, "Australia/Lord_Howe")
	weekdays := QuietWindow{Days: [7]bool{false, true, true, true, true, true, false}, Begin: clock(8, 0), End: clock(17, 0), Zone: london}
	friday := QuietWindow{Days: [7]bool{5: true}, Begin: clock(22, 0), End: clock(6, 0), Zone: time.UTC}
	for name, tc := range map[string]struct {
		hours QuietHours
		from  string   // the first edge is looked for from here on, in UTC
		edges []string // quiet from the first up to the second, and so on
	}{
		"weekdays in winter": {QuietHours{weekdays}, "2024-01-05 00:00", []string{
			"2024-01-05 08:00", "2024-01-05 17:00", "2024-01-08 08:00", "2024-01-08 17:00"}},
		"weekdays in summer": {QuietHours{weekdays}, "2024-07-05 00:00", []string{"2024-07-05 07:00", "2024-07-05 16:00", "2024-07-08 07:00"}},
		"past midnight, of the day it begins on": {QuietHours{friday}, "2024-01-04 00:00", []string{
			"2024-01-05 22:00", "2024-01-06 06:00", "2024-01-12 22:00"}},
		"up to midnight": {QuietHours{everyDay(clock(22, 0), clock(24, 0), time.UTC)}, "2024-01-04 00:00", []string{
			"2024-01-04 22:00", "2024-01-05 00:00", "2024-01-05 22:00"}},
		"the whole of one day": {QuietHours{{Days: [7]bool{true}, Begin: 0, End: clock(24, 0), Zone: time.UTC}}, "2024-01-04 00:00", []string{
			"2024-01-07 00:00", "2024-01-08 00:00", "2024-01-14 00:00"}},
		"windows that touch": {QuietHours{everyDay(clock(22, 0), clock(24, 0), time.UTC), everyDay(0, clock(2, 0), time.UTC),
			everyDay(clock(2, 0), clock(3, 0), time.UTC)}, "2024-01-04 12:00", []string{"2024-01-04 22:00", "2024-01-05 03:00"}},
		"windows that overlap, of two zones": {QuietHours{everyDay(clock(8, 0), clock(17, 0), london), everyDay(clock(15, 0), clock(18, 0), time.UTC)},
			"2024-07-04 00:00", []string{"2024-07-04 07:00", "2024-07-04 18:00"}},

		// London leaves out 01:00 to 02:00 on 31 March 2024 and lives 01:00 to 02:00 of 27 October twice.
		"begin in the gap": {QuietHours{everyDay(clock(1, 30), clock(3, 0), london)}, "2024-03-30 12:00", []string{
			"2024-03-31 01:00", "2024-03-31 02:00", "2024-04-01 00:30", "2024-04-01 02:00"}},
		"end in the gap": {QuietHours{everyDay(clock(0, 0), clock(1, 30), london)}, "2024-03-30 12:00", []string{
			"2024-03-31 00:00", "2024-03-31 01:00", "2024-03-31 23:00"}},
		"all within the gap": {QuietHours{everyDay(clock(1, 10), clock(1, 50), london)}, "2024-03-30 12:00", []string{
			"2024-04-01 00:10", "2024-04-01 00:50"}},
		"over the gap": {QuietHours{everyDay(clock(22, 0), clock(6, 0), london)}, "2024-03-30 12:00", []string{
			"2024-03-30 22:00", "2024-03-31 05:00", "2024-03-31 21:00"}},
		"the hour lived twice": {QuietHours{everyDay(clock(1, 0), clock(2, 0), london)}, "2024-10-26 12:00", []string{
			"2024-10-27 00:00", "2024-10-27 02:00", "2024-10-28 01:00"}},
		"end in the hour lived twice": {QuietHours{everyDay(clock(0, 0), clock(1, 30), london)}, "2024-10-26 12:00", []string{
			"2024-10-26 23:00", "2024-10-27 00:30", "2024-10-27 01:00", "2024-10-27 01:30"}},
		"begin in the hour lived twice": {QuietHours{everyDay(clock(1, 30), clock(3, 0), london)}, "2024-10-26 12:00", []string{
			"2024-10-27 00:30", "2024-10-27 01:00", "2024-10-27 01:30", "2024-10-27 03:00"}},
		"over the hour lived twice": {QuietHours{everyDay(clock(22, 0), clock(6, 0), london)}, "2024-10-26 12:00", []string{
			"2024-10-26 21:00", "2024-10-27 06:00", "2024-10-27 22:00"}},

		// The southern hemisphere: Sydney leaves out 02:00 to 03:00 on 6 October 2024 and doubles it on 7 April.
		"spring in Sydney": {QuietHours{everyDay(clock(2, 30), clock(4, 0), sydney)}, "2024-10-05 00:00", []string{
			"2024-10-05 16:00", "2024-10-05 17:00", "2024-10-06 15:30"}},
		"autumn in Sydney": {QuietHours{everyDay(clock(2, 0), clock(3, 0), sydney)}, "2024-04-06 00:00", []string{
			"2024-04-06 15:00", "2024-04-06 17:00", "2024-04-07 16:00"}},

		// Lord Howe moves by half an hour: 01:30 to 02:00 twice on 7 April, 02:00 to 02:30 never on 6 October.
		"autumn on Lord Howe": {QuietHours{everyDay(clock(1, 30), clock(2, 0), howe)}, "2024-04-06 00:00", []string{
			"2024-04-06 14:30", "2024-04-06 15:30", "2024-04-07 15:00"}},
		"spring on Lord Howe": {QuietHours{everyDay(clock(2, 10), clock(4, 0), howe)}, "2024-10-05 00:00", []string{
			"2024-10-05 15:30", "2024-10-05 17:00", "2024-10-06 15:10"}},
	} {
		t.Run(name, func(t *testing.T) {
			at, quiet := utc(tc.from), false
			for _, text := range tc.edges {
				edge := utc(text)
				for ; at.Before(edge); at = at.Add(time.Minute) {
					if got := tc.hours.Quiet(at); got != quiet {
						t.Fatalf("quiet at %s: got %t, want %t up to %s", at, got, quiet, edge)
					}
				}
				quiet = !quiet
				if got := tc.hours.Quiet(edge); got != quiet {
					t.Fatalf("quiet at %s: got %t, want %t", edge, got, quiet)
				}
				if got := tc.hours.Quiet(edge.Add(-1)); got == quiet {
					t.Fatalf("quiet a nanosecond before %s: got %t, want %t", edge, got, !quiet)
				}
			}
			for i := 1; i < len(tc.edges); i += 2 {
				begin, end := utc(tc.edges[i-1]), utc(tc.edges[i])
				for _, from := range []time.Time{begin, begin.Add(time.Second), end.Add(-1)} {
					if got, ok := tc.hours.Opening(from); !ok || !got.Equal(end) {
						t.Errorf("opening after %s: got %s, want %s", from, got, end)
					}
				}
			}
		})
	}
}

// Opening is the first instant, not before now, that is not quiet: looked for minute by minute over windows, zones and
// instants chosen by chance, many of them around changes of the clock.
func TestOpeningIsTheFirstOpenInstant(t *testing.T) {
	zones := []*time.Location{time.UTC}
	for _, name := range []string{"Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana", "Pacific/Apia"} {
		zones = append(zones, zone(t, name))
	}
	changes := []time.Time{utc("2024-03-31 01:00"), utc("2024-10-27 01:00"), utc("2024-03-10 07:00"), utc("2024-11-03 06:00"),
		utc("2024-04-06 15:00"), utc("2024-10-05 15:30"), utc("2024-03-10 05:00"), utc("2024-11-03 05:00"), utc("2011-12-30 10:00")}
	quiet, crossed, never := 0, 0, 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 7))
		var hours QuietHours
		for range 1 + r.IntN(4) {
			w := everyDay(r.IntN(48)*30, r.IntN(49)*30, zones[r.IntN(len(zones))])
			for day := range w.Days {
				w.Days[day] = r.IntN(4) > 0
			}
			if w.Begin != w.End {
				hours = append(hours, w)
			}
		}
		now := changes[r.IntN(len(changes))].Add(time.Duration(r.IntN(4*24*3600)-2*24*3600) * time.Second)
		want, found := now, !hours.Quiet(now)
		for m := now.Truncate(time.Minute); !found && want.Sub(now) < 8*24*time.Hour; found = !hours.Quiet(want) {
			m = m.Add(time.Minute)
			want = m
		}
		got, ok := hours.Opening(now)
		if ok != found || ok && !got.Equal(want) {
			t.Fatalf("seed %d: opening of %+v after %s: got %s, %t; want %s, %t", seed, hours, now, got, ok, want, found)
		}
		switch {
		case !found:
			never++
		case want.After(now):
			quiet++
			for _, c := range changes {
				if c.After(now) && c.Before(want) {
					crossed++
				}
			}
		}
	}
	if quiet < 500 || crossed < 50 {
		t.Errorf("cases that were quiet: got %d, with a change of the clock before the opening: %d, never open: %d; want many", quiet, crossed, never)
	}
}

// Steps that make a server work wait in quiet hours; checks ask counts, as planning does.
func TestHushed(t *testing.T) {
	l := Limits{Quiet: QuietHours{everyDay(clock(8, 0), clock(17, 0), time.UTC)}}
	quiet, open := utc("2024-01-02 12:00"), utc("2024-01-02 18:00")
	for _, kind := range ErrandKinds() {
		works := kind == ParametersErrand || kind == ReindexErrand
		if l.Hushed(kind, open) || l.Hushed(kind, quiet) != works {
			t.Errorf("%s: hushed when open %t, when quiet %t; want false, %t", kind, l.Hushed(kind, open), l.Hushed(kind, quiet), works)
		}
	}
	if l.QuietImports = true; l.Hushed(ReindexErrand, quiet) || !l.Hushed(ParametersErrand, quiet) {
		t.Error("where imports go on the destination may reindex, and the source's search parameters wait")
	}
}

// Settings that never leave an opening are told from those that do, in whichever season.
func TestQuietHoursThatNeverOpen(t *testing.T) {
	london := zone(t, "Europe/London")
	for name, tc := range map[string]struct {
		hours QuietHours
		want  bool
	}{
		"none":                    {nil, true},
		"all day":                 {QuietHours{everyDay(0, clock(24, 0), time.UTC)}, false},
		"two halves":              {QuietHours{everyDay(clock(6, 0), clock(18, 0), london), everyDay(clock(18, 0), clock(6, 0), london)}, false},
		"all but a minute a week": {QuietHours{{Days: [7]bool{true, true, true, true, true, true}, Begin: 0, End: clock(24, 0), Zone: time.UTC}, {Days: [7]bool{6: true}, Begin: 0, End: clock(23, 59), Zone: time.UTC}}, true},
		"open in summer alone":    {QuietHours{everyDay(clock(8, 0), clock(7, 0), london), everyDay(clock(7, 0), clock(8, 0), time.UTC)}, false},
	} {
		if got := tc.hours.Opens(); got != tc.want {
			t.Errorf("%s: opens: got %t, want %t", name, got, tc.want)
		}
	}
	if at, ok := (QuietHours{everyDay(0, clock(24, 0), time.UTC)}).Opening(utc("2024-01-01 00:00")); ok {
		t.Errorf("opening of what never opens: got %s, want none", at)
	}
}
