package fhirsim

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

const redactNames = `{"fhirVersion":"R4","fhirPathRules":[{"path":"Patient.name","method":"redact"},{"path":"Resource.text","method":"REDACT"},
	{"path":"Patient.contact.name","method":"redact"},{"path":"Resource.id","method":"keep"}]}`

// configured is a server with an anonymization configuration and its etag.
func configured(t *testing.T, g Generation, config string) (*sim, string) {
	t.Helper()
	s := newSim(t, g, func(o *Options) { o.AnonymizedExport = true })
	ctx := context.Background()
	if err := s.blobs.CreateContainer(ctx, "anonymization"); err != nil {
		t.Fatal(err)
	}
	if err := s.blobs.Put(ctx, "anonymization", "safe/config.json", []byte(config)); err != nil {
		t.Fatal(err)
	}
	info, err := s.blobs.Stat(ctx, "anonymization", "safe/config.json")
	if err != nil {
		t.Fatal(err)
	}
	s.Put("Patient", "a", []byte(`{"name":[{"family":"Doe"}],"text":{"div":"<p>Doe</p>"},"contact":[{"name":{"family":"Doe"},"gender":"male"}],"note":"1 < 2","multipleBirthInteger":1.50}`))
	s.Put("Device", "d", []byte(`{"name":"pump"}`))
	s.clock.add(time.Second)
	return s, info.Etag
}

const anonymizedPath = "/$export?_container=out&_anonymizationConfig=safe/config.json"

// Contract 1.3: the lines of a de-identified export, and the request that its manifest shows.
func TestAnonymizedExport(t *testing.T) {
	for _, g := range []Generation{Gen1, Gen2} {
		s, etag := configured(t, g, redactNames)
		if !strings.Contains(s.get("/metadata").body, `"anonymized-export"`) {
			t.Error("/metadata does not name the operation")
		}
		for _, given := range []string{"", etag, strings.Trim(etag, `"`)} {
			path := anonymizedPath
			if given != "" {
				path += "&_anonymizationConfigEtag=" + strings.ReplaceAll(given, `"`, "%22")
			}
			m, lines := s.exported(path)
			if m.Request != s.url+path {
				t.Errorf("got request %s, want %s", m.Request, s.url+path)
			}
			text := strings.Join(lines, "\n")
			if len(lines) != 2 || strings.Contains(text, "Doe") || !strings.Contains(text, `"pump"`) || !strings.Contains(text, `"contact":[{"gender":"male"}]`) ||
				!strings.Contains(text, `"1 < 2"`) || !strings.Contains(text, "1.50") || strings.Count(text, `"code":"REDACTED"`) != 1 || names(t, lines) != "a/1 d/1" {
				t.Errorf("generation %d: got %s", g, text)
			}
		}
		if _, lines := s.exported("/$export?_container=out"); !strings.Contains(strings.Join(lines, ""), "Doe") {
			t.Errorf("an ordinary export was changed: %v", lines)
		}
	}
}

// Contract 1.3 and 2.4: what is refused at once, and what fails the job.
func TestAnonymizedExportFailures(t *testing.T) {
	s, _ := configured(t, Gen1, redactNames)
	for path, want := range map[string]string{
		"/$export?_anonymizationConfig=safe/config.json":                                                       "Missing '_container' for anonymized export",
		"/$export?_container=out&_anonymizationConfigEtag=x":                                                   "Missing '_anonymizationConfig' for anonymized export",
		anonymizedPath + "&_anonymizationConfigEtag=x&_anonymizationConfigCollectionReference=acr.example/x:1": "exclude each other",
		anonymizedPath + "&_anonymizationConfigCollectionReference=acr.example/x:1":                            "not configured",
	} {
		r := s.do("GET", path, "", "Accept", fhirJSON, "Prefer", "respond-async")
		if _, text := diagnostics(t, r); r.status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: got %d %s, want 400 %s", path, r.status, text, want)
		}
	}
	failed := func(s *sim, path, want string) {
		t.Helper()
		status := s.export(path)
		s.settle()
		r := s.get(status)
		if code, text := diagnostics(t, r); r.status != 400 || code != "processing" || !strings.Contains(text, "export operation failed for reason: ") || !strings.Contains(text, want) {
			t.Errorf("%s: got %d %s %s, want 400 processing %s", path, r.status, code, text, want)
		}
	}
	failed(s, anonymizedPath+"&_anonymizationConfigEtag=other", "does not match")
	failed(s, "/$export?_container=out&_anonymizationConfig=config.json", "was not found")
	for config, want := range map[string]string{
		"{":  "Failed to parse",
		"{}": "no fhirPathRules",
		`{"fhirPathRules":[{"path":"nodesByType('HumanName')","method":"redact"}]}`: "not simulated",
		`{"fhirPathRules":[{"path":"Patient.birthDate","method":"dateShift"}]}`:     "not simulated",
	} {
		s, _ := configured(t, Gen2, config)
		failed(s, anonymizedPath, want)
		if list, err := s.blobs.List(context.Background(), "out", ""); err != nil || len(list) != 0 {
			t.Errorf("%s: got files %v, %v", config, list, err)
		}
	}
	off := newSim(t, Gen2)
	r := off.do("GET", anonymizedPath, "", "Accept", fhirJSON, "Prefer", "respond-async")
	if _, text := diagnostics(t, r); r.status != 400 || !strings.Contains(text, "not enabled") || strings.Contains(off.get("/metadata").body, "anonymized-export") {
		t.Errorf("feature off: got %d %s", r.status, text)
	}
}

// A service that ignores what it was asked for: a client has to see it in the manifest.
func TestForgetAnonymization(t *testing.T) {
	s, _ := configured(t, Gen2, redactNames)
	s.Faults().ForgetAnonymization(1)
	m, lines := s.exported(anonymizedPath + "&_isParallel=true")
	if strings.Contains(m.Request, "anonymization") || !strings.Contains(m.Request, "_isParallel=true") || !strings.Contains(m.Request, "_container=out") {
		t.Errorf("got request %s", m.Request)
	}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "Doe") }) {
		t.Errorf("got %v, want the lines as they are", lines)
	}
	if m, _ := s.exported(anonymizedPath); !strings.Contains(m.Request, "_anonymizationConfig=") {
		t.Errorf("the next one: got request %s", m.Request)
	}
}
