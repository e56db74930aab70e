package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fhirferry/local/fhirsim"
	"fhirferry/local/rig"
	"fhirferry/local/show"
)

// perWindow is the number of resources in a window: with workRate, a job takes some minutes of real time.
const perWindow = 600

// backfill measures a run over years of data in mode once, from its start to completed.
func (b *bench) backfill(ctx context.Context) error {
	s, err := openStage(ctx, b.order.seed, "")
	if err != nil {
		return err
	}
	defer s.close()
	last := time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)
	first := last.AddDate(-b.order.years, 0, 0)
	if err := s.fill(first, last, perWindow*b.order.windows); err != nil {
		return err
	}
	days := int(last.Sub(first)/(24*time.Hour))/b.order.windows + 1
	extra := map[string]string{
		"FERRY_MODE": "once", "FERRY_WINDOW": fmt.Sprintf("%dd", days), "FERRY_CHUNK_LIMIT": fmt.Sprint(perWindow/2 + 5),
	}
	maps.Copy(extra, b.order.settings)
	if err := s.open(ctx, b, extra); err != nil {
		return err
	}
	base := s.host.URL()
	if _, err := until(ctx, base, func(show.Status) bool { return true }); err != nil {
		return err
	}
	before, whole := s.counts(), span{from: time.Now()}
	if err := post(ctx, base, "start"); err != nil {
		return err
	}
	// Not by asking for the status, whose table operations would be counted.
	for s.arrived() < perWindow*b.order.windows {
		if !rig.Wait(ctx, 50*time.Millisecond) {
			return fmt.Errorf("%w with %d resources moved", context.Cause(ctx), s.arrived())
		}
	}
	status, err := until(ctx, base, func(st show.Status) bool { return st.State == "completed" })
	if err != nil {
		return err
	}
	whole.to = time.Now()
	if !status.Clean || status.Resources.Imported != int64(perWindow*b.order.windows) {
		return fmt.Errorf("the backfill moved %d of %d resources: %v", status.Resources.Imported, perWindow*b.order.windows, status.Problems)
	}
	b.costs(s.counts().since(before), status.ChunkCount(), whole)
	if b.order.timeline {
		defer func() { b.polls(whole, append(s.Source.Requests(), s.Destination.Requests()...)) }()
	}
	b.idleness(whole, append(s.Source.Jobs(), s.Destination.Jobs()...))
	b.add("peak resident memory of the handler in the backfill", fmt.Sprintf("%.1f MiB", float64(s.host.HandlerMaxRSS())/(1<<20)), "< 64 MiB")
	return nil
}

// costs are the figures per chunk.
func (b *bench) costs(done tally, chunks int, whole span) {
	for name, value := range b.order.settings {
		b.note("The backfill ran with %s=%s.", name, value)
	}
	b.note("Backfill: %d years in %d chunks, %s; operations are per chunk, planning and all else of the run included.",
		b.order.years, chunks, seconds(whole.length()))
	counts := 0
	for name, n := range done {
		if strings.HasPrefix(name, "source ") && strings.Contains(name, "_summary=count") {
			counts += n
		}
	}
	b.add("requests to the source per chunk", per(done.of("source "), chunks), "")
	b.add("  of them counts", per(counts, chunks), "")
	b.add("requests to the destination per chunk", per(done.of("destination "), chunks), "")
	b.add("table operations per chunk", per(done.of("table "), chunks), "")
	b.add("queue messages sent per chunk", per(done.of("queue put"), chunks), "")
	b.add("blob operations per chunk", per(done.of("blob "), chunks), "")
	for _, of := range []string{"source ", "destination ", "table ", "queue ", "blob "} {
		b.note("  %sper chunk: %s", of, done.parts(of, chunks))
	}
}

// idleness is the share of the run in which no job was open at either server.
func (b *bench) idleness(whole span, jobs []fhirsim.JobInfo) {
	idle := gaps(whole, jobs)
	b.add("idle share of the backfill", percent(sum(idle), whole.length()), "< 5 %")
	work := lasts(jobs)
	lead, tail := work.from.Sub(whole.from), whole.to.Sub(work.to)
	b.add("  before the first job, between jobs, after the last one", fmt.Sprintf("%s, %s, %s",
		seconds(lead), seconds(sum(idle)-lead-tail), seconds(tail)), "")
	b.add("  from the first job to the last", percent(sum(idle)-lead-tail, work.length()), "")
	b.add("  without an export, without an import, from first to last", fmt.Sprintf("%s, %s", b.rest(jobs, "export"), b.rest(jobs, "import")), "")
	exports, imports := ofKind(jobs, "export"), ofKind(jobs, "import")
	b.note("Idle share: everything that takes time is %.0f times faster than real: polls of 30 s take 1 s, and the %d exports a median of %s,"+
		" the %d imports %s (that is %.1f and %.1f min; %.0f and %.0f polls). Requests, storage and the handler are not slower in turn, so"+
		" that what they take counts %.0f times too much. The host looks at its idle queue every 0.1 s (3 s of real time, 2 in truth).",
		1/scale, len(exports), seconds(median(lengths(exports))), len(imports), seconds(median(lengths(imports))),
		median(lengths(exports)).Minutes()/scale, median(lengths(imports)).Minutes()/scale,
		median(lengths(exports)).Seconds(), median(lengths(imports)).Seconds(), 1/scale)
	if b.order.timeline {
		b.timeline(whole, jobs, idle)
	}
}

// rest is the share of time without a job of one kind, from the first to the last of that kind.
func (b *bench) rest(jobs []fhirsim.JobInfo, kind string) string {
	of := ofKind(jobs, kind)
	whole := lasts(of)
	return kind + "s " + percent(sum(gaps(whole, of)), whole.length())
}

// timeline prints every job and every time without one.
func (b *bench) timeline(whole span, jobs []fhirsim.JobInfo, idle []span) {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	at := func(t time.Time) string { return fmt.Sprintf("%7.2f", t.Sub(whole.from).Seconds()) }
	for _, j := range jobs {
		types := strings.Join(j.Types, ",")
		if len(types) > 30 {
			types = types[:30] + "…"
		}
		lines = append(lines, line{j.Created, fmt.Sprintf("%s to %s %-6s %d %-14s %s %s", at(j.Created), at(j.Ended), j.Kind, j.ID, j.State, j.From.Format(time.DateOnly), types)})
	}
	for _, g := range idle {
		lines = append(lines, line{g.from, fmt.Sprintf("%s to %s no job for %s", at(g.from), at(g.to), seconds(g.length()))})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	b.note("Timeline of the backfill, in seconds from its start:")
	for _, l := range lines {
		b.note("  %s", l.text)
	}
}

// polls prints when each job was asked for.
func (b *bench) polls(whole span, requests []fhirsim.Request) {
	when := map[string][]string{}
	for _, r := range requests {
		if strings.HasPrefix(r.Path, "/_operations/") {
			when[r.Path] = append(when[r.Path], fmt.Sprintf("%.2f:%d", r.At.Sub(whole.from).Seconds(), r.Status))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(when)) {
		b.note("  %s %s", path, strings.Join(when[path], " "))
	}
}
