package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type element struct {
	Name, Type   string
	DefaultValue any
	ToolTip      string
	Constraints  struct {
		Regex         string
		AllowedValues []struct{ Label, Value string }
	}
}

type form struct {
	Handler, Version string
	Parameters       struct {
		Basics []element
		Steps  []struct {
			Name, Label string
			Elements    []element
		}
		Outputs map[string]string
	}
}

var reference = regexp.MustCompile(`(?:basics\('(\w+)'\)|steps\('(\w+)'\)\.(\w+))`)

// The portal's form asks for each parameter once, offers the defaults and the choices of the template, and hands on
// what it asked for.
func TestFormFitsTheTemplate(t *testing.T) {
	main := bicepFiles(t)["infra/main.bicep"]
	var f form
	if err := json.Unmarshal([]byte(content(t, "infra/createUiDefinition.json")), &f); err != nil {
		t.Fatal(err)
	}
	if f.Handler != "Microsoft.Azure.CreateUIDef" || f.Version != "0.1.2-preview" {
		t.Errorf("got handler %q, version %q", f.Handler, f.Version)
	}
	want, got := slices.Sorted(maps.Keys(main.params)), slices.Sorted(maps.Keys(f.Parameters.Outputs))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outputs of the form (-parameters +outputs):\n%s", diff)
	}
	elements := map[string]element{}
	for _, e := range f.Parameters.Basics {
		elements["basics."+e.Name] = e
	}
	for _, step := range f.Parameters.Steps {
		for _, e := range step.Elements {
			elements[step.Name+"."+e.Name] = e
		}
	}
	used := map[string]bool{}
	for name, output := range f.Parameters.Outputs {
		if output == "[location()]" {
			continue
		}
		found := reference.FindStringSubmatch(output)
		if found == nil {
			t.Errorf("%s: the output %q names no element", name, output)
			continue
		}
		key := "basics." + found[1]
		if found[1] == "" {
			key = found[2] + "." + found[3]
		}
		used[key] = true
		e, known := elements[key]
		if !known || e.Name != name {
			t.Errorf("%s: the output %q is not of an element of that name", name, output)
			continue
		}
		checkElement(t, name, main.params[name], e, output, main.text)
	}
	for key := range elements {
		if !used[key] {
			t.Errorf("the element %s leads to no output", key)
		}
	}
}

func checkElement(t *testing.T, name string, p param, e element, output, template string) {
	t.Helper()
	if e.Type != "Microsoft.Common.TagsByResource" && e.ToolTip != p.description {
		t.Errorf("%s: the form says %q, the template %q", name, e.ToolTip, p.description)
	}
	if (e.Type == "Microsoft.Common.PasswordBox") != p.secure {
		t.Errorf("%s: a %s, secure in the template %v", name, e.Type, p.secure)
	}
	if strings.Contains(output, "int(") != (p.kind == "int") || (e.Type == "Microsoft.Common.CheckBox") != (p.kind == "bool") {
		t.Errorf("%s is of type %s, and the form hands on %s of a %s", name, p.kind, output, e.Type)
	}
	if e.Type == "Microsoft.Common.TextBox" || e.Type == "Microsoft.Common.CheckBox" || e.Type == "Microsoft.Common.DropDown" {
		if want := strings.Trim(p.value, "'"); fmt.Sprint(e.DefaultValue) != want {
			t.Errorf("%s: the form offers %v, the template %q", name, e.DefaultValue, want)
		}
	}
	if e.Constraints.Regex != "" {
		pattern, err := regexp.Compile(e.Constraints.Regex)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if p.value != "" && !pattern.MatchString(fmt.Sprint(e.DefaultValue)) {
			t.Errorf("%s: the form refuses its own default %v", name, e.DefaultValue)
		}
	}
	if e.Type != "Microsoft.Common.DropDown" {
		return
	}
	_, before, _ := strings.Cut(template, "@description('"+strings.ReplaceAll(p.description, "'", `\'`)+"')\n@allowed([\n")
	list, _, _ := strings.Cut(before, "])")
	var want, got []string
	for choice := range strings.FieldsSeq(list) {
		want = append(want, strings.Trim(choice, "'"))
	}
	for _, choice := range e.Constraints.AllowedValues {
		got = append(got, choice.Value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: choices (-template +form):\n%s", name, diff)
	}
}
