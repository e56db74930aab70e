package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// functions are the bindings that the host must find (design 3.2, host contract 1.9). Names carry no underscore; the
// catch-all matches GET /api/migration too; no HTTP function is anonymous (operator contract 1).
func functions() map[string][]map[string]any {
	http := func(method string) []map[string]any {
		return []map[string]any{
			{"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "function", "methods": []any{method}, "route": "migration/{*path}"},
			{"type": "http", "direction": "out", "name": "res"},
		}
	}
	return map[string][]map[string]any{
		"tick": {{
			"type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "%FERRY_SCHEDULE%", "runOnStartup": false, "useMonitor": true,
		}},
		"visit": {{
			"type": "queueTrigger", "direction": "in", "name": "item", "queueName": "%FERRY_QUEUE%", "connection": "AzureWebJobsStorage",
		}},
		"watch":   http("get"),
		"operate": http("post"),
	}
}

func TestFunctionFolders(t *testing.T) {
	got := map[string][]map[string]any{}
	folders, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		files, err := os.ReadDir(filepath.Join(root, "functions", folder.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 1 || files[0].Name() != "function.json" {
			t.Errorf("functions/%s: got %v, want function.json alone: the host may take another file for a script", folder.Name(), files)
		}
		var function struct{ Bindings []map[string]any }
		strictly(t, filepath.Join("functions", folder.Name(), "function.json"), &function)
		got[folder.Name()] = function.Bindings
	}
	if diff := cmp.Diff(functions(), got); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
}

var (
	folderForm  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,127}$`)
	bindingForm = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9]{0,127}$`)
)

// What the table above demands is itself within the host's rules (host contract 1.1, 1.9 to 1.12).
func TestFunctionsKeepTheHostsRules(t *testing.T) {
	for folder, bindings := range functions() {
		triggers, names := 0, map[string]bool{}
		for _, b := range bindings {
			name, kind := b["name"].(string), b["type"].(string)
			if !bindingForm.MatchString(name) || names[strings.ToLower(name)] {
				t.Errorf("%s: binding name %q is not valid, or used twice", folder, name)
			}
			names[strings.ToLower(name)] = true
			if strings.HasSuffix(kind, "Trigger") {
				triggers++
			}
			if kind == "httpTrigger" && b["authLevel"] != "function" {
				t.Errorf("%s: got authLevel %v, want function", folder, b["authLevel"])
			}
		}
		if triggers != 1 || !folderForm.MatchString(folder) || folder == "host" {
			t.Errorf("%s: got %d triggers in a folder of that name, want one", folder, triggers)
		}
	}
}

// The numbers of host.json are those of design 3.11, and the executable is named literally: publishing gives the execute
// bit to no other spelling (host contract 7.1).
func TestHostJSON(t *testing.T) {
	type queues struct {
		BatchSize, NewBatchThreshold, MaxDequeueCount          int
		VisibilityTimeout, MaxPollingInterval, MessageEncoding string
	}
	var got struct {
		Version, FunctionTimeout string
		Logging                  struct {
			LogLevel            map[string]string
			ApplicationInsights struct {
				SamplingSettings struct {
					IsEnabled     bool
					ExcludedTypes string
				}
			}
		}
		ExtensionBundle struct{ ID, Version string }
		Extensions      struct {
			HTTP   struct{ RoutePrefix string }
			Queues queues
		}
		CustomHandler struct {
			Description struct {
				DefaultExecutablePath string
				Arguments             []string
			}
			EnableForwardingHTTPRequest bool
		}
	}
	strictly(t, "host.json", &got)
	if got.Version != "2.0" || got.Extensions.HTTP.RoutePrefix != "api" {
		t.Errorf("got version %q and prefix %q, want 2.0 and api", got.Version, got.Extensions.HTTP.RoutePrefix)
	}
	if diff := cmp.Diff(queues{16, 0, 5, "00:00:30", "00:00:02", "base64"}, got.Extensions.Queues); diff != "" {
		t.Errorf("queues (-want +got):\n%s", diff)
	}
	if handler := got.CustomHandler; handler.Description.DefaultExecutablePath != "handler" || !handler.EnableForwardingHTTPRequest {
		t.Errorf("got custom handler %+v, want handler, with forwarding", handler)
	}
	if bundle := got.ExtensionBundle; bundle.ID != "Microsoft.Azure.Functions.ExtensionBundle" || bundle.Version != "[4.*, 5.0.0)" {
		t.Errorf("got bundle %+v, without which no queue trigger loads", bundle)
	}
	if sampling := got.Logging.ApplicationInsights.SamplingSettings; !sampling.IsEnabled || sampling.ExcludedTypes != "Request;Exception" {
		t.Errorf("got sampling %+v, want requests and exceptions excluded", sampling)
	}
}

// strictly reads a JSON file below the root and refuses keys that are not expected: the host ignores a mistyped one.
func strictly(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
