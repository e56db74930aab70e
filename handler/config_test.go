package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	someKey       = "c29tZSBrZXk="
	someAccount   = "DefaultEndpointsProtocol=https;AccountName=progress;AccountKey=" + someKey + ";EndpointSuffix=core.windows.net"
	canonAccount  = "DefaultEndpointsProtocol=https;AccountName=progress;AccountKey=" + someKey + ";EndpointSuffix=core.windows.net;"
	emulatorShort = "UseDevelopmentStorage=true"
)

// least are the settings without which nothing works.
func least() map[string]string {
	return map[string]string{
		"FERRY_SOURCE_URL":      "https://old.azurehealthcareapis.com",
		"FERRY_DESTINATION_URL": "https://work-new.fhir.azurehealthcareapis.com/",
		"FERRY_STAGING_URL":     "https://staging.blob.core.windows.net",
		"AzureWebJobsStorage":   someAccount,
		"FERRY_SCHEDULE":        "0 * * * * *",
		"FERRY_QUEUE":           "fhirferry-work",
	}
}

// read reads the least settings with changes; an empty value removes one.
func read(changes map[string]string) config {
	env := least()
	maps.Copy(env, changes)
	return readConfig(func(name string) string { return env[name] })
}

// blamed are the settings that problems name, each once.
func blamed(c config) []string {
	var names []string
	for _, p := range c.problems {
		names = append(names, p.setting)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestDefaults(t *testing.T) {
	c := read(nil)
	if len(c.problems) != 0 {
		t.Fatalf("got problems %v, want none", c.problems)
	}
	got := fmt.Sprint(c.sourceURL, c.destinationURL, c.stagingURL, c.stagingContainer, c.auth, c.schedule, c.queue, c.mode)
	want := fmt.Sprint("https://old.azurehealthcareapis.com", "https://work-new.fhir.azurehealthcareapis.com",
		"https://staging.blob.core.windows.net", "fhirferry", authAzure, "0 * * * * *", "fhirferry-work", "continuous")
	if got != want {
		t.Errorf("texts: got %s, want %s", got, want)
	}
	if got := c.storage.connection.reveal(); got != canonAccount {
		t.Errorf("storage: got %s, want %s", got, canonAccount)
	}
	numbers := []int64{c.chunkLimit, int64(c.maxCount), int64(c.maxExports), int64(c.maxImports), int64(c.filesPerImport),
		int64(c.confirmations), int64(c.maxFailures)}
	if diff := cmp.Diff([]int64{5_000_000, 0, 4, 2, 10_000, 3, 5}, numbers); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	durations := []time.Duration{c.window, c.settle, c.interval, c.poll, c.confirmInterval, c.stall, c.requestTimeout}
	wantDurations := []time.Duration{0, 5 * time.Minute, 15 * time.Minute, 30 * time.Second, 30 * time.Second, 24 * time.Hour, 100 * time.Second}
	if diff := cmp.Diff(wantDurations, durations); diff != "" {
		t.Errorf("durations (-want +got):\n%s", diff)
	}
	if !c.history || !c.deleted || !c.parallel || c.quietImports {
		t.Errorf("switches: got %v %v %v %v, want true true true false", c.history, c.deleted, c.parallel, c.quietImports)
	}
	if !c.since.IsZero() || !c.until.IsZero() || c.types != nil {
		t.Errorf("scope: got %v %v %v, want no bounds", c.since, c.until, c.types)
	}
}

func TestEverySettingIsTaken(t *testing.T) {
	c := read(map[string]string{
		"FERRY_SINCE":             "2020-01-02T03:04:05.678901+02:00",
		"FERRY_UNTIL":             "2030-01-01T00:00:00Z",
		"FERRY_RESOURCE_TYPES":    "Patient, Observation,Patient",
		"FERRY_WINDOW":            "30d",
		"FERRY_CHUNK_LIMIT":       "7",
		"FERRY_HISTORY":           "false",
		"FERRY_DELETED":           "false",
		"FERRY_PARALLEL":          "false",
		"FERRY_QUIET_IMPORTS":     "true",
		"FERRY_SEARCH_PARAMETERS": "false",
		"FERRY_MAX_COUNT":         "10000",
		"FERRY_MAX_EXPORTS":       "9",
		"FERRY_MAX_IMPORTS":       "5",
		"FERRY_FILES_PER_IMPORT":  "11",
		"FERRY_SETTLE":            "1s",
		"FERRY_INTERVAL":          "2m",
		"FERRY_POLL":              "250ms",
		"FERRY_CONFIRMATIONS":     "2",
		"FERRY_CONFIRM_INTERVAL":  "4s",
		"FERRY_STALL":             "5h",
		"FERRY_REQUEST_TIMEOUT":   "200s",
		"FERRY_MAX_FAILURES":      "6",
		"FERRY_MODE":              "once",
	})
	if len(c.problems) != 0 {
		t.Fatalf("got problems %v, want none", c.problems)
	}
	got := fmt.Sprint(c.since, c.until, c.types, c.window, c.chunkLimit, c.history, c.deleted, c.parallel, c.quietImports, c.searchParameters, c.maxCount,
		c.maxExports, c.maxImports, c.filesPerImport, c.settle, c.interval, c.poll, c.confirmations, c.confirmInterval, c.stall,
		c.requestTimeout, c.maxFailures, c.mode)
	want := fmt.Sprint(time.Date(2020, 1, 2, 1, 4, 5, 678_000_000, time.UTC), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		[]string{"Observation", "Patient"}, 30*24*time.Hour, 7, false, false, false, true, false, 10_000,
		9, 5, 11, time.Second, 2*time.Minute, 250*time.Millisecond, 2, 4*time.Second, 5*time.Hour, 200*time.Second, 6, "once")
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Nothing is set: every required setting is named in one go.
func TestEmptyEnvironment(t *testing.T) {
	c := readConfig(func(string) string { return "" })
	want := []string{"AzureWebJobsStorage", "FERRY_DESTINATION_URL", "FERRY_QUEUE", "FERRY_SCHEDULE", "FERRY_SOURCE_URL", "FERRY_STAGING_URL"}
	if diff := cmp.Diff(want, blamed(c)); diff != "" {
		t.Errorf("settings blamed (-want +got):\n%s", diff)
	}
	if c.requestTimeout != 100*time.Second {
		t.Errorf("got request timeout %v, want the default", c.requestTimeout)
	}
}

// Every setting is wrong at once: each is named, with a cause and a remedy, and none keeps the handler from its defaults.
func TestAllProblemsTogether(t *testing.T) {
	env := map[string]string{}
	for _, s := range settingsTable() {
		env[s.name] = "\x00 no such value ;"
	}
	for _, free := range []string{"AZURE_CLIENT_ID", "FERRY_SOURCE_TENANT_ID", "FERRY_SOURCE_CLIENT_ID", "FERRY_SOURCE_CLIENT_SECRET"} {
		delete(env, free) // any text will do
	}
	env["FERRY_SOURCE_CLIENT_ID"] = "alone"
	c := readConfig(func(name string) string { return env[name] })
	for name := range env {
		identity := strings.HasPrefix(name, storageName+"__") // not looked at when there is a connection string
		if name != "FERRY_SOURCE_CLIENT_ID" && !identity && !slices.Contains(blamed(c), name) {
			t.Errorf("%s: not named", name)
		}
	}
	for _, p := range c.problems {
		if p.detail == "" || p.remedy == "" || strings.HasSuffix(p.detail, ".") || strings.Contains(p.detail+p.remedy, "\x00") {
			t.Errorf("%s: got cause %q and remedy %q", p.setting, p.detail, p.remedy)
		}
	}
	if c.maxImports != 2 || c.stall != 24*time.Hour || c.stagingContainer != "fhirferry" {
		t.Errorf("got %d, %v, %s; want the defaults", c.maxImports, c.stall, c.stagingContainer)
	}
}

// What is asked for but not in force is refused, never ignored.
func TestNotSupportedYet(t *testing.T) {
	for _, tt := range []struct{ name, value string }{
		{"FERRY_MODE", "export"},
		{"FERRY_MODE", "import"},
	} {
		c := read(map[string]string{tt.name: tt.value})
		if len(c.problems) != 1 || c.problems[0].setting != tt.name || !strings.Contains(c.problems[0].detail, "not supported yet") {
			t.Errorf("%s=%s: got problems %v, want one that says not supported yet", tt.name, tt.value, c.problems)
		}
	}
}

// De-identified export is asked for as a whole or not at all, and an etag may be copied with its quotes.
func TestDeIdentification(t *testing.T) {
	const config, etag = "FERRY_ANONYMIZATION_CONFIG", "FERRY_ANONYMIZATION_CONFIG_ETAG"
	for _, tt := range []struct {
		env   map[string]string
		want  [2]string // configuration and etag as read
		blame []string
	}{
		{nil, [2]string{}, nil},
		{map[string]string{config: "rules.json"}, [2]string{"rules.json"}, nil},
		{map[string]string{config: "a b/rules.json", etag: `"0x8DC5A2"`}, [2]string{"a b/rules.json", "0x8DC5A2"}, nil},
		{map[string]string{config: "rules.json", etag: "0x8DC5A2"}, [2]string{"rules.json", "0x8DC5A2"}, nil},
		{map[string]string{config: "rules.json", "FERRY_PARALLEL": "false"}, [2]string{"rules.json"}, []string{"FERRY_PARALLEL"}},
		{map[string]string{etag: "0x8"}, [2]string{"", "0x8"}, []string{etag}},
		{map[string]string{config: "rules.json", etag: "0x8 0x9"}, [2]string{"rules.json"}, []string{etag}},
		{map[string]string{config: "rules.json", etag: `""`}, [2]string{"rules.json"}, []string{etag}},
		{map[string]string{config: "/rules.json"}, [2]string{}, []string{config}},
		{map[string]string{config: "a/../rules.json"}, [2]string{}, []string{config}},
		{map[string]string{config: "rules:1.json"}, [2]string{}, []string{config}},
		{map[string]string{config: "https://acct.blob.core.windows.net/anonymization/rules.json"}, [2]string{}, []string{config}},
	} {
		c := read(tt.env)
		if got := [2]string{c.anonymizationConfig, c.anonymizationETag}; got != tt.want || !slices.Equal(blamed(c), tt.blame) {
			t.Errorf("%v: got %q and blamed %v, want %q and %v", tt.env, got, blamed(c), tt.want, tt.blame)
		}
		if f := c.frozen(); f.DeIdentified() != (tt.want[0] != "") || f.AnonymizationETag != tt.want[1] {
			t.Errorf("%v: got %+v, want them among the settings that a run keeps", tt.env, f)
		}
	}
}

// The reader asks for exactly what the table lists, so that the table cannot miss a setting nor invent one.
func TestTableListsWhatIsRead(t *testing.T) {
	asked := map[string]bool{}
	readConfig(func(name string) string { asked[name] = true; return "" })
	delete(asked, "IDENTITY_ENDPOINT") // set by the platform, not by an operator
	delete(asked, "MSI_ENDPOINT")
	delete(asked, "WEBSITE_INSTANCE_ID")
	var listed []string
	for _, s := range settingsTable() {
		listed = append(listed, s.name)
	}
	slices.Sort(listed)
	if diff := cmp.Diff(listed, slices.Sorted(maps.Keys(asked))); diff != "" {
		t.Errorf("settings listed but not read (-), read but not listed (+):\n%s", diff)
	}
}

// Whatever happens to a config, its secrets are not in what is printed.
func TestSecretsAreNotPrinted(t *testing.T) {
	c := read(map[string]string{
		"FERRY_SOURCE_TENANT_ID": "t", "FERRY_SOURCE_CLIENT_ID": "c", "FERRY_SOURCE_CLIENT_SECRET": "hush-hush",
		"FERRY_STAGING_CONNECTION": someAccount,
	})
	if c.sourceSecret.reveal() != "hush-hush" || !strings.Contains(c.stagingConnection.reveal(), someKey) {
		t.Fatal("the secrets have not been read")
	}
	text, err := c.sourceSecret.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %s %q %d %x", c, c, c, c.sourceSecret, c.sourceSecret, c.sourceSecret, c.sourceSecret) +
		fmt.Sprint(&c.sourceSecret) + string(text) + c.sourceSecret.LogValue().String()
	for _, hidden := range []string{"hush", fmt.Sprintf("%x", "hush"), someKey} {
		if strings.Contains(printed, hidden) {
			t.Errorf("printed %q: %s", hidden, printed)
		}
	}
}

// A problem's text reaches logs and operators: what may hold a secret is not quoted.
func TestProblemsQuoteNoSecrets(t *testing.T) {
	c := read(map[string]string{
		"FERRY_SOURCE_URL":                      "https://user:hush@old.example",
		"FERRY_STAGING_URL":                     "https://staging.blob.core.windows.net/?sig=hush",
		"AzureWebJobsStorage":                   "AccountName=progress;AccountKey=hush!",
		"FERRY_STAGING_CONNECTION":              "SharedAccessSignature=hush",
		"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=hush",
	})
	if len(blamed(c)) != 5 {
		t.Errorf("got settings %v, want five", blamed(c))
	}
	if text := fmt.Sprint(c.problems); strings.Contains(text, "hush") {
		t.Errorf("problems quote a secret: %s", text)
	}
}

// The sample settings work as they are.
func TestSampleSettings(t *testing.T) {
	values := sampleSettings(t)
	c := readConfig(func(name string) string { return values[name] })
	if len(c.problems) != 0 {
		t.Errorf("got problems %v, want none", c.problems)
	}
	if values["FUNCTIONS_WORKER_RUNTIME"] != "custom" || values["FERRY_SCHEDULE"] != "0 * * * * *" || values["FERRY_QUEUE"] != "fhirferry-work" {
		t.Errorf("got %v, want the runtime, schedule and queue of the operator contract", values)
	}
}
