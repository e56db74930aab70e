package store

import (
	"context"
	"testing"
	"time"

	"fhirferry/handler/internal/migration"
)

// A marker that was left behind by hand stands in nobody's way: a new chunk of its name replaces it. Inserting it would
// be refused for ever.
func TestMarkersLeftBehind(t *testing.T) {
	_, a := startAzurite(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := newStory(a.ledger(t))
	leave := func(c migration.Chunk) {
		t.Helper()
		c.LastError = "left behind"
		_, marker, err := chunkRows(s.run.ID, c)
		if err != nil {
			t.Fatal(err)
		}
		entity, err := marker.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.table.client.AddEntity(ctx, entity, nil); err != nil {
			t.Fatal(err)
		}
	}
	children := []migration.Chunk{
		migration.NewChunk([]string{"Encounter"}, s.chunks[0].Window, migration.Unasked, noon()),
		migration.NewChunk([]string{"Patient"}, s.chunks[0].Window, migration.Unasked, noon()),
	}
	for _, verb := range s.verbs() {
		switch verb.name {
		case "add chunks":
			leave(s.chunks[1])
		case "split":
			leave(children[1])
		}
		if err := verb.do(ctx); err != nil {
			t.Fatalf("%s: %v", verb.name, err)
		}
	}
	s.check(t)
	unfinished, err := s.Unfinished(ctx, s.run.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range unfinished {
		if c.LastError != "" {
			t.Errorf("chunk %s: got the marker that was left behind, want its own", c.ID)
		}
	}
}
