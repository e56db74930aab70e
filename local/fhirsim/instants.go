package fhirsim

import (
	"fmt"
	"regexp"
	"time"
)

var partialDate = regexp.MustCompile(
	`^(\d{4})(-\d{2})?(-\d{2})?(T\d{2}:\d{2})?(:\d{2})?(\.\d{1,7})?(Z|[+-]\d{2}:\d{2})?$`)

// tick is the finest unit of a date in a query.
const tick = 100 * time.Nanosecond

// interval is what a partial date covers: the first and the last tick.
type interval struct{ low, high time.Time }

// parseInterval reads a date in one of the formats of contract 1.4. Without a zone it is UTC.
func parseInterval(value string) (interval, error) {
	wrong := fmt.Errorf("the date time string '%s' is not in a correct format", value)
	m := partialDate.FindStringSubmatch(value)
	if m == nil || !partsInOrder(m[2:8]) {
		return interval{}, wrong
	}
	full := m[1] + orElse(m[2], "-01") + orElse(m[3], "-01") + orElse(m[4], "T00:00") + orElse(m[5], ":00") +
		m[6] + orElse(m[7], "Z")
	low, err := time.Parse("2006-01-02T15:04:05.9999999Z07:00", full)
	if err != nil {
		return interval{}, wrong
	}
	low = low.UTC()
	next := low
	switch {
	case m[6] != "":
		next = low.Add(tick)
	case m[5] != "":
		next = low.Add(time.Second)
	case m[4] != "":
		next = low.Add(time.Minute)
	case m[3] != "":
		next = low.AddDate(0, 0, 1)
	case m[2] != "":
		next = low.AddDate(0, 1, 0)
	default:
		next = low.AddDate(1, 0, 0)
	}
	return interval{low, next.Add(-tick)}, nil
}

// partsInOrder: each part but the zone needs the one before it, and the zone needs a time.
func partsInOrder(parts []string) bool {
	for i := 1; i < 5; i++ {
		if parts[i] != "" && parts[i-1] == "" {
			return false
		}
	}
	return parts[5] == "" || parts[2] != ""
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
