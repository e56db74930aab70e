package funchost

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// timeSpanForm is .NET's constant format: [d.]hh:mm[:ss[.fffffff]].
var timeSpanForm = regexp.MustCompile(`^(-)?(?:(\d{1,8})\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?$`)

// parseTimeSpan reads a .NET TimeSpan as host.json and schedules write it.
func parseTimeSpan(text string) (time.Duration, error) {
	m := timeSpanForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is not a TimeSpan such as 00:05:00", text)
	}
	days, hours, minutes, seconds := number(m[2]), number(m[3]), number(m[4]), number(m[5])
	if hours > 23 || minutes > 59 || seconds > 59 || days > 100_000 {
		return 0, fmt.Errorf("%q is not a TimeSpan: a part is out of range", text)
	}
	d := time.Duration(((days*24+hours)*60+minutes)*60+seconds) * time.Second
	if m[6] != "" {
		fraction := number((m[6] + "000000")[:7])
		d += time.Duration(fraction) * 100
	}
	if m[1] != "" {
		d = -d
	}
	return d, nil
}

// number reads digits that a pattern has already matched; "" is 0.
func number(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}
