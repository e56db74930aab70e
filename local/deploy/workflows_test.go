package deploy

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type workflow struct {
	Name        string
	On          any
	Permissions map[string]string
	Jobs        map[string]struct {
		RunsOn      string `yaml:"runs-on"`
		Permissions map[string]string
		Steps       []struct {
			Name, Uses, Run string
			With, Env       map[string]string
		}
	}
}

var expressionInScript = regexp.MustCompile(`\$\{\{`)

// Workflow files are YAML, name their rights, use actions of a fixed version, and put nothing that an outsider could
// name into a script: values reach scripts through the environment.
func TestWorkflows(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil || len(names) < 2 {
		t.Fatalf("got workflows %v, %v", names, err)
	}
	var scripts strings.Builder
	for _, name := range names {
		name = ".github/workflows/" + filepath.Base(name)
		var w workflow
		strict(t, name, &w)
		if w.Permissions["contents"] != "read" {
			t.Errorf("%s: permissions are %v, want contents to be read, and more only on a job", name, w.Permissions)
		}
		for job, j := range w.Jobs {
			if j.RunsOn == "" || len(j.Steps) == 0 {
				t.Errorf("%s: job %s runs nothing, nowhere", name, job)
			}
			for _, step := range j.Steps {
				if (step.Uses == "") == (step.Run == "") {
					t.Errorf("%s: step %q of job %s: want an action or a script", name, step.Name, job)
				}
				if step.Uses != "" && !regexp.MustCompile(`^[\w-]+/[\w-]+@(v\d+|[0-9a-f]{40})$`).MatchString(step.Uses) {
					t.Errorf("%s: %s has no fixed version", name, step.Uses)
				}
				if expressionInScript.MatchString(step.Run) {
					t.Errorf("%s: step %q of job %s writes an expression into a script; pass it by env", name, step.Name, job)
				}
				scripts.WriteString(step.Uses + "\n" + step.Run + "\n")
			}
		}
	}
	for _, want := range []string{".ci/run", "make package", "az bicep build --file infra/main.bicep", "createUiDefinition.json", "cyclonedx-gomod", "sha256sum",
		"actions/attest-build-provenance@", "gh release create"} {
		if !strings.Contains(scripts.String(), want) {
			t.Errorf("no workflow has %q", want)
		}
	}
}

// strict reads a YAML file. Keys that the type does not name are the reader's of the file to know.
func strict(t *testing.T, name string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(content(t, name)))
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// azd finds the template, the package and the app by these names.
func TestAzd(t *testing.T) {
	var azd struct {
		Name     string
		Infra    struct{ Provider, Path, Module string }
		Services map[string]struct {
			Project, Language, Host, Dist string
			Hooks                         map[string]map[string]struct{ Shell, Run string }
		}
	}
	strict(t, "azure.yaml", &azd)
	content(t, filepath.Join(azd.Infra.Path, azd.Infra.Module+".bicep"))
	content(t, filepath.Join(azd.Infra.Path, azd.Infra.Module+".bicepparam"))
	for name, service := range azd.Services {
		if !strings.Contains(content(t, "infra/modules/functionapp.bicep"), "'azd-service-name': '"+name+"'") {
			t.Errorf("no app carries the tag of the service %s", name)
		}
		if service.Host != "function" || service.Dist != "dist" || service.Hooks["prepackage"]["posix"].Run != "make dist" {
			t.Errorf("service %s: got %+v", name, service)
		}
	}
	if len(azd.Services) != 1 {
		t.Errorf("got services %v, want one", azd.Services)
	}
}

// The button leads to the branch and the files that the release workflow pushes.
func TestButton(t *testing.T) {
	release, readme := content(t, ".github/workflows/release.yml"), content(t, "README.md")
	for _, name := range []string{"main.json", "createUiDefinition.json"} {
		if !strings.Contains(readme, "raw.githubusercontent.com%2FOWNER%2Ffhirferry%2Fdeploy%2F"+name) || !strings.Contains(release, "${raw}"+name) {
			t.Errorf("README.md or the release lacks the button's %s", name)
		}
	}
	if !strings.Contains(release, "git push --force origin deploy") || !strings.Contains(release, "git add main.json createUiDefinition.json") {
		t.Error("the release workflow pushes no branch for the button")
	}
}
