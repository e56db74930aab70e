package migration

import (
	"testing"
	"time"
)

// Invariant 10: a 200 that is no manifest takes the belief in the answers before it away.
func TestManifestDoubted(t *testing.T) {
	now := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	c := NewChunk([]string{"Patient"}, Window{now.Add(-time.Hour), now}, 1, now)
	if err := c.ExportIntended(); err != nil {
		t.Fatal(err)
	}
	if err := c.ExportAccepted("https://source/1", now, now); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.ManifestSeen("same", now, now); err != nil {
			t.Fatal(err)
		}
	}
	if !c.Confirmed("same", 3) {
		t.Fatal("two equal answers and a third: got no belief")
	}
	if err := c.ManifestDoubted(); err != nil {
		t.Fatal(err)
	}
	if c.Confirmed("same", 2) {
		t.Error("an odd answer in between: got belief in the second of two equal answers")
	}
	c.State = Planned
	if err := c.ManifestDoubted(); err == nil {
		t.Error("doubt while planned: got no error")
	}
}
