package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The house rules of design 3.3 and 4, kept by tests: this file who imports whom, docs, names and sizes; the file
// beside it what sources may say.

const root = ".."

// room says what a package may import; an entry covers the packages below it. Std stands for the standard library.
type room struct {
	imports []string
	tests   []string // what its tests may import besides
}

const (
	std       = "std"
	ours      = "fhirferry/handler/internal/"
	sdk       = "github.com/Azure/azure-sdk-for-go/sdk/"
	chi       = "github.com/go-chi/chi/v5"
	goCmp     = "github.com/google/go-cmp/cmp"
	storetest = ours + "store/storetest"
	fhirsim   = "fhirferry/local/fhirsim"
	azurite   = "fhirferry/local/azurite"
)

// rooms are all packages that may exist. Migration is pure: it names each package that it may use, and none of them can
// block or read a clock other than through time.Now, which is forbidden below.
func rooms() map[string]room {
	anyTest := []string{std, goCmp, storetest, fhirsim, azurite}
	storage := []string{sdk + "data/aztables", sdk + "storage/azqueue", sdk + "storage/azblob"}
	return map[string]room{
		ours + "migration": {
			[]string{"time", "errors", "fmt", "slices", "strings", "crypto/sha256", "encoding/hex", "cmp", "maps", "math", "sort", "strconv"},
			[]string{std, goCmp},
		},
		ours + "fhir":   {[]string{std, sdk + "azcore"}, anyTest},
		ours + "store":  {append(storage, std, ours+"migration", sdk+"azcore"), append(anyTest, ours+"engine")},
		storetest:       {[]string{std, goCmp, ours + "migration", ours + "store"}, append(anyTest, ours+"engine")},
		ours + "engine": {[]string{std, ours + "migration", ours + "fhir"}, append(anyTest, ours+"store")},
		// Server's tests hold openapi.json to the schema of OpenAPI 3.1, and every answer to openapi.json.
		ours + "server": {[]string{std, ours + "engine", ours + "migration", chi},
			append(anyTest, "github.com/pb33f/libopenapi/datamodel", "github.com/santhosh-tekuri/jsonschema/v6")},
		ours + "telemetry": {[]string{std, "github.com/microsoft/ApplicationInsights-Go/appinsights"}, anyTest},
		// Main builds every client, so that no package below it needs to know how.
		"fhirferry/handler": {append(storage, std, ours, sdk+"azcore", sdk+"azidentity"), anyTest},
	}
}

// localRoom is every package below local/. The compiler keeps handler/internal out of it.
func localRoom() room {
	return room{
		[]string{std, "fhirferry/local", sdk + "storage/azqueue", sdk + "storage/azblob", sdk + "azcore"},
		// The grammar of Bicep and a YAML reader, for the tests of infra/ and of the workflows.
		[]string{goCmp, sdk + "data/aztables", "github.com/tree-sitter/go-tree-sitter", "github.com/tree-sitter-grammars/tree-sitter-bicep", "go.yaml.in/yaml/v3"},
	}
}

func (r room) admits(imported string, alsoTests []string) bool {
	for _, allowed := range slices.Concat(r.imports, alsoTests) {
		first, _, _ := strings.Cut(imported, "/")
		if allowed == std && !strings.Contains(first, ".") && first != "fhirferry" {
			return true
		}
		if imported == allowed || strings.HasPrefix(imported, strings.TrimSuffix(allowed, "/")+"/") {
			return true
		}
	}
	return false
}

type listed struct {
	ImportPath, Dir, Name, Doc         string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports []string
}

// packages are all packages of the module, as the go command sees them.
func packages(t *testing.T) []listed {
	t.Helper()
	list := exec.Command("go", "list", "-e", "-json", "./...")
	list.Dir = root
	var complaint bytes.Buffer
	list.Stderr = &complaint
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, complaint.String())
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if !slices.ContainsFunc(all, func(p listed) bool { return p.ImportPath == ours+"migration" && len(p.Imports) > 0 }) {
		t.Fatalf("go list names %d packages without %smigration; the rules below would check nothing", len(all), ours)
	}
	return all
}

func TestWhoImportsWhom(t *testing.T) {
	for _, p := range packages(t) {
		r, known := rooms()[p.ImportPath]
		if strings.HasPrefix(p.ImportPath+"/", "fhirferry/local/") {
			r, known = localRoom(), true
		}
		if !known {
			t.Errorf("%s: not a room of the house (design 3.2); add it to rooms with a reason", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !r.admits(imported, nil) {
				t.Errorf("%s may not import %s", p.ImportPath, imported)
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if imported != p.ImportPath && !r.admits(imported, r.tests) {
				t.Errorf("tests of %s may not import %s", p.ImportPath, imported)
			}
		}
	}
}

func TestPackageDocs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests alone
		}
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command " + path.Base(p.ImportPath) + " "
		}
		if !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: got package comment %q, want one that begins with %q", p.ImportPath, p.Doc, want)
		}
	}
}

// lineCeiling keeps files small enough to be read in one go (design H24).
const lineCeiling = 400

// A name that says nothing of what is inside collects what belongs elsewhere (design 4).
var emptyName = regexp.MustCompile(`(?i)^(utils?|\w+utils?|common|helpers?|models?|types|misc)$`)

func TestNamesAndSizes(t *testing.T) {
	for _, file := range sources(t, "handler", "local") {
		folder, name := filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), ".go")
		if emptyName.MatchString(strings.TrimSuffix(name, "_test")) || emptyName.MatchString(folder) {
			t.Errorf("%s: the name says nothing; put its parts beside their callers", file)
		}
		if strings.HasSuffix(name, "_test") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(text, []byte("\n")); lines > lineCeiling {
			t.Errorf("%s: got %d lines, want at most %d", file, lines, lineCeiling)
		}
	}
}

// sources are the Go files below some folders of the root, by their paths from the root.
func sources(t *testing.T, folders ...string) []string {
	t.Helper()
	var files []string
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "node_modules":
				return filepath.SkipDir
			case !entry.IsDir() && strings.HasSuffix(file, ".go"):
				relative, err := filepath.Rel(root, file)
				files = append(files, filepath.ToSlash(relative))
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 20 {
		t.Fatalf("got %d Go files below %v, want those of the project", len(files), folders)
	}
	return files
}

// The rules themselves are tried on what they must refuse and must let through.
func TestTheRulesBite(t *testing.T) {
	house := rooms()
	for _, tt := range []struct {
		room, imported string
		want           bool
	}{
		{"migration", "time", true}, {"migration", "os", false}, {"migration", "net/http", false}, {"migration", "log/slog", false},
		{"fhir", "net/http", true}, {"fhir", ours + "migration", false}, {"fhir", sdk + "azcore/policy", true}, {"fhir", sdk + "storage/azblob", false},
		{"store", ours + "migration", true}, {"store", ours + "engine", false}, {"engine", ours + "store", false}, {"engine", sdk + "azcore", false},
		{"server", chi, true}, {"server", ours + "store", false}, {"server", chi + "other", false},
	} {
		if got := house[ours+tt.room].admits(tt.imported, nil); got != tt.want {
			t.Errorf("%s imports %s: got %v, want %v", tt.room, tt.imported, got, tt.want)
		}
	}
	if localRoom().admits(ours+"migration", nil) || !localRoom().admits(fhirsim, nil) {
		t.Error("local: want its own packages and none of the handler's")
	}
	for name, want := range map[string]bool{"util": true, "timeutil": true, "Helpers": true, "types": true, "resourcetypes": false, "model_walk": false} {
		if got := emptyName.MatchString(name); got != want {
			t.Errorf("name %s: got %v, want %v", name, got, want)
		}
	}
}
