package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// chunksAtOnce is how many chunks of a plan are added in one transaction: two rows each, and a table takes a hundred.
const chunksAtOnce = 40

// planner is one visit of a round.
type planner struct {
	*Engine
	run     migration.Run
	round   migration.Round
	version Version
}

// errYield ends a visit whose row is saved: it was postponed, or somebody else has it now.
var errYield = errors.New("visit over")

func (e *Engine) visitRound(ctx context.Context, run migration.Run) error {
	round, v, err := e.ledger.Round(ctx, run.ID)
	if errors.Is(err, migration.ErrNotFound) || err == nil && e.Now().Before(round.NotBefore) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the round: %w", err)
	}
	if len(e.changed(run)) > 0 {
		return nil // another source's empty windows would be taken for the run's; a tick nudges when they are set back
	}
	p := &planner{Engine: e, run: run, round: round, version: v}
	p.round.NotBefore = e.Now().Add(e.claimTime())
	if err := p.save(ctx); err != nil {
		return yielded(err)
	}
	// After the claim: what an earlier visit of this round has learned, the resource types above all, is in the run.
	if p.run, _, err = p.live(ctx); err != nil {
		return yielded(err)
	}
	if round.Kind == migration.Closing {
		err = p.finish(ctx)
	} else {
		err = p.plan(ctx)
	}
	return yielded(err)
}

func yielded(err error) error {
	if errors.Is(err, errYield) || errors.Is(err, migration.ErrConflict) || errors.Is(err, migration.ErrNotFound) {
		return nil
	}
	return err
}

func (p *planner) save(ctx context.Context, problems ...migration.Problem) error {
	v, err := p.ledger.SaveRound(ctx, p.run.ID, p.round, p.version, problems...)
	if err != nil {
		return fmt.Errorf("save round %d: %w", p.round.Number, err)
	}
	p.version = v
	p.reported(ctx, p.run.ID, problems)
	return nil
}

// plan goes on where the last visit of the round stopped.
func (p *planner) plan(ctx context.Context) error {
	if p.round.Plan == "" {
		if !p.round.Fixed {
			if err := p.fix(ctx); err != nil {
				return err
			}
		}
		if p.round.Span.Since.IsZero() {
			if err := p.findOldest(ctx); err != nil {
				return err
			}
		}
		if err := p.ask(ctx); err != nil {
			return err
		}
		if err := p.writePlan(ctx); err != nil {
			return err
		}
	}
	return p.addChunks(ctx)
}

// fix learns what the source is and what time it has, and shortens the span to what is settled (invariant 2).
func (p *planner) fix(ctx context.Context) error {
	before := p.Now()
	capabilities, err := p.source.Capabilities(ctx)
	if err != nil {
		return p.countFailed(ctx, err)
	}
	if capabilities.Date.IsZero() {
		return p.postpone(ctx, "the source's answer has no Date header: its clock is unknown, and nothing is planned without it")
	}
	// The header tells whole seconds, so the source's clock is somewhere in [date, date+1s).
	date := capabilities.Date
	skew := max(date.Sub(p.Now()), before.Sub(date.Add(time.Second)), 0)
	if skew > p.limits.Settle {
		detail := fmt.Sprintf("the clocks of the source and of this app differ by about %s, more than FERRY_SETTLE (%s): "+
			"nothing is planned until they agree", skew.Round(time.Second), p.limits.Settle)
		return p.close(ctx, p.Now().Add(10*p.limits.Poll), migration.Problem{Detail: detail, At: p.Now()})
	}
	if skew > p.limits.Settle/2 {
		detail := fmt.Sprintf("the clocks of the source and of this app differ by about %s, more than half of FERRY_SETTLE (%s)",
			skew.Round(time.Second), p.limits.Settle)
		if err := p.report(ctx, p.run.ID, migration.Problem{Detail: detail, At: p.Now()}); err != nil {
			return fmt.Errorf("report the clock skew: %w", err)
		}
	}
	if err := p.learn(ctx, capabilities); err != nil {
		return err
	}
	if !p.round.Fix(p.run, date, p.limits.Settle) {
		return p.close(ctx, p.Now().Add(p.limits.Poll))
	}
	return p.save(ctx)
}

// learn keeps the source's resource types and kind, and with it the rule for its bounds, in the run, once.
func (p *planner) learn(ctx context.Context, c fhir.Capabilities) error {
	if len(p.run.Types) > 0 {
		return nil
	}
	types, unknown := migration.PlanTypes(p.run.Settings.Types, typeNames(c))
	var problems []migration.Problem
	if len(unknown) > 0 {
		problems = append(problems, migration.Problem{At: p.Now(), Doubt: true, Detail: fmt.Sprintf(
			"the source's capability statement does not list %v; check the spelling of FERRY_RESOURCE_TYPES", unknown)})
	}
	if len(types) == 0 {
		return p.postpone(ctx, "the source's capability statement lists none of the resource types to move; check FERRY_RESOURCE_TYPES")
	}
	kind := migration.KindOf(c.Transaction, c.Operations)
	if kind == migration.UnknownSource {
		problems = append(problems, migration.Problem{At: p.Now(), Detail: "the source is " + kind.Describe(p.limits.Parallel) +
			"; compare both sides when the migration has ended"})
	}
	run, _, err := p.changeRun(ctx, p.run.ID, func(r *migration.Run) bool {
		r.Types, r.SourceKind = types, kind
		return true
	}, problems...)
	p.run = run
	return err
}

func typeNames(c fhir.Capabilities) []string {
	names := make([]string, 0, len(c.Types))
	for _, t := range c.Types {
		names = append(names, t.Name)
	}
	return names
}

// findOldest finds where the first window begins. An empty source begins at the horizon of its first round.
func (p *planner) findOldest(ctx context.Context) error {
	oldest, found := migration.EarliestInstant(), true
	if !p.run.ExportOnly {
		var types []string
		if !p.run.Settings.AllVersions() {
			types = p.run.Settings.Types
		}
		at, ok, err := p.source.Oldest(ctx, p.run.Settings.AllVersions(), types)
		switch {
		case deprecated(err):
			if err := p.exportOnly(ctx); err != nil {
				return err
			}
		case err != nil:
			return p.countFailed(ctx, err)
		default:
			oldest, found = at, ok
		}
	}
	if !found || !oldest.Before(p.round.Span.Till) {
		oldest = p.round.Span.Till
	}
	p.round.Begin(oldest)
	run, _, err := p.changeRun(ctx, p.run.ID, func(r *migration.Run) bool {
		if !r.Since.IsZero() {
			return false
		}
		r.Since, r.Frontier = p.round.Span.Since, p.round.Span.Since
		return true
	})
	if err != nil {
		return err
	}
	p.run = run
	p.round.Begin(run.Since)
	if p.round.Span.Empty() {
		return p.close(ctx, p.Now().Add(p.limits.Poll))
	}
	return p.save(ctx)
}

// ask asks the counts that are still missing, saving each.
func (p *planner) ask(ctx context.Context) error {
	limit := p.run.Settings.ChunkLimit
	if p.round.Total == migration.Unasked && !p.run.ExportOnly {
		p.round.Shorten(p.run.Settings.Window)
	}
	for asked := 0; ; asked++ {
		q, more := p.round.Next(p.run.Types, limit)
		if !more {
			return nil
		}
		if p.run.ExportOnly {
			p.round.CountsRefused()
			continue
		}
		if !p.roomFor(ctx) || asked > 0 && p.workedLong(ctx) {
			return p.goOnLater(ctx)
		}
		n, err := p.count(ctx, p.run, q.Type, q.Window)
		var fault *fhir.Error
		switch {
		case err == nil:
			p.round.Counted(q, n, limit)
		case deprecated(err):
			if err := p.exportOnly(ctx); err != nil {
				return err
			}
			continue
		case errors.As(err, &fault) && (fault.TooMany() || fault.TimedOut()):
			p.round.CountOverflowed(q)
		default:
			return p.countFailed(ctx, err)
		}
		if err := p.save(ctx); err != nil {
			return err
		}
	}
}

// count counts one resource type, or the whole server, in a window whose upper edge is the next window's, or T.
func (e *Engine) count(ctx context.Context, run migration.Run, resourceType string, w migration.Window) (int64, error) {
	q := fhir.CountQuery{Since: w.Since, Before: w.Till, History: run.Settings.AllVersions()}
	if w.Till.Equal(run.End) {
		q.Before = q.Before.Add(migration.Instant) // nobody comes after the last window: T itself belongs to it
	}
	switch {
	case resourceType != "":
		q.Types = []string{resourceType}
	case !q.History:
		q.Types = run.Settings.Types
	}
	return e.source.Count(ctx, q)
}

func deprecated(err error) bool {
	var fault *fhir.Error
	return errors.As(err, &fault) && fault.Deprecated()
}

// exportOnly notes in the run that the source counts no more (contract 0.4).
func (p *planner) exportOnly(ctx context.Context) error {
	run, err := p.markExportOnly(ctx, p.run.ID)
	p.run = run
	return err
}

func (e *Engine) markExportOnly(ctx context.Context, runID string) (migration.Run, error) {
	detail := "the source is deprecated and only exports: counts, and with them some proofs, are not to be had any more"
	run, _, err := e.changeRun(ctx, runID, func(r *migration.Run) bool {
		changed := !r.ExportOnly
		r.ExportOnly = true
		return changed
	}, migration.Problem{Detail: detail, At: e.Now()})
	return run, err
}

// plannedChunk is a chunk in a plan's document.
type plannedChunk struct {
	Types    []string  `json:"types"`
	Since    time.Time `json:"since"`
	Till     time.Time `json:"till"`
	Expected int64     `json:"expected"`
}

// writePlan writes the cut as one document. What is written once is followed (invariant 3).
func (p *planner) writePlan(ctx context.Context) error {
	var byTime func(migration.Window) []migration.Window
	if p.run.ExportOnly {
		byTime = func(w migration.Window) []migration.Window { return migration.ByTime(w, p.run.Settings.Window) }
		p.round.ShortenUncounted(byTime)
	}
	chunks := p.round.Cut(p.run.Types, p.run.Settings.ChunkLimit, byTime, p.Now())
	if len(chunks) == 0 {
		return p.advanceFrontier(ctx)
	}
	plan := make([]plannedChunk, 0, len(chunks))
	for _, c := range chunks {
		plan = append(plan, plannedChunk{c.ResourceTypes, c.Window.Since, c.Window.Till, c.Expected})
	}
	content, err := json.Marshal(plan)
	if err != nil {
		return fmt.Errorf("write plan %d: %w", p.round.Number, err)
	}
	name := fmt.Sprintf("plans/%06d.json", p.round.Number)
	if _, err := p.ledger.PutDocument(ctx, p.run.ID, name, content); err != nil {
		return fmt.Errorf("write plan %d: %w", p.round.Number, err)
	}
	p.round.Plan = name
	return p.save(ctx)
}

// addChunks adds the plan's chunks in window order; the frontier moves when all are there.
func (p *planner) addChunks(ctx context.Context) error {
	content, err := p.ledger.Document(ctx, p.run.ID, p.round.Plan)
	if err != nil {
		return fmt.Errorf("read plan %s: %v", p.round.Plan, err) // a missing plan is no quiet exit
	}
	var plan []plannedChunk
	if err := json.Unmarshal(content, &plan); err != nil {
		return fmt.Errorf("read plan %s: %w", p.round.Plan, err)
	}
	for p.round.Added < len(plan) {
		batch := plan[p.round.Added:min(p.round.Added+chunksAtOnce, len(plan))]
		chunks := make([]migration.Chunk, 0, len(batch))
		for _, c := range batch {
			chunks = append(chunks, migration.NewChunk(c.Types, migration.Window{Since: c.Since, Till: c.Till}, c.Expected, p.Now()))
		}
		if err := p.addBatch(ctx, chunks); err != nil {
			return err
		}
	}
	return p.advanceFrontier(ctx)
}

func (p *planner) addBatch(ctx context.Context, chunks []migration.Chunk) error {
	round := p.round
	round.Added += len(chunks)
	for {
		run, v, err := p.live(ctx)
		if err != nil {
			return err
		}
		_, rv, err := p.ledger.AddChunks(ctx, run, v, round, p.version, chunks)
		if errors.Is(err, migration.ErrConflict) {
			if err := p.stillMine(ctx); err != nil {
				return err
			}
			continue // an operator spoke in between: the run's row is read again
		}
		if err != nil {
			return fmt.Errorf("add %d chunks of plan %s: %w", len(chunks), p.round.Plan, err)
		}
		p.round, p.version = round, rv
		return nil
	}
}

// stillMine tells which row a refused save was about: the run's, which is read again, or the round's, which ends the
// visit.
func (p *planner) stillMine(ctx context.Context) error {
	_, now, err := p.ledger.Round(ctx, p.run.ID)
	switch {
	case errors.Is(err, migration.ErrNotFound) || err == nil && now != p.version:
		return errYield
	case err != nil:
		return fmt.Errorf("read round %d again: %w", p.round.Number, err)
	}
	return nil
}

// live reads the run and makes sure that it may still be planned.
func (p *planner) live(ctx context.Context) (migration.Run, Version, error) {
	run, v, err := p.ledger.Current(ctx)
	switch {
	case err != nil:
		return run, v, fmt.Errorf("read the current run: %w", err)
	case run.ID != p.run.ID || run.Ended() || run.StopAsked:
		return run, v, errYield // the next tick closes the round
	}
	return run, v, nil
}
