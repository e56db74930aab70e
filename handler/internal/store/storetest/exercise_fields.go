package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirferry/handler/internal/migration"
)

// filler gives every field a value of its own that is not zero.
type filler struct{ n int }

func (f *filler) fill(v reflect.Value) {
	f.n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(noon().Add(time.Duration(f.n) * migration.Instant)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("Größe %d 😀 \"'<&>\\ \u2028 2020-01-01T00:00:00Z", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.n) + 1<<60) // more than a float64 or an Edm.Int32 holds
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	default:
		panic("an exam does not know how to fill a " + v.Type().String())
	}
}

func filled[T any](f *filler) T {
	var value T
	f.fill(reflect.ValueOf(&value).Elem())
	return value
}

func examineFields(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	f := &filler{}
	run := filled[migration.Run](f)
	run.ID, run.Settings.Mode, run.Outcome, run.Reindex.Result = b.run.ID, migration.Once, migration.Completed, migration.ReindexFailed
	v, err := b.SaveRun(t.Context(), run, b.v)
	b.must(err)
	round := filled[migration.Round](f)
	round.Kind = migration.Closing
	b.must(b.OpenRound(t.Context(), run, v, round))
	got, rv, err := b.Round(t.Context(), b.run.ID)
	b.must(err)
	if diff := cmp.Diff(round, got); diff != "" {
		t.Errorf("round (-want +got): %s", diff)
	}
	b.reread()
	if diff := cmp.Diff(run, b.run); diff != "" {
		t.Errorf("run (-want +got): %s", diff)
	}
	chunk := filled[migration.Chunk](f)
	chunk.ID, chunk.State, chunk.Resources = day(1).ID, migration.Failed, migration.Tally{Exported: 1 << 60, Imported: 2, Rejected: 3, Skipped: 4}
	_, _, err = b.AddChunks(t.Context(), run, b.v, round, rv, []migration.Chunk{chunk})
	b.must(err)
	if stored, _ := b.chunk(chunk.ID); !cmp.Equal(chunk, stored) {
		t.Errorf("chunk (-want +got): %s", cmp.Diff(chunk, stored))
	}
	slots := filled[migration.Slots](f)
	slots.Kind = migration.ImportJob
	b.must(b.ChangeSlots(t.Context(), b.run.ID, migration.ImportJob, func(s *migration.Slots) bool {
		*s = slots
		return true
	}))
	if stored, err := b.Slots(t.Context(), b.run.ID, migration.ImportJob); err != nil || !cmp.Equal(slots, stored) {
		t.Errorf("slots: %v (-want +got): %s", err, cmp.Diff(slots, stored))
	}
	report := filled[migration.Problem](f)
	b.must(b.Report(t.Context(), b.run.ID, report))
	want := migration.Totals{
		Chunks: map[migration.State]int{migration.Failed: 1}, Resources: chunk.Resources, Proven: chunk.Proven, Unverified: 1,
		Problems: []migration.Problem{report}, Reported: 1,
	}
	// Whether a problem is a doubt is counted, not kept.
	if diff := cmp.Diff(want, b.totals(), cmpopts.IgnoreFields(migration.Problem{}, "Doubt")); diff != "" {
		t.Errorf("totals (-want +got): %s", diff)
	}
}

// examineLongRows keeps values that do not fit in one property of a table row, in characters that are long in UTF-8, in
// UTF-16, or in JSON.
func examineLongRows(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	round := migration.Round{Number: 1, Kind: migration.Planning, LastError: strings.Repeat("ä", 45_000) + strings.Repeat("😀", 12_000) + strings.Repeat("<€", 10_000)}
	for i := range 2_000 {
		c := day(i)
		round.Pieces = append(round.Pieces, migration.Piece{Type: "Observation", Window: c.Window, Count: int64(i)})
	}
	b.must(b.OpenRound(t.Context(), b.run, b.v, round))
	if got, _, err := b.Round(t.Context(), b.run.ID); err != nil || !cmp.Equal(round, got, cmpopts.EquateEmpty()) {
		t.Errorf("round: %v (-want +got): %s", err, cmp.Diff(round, got))
	}
	round.Pieces = nil
	for shift := range 4 { // an edge between properties falls on each byte of a character
		round.LastError = strings.Repeat("x", shift) + strings.Repeat("😀", 20_000)
		_, v, err := b.Round(t.Context(), b.run.ID)
		b.must(err)
		_, err = b.SaveRound(t.Context(), b.run.ID, round, v)
		b.must(err)
		if got, _, err := b.Round(t.Context(), b.run.ID); err != nil || got.LastError != round.LastError {
			t.Errorf("round, shift %d: %v, got %d bytes of text back, want the same %d", shift, err, len(got.LastError), len(round.LastError))
		}
	}
	var want []migration.Problem
	for i := range migration.MostProblems + 1 {
		want = append(want, migration.Problem{Chunk: day(i).ID, Detail: fmt.Sprintf("%03d ", i) + strings.Repeat("😀", 290), At: noon()})
	}
	b.must(b.Report(t.Context(), b.run.ID, want...))
	got := b.totals()
	if len(got.Problems) != migration.MostProblems || got.Reported != len(want) {
		t.Fatalf("problems: got %d of %d, want %d of %d", len(got.Problems), got.Reported, migration.MostProblems, len(want))
	}
	for i, p := range got.Problems {
		if !cmp.Equal(p, want[len(want)-1-i]) {
			t.Fatalf("problem %d: got %+v, want the newest first", i, p)
		}
	}
}

func examineDocuments(t *testing.T, open func(*testing.T) ExamLedger) {
	b := openBook(t, open)
	big := bytes.Repeat([]byte(`{"resourceType":"Parameters"}`+"\n"), 5<<20/30)
	contents := map[string][]byte{
		"plan-1": []byte("{}"), "manifest/2020 a+b%20&c.json": {0, 255, 10}, "body_ä'#?.json": []byte("ä"), "big": big, "empty": {},
	}
	for name, content := range contents {
		kept, err := b.PutDocument(t.Context(), b.run.ID, name, content)
		if err != nil || !bytes.Equal(kept, content) {
			t.Errorf("put %s: got %d bytes, %v; want what was put", name, len(kept), err)
		}
		kept, err = b.PutDocument(t.Context(), b.run.ID, name, []byte("another"))
		if err != nil || !bytes.Equal(kept, content) {
			t.Errorf("put %s again: got %d bytes, %v; want what was put first", name, len(kept), err)
		}
	}
	for name, content := range contents {
		if got, err := b.Document(t.Context(), b.run.ID, name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("document %s: got %d bytes, %v; want the %d that were put", name, len(got), err, len(content))
		}
	}
	for _, missing := range [][2]string{{b.run.ID, "plan-2"}, {"run-2", "plan-1"}} {
		if _, err := b.Document(t.Context(), missing[0], missing[1]); !errors.Is(err, migration.ErrNotFound) {
			t.Errorf("document %v: got %v, want not found", missing, err)
		}
	}
}
