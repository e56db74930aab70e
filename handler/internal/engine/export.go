package engine

import (
	"context"
	"errors"
	"fmt"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// startExport takes a slot, saves the attempt and only then sends the kick-off (invariants 5, 14 and 15): one save is
// claim, slot and intent together.
func (v *visit) startExport(ctx context.Context) error {
	slots, may, err := v.gate(ctx, migration.ExportJob)
	if err != nil || !may {
		return err
	}
	if err := v.chunk.Claim(v.Now(), v.Now().Add(v.claimTime())); err != nil {
		return errYield
	}
	if err := v.chunk.ExportIntended(); err != nil {
		return err
	}
	intent := migration.Save{Slot: migration.SlotTake, Kind: migration.ExportJob, Limit: v.limits.MaxExports}
	if err := v.save(ctx, intent); err != nil {
		if errors.Is(err, migration.ErrNoSlot) {
			return errYield
		}
		return err
	}
	statusURL, err := v.source.StartExport(ctx, v.exportRequest())
	if err != nil {
		return v.refused(ctx, migration.ExportJob, err, migration.SlotByState)
	}
	if err := v.chunk.ExportAccepted(statusURL, v.Now(), v.Now().Add(v.limits.Poll)); err != nil {
		return err
	}
	if err := v.moved(ctx, migration.Planned, migration.Save{}); err != nil {
		if errors.Is(err, migration.ErrConflict) {
			return errors.Join(err, v.dropExport(ctx, statusURL))
		}
		return err // the save may have succeeded, and then the row follows this job
	}
	return v.recovered(ctx, slots)
}

func (v *visit) exportRequest() fhir.ExportRequest {
	s := v.run.Settings
	r := fhir.ExportRequest{
		Since: v.chunk.Window.Since, Till: v.chunk.Window.Till, Container: v.staging.Container(),
		Parallel: v.limits.Parallel, History: s.History, Deleted: s.Deleted, MaxCount: v.limits.MaxCount,
	}
	// All types without a filter: nothing that the source does not list can be left behind.
	if len(s.Types) > 0 || len(v.chunk.ResourceTypes) < len(v.run.Types) {
		r.Types = v.chunk.ResourceTypes
	}
	if s.DeIdentified() {
		r.AnonymizationConfig, r.AnonymizationETag = s.AnonymizationConfig, v.run.AnonymizationETag
	}
	if v.run.SourceKind.Exclusive() && v.limits.Parallel && v.chunk.Window.Till.Equal(v.run.End) {
		r.Till = r.Till.Add(migration.Instant) // the last window includes T (invariant 2)
	}
	return r
}

// dropExport cancels a job that was started for a row that somebody else has taken over.
func (v *visit) dropExport(ctx context.Context, statusURL string) error {
	ctx, cancel := v.briefly(ctx)
	defer cancel()
	if err := v.source.CancelExport(ctx, statusURL); err != nil {
		v.log.WarnContext(ctx, "an export job could not be cancelled and runs on unread", "run", v.run.ID, "chunk", v.chunk.ID, "error", err.Error())
	}
	return nil
}

func (v *visit) checkExport(ctx context.Context) error {
	if err := v.claim(ctx); err != nil {
		return err
	}
	status, err := v.source.ExportStatus(ctx, v.chunk.Export.StatusURL)
	var fault *fhir.Error
	switch {
	case err == nil && status.Done:
		return v.seeManifest(ctx, status.Manifest)
	case err == nil:
		now := v.Now()
		if err := v.chunk.Progressed(status.Progress, now, now.Add(v.pollWait(status.RetryAfter, v.chunk.Export.Started))); err != nil {
			return err
		}
		return v.unlessStalled(ctx, func() error { return v.save(ctx, migration.Save{}) })
	case !errors.As(err, &fault):
		return err
	case fault.TooLarge(), fault.JobThrottled() && v.chunk.Throttled > 0:
		return v.split(ctx, fault)
	case fault.JobThrottled():
		from := v.chunk.State
		if err := v.chunk.ExportThrottled(fault.Error(), v.Now(), v.Now().Add(v.backOff(v.chunk.Attempts+1)), v.limits.Limits); err != nil {
			return err
		}
		return v.moved(ctx, from, migration.Save{Problems: v.problem(explain(err))})
	case fault.JobFailed() && v.run.Settings.DeIdentified():
		return v.deIdentifiedLost(ctx, fault)
	case fault.JobFailed(), fault.Gone():
		return v.lost(ctx, fault.Error(), explain(err))
	}
	return v.unlessStalled(ctx, func() error { return v.unanswered(ctx, v.chunk.Export, err) })
}

// unlessStalled gives up an export without progress for FERRY_STALL: it is cancelled, and its files are never read.
func (v *visit) unlessStalled(ctx context.Context, otherwise func() error) error {
	if v.Now().Sub(v.chunk.Export.ProgressAt) < v.limits.Stall {
		return otherwise()
	}
	reason := fmt.Sprintf("the export showed neither progress nor an end for %s (FERRY_STALL) and was cancelled", v.limits.Stall)
	if err := v.dropExport(ctx, v.chunk.Export.StatusURL); err != nil {
		return err
	}
	return v.lost(ctx, reason, reason)
}

// split replaces a chunk that is too large for one export.
func (v *visit) split(ctx context.Context, fault *fhir.Error) error {
	from := v.chunk.State
	children, err := v.chunk.TooLarge(fault.Error(), v.Now())
	if err != nil {
		return err
	}
	s := migration.Save{Children: children}
	if children == nil {
		s.Problems = v.problem(v.chunk.LastError)
	}
	return v.moved(ctx, from, s)
}

// seeManifest keeps the manifest at first sight and counts equal answers; the last one that is needed believes it.
func (v *visit) seeManifest(ctx context.Context, content []byte) error {
	manifest, err := fhir.ParseManifest(content)
	if err != nil {
		if derr := v.chunk.ManifestDoubted(); derr != nil {
			return derr
		}
		return v.unlessStalled(ctx, func() error { return v.oddAnswer(ctx, v.chunk.Export, "read the export's manifest", err) })
	}
	if missing := unproven(v.run, manifest); missing != "" {
		return v.rejectExport(ctx, missing)
	}
	digest := manifest.Digest()
	name := fmt.Sprintf("manifests/%s/%d-%s.json", v.chunk.ID, v.chunk.Export.Attempt, digest[:16])
	if _, err := v.ledger.PutDocument(ctx, v.run.ID, name, content); err != nil {
		return fmt.Errorf("keep manifest of chunk %s: %w", v.chunk.ID, err)
	}
	if !v.chunk.Confirmed(digest, v.limits.Confirmations) {
		if err := v.chunk.ManifestSeen(digest, v.Now(), v.Now().Add(v.limits.ConfirmInterval)); err != nil {
			return err
		}
		return v.save(ctx, migration.Save{})
	}
	return v.believe(ctx, name, manifest)
}

// oddAnswer postpones a poll whose 200 is not what a 200 must be.
func (v *visit) oddAnswer(ctx context.Context, job migration.Job, doing string, err error) error {
	reason := doing + ": " + explain(err)
	if perr := v.chunk.Postpone(reason, v.Now(), v.Now().Add(v.pollWait(0, job.Started))); perr != nil {
		return perr
	}
	return v.save(ctx, migration.Save{Problems: v.problem(reason)})
}

// believe makes the last checks on a confirmed manifest: its files lie in our staging container, an empty one is proven
// (invariant 11), and its sum is not below what was counted (invariant 12).
func (v *visit) believe(ctx context.Context, name string, manifest fhir.Manifest) error {
	files, err := stagedFiles(manifest, v.staging)
	if err != nil {
		return v.rejectExport(ctx, err.Error())
	}
	lines := manifest.Lines()
	if lines == 0 {
		if err := v.proveEmpty(ctx); err != nil {
			return err
		}
	}
	var skipped int64
	for _, f := range manifest.Output {
		if f.Type == searchParameter {
			skipped += f.Count
		}
	}
	var problems []migration.Problem
	moved := lines - skipped
	if v.run.Settings.History && v.run.Settings.Deleted && lines > 0 && moved < v.chunk.Expected {
		detail := fmt.Sprintf("the export holds %d versions where %d were counted when the chunk was planned", moved, v.chunk.Expected)
		if v.chunk.ShortSum != moved+1 {
			return v.doubtShort(ctx, moved, detail)
		}
		problems = v.doubt(detail + "; a second export held as many, so it is believed: compare the chunk's types on both sides")
	}
	if lines == 0 {
		files = nil
	}
	from := v.chunk.State
	if err := v.chunk.ExportCompleted(migration.Believed{
		Manifest: name, Files: len(files), Lines: lines, Skipped: skipped, Proven: v.run.Settings.DeIdentified(),
	}, v.Now()); err != nil {
		return err
	}
	return v.moved(ctx, from, migration.Save{Problems: problems})
}

func (v *visit) doubtShort(ctx context.Context, sum int64, detail string) error {
	from := v.chunk.State
	// One more than the sum, so that a sum of zero importable lines is told from none seen.
	if err := v.chunk.ShortDoubted(sum+1, detail, v.Now(), v.Now().Add(v.limits.Poll), v.limits.Limits); err != nil {
		return err
	}
	return v.moved(ctx, from, migration.Save{Problems: v.problem(detail + "; exported again")})
}

// proveEmpty returns nil when the chunk is proven to be empty; else it has saved what happens instead.
func (v *visit) proveEmpty(ctx context.Context) error {
	if !v.run.ExportOnly {
		n, err := v.countChunk(ctx)
		switch {
		case err == nil && n == 0:
			return nil
		case errors.Is(err, errYield):
			return err
		case deprecated(err):
			run, err := v.markExportOnly(ctx, v.run.ID)
			if err != nil {
				return err
			}
			v.run = run
		case err != nil:
			if err := v.unanswered(ctx, v.chunk.Export, err); err != nil {
				return err
			}
			return errYield
		case v.run.Settings.Comparable():
			reason := fmt.Sprintf("the export is empty where the source counts %d versions", n)
			if err := v.lost(ctx, reason, reason); err != nil {
				return err
			}
			return errYield
		}
	}
	if v.chunk.EmptySeen > 0 {
		return nil // a second independent export is empty too
	}
	from := v.chunk.State
	if err := v.chunk.EmptyDoubted(v.Now()); err != nil {
		return err
	}
	if err := v.moved(ctx, from, migration.Save{}); err != nil {
		return err
	}
	return errYield
}

// countChunk counts the chunk's own types: the whole server first, whose zero proves every type's, then without the
// SearchParameter resources, which are not moved, then type by type. When the visit's time is up it saves how many types
// are known to be empty and yields: what was empty in a settled window stays so, and the next visit asks the rest.
func (v *visit) countChunk(ctx context.Context) (int64, error) {
	if v.chunk.EmptyTypes == 0 {
		all, err := v.count(ctx, v.run, "", v.chunk.Window)
		if err != nil || all == 0 {
			return all, err
		}
		parameters, err := v.count(ctx, v.run, searchParameter, v.chunk.Window)
		if err != nil || all == parameters {
			return 0, err
		}
	}
	for v.chunk.EmptyTypes < len(v.chunk.ResourceTypes) {
		if !v.roomFor(ctx) {
			if err := v.chunk.Postpone("", v.Now(), v.Now()); err != nil {
				return 0, err
			}
			if err := v.save(ctx, migration.Save{}); err != nil {
				return 0, err
			}
			return 0, errYield
		}
		n, err := v.count(ctx, v.run, v.chunk.ResourceTypes[v.chunk.EmptyTypes], v.chunk.Window)
		if err != nil || n > 0 {
			return n, err
		}
		v.chunk.EmptyTypes++
	}
	return 0, nil
}
