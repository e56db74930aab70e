package server

import (
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// recordJSON is all that is known of a chunk: what the list tells of it, and more.
type recordJSON struct {
	chunkJSON
	CreatedAt     instant      `json:"createdAt"`
	Export        endedJobJSON `json:"export"`
	Import        endedJobJSON `json:"import"` // of the import under way, else of the last one; startedAt of the first
	Manifest      manifestJSON `json:"manifest"`
	FileList      []fileJSON   `json:"fileList"`
	FailureReason *string      `json:"failureReason"` // null: it has not failed
}

type endedJobJSON struct {
	jobJSON
	EndedAt instant `json:"endedAt"`
}

type manifestJSON struct {
	Document        *string `json:"document"` // null: none is believed
	TransactionTime instant `json:"transactionTime"`
}

// fileJSON is a file of the believed manifest. What the import has not told yet is null.
type fileJSON struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Lines    int64  `json:"lines"`
	Accepted *int64 `json:"accepted"`
	Rejected *int64 `json:"rejected"`
}

func showRecord(r engine.ChunkRecord) recordJSON {
	c := r.Chunk
	shown := recordJSON{
		chunkJSON: showChunk(c), CreatedAt: instant(c.CreatedAt),
		Export:   endedJobJSON{showJob(c.Export), instant(c.Export.EndedAt)},
		Manifest: manifestJSON{text(c.Manifest), instant(r.TransactionTime)}, FileList: []fileJSON{},
	}
	job := c.Import
	if job.StatusURL == "" {
		job = c.LastImport
	}
	shown.Import = endedJobJSON{showJob(job), instant(job.EndedAt)}
	shown.Import.StartedAt = instant(c.ImportStarted)
	if c.State == migration.Failed {
		shown.FailureReason = text(c.LastError)
	}
	for _, f := range r.Files {
		one := fileJSON{Name: f.Name, Type: f.Type, Lines: f.Lines}
		if f.Imported {
			one.Accepted, one.Rejected = &f.Accepted, &f.Rejected
		}
		shown.FileList = append(shown.FileList, one)
	}
	return shown
}

func (s *server) record(r *http.Request) (int, any, error) {
	unknown := refuse(http.StatusNotFound, "No such chunk",
		"The current run has no chunk of this id; GET /api/migration/chunks lists those that it has.")
	id := chi.URLParam(r, "id")
	if s.Verbs == nil || !chunkForm.MatchString(id) {
		return 0, nil, unknown
	}
	record, err := s.Verbs.Record(r.Context(), id)
	if errors.Is(err, migration.ErrNotFound) {
		return 0, nil, unknown
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, showRecord(record), nil
}
