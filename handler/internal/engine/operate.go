package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// newRunID names a run by its start and by chance, in letters that table keys and blob names take.
func newRunID() string {
	var chance [4]byte
	_, _ = rand.Read(chance[:]) // never fails, says its documentation
	return time.Now().UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(chance[:])
}

// Start makes a new run with frozen settings. While a run with the same values is running it changes nothing.
func (e *Engine) Start(ctx context.Context, o Overrides) (Status, error) {
	settings, err := e.override(o)
	if err != nil {
		return Status{}, err
	}
	if err := e.Prepare(ctx); err != nil {
		return Status{}, fmt.Errorf("prepare storage: %w", err)
	}
	for {
		current, shown, err := e.shown(ctx)
		if err != nil {
			return Status{}, err
		}
		switch migration.Ask(migration.VerbStart, shown, current.CutOverAsked) {
		case migration.InForce:
			if names := settings.Differences(current.Settings); len(names) > 0 {
				return Status{}, &Refusal{WrongState, fmt.Sprintf("a run with another %v is running; stop it before starting a new one", names)}
			}
			return e.Status(ctx)
		case migration.Refused:
			return Status{}, refusal(migration.VerbStart, shown)
		}
		etag, err := e.configuration(ctx, settings)
		if err != nil {
			return Status{}, err
		}
		run := migration.NewRun(e.NewID(), settings, e.settings, e.Now())
		run.AnonymizationETag = etag
		run.Follow(current)
		err = e.ledger.Open(ctx, run, current.ID)
		if errors.Is(err, migration.ErrConflict) {
			continue // another start was faster: its run is the current one now
		}
		if err != nil {
			return Status{}, fmt.Errorf("open run %s: %w", run.ID, err)
		}
		e.log.InfoContext(ctx, "migration started", slog.String("event", "MigrationStarted"), "run", run.ID, "mode", run.Settings.Mode)
		if err := e.nudge(ctx, wake); err != nil {
			return Status{}, err
		}
		return e.Status(ctx)
	}
}

// override applies the values of a start request.
func (e *Engine) override(o Overrides) (migration.Settings, error) {
	s := e.settings
	if o.Mode != nil {
		s.Mode = migration.Mode(*o.Mode)
	}
	if s.Mode != migration.Continuous && s.Mode != migration.Once {
		return s, &Refusal{BadValue, fmt.Sprintf("mode %q: want continuous or once (export and import are not supported yet)", s.Mode)}
	}
	if o.Since != nil {
		s.Since = o.Since.UTC().Truncate(migration.Instant)
	}
	if o.Until != nil {
		s.Until = o.Until.UTC().Truncate(migration.Instant)
	}
	if o.Types != nil {
		s.Types = slices.Compact(slices.Sorted(slices.Values(o.Types)))
	}
	if o.Window != nil {
		s.Window = *o.Window
	}
	if !s.Since.IsZero() && !s.Until.IsZero() && !s.Until.After(s.Since) {
		return s, &Refusal{BadValue, fmt.Sprintf("until %s is not after since %s", s.Until.Format(time.RFC3339Nano), s.Since.Format(time.RFC3339Nano))}
	}
	if s.Since.After(e.Now()) {
		return s, &Refusal{BadValue, fmt.Sprintf("since %s lies in the future", s.Since.Format(time.RFC3339Nano))}
	}
	return s, nil
}

func refusal(v migration.Verb, shown migration.Shown) *Refusal {
	return &Refusal{WrongState, fmt.Sprintf("%s is not possible while the migration is %s", v, shown)}
}

// shown reads the current run and derives its state; a zero run when there is none.
func (e *Engine) shown(ctx context.Context) (migration.Run, migration.Shown, error) {
	run, _, err := e.ledger.Current(ctx)
	if errors.Is(err, migration.ErrNotFound) {
		return migration.Run{}, migration.ShownIdle, nil
	}
	if err != nil {
		return run, "", fmt.Errorf("read the current run: %w", err)
	}
	totals, err := e.ledger.Totals(ctx, run.ID)
	if err != nil {
		return run, "", fmt.Errorf("read the totals: %w", err)
	}
	return run, run.Shown(totals.Chunks[migration.Failed]), nil
}

// act changes the run's row by a verb that the state allows, then looks for what is due.
func (e *Engine) act(ctx context.Context, verb migration.Verb, change func(*migration.Run)) (Status, error) {
	run, shown, err := e.shown(ctx)
	if err != nil {
		return Status{}, err
	}
	switch migration.Ask(verb, shown, run.CutOverAsked) {
	case migration.Refused:
		return Status{}, refusal(verb, shown)
	case migration.InForce:
		return e.Status(ctx)
	}
	refused := false
	_, _, err = e.changeRun(ctx, run.ID, func(r *migration.Run) bool {
		if refused = r.Ended(); refused {
			return false
		}
		change(r)
		return true
	})
	switch {
	case refused || errors.Is(err, migration.ErrNotFound):
		return Status{}, &Refusal{WrongState, fmt.Sprintf("the run ended while %s was asked", verb)}
	case err != nil:
		return Status{}, fmt.Errorf("save %s: %w", verb, err)
	}
	e.obeyed(ctx, verb, run.ID, shown)
	if err := e.nudge(ctx, wake); err != nil {
		return Status{}, err
	}
	return e.Status(ctx)
}

// Pause starts no new job; jobs in flight land.
func (e *Engine) Pause(ctx context.Context) (Status, error) {
	return e.act(ctx, migration.VerbPause, func(r *migration.Run) { r.Paused = true })
}

// Resume goes on after a pause.
func (e *Engine) Resume(ctx context.Context) (Status, error) {
	return e.act(ctx, migration.VerbResume, func(r *migration.Run) { r.Paused = false })
}

// Stop cancels the jobs in flight and ends the run.
func (e *Engine) Stop(ctx context.Context) (Status, error) {
	var failure error
	s, err := e.act(ctx, migration.VerbStop, func(r *migration.Run) {
		// Read after the run's row, which every added chunk renews: what is promised covers no chunk that is not listed.
		unfinished, err := e.ledger.Unfinished(ctx, r.ID)
		if failure = err; err == nil {
			r.Stop(unfinished)
		}
	})
	if failure != nil {
		return Status{}, fmt.Errorf("list unfinished chunks: %w", failure)
	}
	return s, err
}

// CutOver moves everything up to this instant and then completes the run. The source is asked for its clock first; one
// that does not answer is a refusal, and nothing changes.
func (e *Engine) CutOver(ctx context.Context) (Status, error) {
	run, shown, err := e.shown(ctx)
	if err != nil {
		return Status{}, err
	}
	if a := migration.Ask(migration.VerbCutOver, shown, run.CutOverAsked); a == migration.Refused {
		return Status{}, refusal(migration.VerbCutOver, shown)
	} else if a == migration.InForce {
		return e.Status(ctx)
	}
	if e.elsewhere(run) {
		return Status{}, &Refusal{Unavailable, "the settings name another source or destination than the run's, whose clock would " +
			"decide what is moved; set them back and try again"}
	}
	source, err := e.source.Clock(ctx)
	var fault *fhir.Error
	if errors.As(err, &fault) {
		return Status{}, &Refusal{Unavailable, "the source was asked for its clock and did not tell it: " + explain(err) + "; try again"}
	}
	if err != nil {
		return Status{}, fmt.Errorf("ask the source for its clock: %w", err)
	}
	return e.act(ctx, migration.VerbCutOver, func(r *migration.Run) { r.CutOver(e.Now(), source) })
}

// Retry reopens every failed chunk and returns how many.
func (e *Engine) Retry(ctx context.Context) (Status, int, error) {
	run, shown, err := e.shown(ctx)
	if err != nil {
		return Status{}, 0, err
	}
	if migration.Ask(migration.VerbRetry, shown, run.CutOverAsked) == migration.Refused {
		return Status{}, 0, refusal(migration.VerbRetry, shown)
	}
	unfinished, err := e.ledger.Unfinished(ctx, run.ID)
	if err != nil {
		return Status{}, 0, fmt.Errorf("list unfinished chunks: %w", err)
	}
	reopened, err := e.reopenAll(ctx, run, unfinished)
	if reopened > 0 {
		e.log.InfoContext(ctx, "migration reopened", slog.String("event", "MigrationReopened"), "run", run.ID, "from", shown, "reopened", reopened)
	}
	if err != nil {
		return Status{}, reopened, err
	}
	if err := e.nudge(ctx, wake); err != nil {
		return Status{}, reopened, err
	}
	status, err := e.Status(ctx)
	return status, reopened, err
}

func (e *Engine) reopenAll(ctx context.Context, run migration.Run, unfinished []migration.Chunk) (reopened int, err error) {
	for _, c := range unfinished {
		if c.State != migration.Failed {
			continue
		}
		done, err := e.reopen(ctx, run, c.ID)
		if err != nil {
			return reopened, err
		}
		if done {
			reopened++
		}
	}
	return reopened, nil
}

// reopen reopens one failed chunk: from its import when all files of its manifest are still there.
func (e *Engine) reopen(ctx context.Context, run migration.Run, id string) (bool, error) {
	for {
		chunk, version, err := e.ledger.Chunk(ctx, run.ID, id)
		if err != nil {
			return false, fmt.Errorf("read chunk %s: %w", id, err)
		}
		if chunk.State != migration.Failed {
			return false, nil // another retry was faster
		}
		v := &visit{Engine: e, run: run, chunk: chunk, version: version, kept: chunk}
		there, err := v.filesThere(ctx)
		if err != nil {
			return false, err
		}
		if there {
			err = v.chunk.RetryImport(e.Now())
		} else {
			err = v.chunk.RetryExport(e.Now())
		}
		if err != nil {
			return false, err
		}
		err = v.moved(ctx, migration.Failed, migration.Save{})
		if !errors.Is(err, migration.ErrConflict) {
			return err == nil, err
		}
	}
}

// filesThere reports whether the chunk believes a manifest and every file of it is still staged.
func (v *visit) filesThere(ctx context.Context) (bool, error) {
	if v.chunk.Manifest == "" {
		return false, nil
	}
	files, err := v.believed(ctx)
	if err != nil {
		return false, err
	}
	_, missing, err := v.importRequest(ctx, files)
	return missing == "", err
}
