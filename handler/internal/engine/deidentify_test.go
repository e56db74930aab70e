package engine_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
	"fhirferry/local/fhirsim"
)

const (
	rulesBlob = "hospital/rules.json"
	hideNames = `{"fhirPathRules":[{"path":"Patient.name","method":"redact"}]}`
)

// secretive is a world whose patients have names, and whose exports are to be without. The rules are in place unless
// change takes them away.
func secretive(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	w := newWorld(t, append([]func(*world){func(w *world) {
		w.sourceOptions = func(o *fhirsim.Options) { o.AnonymizedExport = true }
		w.settings.AnonymizationConfig, w.settings.Mode, w.settings.ChunkLimit = rulesBlob, migration.Once, 6
		w.must(w.blobs.CreateContainer(t.Context(), "anonymization"))
		w.rules(hideNames)
	}}, change...)...)
	for i := range 20 {
		v := version(fmt.Sprintf("p%d", i), "1", at("2024-01-01T00:00:00Z").Add(time.Duration(i)*time.Hour))
		v.Body = fmt.Appendf(nil, `{"resourceType":"Patient","id":"p%d","name":[{"family":"Doe"}],"gender":"other"}`, i)
		w.must(w.source.Load(v))
	}
	return w
}

// rules writes the configuration and returns its etag.
func (w *world) rules(content string) string {
	w.t.Helper()
	w.must(w.blobs.Put(w.t.Context(), "anonymization", rulesBlob, []byte(content)))
	return w.rulesETag()
}

// nameless fails when a name has come to the destination.
func (w *world) nameless() {
	w.t.Helper()
	w.destination.Versions(func(v fhirsim.Version) bool {
		if strings.Contains(string(v.Body), "Doe") {
			w.t.Errorf("%s/%s at the destination has a name", v.Type, v.ID)
		}
		return true
	})
}

// askedFor wants every export to have asked for the configuration, with this etag and in parallel.
func (w *world) askedFor(etag string) {
	w.t.Helper()
	for _, r := range requests(w.source, "GET /$export") {
		q, err := url.ParseQuery(r.RawQuery)
		w.must(err)
		if q.Get("_anonymizationConfig") != rulesBlob || q.Get("_anonymizationConfigEtag") != etag || q.Get("_isParallel") != "true" || q.Get("_container") == "" {
			w.t.Errorf("export asked with %s, want the configuration with etag %s, a container and parallel", r.RawQuery, etag)
		}
	}
}

// De-identified exports of both generations: each asks for the configuration as it was at the start, each proves it, the
// status says so, and what arrives has lost what the rules take out, and nothing else.
func TestDeIdentified(t *testing.T) {
	for name, generation := range map[string]fhirsim.Generation{"gen1": fhirsim.Gen1, "gen2": fhirsim.Gen2} {
		for given, form := range map[string]func(string) string{
			"any etag":       func(string) string { return "" },
			"quoted etag":    func(etag string) string { return etag },
			"plain etag":     func(etag string) string { return strings.Trim(etag, `"`) },
			"overrides, too": func(etag string) string { return etag },
		} {
			t.Run(name+" "+given, func(t *testing.T) {
				t.Parallel()
				w := secretive(t, func(w *world) {
					w.generation = generation
					w.settings.AnonymizationETag = form(w.rules(hideNames))
				})
				etag := w.rulesETag()
				var o engine.Overrides
				if given == "overrides, too" { // whatever a start request may say, it cannot leave the rules out
					mode, since, until, window := "once", at("2023-01-01T00:00:00Z"), at("2024-02-01T00:00:00Z"), 12*time.Hour
					o = engine.Overrides{Mode: &mode, Since: &since, Until: &until, Types: []string{"Patient"}, Window: &window}
				}
				w.start(o)
				if s := w.status(); s.DeIdentification == nil || *s.DeIdentification != (engine.DeIdentification{Config: rulesBlob, ETag: etag}) {
					t.Errorf("de-identification at the start: got %+v, want %s, %s and nothing proven", s.DeIdentification, rulesBlob, etag)
				}
				s := w.untilState(48*time.Hour, migration.ShownCompleted)
				w.equal()
				w.nameless()
				w.askedFor(etag)
				exports := len(jobs(w.source, "export"))
				if exports < 3 || s.DeIdentification == nil || s.DeIdentification.ExportsProven != exports || s.Totals.Reported > 0 || !s.Totals.Clean() {
					t.Errorf("de-identification: got %+v after %d exports, want all of several proven and no problem: %s", s.DeIdentification, exports, w.tell(s))
				}
				var body map[string]any
				w.destination.Versions(func(v fhirsim.Version) bool { w.must(json.Unmarshal(v.Body, &body)); return false })
				if body["gender"] != "other" {
					t.Errorf("what the rules keep: got %v, want the gender still there", body)
				}
			})
		}
	}
}

// rulesETag is the etag of the rules as they are.
func (w *world) rulesETag() string {
	w.t.Helper()
	info, err := w.blobs.Stat(w.t.Context(), "anonymization", rulesBlob)
	w.must(err)
	return info.Etag
}

// A start is refused, with the remedy, unless the exports can be de-identified as asked; nothing is opened then.
func TestDeIdentifiedStartIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*world)
		want   string
	}{
		"no container":    {func(w *world) { w.blobs = blobs{fhirsim.NewMemoryBlobs("http://staging.example"), "fhirferry", nil} }, "there is no blob " + rulesBlob},
		"no blob":         {func(w *world) { w.must(w.blobs.Delete(w.t.Context(), "anonymization", rulesBlob)) }, "put the configuration there"},
		"another etag":    {func(w *world) { w.settings.AnonymizationETag = "0x8DEAD" }, "look it through again"},
		"changed since":   {func(w *world) { w.settings.AnonymizationETag = w.rules("old"); w.rules(hideNames) }, "it was changed"},
		"not in parallel": {func(w *world) { w.limits.Parallel = false }, "FERRY_PARALLEL is false; set it to true"},
		"another blob":    {func(w *world) { w.settings.AnonymizationConfig = "rules.json" }, "there is no blob rules.json"},
	} {
		w := secretive(t, tc.change)
		_, err := w.engine.Start(t.Context(), engine.Overrides{})
		wantRefusal(t, name, err, engine.BadValue)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "FERRY_ANONYMIZATION_CONFIG") {
			t.Errorf("%s: got %v, want %q and the setting's name in it", name, err, tc.want)
		}
		w.wait(30 * time.Minute)
		if s := w.status(); s.State != migration.ShownIdle || s.DeIdentification != nil || len(jobs(w.source, "export")) > 0 {
			t.Errorf("%s: got %s and %d exports, want nothing begun", name, s.State, len(jobs(w.source, "export")))
		}
		w.close()
	}
}

// Rules that change, or go, in mid-run: the source exports no more, nothing moves under other rules, and the run halts
// with what to do. A file put back has another etag, so retry does not help.
func TestRulesChangeUnderARun(t *testing.T) {
	for name, change := range map[string]func(*world){
		"changed": func(w *world) { w.rules(`{"fhirPathRules":[{"path":"Patient.gender","method":"redact"}]}`) },
		"gone":    func(w *world) { w.must(w.blobs.Delete(w.t.Context(), "anonymization", rulesBlob)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := secretive(t, func(w *world) { w.limits.MaxExports = 1 })
			etag := w.rulesETag()
			w.start(engine.Overrides{})
			w.until(2*time.Hour, "some imported", func(s engine.Status) bool { return s.Totals.Chunks[migration.Imported] > 0 })
			change(w)
			s := w.untilState(6*time.Hour, migration.ShownHalted)
			w.wantProblem(s, "was changed under the run (etag "+etag)
			w.wantProblem(s, "stop the run and start a new one with since = its migratedTill")
			w.retry(1)
			w.untilState(6*time.Hour, migration.ShownHalted)
			w.askedFor(etag)
			w.nameless()
			if n := len(contents(w.destination)); n == 0 || n == len(contents(w.source)) {
				t.Errorf("versions at the destination: got %d, want some and not all", n)
			}
			// The remedy works.
			w.rules(hideNames)
			w.stop()
			stopped := w.untilState(time.Hour, migration.ShownStopped)
			w.start(engine.Overrides{Since: &stopped.MigratedTill})
			w.untilState(48*time.Hour, migration.ShownCompleted)
			w.equal()
			w.nameless()
		})
	}
}

// An export whose manifest does not prove that it was de-identified fails its chunk at first sight: none of its files is
// ever imported, the run halts, and retry exports anew.
func TestExportWithoutProof(t *testing.T) {
	for name, generation := range map[string]fhirsim.Generation{"gen1": fhirsim.Gen1, "gen2": fhirsim.Gen2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := secretive(t, func(w *world) { w.generation, w.limits.MaxExports = generation, 1 })
			w.source.Faults().ForgetAnonymization(1)
			w.start(engine.Overrides{})
			s := w.untilState(2*time.Hour, migration.ShownHalted)
			w.wantProblem(s, "the manifest does not prove that the export was de-identified by "+rulesBlob)
			w.wantProblem(s, "delete its files from the staging container")
			if failed := w.failed(); failed.Proven != 0 || failed.Manifest != "" || s.DeIdentification.ExportsProven != 0 {
				t.Errorf("the chunk without proof: got %+v, and %d proven in the status, want none", failed, s.DeIdentification.ExportsProven)
			}
			w.wait(time.Hour)
			if n := len(jobs(w.destination, "import")); n != 0 {
				t.Errorf("imports after an export without proof: got %d, want none", n)
			}
			w.retry(1)
			w.untilState(48*time.Hour, migration.ShownCompleted)
			w.neverImported(jobs(w.source, "export")[0])
			w.equal()
			w.nameless()
		})
	}
}

// A source that cannot de-identify refuses, and nothing leaves it.
func TestSourceWithoutDeIdentification(t *testing.T) {
	w := secretive(t, func(w *world) { w.sourceOptions = nil })
	w.start(engine.Overrides{})
	s := w.untilState(6*time.Hour, migration.ShownHalted)
	w.wantProblem(s, "is not enabled")
	if n := len(contents(w.destination)); n != 0 || len(jobs(w.source, "export")) != 0 {
		t.Errorf("got %d versions moved and %d exports, want none", n, len(jobs(w.source, "export")))
	}
}

// De-identification turned off or on, or its configuration changed, under a run starts nothing and is told; so does
// FERRY_PARALLEL, without which there is none.
func TestDeIdentificationIsFrozen(t *testing.T) {
	for name, tc := range map[string]struct {
		plain  bool // the run was started without
		change func(*world)
		told   string
	}{
		"off":          {false, func(w *world) { w.settings.AnonymizationConfig = "" }, "FERRY_ANONYMIZATION_CONFIG changed"},
		"on":           {true, func(w *world) { w.settings.AnonymizationConfig = rulesBlob }, "FERRY_ANONYMIZATION_CONFIG changed"},
		"other rules":  {false, func(w *world) { w.settings.AnonymizationConfig = "other.json" }, "FERRY_ANONYMIZATION_CONFIG changed"},
		"etag":         {false, func(w *world) { w.settings.AnonymizationETag = "0x1" }, "FERRY_ANONYMIZATION_CONFIG_ETAG changed"},
		"not parallel": {false, func(w *world) { w.limits.Parallel = false }, "FERRY_PARALLEL changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := secretive(t, func(w *world) {
				w.limits.MaxExports = 1
				if tc.plain {
					w.settings.AnonymizationConfig = ""
				}
			})
			w.start(engine.Overrides{})
			w.until(2*time.Hour, "exporting", func(s engine.Status) bool { return s.Totals.Chunks[migration.Exporting] > 0 })
			right, settings, limits := w.engine, w.settings, w.limits
			tc.change(w)
			w.engine = w.instance(w.tap)
			w.step(time.Minute)
			before := len(jobs(w.source, "export")) + len(jobs(w.destination, "import"))
			w.wait(3 * time.Hour)
			if n := len(jobs(w.source, "export")) + len(jobs(w.destination, "import")) - before; n != 0 {
				t.Errorf("jobs started with changed settings: got %d, want none", n)
			}
			w.wantProblem(w.status(), tc.told)
			w.engine, w.settings, w.limits = right, settings, limits
			w.untilState(48*time.Hour, migration.ShownCompleted)
			w.equal()
			if !tc.plain {
				w.nameless()
				w.askedFor(w.rulesETag())
			}
		})
	}
}

// FERRY_PARALLEL may change under a run that is not de-identified.
func TestParallelIsNotFrozenOtherwise(t *testing.T) {
	w := newWorld(t, func(w *world) { w.settings.Mode, w.settings.ChunkLimit, w.limits.MaxExports = migration.Once, 5, 1 })
	w.small()
	w.start(engine.Overrides{})
	w.until(time.Hour, "exporting", func(s engine.Status) bool { return s.Totals.Chunks[migration.Exporting] > 0 })
	w.limits.Parallel = false
	w.engine = w.instance(w.tap)
	if s := w.untilState(24*time.Hour, migration.ShownCompleted); s.Totals.Reported > 0 || s.DeIdentification != nil {
		t.Errorf("got %+v, want no problem: %s", s.DeIdentification, w.tell(s))
	}
	w.equal()
}

// The preflight looks for the configuration and for the source's operation.
func TestAccessChecksDeIdentification(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*world)
		arm    func(*world)
		ok     bool
		want   string
	}{
		"not asked for": {change: func(w *world) { w.settings.AnonymizationConfig = "" }, ok: true, want: "exported as they are"},
		"in place":      {ok: true, want: "Resource.meta"},
		"no blob":       {change: func(w *world) { w.settings.AnonymizationConfig = "x.json" }, want: "there is no blob x.json"},
		"another etag":  {change: func(w *world) { w.settings.AnonymizationETag = "0x1" }, want: "look it through again"},
		"not parallel":  {change: func(w *world) { w.limits.Parallel = false }, want: "FERRY_PARALLEL is false"},
		"not offered":   {change: func(w *world) { w.sourceOptions = nil }, want: "does not offer the operation anonymized-export"},
		"changed under the run": {arm: func(w *world) { w.start(engine.Overrides{}); w.rules("{}") },
			want: "was changed under the run"},
	} {
		w := secretive(t, func(w *world) {
			if tc.change != nil {
				tc.change(w)
			}
		})
		if tc.arm != nil {
			tc.arm(w)
		}
		var got engine.Check
		for _, c := range w.engine.Access(t.Context()) {
			if c.Name == "de-identification" {
				got = c
			}
		}
		if got.OK != tc.ok || !strings.Contains(got.Detail, tc.want) || !got.OK && got.Remedy == "" {
			t.Errorf("%s: got %+v, want ok %t and %q", name, got, tc.ok, tc.want)
		}
		w.close()
	}
}
