package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// rejects lists all rejected lines of the run, a few at a time.
func (w *world) rejects(q engine.RejectQuery) []engine.Reject {
	w.t.Helper()
	var all []engine.Reject
	for range 10_000 {
		page, err := w.viewer.Rejects(w.t.Context(), q)
		w.must(err)
		if q.Limit > 0 && len(page.Rejects) > q.Limit {
			w.t.Errorf("a page of rejects: got %d, want at most %d", len(page.Rejects), q.Limit)
		}
		all = append(all, page.Rejects...)
		if page.Next == "" {
			return all
		}
		q.After = page.Next
	}
	w.t.Fatal("the list of rejects never ends")
	return nil
}

// lineAt is the line of the blob that a reject points at.
func (w *world) lineAt(r engine.Reject) string {
	w.t.Helper()
	if r.Offset < 0 {
		w.t.Errorf("reject %+v points nowhere", r)
		return ""
	}
	data, _, err := w.blobs.Get(w.t.Context(), w.settings.Container, r.File, r.Offset)
	w.must(err)
	text, _, _ := bytes.Cut(data, []byte("\n"))
	return string(text)
}

// listed wants as many rejects listed as are counted, and each to point at the line of its resource.
func (w *world) listed(s engine.Status, want migration.Rejects) []engine.Reject {
	w.t.Helper()
	var counted, told migration.Rejects
	for _, c := range w.chunks() {
		counted = counted.Plus(c.Rejects)
	}
	all := w.rejects(engine.RejectQuery{Limit: 7})
	for _, r := range all {
		told.Add(r.Class, 1)
		if line := w.lineAt(r); r.ID == "" || !strings.Contains(line, fmt.Sprintf(`"id":%q`, r.ID)) {
			w.t.Errorf("reject %+v points at %.60q", r, line)
		}
		if r.Chunk == "" || r.Type == "" || r.Text == "" || r.Line < 1 || !strings.HasPrefix(r.ErrorFile, "fhirlogs/") {
			w.t.Errorf("reject %+v leaves something out", r)
		}
	}
	if counted != want || told != want {
		w.t.Errorf("rejects: counted %+v, listed %+v, want %+v", counted, told, want)
	}
	if got := s.Totals.Resources; got.Benign != want.Benign || got.Rejected != want.Harmful() || s.Totals.Clean() && want.Harmful() > 0 {
		w.t.Errorf("resources: got %+v, clean %v, want %+v", got, s.Totals.Clean(), want)
	}
	return all
}

func once(w *world) { w.settings.Mode = migration.Once }

// one puts all resources of a type into one file and one chunk.
func one(w *world) {
	once(w)
	w.sourceOptions = func(o *fhirsim.Options) { o.Partitions = 1 }
}

func conflicting(every int) func(string, string, int) string {
	return func(_, id string, line int) string {
		if line%every != 0 {
			return ""
		}
		return fmt.Sprintf("Failed to import resource with version conflict, resource id: %s, line: %d", id, line)
	}
}

// F15: conflicts are listed with their resource and the place of their line in the file, whatever the file looks like
// (F33, S21) and however often its errors are told (F18).
func TestConflictsAreListed(t *testing.T) {
	for name, arm := range map[string]func(w *world){
		"plain":             func(*world) {},
		"errors told twice": func(w *world) { w.destination.Faults().RepeatErrorLines(-1) },
		"byte order mark":   func(w *world) { w.source.Faults().ByteOrderMark(-1) },
		"empty lines":       func(w *world) { w.source.Faults().EmptyLines(-1) },
		"both, told twice": func(w *world) {
			w.source.Faults().ByteOrderMark(-1)
			w.source.Faults().EmptyLines(-1)
			w.destination.Faults().RepeatErrorLines(-1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, one)
			w.load("Patient", 40, at("2022-01-01T00:00:00Z"), time.Hour)
			body := fmt.Appendf(nil, `{"resourceType":"Patient","id":"long","name":[{"text":"%s"}]}`, strings.Repeat("Ärztin 医者 ", 150_000))
			w.must(w.source.Load(fhirsim.Version{Type: "Patient", ID: "long", VersionID: "1", LastUpdated: at("2022-01-01T03:30:00Z"), Body: body}))
			arm(w)
			w.destination.Faults().RejectLines(conflicting(5))
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			all := w.listed(s, migration.Rejects{Conflict: 8})
			w.wantProblem(s, "the destination rejected 8 of 41 lines (8 conflict); GET /api/migration/rejects?chunk=")
			if !slices.ContainsFunc(all, func(r engine.Reject) bool { return r.ID == "long" }) {
				t.Error("the line of more than 2 MB is not listed")
			}
		})
	}
}

// twice loads versions that the source exports in one millisecond of one id.
func (w *world) twice(versions ...[2]string) {
	w.t.Helper()
	var all []fhirsim.Version
	for _, v := range versions {
		all = append(all, fhirsim.Version{
			Type: "Patient", ID: "twin", VersionID: v[0], LastUpdated: at("2022-01-05T00:00:00.123Z"),
			Body: []byte(`{"resourceType":"Patient","id":"twin","gender":"` + v[1] + `"}`),
		})
	}
	w.must(w.source.Load(all...))
}

// Two versions of one id in one millisecond: the destination keeps one and calls the other a duplicate (contract 6.3). A
// lost version is never benign, and a repeated one is (C18).
func TestDuplicatesAreChecked(t *testing.T) {
	for _, tc := range []struct {
		name     string
		versions [][2]string
		want     migration.Rejects
	}{
		{"two numbered versions", [][2]string{{"1", "male"}, {"2", "female"}}, migration.Rejects{Duplicate: 1}},
		{"two unnumbered versions", [][2]string{{"0f0e-a", "male"}, {"0f0e-b", "female"}}, migration.Rejects{Duplicate: 1}},
		{"one unnumbered version, twice the same", [][2]string{{"0f0e-a", "male"}, {"0f0e-b", "male"}}, migration.Rejects{Benign: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, one)
			w.load("Patient", 10, at("2022-01-01T00:00:00Z"), 24*time.Hour)
			w.twice(tc.versions...)
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			w.listed(s, tc.want)
		})
	}
}

// F14: lines told as duplicates of what the destination holds are benign; where it does not hold them, they are not.
func TestBenignOnlyWhenSeen(t *testing.T) {
	w := newWorld(t, one)
	w.load("Patient", 20, at("2022-01-01T00:00:00Z"), time.Hour)
	w.destination.Faults().DuplicateErrors(1) // stored all the same
	w.destination.Faults().RejectLines(func(_, id string, line int) string {
		if line != 7 {
			return ""
		}
		return fmt.Sprintf("Failed to import duplicate resource, resource id: %s, line: 7", id) // and not stored
	})
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.listed(s, migration.Rejects{Benign: 1, Duplicate: 1})
	for class, want := range map[migration.RejectClass]int{migration.BenignReject: 1, migration.DuplicateReject: 1, migration.ConflictReject: 0} {
		if got := w.rejects(engine.RejectQuery{Class: class}); len(got) != want {
			t.Errorf("%s: got %d, want %d", class, len(got), want)
		}
	}
	if got := w.rejects(engine.RejectQuery{Type: "Encounter"}); len(got) != 0 {
		t.Errorf("rejects of another type: got %+v", got)
	}
	if got := w.rejects(engine.RejectQuery{Chunk: w.chunks()[0].ID, Limit: 1}); len(got) != 2 {
		t.Errorf("rejects of the chunk: got %+v", got)
	}
}

// What a parser says is classified and kept without what it quotes: health data stays where it is.
func TestMalformedLines(t *testing.T) {
	w := newWorld(t, one)
	w.load("Patient", 10, at("2022-01-01T00:00:00Z"), time.Hour)
	w.destination.Faults().RejectLines(func(_, _ string, line int) string {
		return map[int]string{
			2: "Type checking the data: Literal 'Ann Smith' cannot be parsed as a date.",
			4: "LastUpdated in the resource cannot be in the future.",
			6: "SearchParameter resources cannot be processed by import.",
		}[line]
	})
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.listed(s, migration.Rejects{Malformed: 1, SearchParameter: 1, Other: 1})
	for _, name := range w.tap.kept("rejects/") {
		if bytes.Contains(w.tap.document(name), []byte("Smith")) {
			t.Errorf("document %s repeats what the parser quoted", name)
		}
	}
}

// An error file that is missing, cut off or elsewhere never stops the migration, and what it does not tell is never
// benign: it is counted as other, and a problem says so.
func TestErrorFilesThatTellTooLittle(t *testing.T) {
	for name, tc := range map[string]struct {
		arm     func(w *world)
		want    migration.Rejects
		listed  int
		problem string
	}{
		"missing":   {func(w *world) { w.destination.Faults().LoseErrorFile(1) }, migration.Rejects{Other: 4}, 1, "4 of 4 rejected lines of file "},
		"cut off":   {func(w *world) { w.destination.Faults().CutErrorFile(1) }, migration.Rejects{Conflict: 3, Other: 1}, 4, "1 of 4 rejected lines of file "},
		"elsewhere": {errorsElsewhere, migration.Rejects{Other: 4}, 1, "error file outside the staging account"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, one)
			w.load("Patient", 20, at("2022-01-01T00:00:00Z"), time.Hour)
			w.destination.Faults().RejectLines(conflicting(5))
			w.start(engine.Overrides{})
			tc.arm(w)
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			w.wantProblem(s, tc.problem)
			if got := w.chunks()[0].Rejects; got != tc.want || s.Totals.Resources.Rejected != 4 || s.Totals.Unverified == 0 || s.Totals.Clean() {
				t.Errorf("got %+v, %+v, %d unverified, want %+v", got, s.Totals.Resources, s.Totals.Unverified, tc.want)
			}
			all := w.rejects(engine.RejectQuery{})
			if len(all) != tc.listed || all[len(all)-1].Offset >= 0 || all[len(all)-1].Class != migration.OtherReject {
				t.Errorf("listed: got %+v, want %d, the last without a place", all, tc.listed)
			}
		})
	}
}

// errorsElsewhere lets the import name an error file of another account.
func errorsElsewhere(w *world) {
	w.until(24*time.Hour, "importing", func(s engine.Status) bool { return s.Totals.Chunks[migration.Importing] == 1 })
	input := jobs(w.destination, "import")[0].URLs[0]
	w.must(w.destination.Faults().Arm("PollStatus", fhirsim.Arm{
		Times: 1, Status: 200, ContentType: "application/json", Route: "GET /_operations/import",
		Body: fmt.Sprintf(`{"output":[{"type":"Patient","count":16,"inputUrl":%q}],"error":[{"type":"Patient","count":4,"inputUrl":%q,`+
			`"url":"https://evil.example/fhirlogs/Patient1_2.ndjson"}]}`, input, input),
	}))
}

// 150 benign lines of 200 do not halt the run; 101 harmful ones halt it once, and retry accepts them.
func TestManyRejectsCountWithoutBenign(t *testing.T) {
	w := newWorld(t, one)
	w.load("Patient", 200, at("2022-01-01T00:00:00Z"), time.Hour)
	w.must(w.destination.Load(w.sourceVersions()...)) // the destination holds everything
	w.destination.Faults().RejectLines(func(_, id string, line int) string {
		if line > 150 {
			return ""
		}
		return fmt.Sprintf("Failed to import duplicate resource, resource id: %s, line: %d", id, line)
	})
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.listed(s, migration.Rejects{Benign: 150})
	if len(s.Totals.Problems) > 0 || !s.Totals.Clean() {
		t.Errorf("problems shown, none wanted: %s", w.tell(s))
	}

	w = newWorld(t, one)
	w.load("Patient", 200, at("2022-01-01T00:00:00Z"), time.Hour)
	w.destination.Faults().RejectLines(func(_, _ string, line int) string {
		if line > 101 {
			return ""
		}
		return "Invalid JSON encountered"
	})
	w.start(engine.Overrides{})
	s = w.untilState(24*time.Hour, migration.ShownHalted)
	w.listed(s, migration.Rejects{Malformed: 101}) // to be looked at before the retry
	w.wantProblem(s, "then retry to accept the rejects, or stop")
	w.retry(1)
	s = w.untilState(24*time.Hour, migration.ShownCompleted)
	w.listed(s, migration.Rejects{Malformed: 101}) // once
	w.wantJobs(w.destination, "import", 2)
}

func (w *world) sourceVersions() (all []fhirsim.Version) {
	w.source.Versions(func(v fhirsim.Version) bool { all = append(all, v); return true })
	return all
}

// While the destination is busy, or does not answer, duplicates wait; nothing is taken for benign unseen.
func TestDuplicatesWaitForTheDestination(t *testing.T) {
	for name, tc := range map[string]struct {
		status  int
		problem string
	}{"busy": {http.StatusServiceUnavailable, ""}, "broken": {http.StatusInternalServerError, "rejected lines wait for the destination to say what it holds"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, one)
			w.load("Patient", 20, at("2022-01-01T00:00:00Z"), time.Hour)
			w.destination.Faults().DuplicateErrors(1)
			w.must(w.destination.Faults().Arm("ServerBusy", fhirsim.Arm{Times: 3, Status: tc.status, Route: "GET /{Type}/{id}/_history"}))
			w.start(engine.Overrides{})
			s := w.untilState(24*time.Hour, migration.ShownCompleted)
			w.listed(s, migration.Rejects{Benign: 1})
			if n := len(requests(w.destination, "GET /{Type}/{id}/_history")); n != 4 {
				t.Errorf("the destination was asked %d times what it holds, want 4", n)
			}
			if tc.problem != "" {
				w.wantProblem(s, tc.problem)
			} else if len(s.Totals.Problems) > 0 {
				t.Errorf("problems shown, none wanted: %s", w.tell(s))
			}
			for _, c := range w.tap.saved() {
				if c.Attempts > 0 {
					t.Errorf("waiting was counted as a failed attempt: %s", c.LastError)
				}
			}
		})
	}
}

// The record of a chunk tells its files, its times and both jobs, after their ends too.
func TestRecord(t *testing.T) {
	w := newWorld(t, one, func(w *world) { w.limits.FilesPerImport = 1 })
	w.load("Patient", 10, at("2022-01-01T00:00:00Z"), time.Hour)
	w.load("Encounter", 4, at("2022-01-01T00:00:00Z"), time.Hour)
	w.destination.Faults().RejectLines(conflicting(4))
	w.start(engine.Overrides{})
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.listed(s, migration.Rejects{Conflict: 3})
	record, err := w.viewer.Record(t.Context(), w.chunks()[0].ID)
	w.must(err)
	c, exports, imports := record.Chunk, jobs(w.source, "export"), jobs(w.destination, "import")
	times := []time.Time{c.CreatedAt, c.Export.Started, c.Export.EndedAt, c.ImportStarted, c.LastImport.Started, c.LastImport.EndedAt}
	if !slices.IsSortedFunc(times, time.Time.Compare) || c.CreatedAt.IsZero() || record.TransactionTime.IsZero() {
		t.Errorf("times: got %v, transaction time %s", times, record.TransactionTime)
	}
	if !strings.HasSuffix(c.Export.StatusURL, fmt.Sprint(exports[0].ID)) || !strings.HasSuffix(c.LastImport.StatusURL, fmt.Sprint(imports[1].ID)) {
		t.Errorf("status URLs: got %s and %s", c.Export.StatusURL, c.LastImport.StatusURL)
	}
	got := map[string][3]int64{}
	for _, f := range record.Files {
		if !f.Imported {
			t.Errorf("file %s is not told as imported", f.Name)
		}
		got[f.Type] = [3]int64{f.Lines, f.Accepted, f.Rejected}
	}
	if want := map[string][3]int64{"Patient": {10, 8, 2}, "Encounter": {4, 3, 1}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("files: got %v, want %v", got, want)
	}
	if _, err := w.viewer.Record(t.Context(), "20220101T000000.000Z_20220101T000000.000Z_00000000"); err == nil {
		t.Error("a chunk that is not there has a record")
	}
	if _, err := json.Marshal(record); err != nil {
		t.Error(err)
	}
}
