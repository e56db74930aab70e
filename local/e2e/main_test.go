package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// distVariable passes the folder of the packaged app to the tests.
const distVariable = "E2E_DIST"

// together is how many migrations run at the same time: most of their time is waiting.
const together = "4"

// TestMain packages the app once and tests a copy, so that a later packaging disturbs no test and nothing beside the
// package can be of help to it.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", together); err != nil {
			fmt.Fprintln(os.Stderr, "run migrations side by side:", err)
			os.Exit(1)
		}
	}
	if os.Getenv(distVariable) != "" {
		os.Exit(m.Run())
	}
	folder, err := packaged()
	if err != nil {
		fmt.Fprintln(os.Stderr, "package the app:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(folder) // a leftover in the temporary folder harms nobody
	os.Exit(code)
}

// packaged runs make dist and names a copy of its result.
func packaged() (string, error) {
	root := filepath.Join("..", "..")
	if out, err := exec.Command("make", "-C", root, "dist").CombinedOutput(); err != nil {
		return "", fmt.Errorf("make dist: %w\n%s", err, out)
	}
	folder, err := os.MkdirTemp("", "fhirferry-e2e-*")
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(root, "dist"))); err != nil {
		return "", err
	}
	return folder, os.Setenv(distVariable, folder)
}
