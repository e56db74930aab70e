package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	readme     = "../README.md"
	tableBegin = "<!-- settings:begin -->\n"
	tableEnd   = "<!-- settings:end -->"
)

// TestREADMESettings keeps the README's table equal to the code. "make settings" rewrites it.
func TestREADMESettings(t *testing.T) {
	raw, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(raw), tableBegin)
	got, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("README.md: the settings table belongs between %q and %q", tableBegin, tableEnd)
	}
	want := "| Setting | Default | Meaning |\n|---|---|---|\n"
	for _, s := range settingsTable() {
		want += s.row() + "\n"
	}
	if os.Getenv("UPDATE_README") != "" {
		if err := os.WriteFile(readme, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README.md: run make settings (-want +got):\n%s", diff)
	}
}

// A default is what the reader falls back to: none may itself be a problem.
func TestDefaultsAreAccepted(t *testing.T) {
	explicit := map[string]string{}
	for _, s := range settingsTable() {
		if s.fallback != "" {
			explicit[s.name] = s.fallback
		}
	}
	if len(explicit) < 20 {
		t.Fatalf("got %d defaults, want those of the operator contract", len(explicit))
	}
	if c := read(explicit); len(c.problems) != 0 {
		t.Errorf("got problems %v, want none", c.problems)
	}
}
