package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	storage "fhirferry/local/azurite"
	sim "fhirferry/local/fhirsim"
)

// pair is a simulated source and destination over one storage emulator, with a clock that the test moves.
type pair struct {
	t                   *testing.T
	now                 time.Time
	source, destination *sim.Server
	blobs               *sim.AzureBlobs
	env                 map[string]string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	running, err := storage.Start(t.Context(), storage.Options{InMemory: true})
	if errors.Is(err, storage.ErrNotInstalled) && os.Getenv("REQUIRE_AZURITE") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { running.Stop() })
	staging, err := sim.NewAzureBlobs(running.ConnectionString())
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{t: t, now: commandNow(), blobs: staging}
	serve := func(g sim.Generation) (*sim.Server, string) {
		s := sim.New(sim.Options{Generation: g, Blobs: staging, Now: func() time.Time { return p.now }})
		web := httptest.NewServer(s)
		t.Cleanup(web.Close)
		return s, web.URL
	}
	var from, to string
	p.source, from = serve(sim.Gen1)
	p.destination, to = serve(sim.Gen2)
	p.env = map[string]string{
		"FERRY_SOURCE_URL": from, "FERRY_DESTINATION_URL": to, "FERRY_AUTH": "none",
		"FERRY_STAGING_URL": running.BlobEndpoint(), "FERRY_STAGING_CONNECTION": running.ConnectionString(),
	}
	return p
}

// send sends a request as a person would and returns status and Content-Location.
func (p *pair) send(method, url string, body []byte, headers ...string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header.Get("Content-Location")
}

// ended polls a job, a minute at a time, until it answers 200.
func (p *pair) ended(statusURL string) {
	p.t.Helper()
	for range 60 {
		p.now = p.now.Add(time.Minute)
		if status, _ := p.send(http.MethodGet, statusURL, nil, "Accept: application/fhir+json"); status == http.StatusOK {
			return
		}
	}
	p.t.Fatalf("%s: no end within an hour", statusURL)
}

func versions(s *sim.Server) map[string]string {
	all := map[string]string{}
	for v := range s.Versions {
		all[v.Type+"/"+v.ID+"/"+v.VersionID] = string(v.Body)
	}
	return all
}

// TestLiftAndShiftByHand moves everything with the two commands and the requests that they print: in windows, in several
// payloads, with etags and without cutting files.
func TestLiftAndShiftByHand(t *testing.T) {
	p := newPair(t)
	p.now = p.now.Add(-72 * time.Hour)
	begin := p.now
	for i := range 60 {
		p.source.Put("Patient", fmt.Sprintf("p%d", i%20), fmt.Appendf(nil, `{"resourceType":"Patient","id":"p%d","n":%d}`, i%20, i))
		p.source.Put("Observation", fmt.Sprintf("o%d", i), fmt.Appendf(nil, `{"resourceType":"Observation","id":"o%d","note":"%s"}`, i, strings.Repeat("ü", i)))
		p.now = p.now.Add(time.Hour)
	}
	p.source.Put("SearchParameter", "s", []byte(`{"resourceType":"SearchParameter","id":"s"}`))
	p.source.Delete("Patient", "p7")
	p.now = commandNow()

	order := called(t, p.env, "", "export-url", "-format", "http", "-max-count", "7", "-window", "1d",
		"-since", begin.Format(time.RFC3339), "-till", commandNow().Format(time.RFC3339))
	if order.exit != exitDone {
		t.Fatal(order.stderr)
	}
	requests := strings.Split(order.stdout, "\n###\n\n")
	if len(requests) != 3 {
		t.Fatalf("got %d requests, want a window for each of three days", len(requests))
	}
	imports := 0
	for n, text := range requests {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		method, url, _ := strings.Cut(lines[0], " ")
		status, job := p.send(method, url, nil, lines[1:]...)
		if status != http.StatusAccepted {
			t.Fatalf("%s: got %d, want it accepted", url, status)
		}
		if early := called(t, p.env, "", "import-payload", job); early.exit != exitFail || !strings.Contains(early.stderr, "still running") {
			t.Fatalf("an export under way: got exit %d, %s", early.exit, early.stderr)
		}
		p.ended(job)
		out := filepath.Join(t.TempDir(), fmt.Sprint(n))
		args := []string{"import-payload", "-out", out, "-files-per-payload", "3", "-etags", "quoted", "-slice-bytes", "largest"}
		made := called(t, p.env, "", append(args, job)...)
		if made.exit != exitDone {
			t.Fatal(made.stderr)
		}
		p.sameFromFile(out, args, made)
		payloads, err := filepath.Glob(filepath.Join(out, "payload-*.json"))
		if err != nil || len(payloads) < 2 {
			t.Fatalf("got payloads %v, %v; want several", payloads, err)
		}
		for _, file := range payloads {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(body, []byte(`"etag"`)) || bytes.Contains(body, []byte("SearchParameter")) {
				t.Errorf("%s: want etags, and no SearchParameter", file)
			}
			status, job := p.send(http.MethodPost, p.env["FERRY_DESTINATION_URL"]+"/$import", body, printedHeaders(t, made.stderr, file)...)
			if status != http.StatusAccepted {
				t.Fatalf("%s: got %d, want it accepted", file, status)
			}
			p.ended(job)
			imports++
		}
	}
	want := versions(p.source)
	delete(want, "SearchParameter/s/1")
	if diff := cmp.Diff(want, versions(p.destination)); diff != "" || imports < 6 || len(want) != 121 {
		t.Errorf("after %d imports of %d versions (-source +destination):\n%s", imports, len(want), diff)
	}
}

// sameFromFile: the kept manifest makes the same bytes again, and a folder that holds payloads is refused.
func (p *pair) sameFromFile(out string, args []string, first outcome) {
	p.t.Helper()
	manifest := filepath.Join(out, "manifest.json")
	if again := called(p.t, p.env, "", append(args, manifest)...); again.exit != exitFail || !strings.Contains(again.stderr, "is there already") {
		p.t.Errorf("the same folder again: got exit %d, %s", again.exit, again.stderr)
	}
	other := filepath.Join(p.t.TempDir(), "again")
	args = append([]string{args[0], "-out", other}, args[3:]...)
	if again := called(p.t, p.env, "", append(args, manifest)...); again.exit != exitDone {
		p.t.Fatal(again.stderr)
	}
	one, err := os.ReadFile(filepath.Join(out, "payload-001.json"))
	two, err2 := os.ReadFile(filepath.Join(other, "payload-001.json"))
	if err != nil || err2 != nil || !bytes.Equal(one, two) {
		p.t.Errorf("payload-001.json: from the kept manifest got %s, %v, %v; want %s", two, err, err2, one)
	}
	if !strings.Contains(first.stderr, "digest") {
		p.t.Errorf("got %s, want the digest of the manifest named", first.stderr)
	}
}

// printedHeaders are those of the curl line for a file.
func printedHeaders(t *testing.T, stderr, file string) []string {
	t.Helper()
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "curl ") || !strings.Contains(line, file) {
			continue
		}
		var headers []string
		for _, part := range strings.Split(line, "-H '")[1:] {
			header, _, _ := strings.Cut(part, "'")
			headers = append(headers, header)
		}
		return headers
	}
	t.Fatalf("no curl line for %s in:\n%s", file, stderr)
	return nil
}

// A file of the manifest that is gone, empty or elsewhere is found before anything is made.
func TestImportPayloadLooksAtFiles(t *testing.T) {
	p := newPair(t)
	ctx := context.Background()
	for name, content := range map[string]string{"run/Patient-1.ndjson": "{}\n", "run/Patient-2.ndjson": ""} {
		if err := errors.Join(p.blobs.CreateContainer(ctx, "files"), p.blobs.Put(ctx, "files", name, []byte(content))); err != nil {
			t.Fatal(err)
		}
	}
	root := p.env["FERRY_STAGING_URL"] + "/files/run/"
	manifest := func(url string, count int) string {
		return fmt.Sprintf(`{"transactionTime":"2026-01-31T20:05:00Z","output":[{"type":"Patient","url":%q,"count":%d}],"error":[]}`, url, count)
	}
	for name, c := range map[string]struct {
		manifest, etags, want string
		exit                  int
	}{
		"quoted":         {manifest(root+"Patient-1.ndjson", 1), "quoted", `"etag","valueUri":"\"0x`, exitDone},
		"plain":          {manifest(root+"Patient-1.ndjson", 1), "plain", `"etag","valueUri":"0x`, exitDone},
		"empty and zero": {manifest(root+"Patient-2.ndjson", 0), "plain", `"etag"`, exitDone},
		"empty":          {manifest(root+"Patient-2.ndjson", 5), "plain", "Patient-2.ndjson is missing or empty, and the manifest promises 5 lines", exitFail},
		"missing":        {manifest(root+"Patient-3.ndjson", 1), "plain", "Patient-3.ndjson is missing", exitFail},
		"elsewhere":      {manifest("https://else.blob.core.windows.net/c/f", 1), "plain", "is not in the account", exitFail},
	} {
		o := called(t, p.env, c.manifest, "import-payload", "-etags", c.etags)
		if o.exit != c.exit || !strings.Contains(o.stdout+o.stderr, c.want) || c.exit == exitFail && o.stdout != "" {
			t.Errorf("%s: got exit %d, %s%s; want %d and %s", name, o.exit, o.stdout, o.stderr, c.exit, c.want)
		}
	}
}
