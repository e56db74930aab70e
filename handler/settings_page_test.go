package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var settingsGroup = regexp.MustCompile(`(?s)<!-- settings: ([^>]*) -->\n(.*?)<!-- end -->`)

// TestSettingsPage keeps the tables of docs/settings.md equal to the code, and every setting in exactly one of its
// groups. "make settings" rewrites the tables.
func TestSettingsPage(t *testing.T) {
	const page = "../docs/settings.md"
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	var left []string
	for _, s := range settingsTable() {
		rows[s.name] = s.row()
		left = append(left, s.name)
	}
	wanted := settingsGroup.ReplaceAllStringFunc(string(content), func(group string) string {
		names := strings.Fields(settingsGroup.FindStringSubmatch(group)[1])
		table := "| Setting | Default | Meaning |\n|---|---|---|\n"
		for _, name := range names {
			if rows[name] == "" {
				t.Errorf("settings.md: there is no setting %s, or it is in two groups", name)
				continue
			}
			table += rows[name] + "\n"
			delete(rows, name)
			left = slices.DeleteFunc(left, func(other string) bool { return other == name })
		}
		return fmt.Sprintf("<!-- settings: %s -->\n%s<!-- end -->", strings.Join(names, " "), table)
	})
	if len(left) > 0 {
		t.Errorf("settings.md: in no group: %s", strings.Join(left, ", "))
	}
	if os.Getenv("UPDATE_README") != "" {
		if err := os.WriteFile(page, []byte(wanted), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(wanted, string(content)); diff != "" {
		t.Errorf("settings.md: run make settings (-want +got):\n%s", diff)
	}
}
