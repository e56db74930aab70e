package deploy

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

type role struct{ Name, ID string }

func roles(t *testing.T) map[string]role {
	t.Helper()
	all := map[string]role{}
	if err := json.Unmarshal([]byte(content(t, "infra/roles.json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("got %d roles", len(all))
	}
	return all
}

var guid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// The roles that are assigned are those of the table in docs/security.md, by name and by id; each is assigned, and no
// template names one by an id of its own.
func TestRolesAreTheDocumentedOnes(t *testing.T) {
	documented := map[string]string{} // id to name
	for _, row := range regexp.MustCompile("(?m)^\\|[^|]*\\| ([A-Z][A-Za-z ]+) \\| `([0-9a-f-]{36})` \\|").FindAllStringSubmatch(content(t, "docs/security.md"), -1) {
		documented[row[2]] = row[1]
	}
	var templates strings.Builder
	for name, f := range bicepFiles(t) {
		if id := guid.FindString(f.text); id != "" {
			t.Errorf("%s names %s; roles belong in infra/roles.json", name, id)
		}
		templates.WriteString(f.text)
	}
	for key, r := range roles(t) {
		if documented[r.ID] != r.Name {
			t.Errorf("%s (%s): docs/security.md calls it %q", r.Name, r.ID, documented[r.ID])
		}
		delete(documented, r.ID)
		if !strings.Contains(templates.String(), "roles."+key+".id") {
			t.Errorf("%s is in infra/roles.json and assigned nowhere", r.Name)
		}
	}
	for id, name := range documented {
		t.Errorf("docs/security.md names %s (%s), which infra/roles.json lacks", name, id)
	}
	for _, used := range regexp.MustCompile(`\broles\.(\w+)\.id`).FindAllStringSubmatch(templates.String(), -1) {
		if _, found := roles(t)[used[1]]; !found {
			t.Errorf("a template uses roles.%s, which infra/roles.json lacks", used[1])
		}
	}
}

// A role is assigned on one resource, never on a group or a subscription, and to service principals alone. Writing on the
// destination is for search parameters only.
func TestRolesAreAtTheScopeOfOneResource(t *testing.T) {
	files := bicepFiles(t)
	count := 0
	for name, f := range files {
		for _, part := range strings.Split(f.text, "'Microsoft.Authorization/roleAssignments@")[1:] {
			count++
			body, _, _ := strings.Cut(part, "\n}")
			if !strings.Contains(body, "\n  scope: ") || strings.Contains(body, "scope: resourceGroup") || strings.Contains(body, "scope: subscription") {
				t.Errorf("%s: a role is assigned without the scope of one resource:%s", name, body)
			}
			if !strings.Contains(body, "principalType: 'ServicePrincipal'") {
				t.Errorf("%s: a role is assigned to anything:%s", name, body)
			}
		}
	}
	if count < 5 {
		t.Errorf("got %d role assignments, want those of docs/security.md", count)
	}
	main := files["infra/main.bicep"]
	for _, m := range main.modules {
		given := m.arguments["roleIds"]
		switch m.name {
		case "sourceRoles":
			if strings.Contains(given, "Writer") || strings.Contains(given, "Importer") || !strings.Contains(given, "fhirExporter") {
				t.Errorf("on the source: got %s, want to export and to read alone", given)
			}
		case "destinationRoles":
			if before, after, found := strings.Cut(given, "searchParameters ?"); !found || strings.Contains(before, "fhirWriter") || !strings.Contains(after, "fhirWriter") {
				t.Errorf("on the destination: got %s, want the writer only where search parameters are moved", given)
			}
		}
	}
}
