package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

func (v *visit) checkImport(ctx context.Context) error {
	if err := v.claim(ctx); err != nil {
		return err
	}
	status, err := v.destination.ImportStatus(ctx, v.chunk.Import.StatusURL)
	var fault *fhir.Error
	switch {
	case err == nil && status.Done:
		return v.balance(ctx, status.Result)
	case err == nil:
		now := v.Now()
		if err := v.chunk.Progressed(status.Progress, now, now.Add(v.pollWait(status.RetryAfter, v.chunk.Import.Started))); err != nil {
			return err
		}
		return v.followStalled(ctx, func() error { return v.save(ctx, migration.Save{}) })
	case !errors.As(err, &fault):
		return err
	case fault.ETagMismatch():
		from := v.chunk.State
		tried, terr := v.triedETags(ctx)
		if terr != nil {
			return terr
		}
		if err := v.chunk.ImportMissedETag(tried, fault.Error(), v.Now(), v.Now().Add(v.backOff(v.chunk.Attempts)), v.limits.Limits); err != nil {
			return err
		}
		return v.moved(ctx, from, migration.Save{Problems: v.problem(explain(err))})
	case fault.JobFailed(), fault.Gone():
		return v.lost(ctx, fault.Error(), explain(err))
	}
	return v.followStalled(ctx, func() error { return v.unanswered(ctx, v.chunk.Import, err) })
}

// followStalled cancels an import without progress for FERRY_STALL and follows it to its end, for it may have finished
// before the request reached it; after another FERRY_STALL it is given up.
func (v *visit) followStalled(ctx context.Context, otherwise func() error) error {
	job, now := v.chunk.Import, v.Now()
	asked := !job.CancelAt.IsZero()
	switch {
	case !asked && now.Sub(job.ProgressAt) < v.limits.Stall, asked && now.Sub(job.CancelAt) < v.limits.Stall:
		return otherwise()
	case asked:
		reason := fmt.Sprintf("the import did not end within %s of being cancelled as stalled (FERRY_STALL); it is tried again", v.limits.Stall)
		return v.lost(ctx, reason, reason)
	}
	reason := fmt.Sprintf("the import showed neither progress nor an end for %s (FERRY_STALL) and is cancelled", v.limits.Stall)
	if err := v.destination.CancelImport(ctx, job.StatusURL); err != nil {
		reason += "; the cancellation failed: " + explain(err)
	}
	if err := v.chunk.ImportStalled(reason, now, now.Add(v.limits.Poll)); err != nil {
		return err
	}
	return v.save(ctx, migration.Save{Problems: v.problem(reason)})
}

// balance compares, file by file, the lines of the manifest with what the import says it accepted and rejected
// (invariant 12).
func (v *visit) balance(ctx context.Context, content []byte) error {
	result, err := fhir.ParseImportResult(content)
	if err != nil {
		return v.followStalled(ctx, func() error { return v.oddAnswer(ctx, v.chunk.Import, "read the import's result", err) })
	}
	sum := sha256.Sum256(content)
	name := fmt.Sprintf("results/%s/%d-%d-%s.json", v.chunk.ID, v.chunk.Import.Attempt, v.chunk.FilesDone, hex.EncodeToString(sum[:6]))
	if _, err := v.ledger.PutDocument(ctx, v.run.ID, name, content); err != nil {
		return fmt.Errorf("keep import result of chunk %s: %w", v.chunk.ID, err)
	}
	batch, err := v.batch(ctx)
	if err != nil {
		return err
	}
	var accepted, rejected int64
	for _, f := range batch {
		a, r := result.Accepted[f.URL], result.Rejected[f.URL]
		if a+r != f.Count {
			return v.offBalance(ctx, fmt.Sprintf("the books of file %s do not balance: %d lines exported, %d accepted, %d rejected",
				f.name, f.Count, a, r))
		}
		accepted, rejected = accepted+a, rejected+r
	}
	if err := v.learnETags(ctx); err != nil {
		return err
	}
	if err := v.chunk.ResultKept(name, v.Now()); err != nil {
		return err
	}
	if rejected == 0 {
		return v.completeImport(ctx, accepted, 0, nil)
	}
	if err := v.save(ctx, migration.Save{}); err != nil {
		return err
	}
	return v.readRejects(ctx)
}

// batch are the files of the import under way.
func (v *visit) batch(ctx context.Context) ([]stagedFile, error) {
	all, err := v.believed(ctx)
	if err != nil {
		return nil, err
	}
	return all[min(v.chunk.FilesDone, len(all)):min(v.chunk.FilesDone+v.chunk.FilesNow, len(all))], nil
}

// learnETags keeps in the run which form of etags the destination takes, once an import has shown it.
func (v *visit) learnETags(ctx context.Context) error {
	if v.chunk.ETags == "" {
		return nil
	}
	form, err := v.triedETags(ctx)
	if err != nil {
		return err
	}
	_, _, err = v.changeRun(ctx, v.run.ID, func(r *migration.Run) bool {
		changed := r.ETags != form
		r.ETags = form
		return changed
	})
	return err
}

// triedETags is the form of the etags in the body that was posted last.
func (v *visit) triedETags(ctx context.Context) (migration.ETagForm, error) {
	body, err := v.ledger.Document(ctx, v.run.ID, v.chunk.Import.Body)
	if err != nil {
		return "", fmt.Errorf("read import body %s: %v", v.chunk.Import.Body, err) // missing is no quiet exit
	}
	if fhir.QuotedETags(body) {
		return migration.QuotedETags, nil
	}
	return migration.PlainETags, nil
}

func (v *visit) offBalance(ctx context.Context, reason string) error {
	from := v.chunk.State
	if err := v.chunk.OffBalance(reason, v.Now(), v.Now().Add(v.limits.Poll)); err != nil {
		return err
	}
	return v.moved(ctx, from, migration.Save{Problems: v.problem(reason)})
}
