package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirferry/handler/internal/migration"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// told is a ledger with a whole story in it.
func told(t *testing.T, a account) *story {
	t.Helper()
	s := newStory(a.ledger(t))
	for _, verb := range s.verbs() {
		if verb.name == "close round" {
			continue
		}
		if err := verb.do(t.Context()); err != nil {
			t.Fatalf("%s: %v", verb.name, err)
		}
	}
	return s
}

// rewrite changes a stored row by hand, as another version of the app might have written it.
func (s *story) rewrite(t *testing.T, key string, change func(entity map[string]any)) {
	t.Helper()
	answer, err := s.table.client.GetEntity(t.Context(), s.run.ID, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	entity := map[string]any{}
	if err := json.Unmarshal(answer.Value, &entity); err != nil {
		t.Fatal(err)
	}
	change(entity)
	for _, meta := range []string{"odata.etag", "odata.metadata", "Timestamp", "Timestamp@odata.type"} {
		delete(entity, meta)
	}
	changed, err := json.Marshal(entity)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.table.client.UpsertEntity(t.Context(), changed, &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeReplace}); err != nil {
		t.Fatal(err)
	}
}

// reads are all ways to read a row, by its key.
func (s *story) reads() map[string]func(context.Context) error {
	chunk := s.chunks[1].ID
	return map[string]func(context.Context) error{
		runKey:    func(ctx context.Context) error { _, _, err := s.Current(ctx); return err },
		roundKey:  func(ctx context.Context) error { _, _, err := s.Ledger.Round(ctx, s.run.ID); return err },
		totalsKey: func(ctx context.Context) error { _, err := s.Totals(ctx, s.run.ID); return err },
		slotsPrefix + "export": func(ctx context.Context) error {
			_, err := s.Slots(ctx, s.run.ID, migration.ExportJob)
			return err
		},
		chunkPrefix + chunk:  func(ctx context.Context) error { _, _, err := s.Chunk(ctx, s.run.ID, chunk); return err },
		markerPrefix + chunk: func(ctx context.Context) error { _, err := s.Unfinished(ctx, s.run.ID); return err },
	}
}

func TestRowsOfAnotherVersionAreRefused(t *testing.T) {
	_, a := startAzurite(t)
	s := told(t, a)
	refused := func(key, what string, err error) {
		t.Helper()
		if err == nil || errors.Is(err, migration.ErrNotFound) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "another version") {
			t.Errorf("row %s: got error %v, want one that names %s and another version", key, err, what)
		}
	}
	for key, read := range s.reads() {
		if err := read(t.Context()); err != nil {
			t.Fatalf("row %s: %v", key, err)
		}
		for _, other := range []any{2, "1", nil} {
			s.rewrite(t, key, func(entity map[string]any) { entity["Schema"] = other })
			refused(key, "schema", read(t.Context()))
		}
		s.rewrite(t, key, func(entity map[string]any) { entity["Schema"] = schema })
		kept := ""
		s.rewrite(t, key, func(entity map[string]any) {
			kept, _ = entity["Content0"].(string)
			entity["Content0"] = `{"Unheard":1,` + kept[1:]
		})
		if err := read(t.Context()); err == nil || !strings.Contains(err.Error(), "Unheard") {
			t.Errorf("row %s with a field more: got %v, want it refused", key, err)
		}
		s.rewrite(t, key, func(entity map[string]any) { delete(entity, "Content0") })
		if err := read(t.Context()); err == nil || errors.Is(err, migration.ErrNotFound) {
			t.Errorf("row %s without content: got %v, want it refused", key, err)
		}
		s.rewrite(t, key, func(entity map[string]any) { entity["Content0"] = kept })
		if err := read(t.Context()); err != nil {
			t.Errorf("row %s mended: %v", key, err)
		}
	}
	for _, word := range []struct{ key, field, known, what string }{
		{runKey, "Result", "", "result of a reindex"},
		{runKey, "Outcome", "", "outcome"},
		{runKey, "Mode", string(migration.Continuous), "mode"},
		{roundKey, "Kind", string(migration.Planning), "kind"},
		{chunkPrefix + s.chunks[1].ID, "State", string(migration.Planned), "state"},
		{markerPrefix + s.chunks[1].ID, "State", string(migration.Planned), "state"},
	} {
		s.rewrite(t, word.key, func(entity map[string]any) {
			was, now := `"`+word.field+`":"`+word.known+`"`, `"`+word.field+`":"unheard-of"`
			entity["Content0"] = strings.Replace(entity["Content0"].(string), was, now, 1)
		})
		refused(word.key, word.what+` "unheard-of"`, s.reads()[word.key](t.Context()))
	}
}

// What is finished costs the reading of what is unfinished nothing: its rows are not even looked at.
func TestUnfinishedReadsNoFinishedRow(t *testing.T) {
	_, a := startAzurite(t)
	s := told(t, a)
	s.rewrite(t, chunkPrefix+s.chunks[0].ID, func(entity map[string]any) { entity["Schema"] = 2 })
	if unfinished, err := s.Unfinished(t.Context(), s.run.ID); err != nil || len(unfinished) != 3 {
		t.Errorf("unfinished: got %d, %v; want 3", len(unfinished), err)
	}
	if _, _, err := s.Chunks(t.Context(), s.run.ID, "", 10); err == nil {
		t.Error("chunks: got no error; the finished chunk's row should not be readable")
	}
}

// A marker that somebody removed by hand, or left behind, is put right by the chunk's next save.
func TestMarkersMend(t *testing.T) {
	_, a := startAzurite(t)
	s := told(t, a)
	c, v, err := s.Chunk(t.Context(), s.run.ID, s.chunks[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []migration.State{migration.Exporting, migration.Imported} {
		if _, err := s.table.client.DeleteEntity(t.Context(), s.run.ID, markerPrefix+c.ID, nil); err != nil {
			t.Fatal(err)
		}
		c.State = state
		if v, err = s.SaveChunk(t.Context(), s.run.ID, migration.Save{Chunk: c, Version: v}); err != nil {
			t.Fatalf("save as %s: %v", state, err)
		}
		unfinished, err := s.Unfinished(t.Context(), s.run.ID)
		want := 2 // the children of the other one
		if state.Unfinished() {
			want++
		}
		if err != nil || len(unfinished) != want {
			t.Errorf("unfinished after a save as %s: got %d, %v; want %d", state, len(unfinished), err, want)
		}
	}
}

// People read the table: what they look for stands in columns of its own.
func TestColumns(t *testing.T) {
	_, a := startAzurite(t)
	s := told(t, a)
	s.rewrite(t, chunkPrefix+s.chunks[1].ID, func(entity map[string]any) {
		for column, want := range map[string]string{"State": "planned", "Since": "2026-03-02T12:00:00Z", "Till": "2026-03-03T12:00:00Z"} {
			if entity[column] != want {
				t.Errorf("column %s: got %v, want %s", column, entity[column], want)
			}
		}
	})
}

// What is removed while the app runs is made anew by the next use, and not by waiting for a restart.
func TestMissingThingsAreMade(t *testing.T) {
	_, a := startAzurite(t)
	ctx := t.Context()
	ledger := a.ledger(t)
	queue, client := a.queue(t)
	for range 2 {
		if _, _, err := ledger.Current(ctx); !errors.Is(err, migration.ErrNotFound) {
			t.Errorf("current run without a table: got %v, want not found", err)
		}
		run := migration.NewRun("run", migration.Settings{Mode: migration.Once}, migration.Settings{}, noon())
		if err := ledger.Open(ctx, run, ""); err != nil {
			t.Fatalf("open: %v", err)
		}
		if _, err := ledger.PutDocument(ctx, "run", "plan", []byte("plan")); err != nil {
			t.Fatalf("put a document: %v", err)
		}
		if err := queue.Nudge(ctx, "chunk", 0); err != nil {
			t.Fatalf("nudge: %v", err)
		}
		answer, err := client.DequeueMessage(ctx, nil)
		if err != nil || len(answer.Messages) != 1 || *answer.Messages[0].MessageText != "Y2h1bms=" {
			t.Errorf("queue: got %d messages, %v; want one that says chunk in base64", len(answer.Messages), err)
		}
		_, terr := ledger.table.client.Delete(ctx, nil)
		_, derr := ledger.documents.Delete(ctx, nil)
		_, qerr := client.Delete(ctx, nil)
		if err := errors.Join(terr, derr, qerr); err != nil {
			t.Fatal(err)
		}
	}
}
