package fhir

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestWait caps what a server may ask for.
const longestWait = time.Hour

// retryAfter reads how long the server asks to wait; zero: it did not say. x-ms-retry-after-ms is finer and wins
// (contract 10.1). A date counts from the server's own Date, so that no clock skew adds to the wait.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if wait, ok := amount(h.Get("x-ms-retry-after-ms"), time.Millisecond); ok {
		return wait
	}
	value := h.Get("Retry-After")
	if wait, ok := amount(value, time.Second); ok {
		return wait
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), longestWait)
}

func amount(value string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if errors.Is(err, strconv.ErrRange) && n > 0 {
		return longestWait, true
	}
	if err != nil || n < 0 {
		return 0, false
	}
	return time.Duration(min(n, int64(longestWait/unit))) * unit, true
}
