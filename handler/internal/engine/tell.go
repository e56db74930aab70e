package engine

import (
	"context"
	"log/slog"
	"time"

	"fhirferry/handler/internal/migration"
)

// What the engine tells of itself are log records with an attribute "event": docs/telemetry.md lists them, and a test
// compares the names and dimensions there with the calls here. They tell what has been saved, after it was saved.

// tell tells of a transition; before is the row as it was saved last.
func (v *visit) tell(ctx context.Context, before migration.Chunk, from migration.State) {
	c := v.chunk
	v.log.InfoContext(ctx, "chunk moved", slog.String("event", "ChunkMoved"), "run", v.run.ID, "chunk", c.ID,
		"from", from, "to", c.State, "attempts", c.Attempts, "exported", c.Resources.Exported, "imported", c.Resources.Imported,
		"rejected", c.Resources.Rejected, "benign", c.Resources.Benign, "skipped", c.Resources.Skipped, "files", c.Files, "filesDone", c.FilesDone)
	if retried(before, c, from) {
		v.log.InfoContext(ctx, "chunk is tried again", slog.String("event", "ChunkRetried"), "run", v.run.ID, "chunk", c.ID,
			"state", c.State, "attempts", c.Attempts, "waitSeconds", max(c.NotBefore.Sub(v.Now()), 0).Seconds())
	}
	if c.State == migration.Failed {
		v.log.WarnContext(ctx, "migration halted", slog.String("event", "MigrationHalted"), "run", v.run.ID, "chunk", c.ID,
			"from", from, "attempts", c.Attempts)
	}
	if c.State == from {
		return
	}
	switch from {
	case migration.Exporting:
		v.log.DebugContext(ctx, "export job ended", slog.String("event", "Metrics"), "run", v.run.ID, "to", c.State,
			"ExportSeconds", v.Now().Sub(before.Export.Started).Seconds())
	case migration.Importing:
		ended := before.Import.EndedAt // its rejected lines were read after it
		if ended.IsZero() {
			ended = v.Now()
		}
		v.log.DebugContext(ctx, "import job ended", slog.String("event", "Metrics"), "run", v.run.ID, "to", c.State,
			"ImportSeconds", ended.Sub(before.Import.Started).Seconds())
	}
}

// retried reports whether a transition leads to another try at an export or import, without an operator having asked.
func retried(before, after migration.Chunk, from migration.State) bool {
	switch {
	case !after.State.Open() || from == migration.Failed:
		return false
	case after.Attempts > before.Attempts, after.State == migration.Planned:
		return true
	}
	return from == migration.Importing && after.State == migration.Exported && after.FilesDone == before.FilesDone
}

// reported tells that problems were kept. Their texts may repeat what a FHIR service said; they stay in the status.
func (e *Engine) reported(ctx context.Context, runID string, problems []migration.Problem) {
	for _, p := range problems {
		e.log.WarnContext(ctx, "problem reported", slog.String("event", "ProblemReported"), "run", runID, "chunk", p.Chunk, "doubt", p.Doubt)
	}
}

// report keeps problems of a run besides any change of a row, and tells of them.
func (e *Engine) report(ctx context.Context, runID string, problems ...migration.Problem) error {
	if err := e.ledger.Report(ctx, runID, problems...); err != nil {
		return err
	}
	e.reported(ctx, runID, problems)
	return nil
}

// obeyed tells that a verb of an operator was saved.
func (e *Engine) obeyed(ctx context.Context, verb migration.Verb, runID string, shown migration.Shown) {
	switch verb {
	case migration.VerbPause:
		e.log.InfoContext(ctx, "migration paused", slog.String("event", "MigrationPaused"), "run", runID, "from", shown)
	case migration.VerbResume:
		e.log.InfoContext(ctx, "migration resumed", slog.String("event", "MigrationResumed"), "run", runID, "from", shown)
	case migration.VerbCutOver:
		e.log.InfoContext(ctx, "migration cuts over", slog.String("event", "MigrationCutOver"), "run", runID, "from", shown)
	case migration.VerbStop:
		e.log.InfoContext(ctx, "migration is stopping", slog.String("event", "MigrationStopping"), "run", runID, "from", shown)
	}
}

// ended tells that the run is over, with its last totals.
func (e *Engine) ended(ctx context.Context, run migration.Run) {
	if run.Outcome == migration.Completed {
		e.log.InfoContext(ctx, "migration completed", slog.String("event", "MigrationCompleted"), "run", run.ID)
	} else {
		e.log.InfoContext(ctx, "migration stopped", slog.String("event", "MigrationStopped"), "run", run.ID)
	}
	e.measure(ctx, run, nil)
}

// measure tells the totals of a run. It costs one read, and that only where somebody listens; where that read fails the
// migration goes on without the numbers.
func (e *Engine) measure(ctx context.Context, run migration.Run, unfinished []migration.Chunk) {
	if !e.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	totals, err := e.ledger.Totals(ctx, run.ID)
	if err != nil {
		e.log.WarnContext(ctx, "the totals could not be read, so these metrics are missing", "run", run.ID, "error", err.Error())
		return
	}
	of, moved := totals.Chunks, totals.Resources
	e.log.DebugContext(ctx, "totals", slog.String("event", "Metrics"), "run", run.ID,
		"ResourcesExported", moved.Exported, "ResourcesImported", moved.Imported, "ResourcesRejected", moved.Rejected,
		"ResourcesSkipped", moved.Skipped, "ResourcesBenign", moved.Benign, "ProblemsTotal", totals.Reported,
		"ChunksPlanned", of[migration.Planned], "ChunksExporting", of[migration.Exporting], "ChunksExported", of[migration.Exported],
		"ChunksImporting", of[migration.Importing], "ChunksImported", of[migration.Imported], "ChunksSplit", of[migration.Split],
		"ChunksFailed", of[migration.Failed], "ChunksCancelled", of[migration.Cancelled])
	if till := run.MigratedTill(unfinished); !till.IsZero() {
		e.log.DebugContext(ctx, "lag", slog.String("event", "Metrics"), "run", run.ID, "LagSeconds", lag(e.Now(), till).Seconds())
	}
}

// lag is never negative: a source's clock may run ahead.
func lag(now, till time.Time) time.Duration { return max(now.Sub(till), 0) }

// tellStep tells how a step ended that is about search parameters.
func (v *errandVisit) tellStep(ctx context.Context, run migration.Run) {
	e := v.errand
	switch {
	case e.Dropped:
	case e.Kind == migration.ParametersErrand:
		v.log.InfoContext(ctx, "search parameters moved", slog.String("event", "SearchParametersMoved"), "run", run.ID, "step", e.ID,
			"found", e.Parameters.Found, "present", e.Parameters.Present, "created", e.Parameters.Written, "failed", e.Parameters.Failed)
	case e.Kind == migration.ReindexErrand && e.Job.StatusURL != "":
		v.log.InfoContext(ctx, "reindex ended", slog.String("event", "ReindexEnded"), "run", run.ID, "step", e.ID,
			"outcome", run.Reindex.Result, "seconds", v.Now().Sub(e.Job.Started).Seconds())
	}
}
