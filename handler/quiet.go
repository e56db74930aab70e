package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"fhirferry/handler/internal/migration"
)

// quietHours reads windows separated by semicolons. Each that is wrong is named, with all its faults, and none is left
// out: hours that were meant to be quiet would be worked through.
func (r *reader) quietHours(name string) migration.QuietHours {
	value := r.text(name)
	if value == "" {
		return nil
	}
	const remedy = "set windows such as Mon-Fri 08:00-17:00 Europe/London; Sat 10:00-12:00 UTC, or leave it empty for none"
	parts := strings.Split(value, ";")
	if last := len(parts) - 1; last > 0 && strings.TrimSpace(parts[last]) == "" {
		parts = parts[:last] // a semicolon at the end separates nothing
	}
	var hours migration.QuietHours
	for _, part := range parts {
		window, err := parseQuietWindow(part)
		if err != nil {
			r.report(name, quote(strings.TrimSpace(part))+": "+strings.ReplaceAll(err.Error(), "\n", "; "), remedy)
			continue
		}
		hours = append(hours, window)
	}
	if len(hours) != len(parts) {
		return nil
	}
	if !hours.Opens() {
		r.report(name, "it leaves weeks without any time at which a job may be started",
			"leave an opening in every week, or use POST /api/migration/pause to start nothing at all")
		return nil
	}
	return hours
}

// parseQuietWindow reads days, times and a zone, such as Mon-Fri 08:00-17:00 Europe/London. Without days it is every
// day, without a zone UTC. The error joins all faults.
func parseQuietWindow(text string) (migration.QuietWindow, error) {
	w := migration.QuietWindow{Days: [7]bool{true, true, true, true, true, true, true}, Zone: time.UTC}
	fields := strings.Fields(text)
	var daysFault, timesFault, zoneFault error
	if len(fields) > 0 && !strings.Contains(fields[0], ":") {
		w.Days, daysFault = parseDays(fields[0])
		fields = fields[1:]
	}
	if len(fields) == 0 || len(fields) > 2 {
		return w, errors.Join(daysFault, errors.New("want days, times and a time zone with spaces between them, of which only the times are required"))
	}
	w.Begin, w.End, timesFault = parseTimes(fields[0])
	if len(fields) == 2 {
		w.Zone, zoneFault = parseZone(fields[1])
	}
	return w, errors.Join(daysFault, timesFault, zoneFault)
}

// parseDays reads weekdays and spans of them, such as Mon-Fri or Mon,Wed; a span may run over the end of the week.
func parseDays(text string) (days [7]bool, fault error) {
	for item := range strings.SplitSeq(text, ",") {
		first, last, span := strings.Cut(item, "-")
		if !span {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			return days, fmt.Errorf("%s is not a weekday or a span of them, such as Mon or Mon-Fri", quote(item))
		}
		for day := from; ; day = (day + 1) % 7 {
			days[day] = true
			if day == to {
				break
			}
		}
	}
	return days, nil
}

// weekday is the number of a day by its first three letters; negative: none.
func weekday(text string) int {
	for day := range 7 {
		if strings.EqualFold(text, time.Weekday(day).String()[:3]) {
			return day
		}
	}
	return -1
}

var timesForm = regexp.MustCompile(`^([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})$`)

// parseTimes reads two times of day, in minutes after midnight. The second may be before the first, on the following
// day, or 24:00.
func parseTimes(text string) (begin, end int, fault error) {
	parts := timesForm.FindStringSubmatch(text)
	if parts == nil {
		return 0, 0, fmt.Errorf("%s is not of the form 08:00-17:00", quote(text))
	}
	var n [4]int
	for i := range n {
		n[i], _ = strconv.Atoi(parts[i+1]) // two digits
	}
	begin, end = n[0]*60+n[1], n[2]*60+n[3]
	switch {
	case n[1] > 59 || n[3] > 59 || n[0] > 23 || end > 24*60:
		return 0, 0, fmt.Errorf("%s: times go from 00:00 to 23:59, and up to 24:00 as an end", quote(text))
	case begin == end:
		return 0, 0, fmt.Errorf("%s begins and ends at the same time; a whole day is 00:00-24:00", quote(text))
	}
	return begin, end, nil
}

// parseZone reads the name of a time zone. Local is refused: it means another zone on each machine.
func parseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || strings.EqualFold(name, "Local") {
		return nil, fmt.Errorf("%s is not a time zone's name, such as Europe/London or UTC", quote(name))
	}
	return zone, nil
}
