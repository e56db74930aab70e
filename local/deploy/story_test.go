package deploy

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"fhirferry/local/fhirsim"
	"fhirferry/local/funchost"
	"fhirferry/local/rig"
	"fhirferry/local/seed"
)

// story is the packaged app in the hands of an operator, with services that misbehave.
type story struct {
	*testing.T
	*rig.Rig
	*recording
	app  string
	host *funchost.Host
}

// begin packs the app and loads a small source.
func begin(t *testing.T) *story {
	t.Helper()
	if os.Getenv("REQUIRE_AZURITE") == "" {
		if _, err := os.Stat(filepath.Join(root, "local/node_modules/azurite")); err != nil {
			t.Skip("the storage emulator is not installed: make deps")
		}
	}
	_, archive := packed(t)
	const scale = 0.003
	world, err := rig.Start(t.Context(), rig.Options{
		Seed:        91,
		Source:      fhirsim.Options{Generation: fhirsim.Gen1, Scale: scale},
		Destination: fhirsim.Options{Generation: fhirsim.Gen2, Scale: scale},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	since := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	for v := range (seed.Generator{Seed: 91, Resources: 120, Since: since, Until: since.AddDate(0, 6, 0)}).Versions() {
		if err := world.Source.Load(fhirsim.Version(v)); err != nil {
			t.Fatal(err)
		}
	}
	s := &story{T: t, Rig: world, recording: record(t), app: unpacked(t, archive)}
	t.Cleanup(func() { rig.StopHost(s.host) })
	return s
}

// open starts the host, and its handler, with further settings; one that runs is stopped first, as a change of settings
// does in Azure.
func (s *story) open(further map[string]string) {
	s.Helper()
	if s.host != nil {
		rig.StopHost(s.host)
	}
	settings := s.Settings()
	maps.Copy(settings, map[string]string{
		"FERRY_SCHEDULE": "*/1 * * * * *", "FERRY_RESOURCE_TYPES": "Condition,Observation,Patient", "FERRY_WINDOW": "90d", "FERRY_SETTLE": "1s",
		"FERRY_INTERVAL": "1s", "FERRY_POLL": "100ms", "FERRY_CONFIRMATIONS": "2", "FERRY_CONFIRM_INTERVAL": "100ms",
		"FERRY_REQUEST_TIMEOUT": "5s", "FERRY_MAX_FAILURES": "2", "WEBSITE_INSTANCE_ID": "one",
		"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=" + s.recording.URL,
	})
	maps.Copy(settings, further)
	host, err := funchost.Start(s.Context(), funchost.Options{
		AppRoot: s.app, HostID: "recorded", Environment: "Development", TimerLease: 15 * time.Second,
		EnableAuth: true, HostKey: hostKey, FunctionKeys: map[string]string{"watch": watchKey, "operate": operateKey},
		Env: append(rig.Env(settings), "PATH="+os.Getenv("PATH"), "TMPDIR="+s.TempDir()),
	})
	if err != nil {
		s.Fatal(err)
	}
	s.host = host
}

// shown is what the story needs of a status.
type shown struct {
	State, RunID, MigratedTill string
	Chunks, Resources          map[string]int
	Problems                   []struct{ Detail string }
}

// ask sends a call and returns what was answered; a status of 500 and above ends the test.
func (s *story) ask(method, path, body string) (int, []byte) {
	s.Helper()
	code, content := s.send(curl{method: method, url: s.host.URL() + "/api/migration" + path, body: body, key: hostKey})
	if code >= http.StatusInternalServerError {
		s.Fatalf("%s %s: %d %s", method, path, code, content)
	}
	return code, content
}

// verb posts what must be accepted.
func (s *story) verb(path, body string) []byte {
	s.Helper()
	code, content := s.ask(http.MethodPost, path, body)
	if code != http.StatusAccepted {
		s.Fatalf("POST %s %s: %d %s", path, body, code, content)
	}
	return content
}

func (s *story) look() shown {
	s.Helper()
	_, content := s.ask(http.MethodGet, "", "")
	var now shown
	if err := json.Unmarshal(content, &now); err != nil {
		s.Fatalf("status %s: %v", content, err)
	}
	return now
}

// see waits until the status shows what is wanted. The limit is an error bound.
func (s *story) see(what string, wanted func(shown) bool) shown {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Minute)
	defer cancel()
	now := s.look()
	for ; !wanted(now); now = s.look() {
		if !rig.Wait(ctx, 100*time.Millisecond) {
			s.Fatalf("the status never showed %s: %+v", what, now)
		}
	}
	return now
}

// check starts a check and waits for its end.
func (s *story) check(body string) (id string) {
	s.Helper()
	var started, now struct{ ID, State string }
	if err := json.Unmarshal(s.verb("/checks", body), &started); err != nil {
		s.Fatal(err)
	}
	s.see("the end of check "+started.ID, func(shown) bool {
		_, content := s.ask(http.MethodGet, "/checks/"+started.ID, "")
		if err := json.Unmarshal(content, &now); err != nil {
			s.Fatal(err)
		}
		return now.State == "done"
	})
	return started.ID
}

// quietNow are quiet hours that hold for the next hour and more, wherever midnight is.
func quietNow() string {
	now := time.Now().UTC()
	return now.Add(-time.Hour).Format("15:04") + "-" + now.Add(2*time.Hour).Format("15:04") + " UTC"
}

// trouble is a run that begins in quiet hours, is throttled, halts and is retried, has lines rejected, is paused, and is
// stopped.
func (s *story) trouble() {
	s.Helper()
	s.open(map[string]string{"FERRY_QUIET_HOURS": quietNow()})
	s.check(`{"kind":"access"}`)
	s.verb("/start", "")
	s.until(s.T, "QuietHoursBegan", func() bool { return len(s.of("customEvents", "QuietHoursBegan")) > 0 })

	s.Source.Faults().ThrottleKickoff(2, fhirsim.FormHeaders)
	must(s.T, s.Source.Faults().Arm("ServerBusy", fhirsim.Arm{Times: 2, Status: http.StatusServiceUnavailable, Route: "GET /$export"}))
	must(s.T, s.Destination.Faults().Arm("ServerBusy", fhirsim.Arm{Times: -1, Status: http.StatusInternalServerError, Route: "POST /$import"}))
	s.Destination.Faults().RejectLines(func(kind, _ string, line int) string {
		if kind == "Observation" && line%9 == 0 {
			return "Value does not match the pattern of an instant"
		}
		return ""
	})
	s.Destination.Faults().DuplicateErrors(1)
	s.open(nil)
	s.see("halted", func(now shown) bool { return now.State == "halted" })
	s.until(s.T, "that chunks have failed", s.halted)

	s.Destination.Faults().Clear("ServerBusy")
	s.verb("/retry", "")
	s.see("rejected lines", func(now shown) bool {
		return now.State == "running" && now.Resources["rejected"] > 0 && now.Resources["benign"] > 0
	})
	s.verb("/pause", "")
	s.verb("/resume", "")
	s.check(`{"kind":"surface"}`)
	s.loseDocument()
	s.verb("/stop", "")
}

// loseDocument removes the manifest of a chunk that is imported, and asks for the chunk: an error of the handler.
func (s *story) loseDocument() {
	s.Helper()
	_, content := s.ask(http.MethodGet, "/chunks?state=imported&limit=1", "")
	var page struct{ Chunks []struct{ ID string } }
	if err := json.Unmarshal(content, &page); err != nil || len(page.Chunks) != 1 {
		s.Fatalf("imported chunks %s, %v", content, err)
	}
	_, content = s.ask(http.MethodGet, "/chunks/"+page.Chunks[0].ID, "")
	var one struct{ Manifest struct{ Document string } }
	must(s.T, json.Unmarshal(content, &one))
	documents, err := container.NewClientFromConnectionString(s.Azurite.ConnectionString(), "fhirferry-documents", nil)
	must(s.T, err)
	_, err = documents.NewBlobClient(s.look().RunID+"/"+one.Manifest.Document).Delete(s.Context(), nil)
	must(s.T, err)
	lost := curl{method: http.MethodGet, url: s.host.URL() + "/api/migration/chunks/" + page.Chunks[0].ID, key: hostKey}
	if code, content := s.send(lost); code != http.StatusInternalServerError {
		s.Errorf("a chunk whose manifest is gone: %d %s", code, content)
	}
}

// ending is a second run over all of it, which does no harm, and that is cut over.
func (s *story) ending() {
	s.Helper()
	if stopped := s.see("stopped", func(now shown) bool { return now.State == "stopped" }); stopped.MigratedTill == "" {
		s.Fatalf("stopped without migratedTill: %+v", stopped)
	}
	s.verb("/start", "")
	s.verb("/cutover", "")
	over := s.see("completed", func(now shown) bool { return now.State == "completed" }).Resources
	if over["exported"] == 0 || over["exported"] != over["imported"]+over["rejected"]+over["benign"]+over["skipped"] {
		s.Errorf("the books of docs/cutover.md do not balance: %v", over)
	}
}

// halted is the condition of the alert of that name.
func (s *story) halted() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(s.latest("ChunksFailed"))), func(failed float64) bool { return failed > 0 })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
