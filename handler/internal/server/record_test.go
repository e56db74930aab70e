package server

import (
	"fmt"
	"slices"
	"testing"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

func TestRecordIsExact(t *testing.T) {
	chunk := migration.Chunk{
		ID: chunkID, ResourceTypes: []string{"Patient"}, Window: migration.Window{Since: at("2019-01-01T00:00:00Z"), Till: at("2019-02-01T00:00:00Z")},
		Expected: 9, State: migration.Failed, Attempts: 2, UpdatedAt: at("2024-05-01T00:00:01Z"), CreatedAt: at("2024-04-29T00:00:00Z"),
		Export: migration.Job{Attempt: 3, StatusURL: "https://s.example/_operations/export/7?sig=SECRET", Started: at("2024-04-30T00:00:00Z"), EndedAt: at("2024-04-30T01:00:00Z")},
		Import: migration.Job{Attempt: 2}, ImportStarted: at("2024-04-30T02:00:00Z"),
		LastImport: migration.Job{Attempt: 1, StatusURL: "https://d.example/_operations/import/8?sig=SECRET", Started: at("2024-04-30T03:00:00Z"), EndedAt: at("2024-04-30T04:00:00Z")},
		Manifest:   "manifests/1.json", Files: 2, FilesDone: 1, Resources: migration.Tally{Exported: 9, Imported: 3, Rejected: 1, Benign: 1},
		Rejects: migration.Rejects{Benign: 1, Conflict: 1}, LastError: "too many",
	}
	record := engine.ChunkRecord{Chunk: chunk, TransactionTime: at("2024-04-30T00:00:00Z"), Files: []engine.FileRecord{
		{Name: "job/Patient-1.ndjson", Type: "Patient", Lines: 5, Imported: true, Accepted: 3, Rejected: 2},
		{Name: "job/Patient-2.ndjson", Type: "Patient", Lines: 4},
	}}
	s := open(t, result{record: record})
	wantJSON(t, s.send("GET", "/api/migration/chunks/"+chunkID, ""), 200, `{"id":"`+chunkID+`","types":["Patient"],`+
		`"since":"2019-01-01T00:00:00.000Z","till":"2019-02-01T00:00:00.000Z","state":"failed","expected":9,"attempts":2,"notBefore":null,`+
		`"updatedAt":"2024-05-01T00:00:01.000Z","files":2,"filesDone":1,`+
		`"resources":{"exported":9,"imported":3,"rejected":1,"skipped":0,"benign":1},`+
		`"rejects":{"benign":1,"duplicate":0,"conflict":1,"malformed":0,"searchParameter":0,"other":0},"lastError":"too many",`+
		`"createdAt":"2024-04-29T00:00:00.000Z",`+
		`"export":{"attempt":3,"statusUrl":"https://s.example/_operations/export/7","startedAt":"2024-04-30T00:00:00.000Z","endedAt":"2024-04-30T01:00:00.000Z"},`+
		`"import":{"attempt":1,"statusUrl":"https://d.example/_operations/import/8","startedAt":"2024-04-30T02:00:00.000Z","endedAt":"2024-04-30T04:00:00.000Z"},`+
		`"manifest":{"document":"manifests/1.json","transactionTime":"2024-04-30T00:00:00.000Z"},`+
		`"fileList":[{"name":"job/Patient-1.ndjson","type":"Patient","lines":5,"accepted":3,"rejected":2},`+
		`{"name":"job/Patient-2.ndjson","type":"Patient","lines":4,"accepted":null,"rejected":null}],"failureReason":"too many"}`)
	if !slices.Equal(s.calls, []string{"record " + chunkID}) {
		t.Errorf("got calls %q", s.calls)
	}
}

// A chunk that is not there is 404, whether the id is one or not, and so is every chunk without an engine or a run.
func TestRecordOfNoChunk(t *testing.T) {
	s := open(t, result{err: fmt.Errorf("read chunk: %w", migration.ErrNotFound)})
	wantProblem(t, s.send("GET", "/api/migration/chunks/"+chunkID, ""), 404, "no chunk of this id")
	for _, id := range []string{"x", "..%2Frun", "round"} {
		wantProblem(t, s.send("GET", "/api/migration/chunks/"+id, ""), 404)
	}
	if len(s.calls) != 1 {
		t.Errorf("got calls %q, want one", s.calls)
	}
	s = open(t, result{}, func(o *Options) { o.Verbs = nil })
	wantProblem(t, s.send("GET", "/api/migration/chunks/"+chunkID, ""), 404)
}
