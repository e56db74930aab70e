package funchost

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// ncrontab is a parsed schedule of five or six fields: a bit per allowed value. Unlike
// in classic cron both day fields must match (host contract 6.2).
type ncrontab struct {
	second, minute, hour, day, month, weekday uint64
}

// field is one position of the expression and what it may hold.
type field struct {
	name     string
	min, max int
	names    []string
}

func fields() []field {
	return []field{
		{"second", 0, 59, nil}, {"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day", 1, 31, nil},
		{"month", 1, 12, []string{"january", "february", "march", "april", "may", "june", "july",
			"august", "september", "october", "november", "december"}},
		{"day-of-week", 0, 6, []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}},
	}
}

// parseNCrontab reads "{second} {minute} {hour} {day} {month} {day-of-week}"; with five
// fields the second is 0.
func parseNCrontab(text string) (ncrontab, error) {
	parts := strings.Fields(text)
	if len(parts) == 5 {
		parts = append([]string{"0"}, parts...)
	}
	if len(parts) != 6 {
		return ncrontab{}, fmt.Errorf("schedule %q has %d fields, want 5 or 6", text, len(parts))
	}
	var c ncrontab
	for i, set := range []*uint64{&c.second, &c.minute, &c.hour, &c.day, &c.month, &c.weekday} {
		f := fields()[i]
		for item := range strings.SplitSeq(parts[i], ",") {
			mask, err := f.parse(item)
			if err != nil {
				return ncrontab{}, fmt.Errorf("schedule %q: %s: %w", text, f.name, err)
			}
			*set |= mask
		}
	}
	return c, nil
}

// parse reads one item of a list: *, 5, 5-10, each with an optional /step; 5/10 means
// from 5 to the end of the field. A reversed range is read the right way round.
func (f field) parse(item string) (uint64, error) {
	span, stepText, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(stepText)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%q is not a step", stepText)
		}
		step = max(n, 1)
	}
	first, last, ranged := strings.Cut(span, "-")
	if span == "*" {
		return f.every(f.min, f.max, step), nil
	}
	from, err := f.value(first)
	if err != nil {
		return 0, err
	}
	to := from
	switch {
	case ranged:
		if to, err = f.value(last); err != nil {
			return 0, err
		}
	case stepped:
		to = f.max
	}
	return f.every(min(from, to), max(from, to), step), nil
}

func (f field) every(from, to, step int) uint64 {
	var mask uint64
	for v := from; v <= to; v += step {
		mask |= 1 << v
	}
	return mask
}

// value reads a number in range or a name, of which any beginning will do.
func (f field) value(text string) (int, error) {
	if text == "" {
		return 0, fmt.Errorf("a value is empty")
	}
	if text[0] >= '0' && text[0] <= '9' {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number", text)
		}
		if n < f.min || n > f.max {
			return 0, fmt.Errorf("%d is not between %d and %d", n, f.min, f.max)
		}
		return n, nil
	}
	for i, name := range f.names {
		if strings.HasPrefix(name, strings.ToLower(text)) {
			return i + f.min, nil
		}
	}
	return 0, fmt.Errorf("%q is neither a number nor a name", text)
}

// yearsSearched bounds the search: 29 February on a given weekday comes back within
// 40 years, and what does not come in that time never does (30 February).
const yearsSearched = 41

// after is the first wall-clock time later than t that the schedule names, in t's own
// clock without regard to daylight saving; zero when there is none.
func (c ncrontab) after(t time.Time) time.Time {
	t = t.Truncate(time.Second).Add(time.Second)
	last := t.Year() + yearsSearched
	for t.Year() <= last {
		switch {
		case !has(c.month, int(t.Month())):
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		case !has(c.day, t.Day()) || !has(c.weekday, int(t.Weekday())):
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
		case !has(c.hour, t.Hour()):
			t = t.Truncate(time.Hour).Add(time.Hour)
		case !has(c.minute, t.Minute()):
			t = t.Truncate(time.Minute).Add(time.Minute)
		case !has(c.second, t.Second()):
			t = t.Add(time.Second)
		default:
			return t
		}
	}
	return time.Time{}
}

func has(mask uint64, value int) bool { return mask&(1<<value) != 0 }

// everyHour says that the schedule names each hour of a day: such a schedule goes on
// through a change of the clocks, any other fires once per time it names.
func (c ncrontab) everyHour() bool { return bits.OnesCount64(c.hour) == 24 }
