package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// commandNow is the clock of commands under test.
func commandNow() time.Time { return time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) }

// outcome is all that a command left behind.
type outcome struct {
	exit           int
	stdout, stderr string
}

// called runs a command with an environment and standard input.
func called(t *testing.T, env map[string]string, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	exit := command(t.Context(), args, terminal{
		getenv: func(name string) string { return env[name] }, stdin: strings.NewReader(stdin),
		stdout: &stdout, stderr: &stderr, now: commandNow(),
	})
	return outcome{exit, stdout.String(), stderr.String()}
}

// TestCommandsGolden runs the cases of testdata/commands. A case is one file: lines of environment and the command line,
// the files that it starts with, a line of =, and all that the command leaves behind, to the byte. With UPDATE_GOLDEN=1
// what is below the line is written anew.
func TestCommandsGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/commands/*.txt")
	if err != nil || len(cases) < 10 {
		t.Fatalf("got %d cases, %v; want those of testdata/commands", len(cases), err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range cases {
		file = filepath.Join(here, file) // a case moves to a folder of its own
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			given, want, ok := strings.Cut(string(text), "\n====\n")
			if !ok {
				t.Fatalf("%s: no line of ==== between what is given and what is wanted", file)
			}
			got := runCase(t, given)
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, []byte(given+"\n====\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

var sectionLine = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

// sections splits a text at its lines of the form "-- name --"; what stands before the first has an empty name.
func sections(text string) map[string]string {
	parts := map[string]string{}
	name := ""
	for {
		at := sectionLine.FindStringSubmatchIndex(text)
		if at == nil {
			parts[name] = text
			return parts
		}
		parts[name] = text[:at[0]]
		name, text = text[at[2]:at[3]], text[at[1]:]
	}
}

// runCase runs what a case gives, in a folder of its own.
func runCase(t *testing.T, given string) string {
	t.Chdir(t.TempDir())
	parts := sections(given + "\n")
	env, args := map[string]string{}, []string(nil)
	for line := range strings.Lines(parts[""]) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "$ handler "); ok {
			args = strings.Fields(rest)
		} else if key, value, ok := strings.Cut(line, "="); ok {
			env[key] = value
		}
	}
	delete(parts, "")
	stdin := parts["stdin"]
	delete(parts, "stdin")
	for name, content := range parts {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := called(t, env, stdin, args...)
	got := fmt.Sprintf("exit %d\n%s%s", o.exit, section("stdout", o.stdout), section("stderr", o.stderr))
	var made []string
	err := filepath.WalkDir(".", func(name string, entry os.DirEntry, err error) error {
		if _, before := parts[name]; err == nil && !entry.IsDir() && !before {
			made = append(made, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(made)
	for _, name := range made {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got += section(name, string(content))
	}
	for name, content := range parts {
		if after, err := os.ReadFile(name); err != nil || string(after) != content {
			t.Errorf("%s was changed, %v; a command writes over nothing", name, err)
		}
	}
	return got
}

// section writes content to the byte: where it ends without a newline, a mark says so.
func section(name, content string) string {
	switch {
	case content == "":
		return "-- " + name + " --\n"
	case !strings.HasSuffix(content, "\n"):
		content += "<no newline>\n"
	}
	return "-- " + name + " --\n" + content
}

func TestSections(t *testing.T) {
	want := map[string]string{"": "a\n", "b.json": "{}\n", "c/d": ""}
	if diff := cmp.Diff(want, sections("a\n-- b.json --\n{}\n-- c/d --\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every flag is explained, and every flag that is explained exists.
func TestUsageNamesEveryFlag(t *testing.T) {
	for name, usage := range map[string]string{"export-url": exportURLUsage, "import-payload": importPayloadUsage} {
		flags := regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(usage, -1)
		if len(flags) < 8 {
			t.Errorf("%s: got %d flags in the usage, want all of them", name, len(flags))
		}
		for _, f := range flags {
			// A flag that does not exist is refused before its value is judged.
			if o := called(t, nil, "", name, "-"+f[1]+"=?"); strings.Contains(o.stderr, "not defined") {
				t.Errorf("%s: the usage explains -%s, which does not exist", name, f[1])
			}
		}
		for _, flag := range definedFlags(t, name) {
			if !slices.ContainsFunc(flags, func(f []string) bool { return f[1] == flag }) {
				t.Errorf("%s: -%s is not in the usage", name, flag)
			}
		}
	}
}

// definedFlags finds the flags in the command's source: those that it takes.
func definedFlags(t *testing.T, name string) []string {
	t.Helper()
	file := map[string]string{"export-url": "command_export.go", "import-payload": "command_import.go"}[name]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, found := range regexp.MustCompile(`(?:s\.(?:String|Bool|setting|boolean)\(|s\.StringVar\(&[a-z.A-Z]+, |^\t+|, )"([a-z-]+)"(?:, |: "FERRY)`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, found[1])
	}
	if len(names) < 6 {
		t.Fatalf("%s: got flags %v, want more", file, names)
	}
	return names
}

// A writer that is full: what could not be written must not look done.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestCommandsSayWhenTheyCannotWrite(t *testing.T) {
	manifest, err := os.ReadFile("internal/fhir/testdata/imports/two-types.manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"export-url", "-source", "https://old.example"}, {"import-payload"},
	} {
		var stderr bytes.Buffer
		exit := command(t.Context(), args, terminal{
			getenv: func(string) string { return "" }, stdin: bytes.NewReader(manifest), stdout: fullDisk{}, stderr: &stderr, now: commandNow(),
		})
		if exit != exitFail || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%v: got exit %d, %s; want 1 and the reason", args, exit, stderr.String())
		}
	}
}
