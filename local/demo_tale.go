package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"fhirferry/local/rig"
	"fhirferry/local/seed"
	"fhirferry/local/show"
)

const (
	// lookEvery is how often the operator looks.
	lookEvery = 400 * time.Millisecond
	// plainLines is the time between two progress lines where there is no terminal.
	plainLines = 3 * time.Second
)

func newScreen(out *os.File, getenv func(string) string) *show.Display {
	return show.NewDisplay(out, show.TerminalWidth(out, getenv("COLUMNS")), plainLines)
}

// tale is what happens on the stage.
type tale struct {
	order    order
	pair     *pair
	app      *app
	screen   *show.Display
	progress show.Progress
	last     show.Status
	passed   time.Duration
	writes   tally
}

// tally is the writer's result, read while it works.
type tally struct {
	sync.Mutex
	done seed.Writes
	err  error
}

// tell starts the migration and the writer, follows both to the end of the backlog, and cuts over.
func (t *tale) tell(ctx context.Context) error {
	wrong, err := t.app.operator.access(ctx)
	if err != nil {
		return fmt.Errorf("ask for the preflight: %w", err)
	}
	for _, problem := range wrong {
		t.screen.Say("preflight: %s", problem)
	}
	stopWriter := rig.During(t.write)
	defer stopWriter()
	t.progress.Started = time.Now()
	if err := t.app.operator.verb(ctx, "start"); err != nil {
		return fmt.Errorf("start the migration: %w", err)
	}
	t.pair.disturbStorage(t.order.storage)
	defer t.app.killEvery(t.order.killEvery, t.order.seed)()
	t.screen.Say("migration started; the source is written to %.0f times a second", t.order.rate)
	if err := t.follow(ctx, t.backlogDone); err != nil {
		return err
	}
	stopWriter()
	if t.writes.err != nil {
		return t.writes.err
	}
	if t.last.State == "halted" {
		t.screen.Say("the run has halted: no cutover")
		return nil
	}
	t.screen.Say("writer stopped after %d creates, %d updates and %d deletes; cutting over", t.writes.done.Created, t.writes.done.Updated, t.writes.done.Deleted)
	if err := t.app.operator.verb(ctx, "cutover"); err != nil {
		return fmt.Errorf("cut over: %w", err)
	}
	return t.follow(ctx, ended)
}

// write changes the source until ctx ends.
func (t *tale) write(ctx context.Context) {
	done, err := seed.Writer{BaseURL: t.pair.SourceURL, Seed: t.order.seed, Rate: t.order.rate, Known: t.pair.generator.Refs(2_000)}.Run(ctx)
	t.writes.Lock()
	defer t.writes.Unlock()
	t.writes.done, t.writes.err = done, err
}

// follow shows the status again and again until it is as wanted, or the run has halted for good.
func (t *tale) follow(ctx context.Context, enough func(show.Status) bool) error {
	var haltedSince time.Time
	for {
		now, note := time.Now(), t.app.note()
		status, err := t.app.operator.status(ctx)
		switch {
		case err == nil:
			t.last, t.passed = status, now.Sub(t.progress.Started)
		case ctx.Err() != nil:
			return fmt.Errorf("follow the migration: %w", context.Cause(ctx))
		default:
			note = join(note, "the handler does not answer")
		}
		t.screen.Draw(now, t.progress.Add(now, t.last, held(t.pair.Source), note))
		if err == nil && enough(status) || ended(t.last) {
			return nil
		}
		if t.last.State != "halted" {
			haltedSince = now
		}
		if now.Sub(haltedSince) > t.order.patience {
			return nil // the report says why
		}
		if !rig.Wait(ctx, lookEvery) {
			return fmt.Errorf("follow the migration: %w", context.Cause(ctx))
		}
	}
}

func ended(s show.Status) bool { return s.State == "completed" || s.State == "stopped" }

// backlogDone reports whether all that was there at the start has arrived, or writing has lasted long enough.
func (t *tale) backlogDone(s show.Status) bool {
	writing := time.Since(t.progress.Started)
	if writing > t.order.writeFor {
		return true
	}
	return writing > t.order.writeLeast && s.MigratedTill != nil && s.MigratedTill.After(t.progress.Started)
}

// check lets the app check both sides itself: by counts, and by the content of some resources of each type.
func (t *tale) check(ctx context.Context) ([]show.Check, error) {
	if t.last.State != "completed" {
		return nil, nil
	}
	var checks []show.Check
	for _, order := range []string{`{"kind":"surface"}`, fmt.Sprintf(`{"kind":"deep","sample":3,"seed":%d}`, t.order.seed)} {
		t.screen.Say("asking the app for a check: %s", order)
		c, err := t.app.operator.check(ctx, order, func(c show.Check) { t.screen.Say("%s", c.Line()) })
		if err != nil {
			return nil, fmt.Errorf("check both sides: %w", err)
		}
		checks = append(checks, c)
	}
	return checks, nil
}

// conclude compares both sides and prints the closing table.
func (t *tale) conclude(ctx context.Context, out io.Writer) error {
	checks, err := t.check(ctx)
	if err != nil {
		return err
	}
	rejects, classes, err := t.app.operator.rejects(ctx)
	if err != nil {
		return fmt.Errorf("list the rejects: %w", err)
	}
	lacking, err := t.pair.lacking()
	if err != nil {
		return err
	}
	t.screen.Say("comparing every version of every resource")
	report := show.Report{
		Comparison: show.Compare(inScope(t.pair.Source), inScope(t.pair.Destination)),
		State:      t.last.State, Passed: t.passed, Chunks: t.last.ChunkCount(),
		Requests: []show.Requests{{Of: "source", N: asked(t.pair.Source)}, {Of: "destination", N: asked(t.pair.Destination)}, {Of: "storage", N: t.pair.stored()}},
		Checks:   checks, Rejects: rejects, Lacking: lacking,
		Notes: append(t.notes(ctx), fmt.Sprintf("lines that the destination did not take, by class: %v", classes)),
	}
	fmt.Fprintln(out)
	for _, line := range report.Lines() {
		fmt.Fprintln(out, line)
	}
	if !report.Good() {
		return errNotEqual
	}
	return nil
}

// notes are what a reader of the table should know besides.
func (t *tale) notes(ctx context.Context) []string {
	notes := []string{fmt.Sprintf("search parameters are moved by a step of their own, without their versions: %d at the source, %d at the destination, which has the others built in",
		len(parameters(t.pair.Source)), len(parameters(t.pair.Destination)))}
	if cuts, err := t.app.operator.cuts(ctx); err != nil {
		notes = append(notes, "the edges of the windows could not be asked for: "+err.Error())
	} else {
		notes = append(notes, fmt.Sprintf("%d versions lay exactly on one of the %d edges of windows", t.pair.onEdge(cuts), len(cuts)))
	}
	notes = append(notes, t.app.notes()...)
	for _, side := range []struct {
		name  string
		fired map[string]int
	}{{"source", t.pair.Source.Faults().Fired()}, {"destination", t.pair.Destination.Faults().Fired()}} {
		if len(side.fired) > 0 {
			notes = append(notes, fmt.Sprintf("faults of the %s: %v", side.name, side.fired))
		}
	}
	for _, problem := range t.last.Problems {
		notes = append(notes, "problem "+problem.String())
	}
	if !t.last.Clean {
		notes = append(notes, "the run is not clean: something was rejected or could not be verified")
	}
	return notes
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
