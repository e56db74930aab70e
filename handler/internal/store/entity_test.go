package store

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"fhirferry/handler/internal/migration"
)

// sizes adds up an entity as the service does, whose bounds the emulator does not hold: 64 KiB a property, a megabyte and
// 252 properties a row. A text counts two bytes for each unit of UTF-16.
func sizes(t *testing.T, entity []byte) (largest, all, properties int) {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(entity, &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		text, isText := value.(string)
		if !isText || strings.HasSuffix(name, "@odata.type") {
			continue
		}
		size := 2 * len(utf16.Encode([]rune(text)))
		if fields[name+"@odata.type"] == "Edm.Binary" {
			raw, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			size = len(raw)
		}
		largest, all, properties = max(largest, size), all+2*len(name)+size, properties+1
	}
	return largest, all, properties
}

// A round of very many counts, and the totals with their longest problems, fit into a row.
func TestRowsKeepTheServicesBounds(t *testing.T) {
	values := map[string]any{"short": migration.Totals{}}
	for _, n := range []int{300, 1_000, 2_500, 2_600, 4_000, 8_000} {
		round := migration.Round{Kind: migration.Planning}
		for i := range n {
			since := noon().Add(time.Duration(i) * 86_399_999 * time.Microsecond)
			round.Pieces = append(round.Pieces, migration.Piece{
				Type:   fmt.Sprintf("ImmunizationRecommendation%d", i%150),
				Window: migration.Window{Since: since, Till: since.Add(time.Hour)}, Count: rand.Int64(),
			})
		}
		values[fmt.Sprintf("%d pieces", n)] = round
	}
	for _, letter := range []string{"x", "é", "€", "😀", "\u2028", "<"} {
		var totals migration.Totals
		for i := range migration.MostProblems {
			totals.Report(migration.Problem{Chunk: newStory(nil).chunks[0].ID, Detail: fmt.Sprint(i) + strings.Repeat(letter, 300)})
		}
		values["problems of "+letter] = totals
	}
	for what, value := range values {
		r, err := newRow("run", "key", value)
		if err != nil {
			t.Fatal(err)
		}
		entity, err := r.encode()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if largest, all, n := sizes(t, entity); largest > 64<<10 || all > 1_000_000 || n > 250 {
			t.Errorf("%s: got %d bytes in %d properties, the largest of %d; want what a row holds", what, all, n, largest)
		}
		back, err := decode(entity, "")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if !bytes.Equal(back.content, r.content) || back.version != r.version {
			t.Errorf("%s: got %d bytes of version %q back, want the same %d of %q", what, len(back.content), back.version, len(r.content), r.version)
		}
	}
}

// What fits into no row is refused with its size before the service is asked.
func TestRowTooLarge(t *testing.T) {
	noise := make([]byte, 1_500_000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	r, err := newRow("run", "key", noise)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.encode(); err == nil || !strings.Contains(err.Error(), "do not fit") {
		t.Errorf("got %v, want an error that says that it does not fit", err)
	}
}
