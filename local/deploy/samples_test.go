package deploy

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// The grammar knows no assignment to a parameter, which looks like a variable's.
	paramAssignment = regexp.MustCompile(`(?m)^param (\w+) = `)
	sampleComment   = regexp.MustCompile(`infra/[\w-]+\.bicepparam`)
)

// The samples parse, set only parameters that exist, all that are required, of the right type, and differ from the
// defaults: a line that changes nothing is noise.
func TestSamples(t *testing.T) {
	main := bicepFiles(t)["infra/main.bicep"]
	names, err := filepath.Glob(filepath.Join(root, "infra", "*.bicepparam"))
	if err != nil || len(names) < 4 {
		t.Fatalf("got samples %v, %v; want one for azd and three more", names, err)
	}
	for _, name := range names {
		name = "infra/" + filepath.Base(name)
		text := content(t, name)
		f := &file{path: name, text: paramAssignment.ReplaceAllString(text, "var $1 = "), params: map[string]param{}, outputs: map[string]string{}, variables: map[string]string{}}
		tree, faults := parse(t, f.text)
		for _, fault := range faults {
			t.Errorf("%s:%s", name, fault)
		}
		f.tree = tree
		f.declare()
		if !strings.Contains(text, "using 'main.bicep'\n") {
			t.Errorf("%s does not use main.bicep", name)
		}
		for set, value := range f.variables {
			p, known := main.params[set]
			if !known {
				t.Errorf("%s: there is no parameter %s", name, set)
			}
			if value == p.value {
				t.Errorf("%s: %s is set to its default", name, set)
			}
			if isText := strings.HasPrefix(value, "'") || strings.HasPrefix(value, "readEnvironmentVariable("); isText != (p.kind == "string") {
				t.Errorf("%s: %s is %s, want a %s", name, set, value, p.kind)
			}
			if p.secure {
				t.Errorf("%s: %s is a secret, and this file is kept in the open", name, set)
			}
		}
		for needed, p := range main.params {
			if _, set := f.variables[needed]; p.value == "" && !set {
				t.Errorf("%s: %s is required", name, needed)
			}
		}
		if said := sampleComment.FindString(text); said != "" && said != name {
			t.Errorf("%s tells how to deploy %s", name, said)
		}
	}
}
