package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const functionsFolder = "../../../functions"

type binding struct {
	Type, Direction, Name, Route, AuthLevel string
	Methods                                 []string
}

// served returns the routes of ours that a function brings requests to.
func served(t *testing.T, name string, all []string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(functionsFolder, name, "function.json"))
	if err != nil {
		t.Fatal(err)
	}
	var function struct{ Bindings []binding }
	if err := json.Unmarshal(raw, &function); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, b := range function.Bindings {
		switch b.Type {
		case "queueTrigger":
			if b.Name != workItem {
				t.Errorf("%s: binding named %q, want %q, which is where the text is looked for", name, b.Name, workItem)
			}
			return []string{"POST /" + name}
		case "timerTrigger":
			return []string{"POST /" + name}
		case "httpTrigger":
			return forwarded(t, name, b, function.Bindings, all)
		}
	}
	t.Errorf("%s: has no trigger that we know", name)
	return nil
}

// forwarded are the routes below the one catch-all of an HTTP function. It must qualify for forwarding, or its requests
// arrive in an envelope at a path that does not exist (host contract 4.1).
func forwarded(t *testing.T, name string, b binding, bindings []binding, all []string) []string {
	t.Helper()
	if len(bindings) != 2 || !slices.ContainsFunc(bindings, func(o binding) bool { return o.Type == "http" && o.Direction == "out" }) {
		t.Errorf("%s: got bindings %+v, want the trigger and one http output", name, bindings)
	}
	if b.AuthLevel != "function" && b.AuthLevel != "admin" {
		t.Errorf("%s: got authLevel %q, want a key to be needed", name, b.AuthLevel)
	}
	prefix, catchAll := strings.CutSuffix(b.Route, "/{*path}")
	if !catchAll {
		t.Errorf("%s: got route %q, want a catch-all", name, b.Route)
	}
	var ours []string
	for _, route := range all {
		method, path, _ := strings.Cut(route, " ")
		if slices.Contains(b.Methods, strings.ToLower(method)) && strings.HasPrefix(path+"/", "/api/"+prefix+"/") {
			ours = append(ours, route)
		}
	}
	if len(ours) == 0 {
		t.Errorf("%s: no route takes %v %s", name, b.Methods, b.Route)
	}
	return ours
}

// TestFunctionsMatchRoutes: every folder under functions/ has a route, and every route a function that leads to it.
func TestFunctionsMatchRoutes(t *testing.T) {
	folders, err := os.ReadDir(functionsFolder)
	if err != nil {
		t.Fatal(err)
	}
	all := routes(t)
	reached := []string{"GET /"} // the host's own probe
	for _, folder := range folders {
		for _, route := range served(t, folder.Name(), all) {
			if !slices.Contains(all, route) {
				t.Errorf("functions/%s: no route %q", folder.Name(), route)
			}
			if slices.Contains(reached, route) {
				t.Errorf("functions/%s: %q is served by another function too", folder.Name(), route)
			}
			reached = append(reached, route)
		}
	}
	for _, route := range all {
		if !slices.Contains(reached, route) {
			t.Errorf("route %q: no function leads to it", route)
		}
	}
}
