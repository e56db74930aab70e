package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"fhirferry/local/show"
)

// interval is FERRY_INTERVAL of the idle source; ticks come every second.
const interval = 3 * time.Second

// quiet follows a source that nobody writes to, and then asks for the status and ticks with few finished chunks and
// with many.
func (b *bench) quiet(ctx context.Context) error {
	s, err := openStage(ctx, b.order.seed)
	if err != nil {
		return err
	}
	defer s.close()
	year := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	if err := s.fill(year, year.AddDate(1, 0, 0), 40); err != nil {
		return err
	}
	err = s.open(ctx, b, map[string]string{
		"FERRY_INTERVAL": interval.String(), "FERRY_SETTLE": "1s", "FERRY_SCHEDULE": "* * * * * *", "FERRY_CHUNK_LIMIT": "30",
	})
	if err != nil {
		return err
	}
	base := s.host.URL()
	if err := post(ctx, base, "start"); err != nil {
		return err
	}
	began := time.Now()
	if _, err := until(ctx, base, func(st show.Status) bool {
		return st.Open() == 0 && st.MigratedTill != nil && st.MigratedTill.After(began)
	}); err != nil {
		return err
	}
	if err := b.idleSource(ctx, s); err != nil {
		return err
	}
	if err := settled(ctx, s); err != nil {
		return err
	}
	s.leave()
	return b.crowd(ctx, s)
}

// idleSource counts what a source without writes is asked.
func (b *bench) idleSource(ctx context.Context, s *stage) error {
	before, began := s.counts(), time.Now()
	if !wait(ctx, time.Duration(b.order.idle)*interval) {
		return context.Cause(ctx)
	}
	done, passed := s.counts().since(before), float64(time.Since(began))/float64(interval)
	counts := 0
	for name, n := range done {
		if strings.HasPrefix(name, "source ") && strings.Contains(name, "_summary=count") {
			counts += n
		}
	}
	each := func(n int) string { return fmt.Sprintf("%.1f", float64(n)/passed) }
	b.add("counts of an idle source per FERRY_INTERVAL", each(counts), "1")
	b.add("  all requests to both services", each(done.of("source ", "destination ")), "")
	b.note("Idle source: %.0f intervals of %s with a tick every second, so that a round may begin up to a tick late; %s.",
		passed, interval, done.parts("source ", b.order.idle))
	return nil
}

// settled waits for a moment without an open round, so that no nudge of one is left behind.
func settled(ctx context.Context, s *stage) error {
	_, err := until(ctx, s.host.URL(), func(st show.Status) bool { return st.Open() == 0 })
	return err
}

// crowd compares a status and a tick with few finished chunks and with many. The handler runs without a host here, and
// FERRY_INTERVAL is so long that a tick finds nothing to do.
func (b *bench) crowd(ctx context.Context, s *stage) error {
	p, err := launch(ctx, b.order.dist, s.settings(map[string]string{
		"FERRY_INTERVAL": "24h", "FERRY_SETTLE": "1s", "FERRY_SCHEDULE": "* * * * * *", "FERRY_CHUNK_LIMIT": "30",
	}), b.log)
	if err != nil {
		return err
	}
	defer p.stop()
	rows, err := openRows(ctx, s)
	if err != nil {
		return err
	}
	few, err := b.look(ctx, s, p, rows)
	if err != nil {
		return err
	}
	b.say("writing %d finished chunks", b.order.crowd)
	if err := rows.multiply(ctx, b.order.crowd); err != nil {
		return err
	}
	many, err := b.look(ctx, s, p, rows)
	if err != nil {
		return err
	}
	pair := func(a, b time.Duration) string { return fmt.Sprintf("%s, with few %s", millis(b), millis(a)) }
	b.add(fmt.Sprintf("GET /api/migration with %d finished chunks", b.order.crowd), pair(few.status, many.status), "as with few")
	b.add("  storage operations", fmt.Sprintf("%s, with few %s", many.statusOps, few.statusOps), "as with few")
	b.add(fmt.Sprintf("one tick with %d finished chunks", b.order.crowd), pair(few.tick, many.tick), "as with few")
	b.add("  storage operations", fmt.Sprintf("%s, with few %s", many.tickOps, few.tickOps), "as with few")
	b.add("  the emulator's own search for unfinished chunks", pair(few.search, many.search), "")
	b.note("Status and tick: medians of %d calls. A status and a tick each search the run's partition once for its unfinished rows;"+
		" the emulator reads the whole table for that, where Azure reads a range of keys. The line above shows what of it is the emulator's.", b.order.calls)
	return nil
}

// costs of a status, of a tick, and of the search that both make.
type costs struct {
	status, tick, search time.Duration
	statusOps, tickOps   string
}

func (b *bench) look(ctx context.Context, s *stage, p *process, rows *rows) (c costs, err error) {
	measure := func(do func() error) (time.Duration, string, error) {
		before := s.counts()
		took, err := timed(b.order.calls, do)
		if err != nil {
			return 0, "", err
		}
		return median(took), per(s.counts().since(before).of("table ", "blob ", "queue "), b.order.calls), nil
	}
	c.status, c.statusOps, err = measure(func() error {
		_, _, err := call(ctx, http.MethodGet, p.base+"/api/migration", "", nil)
		return err
	})
	if err != nil {
		return c, err
	}
	c.tick, c.tickOps, err = measure(func() error {
		_, _, err := call(ctx, http.MethodPost, p.base+"/tick", `{"Data":{"timer":{"IsPastDue":false}},"Metadata":{}}`, nil)
		return err
	})
	if err != nil {
		return c, err
	}
	c.search, _, err = measure(func() error {
		_, err := rows.search(ctx, "u_", "u`", 0)
		return err
	})
	return c, err
}
