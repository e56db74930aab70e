package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sampleSettings are the Values of local.settings.sample.json.
func sampleSettings(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("../local.settings.sample.json")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct {
		IsEncrypted *bool
		Values      map[string]string
	}
	if err := json.Unmarshal(raw, &sample); err != nil {
		t.Fatal(err)
	}
	if sample.IsEncrypted == nil || *sample.IsEncrypted {
		t.Error("IsEncrypted must be there and false, or plain values fail to decrypt (host contract 1.14)")
	}
	return sample.Values
}

// functionTimeout is a copy of what host.json says.
func TestFunctionTimeoutIsTheHosts(t *testing.T) {
	raw, err := os.ReadFile("../host.json")
	if err != nil {
		t.Fatal(err)
	}
	var host struct{ FunctionTimeout string }
	if err := json.Unmarshal(raw, &host); err != nil {
		t.Fatal(err)
	}
	want := time.Time{}.Add(functionTimeout).Format("15:04:05")
	if host.FunctionTimeout != want {
		t.Errorf("host.json: got functionTimeout %q, want %q", host.FunctionTimeout, want)
	}
}

// Each value is wrong by itself, and its setting alone is blamed.
func TestMalformedValues(t *testing.T) {
	for name, values := range map[string][]string{
		"FERRY_SOURCE_URL": {"", "old.example", "/old", "ftp://old.example", "https://", "https:old.example", "https://a b", "https://u@old.example",
			"https://old.example?a=b", "https://old.example?", "https://old.example#top", "http://old.example", "http://10.0.0.1", "https://old.example:port"},
		"FERRY_DESTINATION_URL":    {"", "new.example", "http://new.example", "https://OLD.azurehealthcareapis.com/"},
		"FERRY_STAGING_URL":        {"", "staging", "https://staging.blob.core.windows.net?sv=1"},
		"FERRY_STAGING_CONTAINER":  {"ab", strings.Repeat("a", 64), "Upper", "under_score", "-first", "last-", "two--hyphens", "a.b.c", "$root", "a/b/c"},
		"FERRY_STAGING_CONNECTION": {"rubbish", "AccountName=staging", "SharedAccessSignature=sig"},
		"FERRY_AUTH":               {"Azure", "none", "no"},
		"FERRY_SCHEDULE": {"", "* * * *", "* * * * * * *", "60 * * * * *", "0 0 24 * * *", "0 0 0 0 * *", "0 0 0 32 * *", "0 0 0 * 13 *",
			"0 0 0 * * 7", "0 0 0 * * L", "0 0 0 ? * *", "*/0 * * * * *", "1- * * * * *", "0-60 * * * * *", ", * * * * *", "00:05:00", "@hourly", "0 0 0 * foo *", "mon * * * * *"},
		"FERRY_QUEUE":             {"", "qu", "Work", "a_b", "a--b", strings.Repeat("q", 64), " work"},
		"FERRY_MODE":              {"Once", "forever", "import"},
		"FERRY_SINCE":             {"2020", "2020-01-01", "2020-01-01T00:00:00", "2020-13-01T00:00:00Z", "0001-01-01T00:00:00Z", "yesterday"},
		"FERRY_UNTIL":             {"2020-02-30T00:00:00Z", "tomorrow"},
		"FERRY_RESOURCE_TYPES":    {"patient", "Patient,", "Patient;Observation", "Patient/1", "P", ","},
		"FERRY_WINDOW":            {"0d", "30", "d", "1.5h", "-1h", "1h30m", "1 h", "30D", "9999999999999d", "99999999999999999999ms", "1w", "1us"},
		"FERRY_CHUNK_LIMIT":       {"0", "-1", "1e6", "5,000", "many", "9223372036854775808"},
		"FERRY_HISTORY":           {"True", "1", "yes"},
		"FERRY_DELETED":           {"0"},
		"FERRY_PARALLEL":          {"on"},
		"FERRY_QUIET_IMPORTS":     {"FALSE"},
		"FERRY_SEARCH_PARAMETERS": {"no"},
		"FERRY_MAX_COUNT":         {"-1", "10001"},
		"FERRY_MAX_EXPORTS":       {"0", "101", "4.0"},
		"FERRY_MAX_IMPORTS":       {"0", "6"},
		"FERRY_FILES_PER_IMPORT":  {"0", "10001"},
		"FERRY_SETTLE":            {"0s", "5"},
		"FERRY_INTERVAL":          {"0ms"},
		"FERRY_POLL":              {"soon"},
		"FERRY_CONFIRMATIONS":     {"1", "0"},
		"FERRY_CONFIRM_INTERVAL":  {"0s"},
		"FERRY_STALL":             {"0h", "30s", "1s"},
		"FERRY_REQUEST_TIMEOUT":   {"0s", "201s", "200001ms", "40000d", "100000d"},
		"FERRY_MAX_FAILURES":      {"0", "-5"},
		"APPLICATIONINSIGHTS_CONNECTION_STRING": {"rubbish", "IngestionEndpoint=https://x", "InstrumentationKey=1234",
			"InstrumentationKey=00000000-0000-0000-0000-00000000000g",
			"InstrumentationKey=00000000-0000-0000-0000-00000000000a;IngestionEndpoint=http://ingest.example"},
	} {
		for _, value := range values {
			c := read(map[string]string{name: value})
			if diff := cmp.Diff([]string{name}, blamed(c)); diff != "" {
				t.Errorf("%s=%q: settings blamed (-want +got):\n%s", name, value, diff)
			}
		}
	}
}

// Each value is good.
func TestWellFormedValues(t *testing.T) {
	for name, values := range map[string][]string{
		"FERRY_SOURCE_URL":        {"https://old.example/fhir/", "https://old.example:8443", "http://localhost:8080", "http://127.0.0.2", "http://[::1]:80/r4"},
		"FERRY_STAGING_CONTAINER": {"abc", "a-b-c", "0123", strings.Repeat("a", 63)},
		"FERRY_SCHEDULE": {"* * * * *", "*/5 * * * * *", "0 0 0 1 jan mon-fri", "0 0,30 8-17/2 * 1,12 0", "59 23 31 12 6", "0 0 0 * January SUNDAY", "59 59 23 31 12 6",
			"  0  *  * * * *  "},
		"FERRY_QUEUE":          {"q-1"},
		"FERRY_SINCE":          {"2020-01-01T00:00:00Z", "2020-01-01T00:00:00.1234567-11:00"},
		"FERRY_RESOURCE_TYPES": {"Patient", " Patient , Observation "},
		"FERRY_WINDOW":         {"1ms", "100000d"},
		"FERRY_MAX_COUNT":      {"0", "1"},
		"APPLICATIONINSIGHTS_CONNECTION_STRING": {
			"InstrumentationKey=00000000-0000-0000-0000-0000000000aF;IngestionEndpoint=https://westeurope-1.in.applicationinsights.azure.com/"},
	} {
		for _, value := range values {
			if c := read(map[string]string{name: value}); len(c.problems) != 0 {
				t.Errorf("%s=%q: got problems %v, want none", name, value, c.problems)
			}
		}
	}
}

func TestSettingsTogether(t *testing.T) {
	const local = "http://127.0.0.1:81"
	cases := []struct {
		name string
		env  map[string]string
		want []string
	}{
		{"none on this machine", map[string]string{"FERRY_AUTH": "none", "FERRY_SOURCE_URL": local, "FERRY_DESTINATION_URL": "http://localhost:82"}, nil},
		{"none and a distant source", map[string]string{"FERRY_AUTH": "none", "FERRY_DESTINATION_URL": local}, []string{"FERRY_AUTH"}},
		{"none and a distant destination", map[string]string{"FERRY_AUTH": "none", "FERRY_SOURCE_URL": local}, []string{"FERRY_AUTH"}},
		{"source is destination", map[string]string{"FERRY_SOURCE_URL": local + "/a", "FERRY_DESTINATION_URL": local + "/a/"}, []string{"FERRY_DESTINATION_URL"}},
		{"until at since", map[string]string{"FERRY_SINCE": "2020-01-01T01:00:00+01:00", "FERRY_UNTIL": "2020-01-01T00:00:00Z"}, []string{"FERRY_UNTIL"}},
		{"until in the past", map[string]string{"FERRY_UNTIL": "2020-01-01T00:00:00Z"}, nil},
		{"client without tenant and secret", map[string]string{"FERRY_SOURCE_CLIENT_ID": "c"}, []string{"FERRY_SOURCE_CLIENT_SECRET", "FERRY_SOURCE_TENANT_ID"}},
		{"client without secret", map[string]string{"FERRY_SOURCE_CLIENT_ID": "c", "FERRY_SOURCE_TENANT_ID": "t"}, []string{"FERRY_SOURCE_CLIENT_SECRET"}},
		{"stall longer than a short poll", map[string]string{"FERRY_STALL": "1s", "FERRY_POLL": "250ms"}, nil},
	}
	for _, tt := range cases {
		if diff := cmp.Diff(tt.want, blamed(read(tt.env))); diff != "" {
			t.Errorf("%s: settings blamed (-want +got):\n%s", tt.name, diff)
		}
	}
}
