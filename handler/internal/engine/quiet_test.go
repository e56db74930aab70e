package engine_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

// daily are quiet hours of every day, in UTC.
func daily(beginHour, beginMinute, endHour int) migration.QuietHours {
	return migration.QuietHours{{
		Days:  [7]bool{true, true, true, true, true, true, true},
		Begin: beginHour*60 + beginMinute, End: endHour * 60, Zone: time.UTC,
	}}
}

// kickOffs are the instants at which a server was asked to start a job.
func kickOffs(s *fhirsim.Server, route string) []time.Time {
	var at []time.Time
	for _, r := range requests(s, route) {
		at = append(at, r.At)
	}
	return at
}

func during(instants []time.Time, since, till string) int {
	n := 0
	for _, t := range instants {
		if !t.Before(at(since)) && t.Before(at(till)) {
			n++
		}
	}
	return n
}

// In quiet hours the servers see no kick-off, but for imports that may go on; what is in flight lands, planning goes on,
// nothing nudges itself, and with the opening work begins again.
func TestQuietHours(t *testing.T) {
	const begin, end = "2024-03-01T00:06:00Z", "2024-03-01T05:00:00Z"
	for name, imports := range map[string]bool{"nothing starts": false, "imports go on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.settings.ChunkLimit, w.limits.MaxExports, w.limits.MaxImports = 3, 2, 1
				w.limits.Quiet, w.limits.QuietImports = daily(0, 6, 5), imports
				w.destinationOptions = func(o *fhirsim.Options) { o.ImportRate = 0.003 } // minutes for a few lines
			})
			w.small()
			w.start(engine.Overrides{})
			w.wait(6 * time.Minute)
			flying := w.states()
			if flying[migration.Exporting] == 0 || flying[migration.Exported]+flying[migration.Importing] == 0 {
				t.Fatalf("when it becomes quiet: got chunks %v, want an export in flight and something to import", flying)
			}
			if s := w.status(); s.Quiet == nil || !s.Quiet.Now || !s.Quiet.Until.Equal(at(end)) {
				t.Errorf("quiet: got %+v, want now, until %s", s.Quiet, end)
			}
			w.wait(3 * time.Hour)
			landed, nudges := w.status(), 0
			if n := landed.Totals.Chunks[migration.Exporting] + landed.Totals.Chunks[migration.Importing]; n != 0 {
				t.Errorf("jobs in flight after hours of quiet: got %d, want them to have landed", n)
			}
			if waiting := landed.Totals.Chunks[migration.Exported] > 0; waiting == imports {
				t.Errorf("exported chunks that wait for their import: got %t, want %t: %s", waiting, !imports, w.tell(landed))
			}
			w.tap.around = func(call string, do func() error) error {
				if call == "Nudge" {
					nudges++
				}
				return do()
			}
			w.wait(time.Hour)
			w.tap.around = nil
			if later := w.status(); !later.Frontier.After(landed.Frontier) {
				t.Errorf("frontier after an hour of quiet: got %s, want it to have moved from %s", later.Frontier, landed.Frontier)
			}
			if nudges > 30 {
				t.Errorf("nudges in an hour of quiet: got %d, want those of planning", nudges)
			}
			w.wait(2 * time.Hour)
			s := w.status()
			if s.Quiet == nil || s.Quiet.Now || !s.Quiet.Until.IsZero() {
				t.Errorf("quiet after the opening: got %+v, want not now", s.Quiet)
			}
			exports, started := kickOffs(w.source, "GET /$export"), kickOffs(w.destination, "POST /$import")
			if n := during(exports, begin, end); n != 0 {
				t.Errorf("exports started in quiet hours: got %d, want none", n)
			}
			if n := during(started, begin, end); n > 0 != imports {
				t.Errorf("imports started in quiet hours: got %d, want some: %t", n, imports)
			}
			if during(append(exports, started...), end, "2024-03-01T05:01:05Z") == 0 || during(exports, end, "2024-03-01T06:00:00Z") == 0 {
				t.Errorf("nothing started with the opening, or no export in the hour after it: exports %v, imports %v", exports, started)
			}
			if s.Totals.Reported > 0 {
				t.Errorf("problems shown, none wanted: %s", w.tell(s))
			}
			w.finish()
			w.equal()
		})
	}
}

// A file batch that ends in quiet hours is not followed by the next one, and its slot is free meanwhile.
func TestQuietHoursBetweenBatches(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.limits.FilesPerImport = migration.Once, 1
	})
	w.small()
	w.on("SaveChunk importing", func() {
		w.limits.Quiet = migration.QuietHours{{Days: [7]bool{5: true}, Begin: 0, End: 12 * 60, Zone: time.UTC}}
	})
	w.start(engine.Overrides{})
	w.until(3*time.Hour, "importing", func(s engine.Status) bool { return s.Totals.Chunks[migration.Importing] > 0 })
	w.engine = w.instance(w.tap) // the setting was changed while the first import ran
	w.wait(2 * time.Hour)
	w.wantJobs(w.destination, "import", 1)
	slots, err := w.ledger.Slots(t.Context(), w.status().RunID, migration.ImportJob)
	w.must(err)
	if len(slots.Holders) != 0 || w.states()[migration.Exported] != 1 {
		t.Errorf("between two batches in quiet hours: got slots %v and chunks %v, want none held and one exported", slots.Holders, w.states())
	}
	s := w.untilState(24*time.Hour, migration.ShownCompleted)
	w.equal()
	if n := during(kickOffs(w.destination, "POST /$import"), "2024-03-01T12:00:00Z", "2024-03-01T12:01:05Z"); n == 0 || s.Totals.Reported > 0 {
		t.Errorf("imports started in the minute after the opening: got %d, want one, and no problem: %s", n, w.tell(s))
	}
}

// A cutover in quiet hours is accepted and waits for the opening; the status says so.
func TestCutoverInQuietHours(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.Quiet, w.limits.QuietImports = daily(8, 0, 17), true })
	w.small()
	w.start(engine.Overrides{})
	w.until(6*time.Hour, "caught up", caughtUp(w))
	w.wait(at("2024-03-01T09:00:00Z").Sub(w.Now()))
	w.source.Put("Patient", "late", []byte(`{"resourceType":"Patient","id":"late"}`))
	w.pass(time.Second)
	if s := w.cutOver(); s.State != migration.ShownCutover || s.Quiet == nil || !s.Quiet.Now || !s.Quiet.Until.Equal(at("2024-03-01T17:00:00Z")) {
		t.Errorf("cutover: got %s, quiet %+v, want cutover and quiet until five", s.State, s.Quiet)
	}
	w.wait(7 * time.Hour)
	if s := w.status(); s.State != migration.ShownCutover || s.Totals.Chunks[migration.Planned] == 0 {
		t.Errorf("after hours of quiet: got %s, want a cutover that waits with its chunks planned", w.tell(s))
	}
	if n := during(kickOffs(w.source, "GET /$export"), "2024-03-01T08:00:00Z", "2024-03-01T17:00:00Z"); n != 0 {
		t.Errorf("exports started in quiet hours: got %d, want none", n)
	}
	s := w.untilState(3*time.Hour, migration.ShownCompleted)
	w.equal()
	if !s.Totals.Clean() || s.EndedAt.Before(at("2024-03-01T17:00:00Z")) {
		t.Errorf("clean %t, ended %s; want clean, and not before five", s.Totals.Clean(), s.EndedAt)
	}
}

// Quiet hours are no frozen setting: set, moved or removed under a run they take effect at once, and nobody complains.
func TestQuietHoursChangeUnderARun(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.settings.ChunkLimit, w.limits.MaxExports = migration.Once, 3, 1
	})
	w.small()
	w.start(engine.Overrides{})
	if s := w.status(); s.Quiet != nil {
		t.Errorf("quiet: got %+v, want nothing where there are no quiet hours", s.Quiet)
	}
	w.until(time.Hour, "exporting", func(s engine.Status) bool { return s.Totals.Chunks[migration.Exporting] > 0 })
	w.limits.Quiet = daily(0, 0, 23)
	w.engine, w.viewer = w.instance(w.tap), w.instance(&tap{})
	before := len(jobs(w.source, "export")) + len(jobs(w.destination, "import"))
	w.wait(3 * time.Hour)
	if s := w.status(); s.State != migration.ShownRunning || s.Quiet == nil || !s.Quiet.Now || s.Totals.Reported > 0 {
		t.Errorf("with quiet hours set under the run: got quiet %+v, %s", s.Quiet, w.tell(s))
	}
	if n := len(jobs(w.source, "export")) + len(jobs(w.destination, "import")) - before; n != 0 {
		t.Errorf("jobs started in quiet hours: got %d, want none", n)
	}
	w.limits.Quiet = nil
	w.engine, w.viewer = w.instance(w.tap), w.instance(&tap{})
	s := w.untilState(12*time.Hour, migration.ShownCompleted)
	w.equal()
	if s.Totals.Reported > 0 || !s.EndedAt.Before(at("2024-03-01T12:00:00Z")) {
		t.Errorf("ended %s, want long before the hours that were removed: %s", s.EndedAt, w.tell(s))
	}
}

// The begin and the end of quiet hours are told once, however many instances tick; removing the setting ends them too.
func TestQuietHoursAreToldOnce(t *testing.T) {
	var lines bytes.Buffer
	w := newWorld(t, func(w *world) { w.limits.Quiet, w.logged = daily(2, 0, 4), &lines })
	w.small()
	w.start(engine.Overrides{})
	second := w.instance(&tap{})
	told := func() (events []string) {
		for line := range strings.Lines(lines.String()) {
			var record struct{ Event, Run, Until string }
			w.must(json.Unmarshal([]byte(line), &record))
			if strings.HasPrefix(record.Event, "QuietHours") && record.Run == w.status().RunID {
				events = append(events, strings.TrimSpace(record.Event+" "+record.Until))
			}
		}
		return events
	}
	hours := func(n int) {
		for range n * 60 {
			w.step(time.Minute)
			w.must(second.Tick(t.Context()))
		}
	}
	hours(5)
	want := []string{"QuietHoursBegan 2024-03-01T04:00:00Z", "QuietHoursEnded"}
	if got := told(); !slices.Equal(got, want) {
		t.Errorf("events of one night: got %q, want %q", got, want)
	}
	hours(22) // into the next one, in which the setting is removed
	w.limits.Quiet = nil
	w.engine, second = w.instance(w.tap), w.instance(&tap{})
	hours(1)
	want = append(want, "QuietHoursBegan 2024-03-02T04:00:00Z", "QuietHoursEnded")
	if got := told(); !slices.Equal(got, want) {
		t.Errorf("events after the setting was removed: got %q, want %q", got, want)
	}
}

// A step of the run that makes a server work waits for the opening, and so does all that waits for the step.
func TestStepsWaitInQuietHours(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.settings.Mode, w.limits.SearchParameters, w.limits.Quiet = migration.Once, true, daily(0, 0, 3)
	})
	w.small()
	w.start(engine.Overrides{})
	errands := func() int {
		list, err := w.ledger.Errands(t.Context(), w.status().RunID)
		w.must(err)
		return len(list)
	}
	w.wait(2 * time.Hour)
	if n := errands(); n != 0 {
		t.Errorf("steps begun in quiet hours: got %d, want none", n)
	}
	w.wait(61 * time.Minute)
	if n := errands(); n == 0 {
		t.Error("steps begun in the minute after the opening: got none")
	}
}

// The preflight says whether jobs are started now.
func TestAccessTellsQuietHours(t *testing.T) {
	for name, tc := range map[string]struct {
		hours   migration.QuietHours
		imports bool
		want    string
	}{
		"none":           {nil, false, "none are set"},
		"open":           {daily(8, 0, 17), false, "not quiet now"},
		"quiet":          {daily(0, 0, 17), false, "quiet until 2024-03-01T17:00:00Z: no job is started"},
		"imports go on":  {daily(22, 0, 1), true, "quiet until 2024-03-01T01:00:00Z: no export is started, imports go on"},
		"another zone's": {migration.QuietHours{{Days: [7]bool{5: true}, Begin: 0, End: 600, Zone: time.FixedZone("", 7200)}}, false, "until 2024-03-01T08:00:00Z"},
	} {
		w := newWorld(t, func(w *world) { w.limits.Quiet, w.limits.QuietImports = tc.hours, tc.imports })
		told := ""
		for _, c := range w.engine.Access(t.Context()) {
			if c.Name == "quiet hours" && c.OK {
				told += c.Detail
			}
		}
		if !strings.Contains(told, tc.want) {
			t.Errorf("%s: got %q, want %q in it", name, told, tc.want)
		}
		w.close()
	}
}
