package engine

import (
	"context"
	"errors"
	"fmt"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// Record tells all that is known of a chunk of the current run; migration.ErrNotFound.
func (e *Engine) Record(ctx context.Context, id string) (ChunkRecord, error) {
	run, _, err := e.ledger.Current(ctx)
	if err != nil {
		return ChunkRecord{}, fmt.Errorf("read the current run: %w", err)
	}
	chunk, _, err := e.ledger.Chunk(ctx, run.ID, id)
	if err != nil {
		return ChunkRecord{}, fmt.Errorf("read chunk %s: %w", id, err)
	}
	record := ChunkRecord{Chunk: chunk}
	if chunk.Manifest == "" {
		return record, nil
	}
	content, err := e.ledger.Document(ctx, run.ID, chunk.Manifest)
	if err != nil {
		return record, fmt.Errorf("read manifest %s: %v", chunk.Manifest, err) // the chunk is there
	}
	manifest, err := fhir.ParseManifest(content)
	if err != nil {
		return record, fmt.Errorf("read manifest %s: %w", chunk.Manifest, err)
	}
	record.TransactionTime = manifest.TransactionTime
	files, err := stagedFiles(manifest, e.staging)
	if err != nil {
		return record, fmt.Errorf("read manifest %s: %w", chunk.Manifest, err)
	}
	for _, f := range files {
		record.Files = append(record.Files, FileRecord{Name: f.name, Type: f.Type, Lines: f.Count})
	}
	for _, b := range chunk.Batches {
		if err := e.recordBatch(ctx, run.ID, b, files, record.Files); err != nil {
			return record, err
		}
	}
	return record, nil
}

// recordBatch adds what the import of a batch told of its files.
func (e *Engine) recordBatch(ctx context.Context, runID string, b migration.ImportBatch, files []stagedFile, records []FileRecord) error {
	content, err := e.ledger.Document(ctx, runID, b.Result)
	if err != nil {
		return fmt.Errorf("read import result %s: %v", b.Result, err)
	}
	result, err := fhir.ParseImportResult(content)
	if err != nil {
		return fmt.Errorf("read import result %s: %w", b.Result, err)
	}
	if b.From+b.Files > len(files) {
		return errors.New("read import result " + b.Result + ": its batch is not within the manifest's files")
	}
	for i := b.From; i < b.From+b.Files; i++ {
		records[i].Imported = true
		records[i].Accepted, records[i].Rejected = result.Accepted[files[i].URL], result.Rejected[files[i].URL]
	}
	return nil
}
