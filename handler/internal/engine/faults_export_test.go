package engine_test

import (
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// What the source may do to an export (contract 12.2), and what must come of it.
func TestExportFaults(t *testing.T) {
	play(t, []scenario{
		{name: "F2 answer of a kick-off lost", arm: func(w *world) { w.source.Faults().LoseExportAnswer(1) },
			exports: 2, imports: 1, faults: true, problem: "start export",
			check: func(w *world, _ engine.Status) {
				orphan := jobs(w.source, "export")[0]
				if n := polled(w.source, orphan); n != 0 {
					w.t.Errorf("polls of the orphan: got %d, want none", n)
				}
				w.neverImported(orphan)
			}},
		{name: "F4 partial manifest first", arm: func(w *world) { w.source.Faults().PartialManifest(1) },
			exports: 1, imports: 1, check: wholeManifest},
		{name: "F4 partial manifest twice", arm: func(w *world) {
			w.must(w.source.Faults().Arm("PartialManifest", fhirsim.Arm{Times: 1, Count: 2}))
		}, exports: 1, imports: 1, check: wholeManifest},
		{name: "F4 a 202 after two full manifests", arm: secondThoughts, exports: 1, imports: 1, check: shown(5)},
		{name: "F5 stuck at 202", change: func(w *world) { w.limits.Stall = time.Hour },
			arm:     func(w *world) { w.source.Faults().StickExport(1) },
			exports: 2, imports: 1, faults: true, problem: "FERRY_STALL", check: firstCancelled("export")},
		{name: "F6 failed with 500", arm: func(w *world) { w.source.Faults().FailExport(1, 500, "Unknown Error.") },
			exports: 2, imports: 1, faults: true, problem: "Unknown Error.", check: func(w *world, _ engine.Status) {
				w.neverImported(jobs(w.source, "export")[0])
			}},
		{name: "F6 throttled to death once", arm: func(w *world) { w.source.Faults().FailExport(1, 429, "Too many requests.") },
			exports: 2, imports: 1, faults: true, problem: "Too many requests.", check: wantSplit(0)},
		{name: "F6 throttled to death twice", arm: func(w *world) { w.source.Faults().FailExport(2, 429, "Too many requests.") },
			exports: 4, imports: 2, faults: true, problem: "Too many requests.", check: wantSplit(1)},
		{name: "F6 out of memory", arm: func(w *world) { w.source.Faults().FailExport(1, 413, "The FHIR Server ran out of memory") },
			exports: 3, imports: 2, check: wantSplit(1)},
		{name: "F6 too much data, and again for a half", arm: func(w *world) {
			w.source.Faults().FailExport(2, 413, "Timespan in export request contains too much data.")
		}, exports: 5, imports: 2, check: wantSplit(2)}, // one of the three holds nothing
		{name: "F7 job forgotten", arm: func(w *world) { w.source.Faults().ForgetExport(1) },
			exports: 2, imports: 1, faults: true, problem: "not found", check: func(w *world, _ engine.Status) {
				w.neverImported(jobs(w.source, "export")[0])
			}},
		{name: "F8 cancelled by the source", arm: func(w *world) { w.source.Faults().SystemCancelExport(1) },
			exports: 2, imports: 1, faults: true, problem: "the export is empty where the source counts", check: shown(3)},
		{name: "F20 202 with a body", arm: func(w *world) { w.source.Faults().PollProgressBody(-1) }, exports: 1, imports: 1},
		{name: "files of a dead unit are left behind", arm: func(w *world) { w.source.Faults().RestartExportUnit(2) },
			exports: 1, imports: 1, check: wholeManifest},
		{name: "a 202 that tells when to come again", change: func(w *world) {
			w.sourceOptions = func(o *fhirsim.Options) { o.ProgressHeaders = true }
		}, exports: 1, imports: 1},
	})
}

// secondThoughts answers 202 once after the second full manifest: the count of equal answers begins anew (invariant 10).
func secondThoughts(w *world) {
	armed := false
	w.tap.around = func(call string, do func() error) error {
		if e := jobs(w.source, "export"); !armed && len(e) > 0 && e[0].Shown == 2 {
			armed = true
			w.source.Faults().PollStatus(1, 202, "", "", 0)
		}
		return do()
	}
}

// wholeManifest wants the one import to name every file of the one export, and the full manifest to have been confirmed.
func wholeManifest(w *world, s engine.Status) {
	w.t.Helper()
	export, imported := jobs(w.source, "export")[0], jobs(w.destination, "import")[0]
	if got, want := len(imported.URLs), len(export.URLs); got != want {
		w.t.Errorf("files imported: got %d, want the export's %d", got, want)
	}
	if got := export.Shown; got < w.limits.Confirmations {
		w.t.Errorf("full manifests seen before it was believed: got %d, want %d", got, w.limits.Confirmations)
	}
	if got := s.Totals.Resources.Exported; got != smallVersions {
		w.t.Errorf("exported: got %d, want %d", got, smallVersions)
	}
}

// firstCancelled wants the first job of the kind to have been cancelled by us.
func firstCancelled(kind string) func(*world, engine.Status) {
	return func(w *world, _ engine.Status) {
		w.t.Helper()
		server := w.source
		if kind == "import" {
			server = w.destination
		}
		if j := jobs(server, kind)[0]; !j.Cancelled {
			w.t.Errorf("%s %d: got state %s, want cancelled", kind, j.ID, j.State)
		}
	}
}

func wantSplit(n int) func(*world, engine.Status) {
	return func(w *world, s engine.Status) {
		w.t.Helper()
		if got := s.Totals.Chunks[migration.Split]; got != n {
			w.t.Errorf("chunks split: got %d, want %d", got, n)
		}
	}
}

// shown wants the last export's full manifest to have been answered so many times: it was not believed at once.
func shown(n int) func(*world, engine.Status) {
	return func(w *world, _ engine.Status) {
		w.t.Helper()
		all := jobs(w.source, "export")
		if got := all[len(all)-1].Shown; got != n {
			w.t.Errorf("full manifests of the last export: got %d, want %d", got, n)
		}
	}
}
