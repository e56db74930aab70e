package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/migration"
)

const quietName = "FERRY_QUIET_HOURS"

// days marks weekdays, Sunday first.
func days(marks string) (days [7]bool) {
	for i := range days {
		days[i] = marks[i] != '.'
	}
	return days
}

func TestQuietHours(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]migration.QuietHours{
		"": nil,
		"Mon-Fri 08:00-17:00 Europe/London; Sat 10:00-12:00 UTC": {
			{Days: days(".MTWTF."), Begin: 480, End: 1020, Zone: london}, {Days: days("......S"), Begin: 600, End: 720, Zone: time.UTC}},
		"22:00-06:00":               {{Days: days("SMTWTFS"), Begin: 1320, End: 360, Zone: time.UTC}},
		"sat-MON 00:00-24:00":       {{Days: days("SM....S"), Begin: 0, End: 1440, Zone: time.UTC}},
		"Mon,Wed 23:59-00:00":       {{Days: days(".M.W..."), Begin: 1439, End: 0, Zone: time.UTC}},
		"Sun,Tue-Thu 12:30-13:00 ;": {{Days: days("S.TWT.."), Begin: 750, End: 780, Zone: time.UTC}},
		"Sun-Sun\t08:00-09:00\tUTC": {{Days: days("S......"), Begin: 480, End: 540, Zone: time.UTC}},
	} {
		c := read(map[string]string{quietName: text})
		same := cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })
		if diff := cmp.Diff(want, c.quietHours, same); diff != "" || len(c.problems) > 0 {
			t.Errorf("%q: problems %v, hours (-want +got):\n%s", text, c.problems, diff)
		}
	}
}

// Every fault of every window is named, and with one the setting has no effect: the handler starts nothing until it is
// mended.
func TestQuietHoursAreRefused(t *testing.T) {
	for text, want := range map[string][]string{
		";":                      {"of which only the times are required"},
		"Mon-Fri":                {`"Mon-Fri": want days, times and a time zone`},
		"Mon 08:00-17:00 UTC on": {"want days, times and a time zone"},
		"Mon 08:00 - 17:00":      {"want days, times and a time zone"},
		"Fre 08:00-17:00":        {`"Fre" is not a weekday`},
		"Mon- 08:00-17:00":       {`"Mon-" is not a weekday`},
		"Mon,,Tue 08:00-17:00":   {`"" is not a weekday`},
		"8:00-17:00":             {"not of the form"},
		"08:00-25:00":            {"times go from"},
		"24:00-08:00":            {"times go from"},
		"08:60-17:00":            {"times go from"},
		"08:00-24:01":            {"times go from"},
		"08:00-08:00":            {"a whole day is 00:00-24:00"},
		"08:00-17:00 Local":      {`"Local" is not a time zone`},
		"08:00-17:00 ../../etc":  {"is not a time zone"},
		"08:00-17:00 GMT+25":     {"is not a time zone"},
		"Xyz 8-9 Nowhere; 08:00-09:00; Mon 09:00-9:30": {`"Xyz" is not a weekday`, `"8-9" is not of the form`,
			`"Nowhere" is not a time zone`, `"09:00-9:30" is not of the form`},
		"00:00-24:00":              {"weeks without any time"},
		"06:00-18:00; 18:00-06:00": {"weeks without any time"},
	} {
		c := read(map[string]string{quietName: text})
		said := ""
		for _, p := range c.problems {
			said += p.setting + " " + p.detail + "\n"
			if p.setting != quietName || p.remedy == "" || strings.Contains(p.detail, "\n") {
				t.Errorf("%q: got problem %+v, want one line that names %s and a remedy", text, p, quietName)
			}
		}
		for _, part := range want {
			if !strings.Contains(said, part) {
				t.Errorf("%q: got %q, want %q in it", text, said, part)
			}
		}
		if c.quietHours != nil {
			t.Errorf("%q: got %v, want no hours at all", text, c.quietHours)
		}
	}
}

// Whatever is written, it is either refused or understood: what is understood opens, and is quiet as its own edges say.
func FuzzQuietHours(f *testing.F) {
	for _, seed := range []string{"Mon-Fri 08:00-17:00 Europe/London; Sat 10:00-12:00 UTC", "22:00-06:00", "Sat-Mon 00:00-24:00 Australia/Lord_Howe", ";;", "Mon 24:00-24:00", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := read(map[string]string{quietName: text})
		if (len(c.problems) > 0) != (text != "" && c.quietHours == nil) {
			t.Fatalf("%q: got problems %v and hours %v, want exactly one of them", text, c.problems, c.quietHours)
		}
		if c.quietHours != nil && !c.quietHours.Opens() {
			t.Errorf("%q: accepted, and never opens", text)
		}
		for _, w := range c.quietHours {
			if w.Zone == nil || w.Begin == w.End || w.Begin < 0 || w.Begin >= 1440 || w.End < 0 || w.End > 1440 || w.Days == [7]bool{} {
				t.Errorf("%q: got window %+v", text, w)
			}
		}
	})
}
