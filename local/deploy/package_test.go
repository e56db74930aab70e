package deploy

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirferry/local/azurite"
	"fhirferry/local/funchost"
)

// packed runs make package into folders of its own: dist/ itself may be in other tests' hands.
func packed(t *testing.T) (folder, archive string) {
	t.Helper()
	folder, archive = filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "fhirferry.zip")
	out, err := exec.Command("make", "-C", root, "package", "DIST="+folder, "PACKAGE="+archive).CombinedOutput()
	if err != nil {
		t.Fatalf("make package: %v\n%s", err, out)
	}
	return folder, archive
}

// The zip holds exactly what the folder holds, the handler executable and nothing else; packed again it is the same.
func TestPackageHoldsTheFolder(t *testing.T) {
	folder, archive := packed(t)
	reader, err := zip.OpenReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }() // only read
	got := map[string]fs.FileMode{}
	for _, f := range reader.File {
		got[f.Name] = f.Mode()
		stored, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		bytesIn, err := io.ReadAll(stored)
		if err != nil {
			t.Fatal(err)
		}
		if original, err := os.ReadFile(filepath.Join(folder, f.Name)); err != nil || !bytes.Equal(original, bytesIn) {
			t.Errorf("%s differs from the file that was packed: %v", f.Name, err)
		}
	}
	want := map[string]fs.FileMode{"handler": 0o755, "host.json": 0o644}
	for _, function := range []string{"tick", "visit", "watch", "operate"} {
		want[function+"/function.json"] = 0o644
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	again := filepath.Join(t.TempDir(), "again.zip")
	command := exec.Command("go", "run", "./local/pack", folder, again)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("pack: %v\n%s", err, out)
	}
	first, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(again)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("packed twice, the zips differ: %v", err)
	}
}

// TestPackageRuns unpacks the zip into a folder that cannot be written to and asks the app for its access report.
func TestPackageRuns(t *testing.T) {
	if os.Getenv("REQUIRE_AZURITE") == "" {
		if _, err := os.Stat(filepath.Join(root, "local/node_modules/azurite")); err != nil {
			t.Skip("the storage emulator is not installed: make deps")
		}
	}
	_, archive := packed(t)
	app := unpacked(t, archive)
	storage, err := azurite.Start(t.Context(), azurite.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(storage.Stop)
	host, err := funchost.Start(t.Context(), funchost.Options{
		AppRoot: app, HostID: "package", EnableAuth: true, FunctionKeys: map[string]string{"watch": "look"},
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), "FUNCTIONS_WORKER_RUNTIME=custom",
			"AzureWebJobsStorage=" + storage.ConnectionString(), "FERRY_SCHEDULE=0 0 0 1 1 *", "FERRY_QUEUE=fhirferry-work",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop the host: %v", err)
		}
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host.URL()+"/api/migration/access", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("x-functions-key", "look")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // only read
	var report struct {
		OK     bool
		Checks []struct{ Name, Detail string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&report); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("access: status %d, %v", answer.StatusCode, err)
	}
	// No service was named, which is what the app has to say.
	if report.OK || len(report.Checks) == 0 {
		t.Errorf("got %+v, want the settings that are missing", report)
	}
}

// unpacked is the content of a zip with the modes it names, less every right to write.
func unpacked(t *testing.T, archive string) string {
	t.Helper()
	reader, err := zip.OpenReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }() // only read
	folder := filepath.Join(t.TempDir(), "app")
	for _, f := range reader.File {
		to := filepath.Join(folder, f.Name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		from, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		bytesIn, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, bytesIn, f.Mode()&0o555); err != nil {
			t.Fatal(err)
		}
	}
	chmod := func(mode fs.FileMode) {
		err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				return os.Chmod(name, mode)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	chmod(0o555)
	t.Cleanup(func() { chmod(0o755) })
	return folder
}
