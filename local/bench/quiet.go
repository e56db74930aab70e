package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"fhirferry/local/rig"
	"fhirferry/local/show"
)

// interval is FERRY_INTERVAL of the idle source; ticks come every second.
const interval = 3 * time.Second

// quiet follows a source that nobody writes to, and then asks for the status and ticks with few finished chunks and
// with many.
func (b *bench) quiet(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "fhirferry-bench-*")
	if err != nil {
		return fmt.Errorf("make a folder for the emulator: %w", err)
	}
	defer os.RemoveAll(folder)
	s, err := openStage(ctx, b.order.seed, folder)
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
	return b.crowd(ctx, s, folder)
}

// idleSource counts what a source without writes is asked.
func (b *bench) idleSource(ctx context.Context, s *stage) error {
	before, began := s.counts(), time.Now()
	if !rig.Wait(ctx, time.Duration(b.order.idle)*interval) {
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

// settled waits for a moment without a chunk under way.
func settled(ctx context.Context, s *stage) error {
	_, err := until(ctx, s.host.URL(), func(st show.Status) bool { return st.Open() == 0 })
	return err
}

// crowd compares a status and a tick with few finished chunks and with many.
func (b *bench) crowd(ctx context.Context, s *stage, folder string) error {
	few, err := b.look(ctx, s)
	if err != nil {
		return err
	}
	s.Azurite.Stop()
	if err := multiply(folder, b.order.crowd); err != nil {
		return err
	}
	if err := s.Store(ctx, b.order.seed, folder); err != nil {
		return err
	}
	many, err := b.look(ctx, s)
	if err != nil {
		return err
	}
	for _, of := range []struct {
		name      string
		few, many cost
	}{{"GET /api/migration", few.status, many.status}, {"one tick", few.tick, many.tick}} {
		b.add(fmt.Sprintf("%s with %d finished chunks, without storage", of.name, b.order.crowd),
			fmt.Sprintf("%s, with few %s", millis(of.many.own), millis(of.few.own)), "as with few")
		b.add("  table operations and bytes read", fmt.Sprintf("%.1f and %.0f, with few %.1f and %.0f",
			of.many.operations, of.many.bytes, of.few.operations, of.few.bytes), "as with few")
		b.add("  in the emulator", fmt.Sprintf("%s, with few %s", millis(of.many.storage), millis(of.few.storage)), "")
	}
	b.note("Status and tick: medians of %d calls each, the handler without a host. The emulator goes through all rows of a partition for every row that"+
		" it finds, where Azure follows a key: its time grows with the rows, and is shown apart.", b.order.calls)
	return nil
}

// cost of one call.
type cost struct {
	operations, bytes float64       // mean, of the table service
	storage, own      time.Duration // medians: within the table service, and the rest
}

// look measures a status and a tick. FERRY_INTERVAL is so long that the tick finds nothing to do.
func (b *bench) look(ctx context.Context, s *stage) (c struct{ status, tick cost }, err error) {
	m, through, stop, err := openMeter(ctx, s.Azurite.ConnectionString())
	if err != nil {
		return c, err
	}
	defer stop()
	p, err := launch(ctx, b.order.dist, s.settings(map[string]string{
		"AzureWebJobsStorage": through, "FERRY_INTERVAL": "24h", "FERRY_SETTLE": "1s", "FERRY_CHUNK_LIMIT": "30",
	}), b.log)
	if err != nil {
		return c, err
	}
	defer p.stop()
	measure := func(method, path, body string) (cost, error) {
		var own, storage []time.Duration
		first := m.read()
		for range b.order.calls {
			before, began := m.read(), time.Now()
			if _, _, err := call(ctx, method, p.base+path, body, nil); err != nil {
				return cost{}, err
			}
			part := m.read().since(before).took
			own, storage = append(own, time.Since(began)-part), append(storage, part)
		}
		done, n := m.read().since(first), float64(b.order.calls)
		return cost{float64(done.operations) / n, float64(done.bytes) / n, median(storage), median(own)}, nil
	}
	if _, _, err = call(ctx, http.MethodGet, p.base+"/api/migration", "", nil); err != nil { // opens connections
		return c, err
	}
	if c.status, err = measure(http.MethodGet, "/api/migration", ""); err != nil {
		return c, err
	}
	c.tick, err = measure(http.MethodPost, "/tick", `{"Data":{"timer":{"IsPastDue":false}},"Metadata":{}}`)
	return c, err
}
