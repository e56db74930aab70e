package e2e

import (
	"encoding/json"
	"fhirferry/local/rig"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestPackage wants exactly the app root that the operator contract, section 1, describes.
func TestPackage(t *testing.T) {
	t.Parallel()
	root := os.Getenv(distVariable)
	var found []string
	for name := range files(t, root) {
		found = append(found, name)
	}
	slices.Sort(found)
	want := []string{"handler", "host.json", "operate/function.json", "tick/function.json", "visit/function.json", "watch/function.json"}
	if !slices.Equal(found, want) {
		t.Errorf("the package holds %q, want %q", found, want)
	}
	for _, name := range want[2:] {
		raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		var function struct {
			Bindings []struct{ Type, AuthLevel string }
		}
		if err := json.Unmarshal(raw, &function); err != nil || len(function.Bindings) == 0 {
			t.Errorf("%s: %v, bindings %v", name, err, function.Bindings)
			continue
		}
		if b := function.Bindings[0]; b.Type == "httpTrigger" && b.AuthLevel != "function" {
			t.Errorf("%s: the auth level is %q, want function", name, b.AuthLevel)
		}
	}
	info, err := os.Stat(filepath.Join(root, "handler"))
	if err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("the handler is no executable: %v, %v", info, err)
	}
}

// TestPackageReplaced puts another copy of the package in the place of the first in mid-run. Its folder is read-only
// and stays as it was, for the root user too, whom modes do not bind.
func TestPackageReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 61})
	w.start(1)
	w.verb("start", nil)
	w.until("an export", func(s status) bool { return s.Chunks["exporting"] > 0 })
	rig.StopHost(w.hosts[0])
	folder := filepath.Join(t.TempDir(), "next")
	if err := os.CopyFS(folder, os.DirFS(os.Getenv(distVariable))); err != nil {
		t.Fatal(err)
	}
	protect(t, folder, 0o555)
	t.Cleanup(func() { protect(t, folder, 0o755) })
	before := files(t, folder)
	w.startOver(folder)
	w.untilMigrated(lastInstant())
	w.finish()
	after := files(t, folder)
	for name, info := range after {
		if was, there := before[name]; !there || was.Size() != info.Size() || !was.ModTime().Equal(info.ModTime()) {
			t.Errorf("%s in the package was written to", name)
		}
	}
	if len(before) != len(after) {
		t.Errorf("the package had %d files and has %d", len(before), len(after))
	}
}

// files are the files below a folder by their slash-separated names.
func files(t *testing.T, root string) map[string]fs.FileInfo {
	t.Helper()
	all := map[string]fs.FileInfo{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		all[name] = info
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// protect sets the mode of everything below a folder to the bits that the mask leaves.
func protect(t *testing.T, root string, mask fs.FileMode) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || filepath.Base(path) == "handler" {
			return os.Chmod(path, mask)
		}
		return os.Chmod(path, mask&0o666)
	})
	if err != nil {
		t.Fatal(err)
	}
}
