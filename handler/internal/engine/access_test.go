package engine_test

import (
	"errors"
	"strings"
	"testing"

	"fhirferry/handler/internal/engine"
	"fhirferry/local/fhirsim"
)

// The preflight names what is wrong and how to mend it, passes everything else, and starts no job.
func TestAccess(t *testing.T) {
	source := func(change func(*fhirsim.Options)) func(*world) { return func(w *world) { w.sourceOptions = change } }
	destination := func(change func(*fhirsim.Options)) func(*world) {
		return func(w *world) { w.destinationOptions = change }
	}
	for name, tc := range map[string]struct {
		change func(*world)
		arm    func(*world)
		failed string // names of the checks that are not ok, in order
		detail string // in the detail or the remedy of one of them, or of a warning
	}{
		"all is well":               {},
		"gen1 source":               {detail: "software \"Simulated FHIR server 5.0.0\"; it is Azure API for FHIR"},
		"gen2 source, not parallel": {change: func(w *world) { w.generation, w.limits.Parallel = fhirsim.Gen2, false }, detail: "Azure Health Data Services, or the open-source FHIR server on SQL; the upper bound of an export (_till) is inclusive"},
		"gen2 source":               {change: func(w *world) { w.generation = fhirsim.Gen2 }, detail: "_till is exclusive in parallel exports"},
		"deprecated":                {arm: func(w *world) { w.source.Faults().Deprecate() }, detail: "the source is deprecated and only exports"},
		"FHIR version":              {change: destination(func(o *fhirsim.Options) { o.FHIRVersion = "5.0.0" }), failed: "destination metadata", detail: "a migration does not convert"},
		"unversioned": {change: destination(func(o *fhirsim.Options) { o.Versioning = "no-version" }), failed: "destination metadata",
			detail: "set FERRY_HISTORY to false"},
		"no updateCreate": {change: destination(func(o *fhirsim.Options) { o.RefuseUpdateCreate = true }), failed: "destination metadata", detail: "updateCreate"},
		"unknown type": {change: source(func(o *fhirsim.Options) { o.Types = append(o.Types, "Basic") }), failed: "destination metadata",
			detail: "the destination does not know Basic"},
		"import not enabled": {change: destination(func(o *fhirsim.Options) { o.ImportDisabled = true }), failed: "destination import", detail: "is not enabled"},
		"another account": {change: destination(func(o *fhirsim.Options) { o.ImportAccountURL = "https://other.example" }), failed: "destination import",
			detail: "must match the configured integration storage account"},
		"no token":              {change: source(func(o *fhirsim.Options) { o.RequireToken = "secret" }), failed: "source counts, source export", detail: "belongs to the service's tenant"},
		"not empty":             {arm: func(w *world) { w.destination.Put("Patient", "own", []byte(`{"resourceType":"Patient","id":"own"}`)) }, detail: "warning: the destination already holds 1 resources"},
		"source away":           {arm: func(w *world) { w.source.Faults().DropBefore(-1, "") }, failed: "source metadata, source counts, source export", detail: "check the URL, the network"},
		"counts fail":           {arm: func(w *world) { w.source.Faults().CountFails(-1, 403) }, failed: "source counts", detail: "FHIR Data Reader"},
		"unavailable":           {arm: func(w *world) { w.destination.Faults().ServerBusy(-1, fhirsim.FormHTML) }, failed: "destination metadata, destination import, destination content"},
		"search parameters off": {detail: "custom search parameters are not moved"},
		"search parameters":     {change: withParameters, detail: "custom search parameters are read by search; not checked, for only a change shows it"},
		"search parameters by export": {change: withParameters, arm: func(w *world) { w.source.Faults().Deprecate() },
			detail: "custom search parameters are exported"},
		"search parameters of the source": {change: withParameters, arm: func(w *world) { w.refuse(w.settings.Source, 403, "GET /SearchParameter") },
			failed: "search parameters", detail: "FHIR Data Reader"},
		"search parameters of the destination": {change: withParameters, arm: func(w *world) { w.refuse(w.settings.Destination, 403, "GET /SearchParameter") },
			failed: "search parameters", detail: "FHIR Data Reader"},
		"role for a reindex": {change: withParameters, arm: func(w *world) { w.refuse(w.settings.Destination, 403, "GET /$reindex") },
			failed: "search parameters", detail: "FHIR Data Writer, or FHIR Data Contributor"},
		"no reindex": {change: withParameters, arm: func(w *world) { w.refuse(w.settings.Destination, 404, "GET /$reindex") },
			failed: "search parameters", detail: "the destination offers no $reindex"},
		"role on one container alone": {change: func(w *world) {
			w.unreadable = func(container string) error {
				if container == "fhirlogs" {
					return errors.New("403 AuthorizationPermissionMismatch")
				}
				return nil
			}
		}, failed: "staging container", detail: "could not read the container fhirlogs, in which imports tell of rejected lines: 403 AuthorizationPermissionMismatch / " +
			"give the app the role Storage Blob Data Contributor, or Reader, on the whole account of FERRY_STAGING_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				if tc.change != nil {
					tc.change(w)
				}
			})
			if tc.arm != nil {
				tc.arm(w)
			}
			var failed []string
			told := ""
			for _, c := range w.engine.Access(t.Context()) {
				told += c.Name + ": " + c.Detail + " / " + c.Remedy + "\n"
				if !c.OK {
					failed = append(failed, c.Name)
					if c.Detail == "" || c.Remedy == "" {
						t.Errorf("%s: got detail %q and remedy %q, want both", c.Name, c.Detail, c.Remedy)
					}
				}
			}
			if got := strings.Join(failed, ", "); got != tc.failed {
				t.Errorf("checks that failed: got %q, want %q:\n%s", got, tc.failed, told)
			}
			if !strings.Contains(told, tc.detail) {
				t.Errorf("nothing says %q:\n%s", tc.detail, told)
			}
			if n := len(w.source.Jobs()) + len(w.destination.Jobs()); n != 0 {
				t.Errorf("jobs started: got %d, want none", n)
			}
		})
	}
}

// While a run is under way the preflight compares its settings with the app's.
func TestAccessDuringARun(t *testing.T) {
	w := newWorld(t)
	w.start(engine.Overrides{})
	frozen := func(e *engine.Engine) engine.Check {
		checks := e.Access(t.Context())
		return checks[len(checks)-1]
	}
	if c := frozen(w.engine); !c.OK || !strings.Contains(c.Detail, "the settings it was started with") {
		t.Errorf("with the settings of the start: got %+v", c)
	}
	w.settings.ChunkLimit++
	if c := frozen(w.instance(&tap{})); c.OK || !strings.Contains(c.Detail, "FERRY_CHUNK_LIMIT") {
		t.Errorf("with another FERRY_CHUNK_LIMIT: got %+v, want it named", c)
	}
}

// A reindex of somebody else's is worth a warning: nothing would be moved before its end.
func TestAccessDuringAReindex(t *testing.T) {
	w := newWorld(t, withParameters)
	w.destination.Faults().StickReindex(1)
	w.startReindex()
	for _, c := range w.engine.Access(t.Context()) {
		if c.Name == "search parameters" && (!c.OK || !strings.Contains(c.Detail, "warning: the destination reindexes now")) {
			t.Errorf("got %+v, want a warning", c)
		}
	}
}
