package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// What may happen to the files between export and import (contract 12.2).
func TestFileFaults(t *testing.T) {
	play(t, []scenario{
		{name: "F9 a file gone before the import", arm: func(w *world) { w.source.Faults().LoseBlob(1) },
			exports: 2, imports: 1, faults: true, problem: "is missing or empty in the staging container", check: func(w *world, _ engine.Status) {
				w.neverImported(jobs(w.source, "export")[0])
			}},
		{name: "F10 a file rewritten before the import", arm: func(w *world) { w.source.Faults().ChangeBlob(1) }, exports: 1, imports: 1},
		{name: "F10 a file cut off", arm: func(w *world) { w.source.Faults().TruncateBlob(1) },
			exports: 2, imports: 3, problem: "do not balance", check: newIdentity},
		{name: "F9 a file gone while it is imported", arm: loseInput(func(*world, string) {}),
			exports: 2, imports: 2, faults: true, problem: "is missing or empty", check: newIdentity},
		{name: "F11 a file rewritten while it is imported", arm: loseInput(func(w *world, name string) {
			data, _, err := w.blobs.Get(context.Background(), "fhirferry", name, 0)
			w.must(err)
			w.must(w.blobs.Put(context.Background(), "fhirferry", name, data))
		}), exports: 1, imports: 3, faults: true, problem: "Etag not match", check: newIdentity}, // the second has the other form
		{name: "F33 carriage returns", change: func(w *world) {
			w.sourceOptions = func(o *fhirsim.Options) { o.Newline = "\r\n" }
		}, exports: 1, imports: 1},
		{name: "F33 byte order marks", arm: func(w *world) { w.source.Faults().ByteOrderMark(-1) }, exports: 1, imports: 1},
		{name: "F33 empty lines", arm: func(w *world) { w.source.Faults().EmptyLines(-1) }, exports: 1, imports: 1},
		{name: "F33 an empty file", change: basicKnown, arm: func(w *world) { w.source.Faults().EmptyFile(1) }, exports: 1, imports: 1},
	})
}

// basicKnown lets both sides know the type of the empty file.
func basicKnown(w *world) {
	know := func(o *fhirsim.Options) { o.Types = append(o.Types, "Basic") }
	w.sourceOptions, w.destinationOptions = know, know
}

// loseInput does something to the first input of the first import once it is registered; a change that leaves the file
// alone removes it.
func loseInput(change func(w *world, name string)) func(*world) {
	return func(w *world) {
		done := false
		w.tap.around = func(call string, do func() error) error {
			err := do()
			if call != "SaveChunk importing" || done {
				return err
			}
			done = true
			name := strings.TrimPrefix(jobs(w.destination, "import")[0].URLs[0], "http://staging.example/fhirferry/")
			before, serr := w.blobs.Stat(context.Background(), "fhirferry", name)
			w.must(serr)
			change(w, name)
			if after, serr := w.blobs.Stat(context.Background(), "fhirferry", name); serr == nil && after.Etag == before.Etag {
				w.must(w.blobs.Delete(context.Background(), "fhirferry", name))
			}
			return err
		}
	}
}

// F10: a file that is cut off again in the second export fails the chunk, and the operator is told which.
func TestFileCutOffForGood(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.source.Faults().TruncateBlob(2)
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownHalted)
	w.wantJobs(w.source, "export", 2)
	w.wantJobs(w.destination, "import", 3)
	newIdentity(w, s)
	if a, b := sliceBytes(w, 0), sliceBytes(w, 1); a == b {
		t.Errorf("slice sizes of the imports of one file: both %d, want them to differ", a)
	}
	second := jobs(w.source, "export")[1]
	named := false
	for _, f := range second.URLs {
		name := strings.TrimPrefix(f, "http://staging.example/fhirferry/")
		for _, p := range s.Totals.Problems {
			named = named || strings.Contains(p.Detail, name)
		}
	}
	if !named {
		t.Errorf("no problem names a file of the second export: %s", w.tell(s))
	}
	if !s.MigratedTill.Before(at("2022-01-01T00:00:01Z")) {
		t.Errorf("migratedTill: got %s, want the failed chunk's since", s.MigratedTill)
	}
	_, n, err := w.engine.Retry(t.Context())
	if err != nil || n != 1 {
		t.Fatalf("retry: got %d reopened and %v, want 1", n, err)
	}
	w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
}

// F9 without end: files that are gone after every export fail the chunk; the window is not exported for ever.
func TestFilesGoneAfterEveryExport(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode = migration.Once })
	w.small()
	w.source.Faults().LoseBlob(-1)
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownHalted)
	w.wantJobs(w.source, "export", w.limits.MaxFailures)
	w.wantJobs(w.destination, "import", 0)
	if s.Totals.Chunks[migration.Failed] != 1 {
		t.Errorf("got %v, want one failed chunk: %s", s.Totals.Chunks, w.tell(s))
	}
}

// A source that is cancelled from inside answers 200 without files. Where counts are refused, a second export proves
// what is empty and what is not (F8, contract 0.4).
func TestSystemCancelOnDeprecatedSource(t *testing.T) {
	play(t, []scenario{{
		name:   "F8 cancelled by a deprecated source",
		change: func(w *world) { w.settings.Window = 100 * 365 * 24 * time.Hour },
		arm: func(w *world) {
			w.source.Faults().Deprecate()
			w.source.Faults().SystemCancelExport(2)
		},
		// A window up to 1999 and one up to the first horizon answered nothing at first; a third up to T is empty.
		exports: 6, imports: 1, unclean: true, problem: "the source is deprecated",
	}})
}
