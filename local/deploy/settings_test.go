package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// setting is a row of the settings table of the README, which a test of the handler keeps equal to the code.
type setting struct{ name, fallback string }

var settingRow = regexp.MustCompile("(?m)^\\| `([A-Za-z_]+)` \\| (?:`([^`]*)`)?[^|]*\\|")

func settings(t *testing.T) []setting {
	t.Helper()
	_, table, found := strings.Cut(content(t, "README.md"), "<!-- settings:begin -->")
	table, _, ends := strings.Cut(table, "<!-- settings:end -->")
	if !found || !ends {
		t.Fatal("README.md has no settings table")
	}
	var all []setting
	for _, row := range settingRow.FindAllStringSubmatch(table, -1) {
		all = append(all, setting{row[1], row[2]})
	}
	if len(all) < 40 {
		t.Fatalf("got %d settings in README.md, want those of the operator contract", len(all))
	}
	return all
}

func content(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// made are the settings that the templates work out from what they make, and why nobody is asked for them.
func made() map[string]string {
	return map[string]string{
		"FERRY_STAGING_URL":                     "the endpoint of the account that is made or named",
		"FERRY_AUTH":                            "azure is the default, and none is for tests on one machine",
		"AZURE_CLIENT_ID":                       "the identity that is made",
		"AzureWebJobsStorage":                   "the account that is made takes no key",
		"AzureWebJobsStorage__accountName":      "the addresses serve every cloud, the name the public one alone",
		"AzureWebJobsStorage__tableServiceUri":  "the account that is made",
		"AzureWebJobsStorage__queueServiceUri":  "the account that is made",
		"AzureWebJobsStorage__blobServiceUri":   "the account that is made",
		"AzureWebJobsStorage__credential":       "managedidentity",
		"AzureWebJobsStorage__clientId":         "the identity that is made",
		"APPLICATIONINSIGHTS_CONNECTION_STRING": "the component that is made",
	}
}

// parameterOf is the name that a setting's parameter has to have: FERRY_MAX_EXPORTS is maxExports.
func parameterOf(setting string) string {
	words := strings.Split(strings.ToLower(strings.TrimPrefix(setting, "FERRY_")), "_")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

// Each setting of the handler is a parameter with the same default, passed on under its name; and none is left over.
func TestSettingsAreParameters(t *testing.T) {
	main := bicepFiles(t)["infra/main.bicep"]
	passed := assignments(main.variables["settings"])
	var sample struct{ Values map[string]string }
	if err := json.Unmarshal([]byte(content(t, "local.settings.sample.json")), &sample); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"AZURE_AUTHORITY_HOST": true} // read by the identity library, no setting of ours
	for _, s := range settings(t) {
		known[s.name] = true
		if made()[s.name] != "" {
			continue
		}
		name := parameterOf(s.name)
		p, found := main.params[name]
		if !found {
			t.Errorf("%s: there is no parameter %s in infra/main.bicep", s.name, name)
			continue
		}
		want := s.fallback
		if s.name == "FERRY_SCHEDULE" || s.name == "FERRY_QUEUE" {
			want = sample.Values[s.name] // required by the code, filled by the infrastructure (operator contract 2)
		}
		if got := strings.Trim(p.value, "'"); got != want {
			t.Errorf("%s: parameter %s has the default %q, want %q", s.name, name, got, want)
		}
		if !strings.HasPrefix(p.description, s.name+": ") {
			t.Errorf("%s: the description of %s is %q, want one that begins with the setting's name", s.name, name, p.description)
		}
		wantPassed := map[string]string{"bool": name + " ? 'true' : 'false'", "int": "string(" + name + ")", "string": name}[p.kind]
		if s.name == "FERRY_SOURCE_CLIENT_SECRET" {
			wantPassed = "sourceSecret" // itself, or the reference into a key vault
		}
		if got := passed[s.name]; got != wantPassed {
			t.Errorf("%s: the app setting is %q, want %q", s.name, got, wantPassed)
		}
	}
	for name := range passed {
		if !known[name] {
			t.Errorf("%s is set on the app and no setting of the handler", name)
		}
	}
}

var assignment = regexp.MustCompile(`(?m)^  ([A-Za-z_]+): (.+)$`)

func assignments(object string) map[string]string {
	all := map[string]string{}
	for _, pair := range assignment.FindAllStringSubmatch(object, -1) {
		all[pair[1]] = pair[2]
	}
	return all
}

// The functions that are kept ready are functions of the app, and the timer and the queue are among them.
func TestAlwaysReadyNamesFunctions(t *testing.T) {
	main := bicepFiles(t)["infra/main.bicep"]
	var kept []string
	for _, part := range strings.Split(main.text, "'function:")[1:] {
		kept = append(kept, leading(part))
	}
	slices.Sort(kept)
	var want []string
	for _, name := range []string{"tick", "visit", "watch", "operate"} {
		if !strings.Contains(content(t, "functions/"+name+"/function.json"), "httpTrigger") {
			want = append(want, name)
		}
	}
	if !slices.Equal(kept, want) {
		t.Errorf("always ready are %v, want %v: HTTP functions share the group http", kept, want)
	}
}

// What keeps storage closed and the app reachable by encryption alone.
func TestStorageAndAppAreClosed(t *testing.T) {
	files := bicepFiles(t)
	for name, wants := range map[string][]string{
		"infra/modules/storage.bicep": {"allowBlobPublicAccess: false", "allowSharedKeyAccess: false", "minimumTlsVersion: 'TLS1_2'", "supportsHttpsTrafficOnly: true", "publicAccess: 'None'"},
		"infra/modules/staging.bicep": {"allowBlobPublicAccess: false", "allowSharedKeyAccess: false", "minimumTlsVersion: 'TLS1_2'", "supportsHttpsTrafficOnly: true"},
		"infra/modules/functionapp.bicep": {"httpsOnly: true", "minTlsVersion: '1.2'", "ftpsState: 'Disabled'", "type: 'UserAssignedIdentity'",
			"WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID: identityId", "alwaysOn: true", "allow: false"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[name].text, want) {
				t.Errorf("%s: want %q", name, want)
			}
		}
	}
	for name, f := range files {
		for _, forbidden := range []string{"listKeys", "AccountKey", "SharedAccessSignature", "core.windows.net", "allowSharedKeyAccess: true"} {
			if strings.Contains(f.text, forbidden) {
				t.Errorf("%s: %q has no place in it", name, forbidden)
			}
		}
	}
}
