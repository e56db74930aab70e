package telemetry

import (
	"time"

	"github.com/microsoft/ApplicationInsights-Go/appinsights"
)

// The most items that a minute takes. While nobody answers the SDK holds an item for at most two and a half minutes, so
// that never more than four times as many are in memory. The last fifth is kept from dependencies: a storm of requests
// must not cost an event.
const (
	mostPerMinute = 3000
	mostMinor     = mostPerMinute / 5 * 4
)

// budget counts the items of a minute.
type budget struct {
	now     func() time.Time
	begin   time.Time
	used    int
	dropped int
}

// admit reports whether one item more may be sent, and how many were dropped in the minutes before and not told yet.
func (b *budget) admit(minor bool) (ok bool, dropped int) {
	if now := b.now(); now.Sub(b.begin) >= time.Minute {
		dropped = b.dropped
		b.begin, b.used, b.dropped = now, 0, 0
	}
	if b.used >= mostPerMinute || minor && b.used >= mostMinor {
		b.dropped++
		return false, dropped
	}
	b.used++
	return true, dropped
}

func droppedEvent(n int) appinsights.Telemetry {
	e := appinsights.NewEventTelemetry("TelemetryDropped")
	setNumber(e.Properties, e.Measurements, "dropped", float64(n))
	return e
}
