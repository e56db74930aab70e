package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// searchParameter resources cannot be imported (contract 6.7); a step of their own moves them.
const searchParameter = "SearchParameter"

// stagedFile is a file of a manifest that is to be imported.
type stagedFile struct {
	fhir.OutputFile
	name string // within the staging container
}

// stagedFiles are the files of a manifest to import, in the order in which they are. An output URL outside our staging
// container is refused (invariant 16).
func stagedFiles(m fhir.Manifest, staging Staging) ([]stagedFile, error) {
	var files []stagedFile
	for _, f := range m.Output {
		name, err := stagedName(f.URL, staging)
		if err != nil {
			return nil, err
		}
		if f.Type != searchParameter {
			files = append(files, stagedFile{f, name})
		}
	}
	slices.SortFunc(files, func(a, b stagedFile) int { return strings.Compare(a.URL, b.URL) })
	return files, nil
}

// stagedName is the name, within the staging container, of a file that a manifest names.
func stagedName(url string, staging Staging) (string, error) {
	prefix := strings.TrimSuffix(staging.Endpoint(), "/") + "/" + staging.Container() + "/"
	name, ok := strings.CutPrefix(url, prefix)
	if !ok || name == "" || strings.ContainsAny(name, "?#") || strings.Contains(name, "..") {
		return "", fmt.Errorf("the export's manifest names a file outside the staging container %s: the source must "+
			"export to the storage account of FERRY_STAGING_URL", prefix)
	}
	return name, nil
}

// believed reads the manifest that the chunk believes.
func (v *visit) believed(ctx context.Context) ([]stagedFile, error) {
	content, err := v.ledger.Document(ctx, v.run.ID, v.chunk.Manifest)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %v", v.chunk.Manifest, err) // missing is no quiet exit
	}
	manifest, err := fhir.ParseManifest(content)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", v.chunk.Manifest, err)
	}
	return stagedFiles(manifest, v.staging)
}

// startImport posts the next files of the manifest. A body that was saved before and got no answer is posted again, the
// same bytes, which hands back the same job (invariant 13).
func (v *visit) startImport(ctx context.Context) error {
	if _, may, err := v.gate(ctx, migration.ImportJob); err != nil || !may {
		return v.giveSlotBack(ctx, err)
	}
	if err := v.claim(ctx); err != nil {
		return err
	}
	body, name, files, err := v.importBody(ctx)
	if err != nil {
		return err
	}
	slots, may, err := v.gate(ctx, migration.ImportJob)
	if err != nil {
		return err
	}
	if !may {
		return v.release(ctx)
	}
	if err := v.chunk.ImportIntended(name, files); err != nil {
		return err
	}
	intent := migration.Save{Slot: migration.SlotTake, Kind: migration.ImportJob, Limit: v.limits.MaxImports}
	if err := v.save(ctx, intent); err != nil {
		if errors.Is(err, migration.ErrNoSlot) {
			return v.release(ctx)
		}
		return err
	}
	statusURL, err := v.destination.StartImport(ctx, body)
	if err != nil {
		return v.refused(ctx, migration.ImportJob, err, migration.SlotKeep)
	}
	attempt := v.chunk.Import.Attempt
	if err := v.chunk.ImportAccepted(statusURL, v.Now(), v.Now().Add(v.limits.Poll)); err != nil {
		return err
	}
	if err := v.moved(ctx, migration.Exported, migration.Save{}); err != nil {
		return errors.Join(err, v.dropImport(ctx, statusURL, attempt))
	}
	return v.recovered(ctx, slots)
}

// giveSlotBack gives up the slot that a chunk kept between two batches when the next may not start.
func (v *visit) giveSlotBack(ctx context.Context, err error) error {
	if err != nil || !v.saved {
		return err
	}
	return v.release(ctx)
}

// release gives the claim back, and a slot unless an import of unknown outcome needs it.
func (v *visit) release(ctx context.Context) error {
	v.holding = false
	if err := v.chunk.Postpone("", v.Now(), v.Now()); err != nil {
		return err
	}
	return v.save(ctx, migration.Save{Slot: v.keepSlot()})
}

// dropImport cancels a job that was started for a row somebody else has taken over, but only when nobody follows it:
// the same body is the same job.
func (v *visit) dropImport(ctx context.Context, statusURL string, attempt int) error {
	ctx, cancel := v.briefly(ctx)
	defer cancel()
	now, _, err := v.ledger.Chunk(ctx, v.run.ID, v.chunk.ID)
	if err != nil {
		return fmt.Errorf("read chunk %s: %w", v.chunk.ID, err)
	}
	if now.State != migration.Cancelled && now.Import.Attempt == attempt {
		return nil
	}
	if err := v.destination.CancelImport(ctx, statusURL); err != nil {
		v.log.WarnContext(ctx, "an import job could not be cancelled", "run", v.run.ID, "chunk", v.chunk.ID, "error", err.Error())
	}
	return nil
}

// importBody returns the bytes to post, the document that keeps them, and how many files they name.
func (v *visit) importBody(ctx context.Context) (body []byte, name string, files int, err error) {
	if name := v.chunk.Import.Body; name != "" {
		body, err := v.ledger.Document(ctx, v.run.ID, name)
		if err != nil {
			return nil, "", 0, fmt.Errorf("read import body %s: %v", name, err) // missing is no quiet exit
		}
		return body, name, v.chunk.FilesNow, nil
	}
	all, err := v.believed(ctx)
	if err != nil {
		return nil, "", 0, err
	}
	batch := all[v.chunk.FilesDone:min(v.chunk.FilesDone+v.limits.FilesPerImport, len(all))]
	request, missing, err := v.importRequest(ctx, batch)
	if err != nil {
		return nil, "", 0, err
	}
	if missing != "" {
		return nil, "", 0, v.filesLost(ctx, missing)
	}
	body, err = request.Body()
	if err != nil {
		return nil, "", 0, fmt.Errorf("make the import body of chunk %s: %w", v.chunk.ID, err)
	}
	sum := sha256.Sum256(body)
	name = fmt.Sprintf("imports/%s/%d-%d-%s.json", v.chunk.ID, v.chunk.Import.Attempt, v.chunk.FilesDone, hex.EncodeToString(sum[:6]))
	if _, err := v.ledger.PutDocument(ctx, v.run.ID, name, body); err != nil {
		return nil, "", 0, fmt.Errorf("keep import body of chunk %s: %w", v.chunk.ID, err)
	}
	return body, name, len(batch), nil
}

// importRequest joins the manifest's files with the sizes and etags of their own folders. A listed blob that the
// manifest does not name is never used; a named one that is missing, or empty where lines are promised, is returned.
func (v *visit) importRequest(ctx context.Context, batch []stagedFile) (request fhir.ImportRequest, missing string, err error) {
	staged, err := v.staged(ctx, batch)
	if err != nil {
		return request, "", err
	}
	var largest int64
	request.Source = fmt.Sprintf("urn:fhirferry:%s:%s:%d", v.run.ID, v.chunk.ID, v.chunk.Import.Attempt)
	for _, f := range batch {
		blob, ok := staged[f.name]
		if !ok || blob.Size == 0 && f.Count > 0 {
			return request, f.name, nil
		}
		largest = max(largest, blob.Size)
		etag := blob.ETag
		if v.chunk.NextETags(v.run) == migration.PlainETags {
			etag = strings.Trim(etag, `"`)
		}
		request.Files = append(request.Files, fhir.ImportFile{Type: f.Type, URL: f.URL, ETag: etag})
	}
	// One slice per file: the server may lose a line at the edge of two (contract 4.9). Another size when the books of
	// the last import did not balance.
	request.SliceBytes = min(max(largest, 1), fhir.MaxSliceBytes)
	if v.chunk.Imbalance%2 == 1 {
		request.SliceBytes = min(2*request.SliceBytes+1, fhir.MaxSliceBytes-1)
	}
	return request, "", nil
}

// staged lists the folders that the files lie in.
func (v *visit) staged(ctx context.Context, batch []stagedFile) (map[string]migration.StagedFile, error) {
	staged := map[string]migration.StagedFile{}
	listed := map[string]bool{}
	for _, f := range batch {
		folder := f.name[:strings.LastIndex(f.name, "/")+1]
		if listed[folder] {
			continue
		}
		listed[folder] = true
		blobs, err := v.staging.Folder(ctx, folder)
		if err != nil {
			return nil, fmt.Errorf("list staging folder %s: %w", folder, err)
		}
		for _, b := range blobs {
			staged[b.Name] = b
		}
	}
	return staged, nil
}

// filesLost exports the window again because a file of its manifest is gone.
func (v *visit) filesLost(ctx context.Context, name string) error {
	from := v.chunk.State
	reason := fmt.Sprintf("file %s of the export is missing or empty in the staging container; the window is exported again", name)
	if err := v.chunk.FilesLost(reason, v.Now(), v.Now().Add(v.backOff(v.chunk.Attempts)), v.limits.Limits); err != nil {
		return err
	}
	if err := v.moved(ctx, from, migration.Save{Problems: v.problem(reason)}); err != nil {
		return err
	}
	return errYield
}
