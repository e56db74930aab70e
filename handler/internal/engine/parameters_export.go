package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// A deprecated source refuses searches and still exports (contract 0.4): its search parameters come by an export of their
// type alone, a job of the errand.

// mostExported is how many bytes of exported search parameters are read; a service holds far fewer.
const mostExported = 64 << 20

// sourceParameters reads what is stored at the source: by search, or by export where search is refused.
func (v *errandVisit) sourceParameters(ctx context.Context) ([]fhir.SearchParameter, error) {
	var exported parameterPart
	found, err := v.document(ctx, "exported", &exported)
	if err != nil {
		return nil, err
	}
	if found {
		return exported.read()
	}
	if !v.run.ExportOnly {
		stored, err := v.storedParameters(ctx, v.source, "source")
		if !deprecated(err) {
			return stored, err
		}
		if v.run, err = v.markExportOnly(ctx, v.run.ID); err != nil {
			return nil, err
		}
	}
	if v.errand.Job.StatusURL == "" {
		return nil, instead(v.exportParameters(ctx))
	}
	return v.checkParameterExport(ctx)
}

// exportParameters starts the export. The attempt is saved before the request (invariant 14); it waits for the gates and
// for a place among the exports, which are the source's work too (invariant 15).
func (v *errandVisit) exportParameters(ctx context.Context) error {
	may, err := v.mayStart(ctx)
	if err != nil {
		return err
	}
	slots, err := v.ledger.Slots(ctx, v.run.ID, migration.ExportJob)
	if err != nil {
		return fmt.Errorf("read the export slots: %w", err)
	}
	if !may || slots.Take(v.errand.ID, v.limits.MaxExports, v.Now()) != nil {
		return v.hold(ctx)
	}
	v.errand.Job = migration.Job{Attempt: v.errand.Job.Attempt + 1}
	if err := v.save(ctx); err != nil {
		return err
	}
	statusURL, err := v.source.StartExport(ctx, fhir.ExportRequest{
		Types: []string{searchParameter}, Container: v.staging.Container(), MaxCount: v.limits.MaxCount,
	})
	var fault *fhir.Error
	if errors.As(err, &fault) && fault.Permanent() {
		return v.giveUpParameters(ctx, explain(err))
	}
	if err != nil {
		return v.readFailed(ctx, err)
	}
	v.errand.Job.StatusURL, v.errand.Job.Started, v.errand.Job.ProgressAt = statusURL, v.Now(), v.Now()
	err = v.follow(ctx, v.limits.Poll)
	if errors.Is(err, migration.ErrConflict) {
		return errors.Join(err, v.dropParameterExport(ctx, statusURL))
	}
	return err
}

// dropParameterExport cancels an export that nobody follows. A deprecated source takes that for no more than a wish.
func (v *errandVisit) dropParameterExport(ctx context.Context, statusURL string) error {
	ctx, cancel := v.briefly(ctx)
	defer cancel()
	if err := v.source.CancelExport(ctx, statusURL); err != nil {
		v.log.WarnContext(ctx, "an export job could not be cancelled and runs on unread", "run", v.run.ID, "errand", v.errand.ID, "error", err.Error())
	}
	return nil
}

// checkParameterExport returns what the export holds once it is believed; else what happens instead is saved.
func (v *errandVisit) checkParameterExport(ctx context.Context) ([]fhir.SearchParameter, error) {
	job := &v.errand.Job
	status, err := v.source.ExportStatus(ctx, job.StatusURL)
	var fault *fhir.Error
	switch {
	case err == nil && status.Done:
		return v.seeParameterManifest(ctx, status.Manifest)
	case err == nil:
		job.Answers, job.Digest = 0, "" // invariant 10
		if status.Progress > job.Progress {
			job.Progress, job.ProgressAt = status.Progress, v.Now()
		}
		if v.stalled() {
			return nil, instead(v.parameterExportStalled(ctx))
		}
		return nil, instead(v.follow(ctx, v.pollWait(status.RetryAfter, job.Started)))
	case !errors.As(err, &fault):
		return nil, err
	case fault.JobFailed(), fault.Gone(), fault.TooLarge():
		return nil, instead(v.parameterExportLost(ctx, explain(err)))
	case v.stalled():
		return nil, instead(v.parameterExportStalled(ctx))
	case fault.Busy():
		return nil, instead(v.unanswered(ctx, err))
	}
	return nil, instead(v.wait(ctx, v.pollWait(fault.RetryAfter, job.Started), explain(err)))
}

func (v *errandVisit) stalled() bool { return v.Now().Sub(v.errand.Job.ProgressAt) >= v.limits.Stall }

func (v *errandVisit) parameterExportStalled(ctx context.Context) error {
	if err := v.dropParameterExport(ctx, v.errand.Job.StatusURL); err != nil {
		return err
	}
	return v.parameterExportLost(ctx, fmt.Sprintf("the export showed neither progress nor an end for %s (FERRY_STALL) and was cancelled", v.limits.Stall))
}

// parameterExportLost starts another export, later, unless too many came to nothing.
func (v *errandVisit) parameterExportLost(ctx context.Context, reason string) error {
	v.errand.Job, v.errand.Lost = migration.Job{Attempt: v.errand.Job.Attempt}, v.errand.Lost+1
	if v.errand.Lost >= v.limits.MaxFailures {
		return v.giveUpParameters(ctx, reason)
	}
	return v.wait(ctx, v.backOff(v.errand.Lost-1), reason)
}

// seeParameterManifest counts equal answers, and reads the files when enough of them have come (invariant 10).
func (v *errandVisit) seeParameterManifest(ctx context.Context, content []byte) ([]fhir.SearchParameter, error) {
	job := &v.errand.Job
	manifest, err := fhir.ParseManifest(content)
	if err != nil {
		job.Answers, job.Digest = 0, ""
		if v.stalled() {
			return nil, instead(v.parameterExportStalled(ctx))
		}
		return nil, instead(v.wait(ctx, v.pollWait(0, job.Started), explain(err)))
	}
	digest := manifest.Digest()
	if job.Digest != digest || job.Answers+1 < v.limits.Confirmations {
		if job.Digest != digest {
			job.Digest, job.Answers = digest, 0
		}
		job.Answers++
		job.ProgressAt = v.Now()
		return nil, instead(v.follow(ctx, v.limits.ConfirmInterval))
	}
	part, err := v.exportedFiles(ctx, manifest)
	if err != nil {
		return nil, err
	}
	// A job that was cancelled answers with nothing in it: only a second one without anything proves it (invariant 11).
	if len(part.Parameters) == 0 && v.errand.EmptySeen == 0 {
		v.errand.Job, v.errand.EmptySeen = migration.Job{Attempt: job.Attempt}, 1
		return nil, instead(v.follow(ctx, v.limits.Poll))
	}
	if part, err = keep(ctx, v, "exported", part); err != nil {
		return nil, err
	}
	return part.read()
}

// exportedFiles reads the files that a believed manifest names. Each must hold what it is said to hold.
func (v *errandVisit) exportedFiles(ctx context.Context, m fhir.Manifest) (parameterPart, error) {
	part := parameterPart{Parameters: []json.RawMessage{}}
	size := int64(0)
	for _, f := range m.Output {
		if f.Type != searchParameter {
			continue
		}
		name, err := stagedName(f.URL, v.staging)
		if err != nil {
			return part, instead(v.giveUpParameters(ctx, err.Error()))
		}
		body, err := v.staging.Open(ctx, v.staging.Container(), name, 0)
		if errors.Is(err, migration.ErrNotFound) {
			return part, instead(v.parameterExportLost(ctx, "file "+name+" of the export is gone"))
		}
		if err != nil {
			return part, fmt.Errorf("read exported search parameters: %w", err)
		}
		lines, n, err := parameterLines(body, mostExported-size)
		if cerr := body.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return part, fmt.Errorf("read exported search parameters: %w", err)
		}
		if size += n; size >= mostExported {
			return part, instead(v.giveUpParameters(ctx, fmt.Sprintf("the export holds more than %d bytes of them", mostExported)))
		}
		if int64(len(lines)) != f.Count {
			return part, instead(v.parameterExportLost(ctx, fmt.Sprintf("file %s of the export holds %d lines where its manifest says %d", name, len(lines), f.Count)))
		}
		for i, line := range lines {
			if _, err := fhir.ParseSearchParameter(line); err != nil {
				return part, instead(v.parameterExportLost(ctx, fmt.Sprintf("line %d of file %s of the export: %v", i+1, name, err)))
			}
			part.Parameters = append(part.Parameters, line)
		}
	}
	return part, nil
}

// parameterLines reads the lines of a file that are not empty, without a byte order mark, up to a number of bytes.
func parameterLines(body io.Reader, most int64) (lines []json.RawMessage, size int64, err error) {
	r := bufio.NewReader(io.LimitReader(body, most))
	for {
		line, err := r.ReadBytes('\n')
		size += int64(len(line))
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\uFEFF")))
		if len(line) > 0 {
			lines = append(lines, line)
		}
		if errors.Is(err, io.EOF) {
			return lines, size, nil
		}
		if err != nil {
			return nil, size, err
		}
	}
}
