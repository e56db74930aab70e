package fhirsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a manual clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// sim is a server on loopback with its clock and blobs.
type sim struct {
	*Server
	t     *testing.T
	clock *clock
	blobs *MemoryBlobs
	url   string
}

var start = time.Date(2024, 6, 1, 10, 0, 0, 0, time.UTC)

func newSim(t *testing.T, g Generation, change ...func(*Options)) *sim {
	t.Helper()
	c := &clock{now: start}
	blobs := NewMemoryBlobs("https://acct.blob.example")
	opt := Options{Generation: g, Blobs: blobs, Now: c.Now, Seed: 7}
	for _, f := range change {
		f(&opt)
	}
	s := New(opt)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.SetBaseURL(server.URL)
	return &sim{s, t, c, blobs, server.URL}
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (s *sim) do(method, path, body string, headers ...string) reply {
	s.t.Helper()
	r, err := s.try(method, path, body, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *sim) try(method, path, body string, headers ...string) (reply, error) {
	if strings.HasPrefix(path, "/") {
		path = s.url + path
	}
	request, err := http.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(data)}, err
}

func (s *sim) get(path string) reply { s.t.Helper(); return s.do("GET", path, "") }

// export kicks off and returns the status URL.
func (s *sim) export(path string) string {
	s.t.Helper()
	r := s.do("GET", path, "", "Accept", fhirJSON, "Prefer", "respond-async")
	if r.status != 202 || r.body != "" {
		s.t.Fatalf("kick-off %s: got %d %s, want an empty 202", path, r.status, r.body)
	}
	return r.header.Get("Content-Location")
}

// settle lets every job end and its quiet period pass.
func (s *sim) settle() {
	s.clock.add(time.Hour)
	s.Step()
	s.clock.add(time.Minute)
}

// exported runs an export to its manifest and returns the lines, sorted.
func (s *sim) exported(path string) (manifest, []string) {
	s.t.Helper()
	status := s.export(path)
	s.settle()
	return s.collect(status)
}

func (s *sim) collect(status string) (manifest, []string) {
	s.t.Helper()
	r := s.get(status)
	if r.status != 200 {
		s.t.Fatalf("poll: got %d %s, want 200", r.status, r.body)
	}
	var m manifest
	mustDecode(s.t, r.body, &m)
	var lines []string
	for _, f := range m.Output {
		got := strings.Split(strings.TrimSuffix(s.file(f.URL), "\n"), "\n")
		if f.Count > 0 && len(got) != f.Count {
			s.t.Errorf("%s: got %d lines, want count %d", f.URL, len(got), f.Count)
		}
		lines = append(lines, got...)
	}
	sort.Strings(lines)
	return m, lines
}

func (s *sim) file(address string) string {
	s.t.Helper()
	container, name, ok := splitBlobURL(s.blobs, address)
	data, _, err := s.blobs.Get(context.Background(), container, name, 0)
	if !ok || err != nil {
		s.t.Fatalf("read %s: %v", address, err)
	}
	return string(data)
}

func (s *sim) putFile(name string, lines ...string) string {
	s.t.Helper()
	ctx := context.Background()
	if err := s.blobs.CreateContainer(ctx, "in"); err != nil {
		s.t.Fatal(err)
	}
	text := ""
	if len(lines) > 0 {
		text = strings.Join(lines, "\n") + "\n"
	}
	if err := s.blobs.Put(ctx, "in", name, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
	return s.blobs.Endpoint() + "/in/" + name
}

func mustDecode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(into); err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
}

// importBodyOf makes a $import body; extra are raw parameters.
func importBodyOf(source string, inputs []string, extra ...string) string {
	items := []string{
		`{"name":"inputFormat","valueString":"application/fhir+ndjson"}`,
		`{"name":"mode","valueString":"IncrementalLoad"}`,
		fmt.Sprintf(`{"name":"inputSource","valueUri":%q}`, source),
	}
	items = append(items, extra...)
	for _, u := range inputs {
		items = append(items, fmt.Sprintf(`{"name":"input","part":[{"name":"url","valueUri":%q}]}`, u))
	}
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(items, ",") + `]}`
}

func (s *sim) postImport(body string) reply {
	s.t.Helper()
	return s.do("POST", "/$import", body, "Prefer", "respond-async", "Content-Type", fhirJSON)
}

func (s *sim) startedImport(body string) string {
	s.t.Helper()
	r := s.postImport(body)
	if r.status != 202 || r.body != "" {
		s.t.Fatalf("$import: got %d %s, want an empty 202", r.status, r.body)
	}
	return r.header.Get("Content-Location")
}

const negative = `{"name":"allowNegativeVersions","valueBoolean":true}`

// imported runs an import of lines in one file to its end.
func (s *sim) imported(source string, lines []string, extra ...string) importBody {
	s.t.Helper()
	url := s.putFile(source+".ndjson", lines...)
	status := s.startedImport(importBodyOf(source, []string{url}, extra...))
	s.settle()
	r := s.get(status)
	if r.status != 200 {
		s.t.Fatalf("import %s: got %d %s, want 200", source, r.status, r.body)
	}
	var b importBody
	mustDecode(s.t, r.body, &b)
	return b
}

func at(text string) time.Time {
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return parsed
}

func (s *sim) load(versions ...Version) {
	s.t.Helper()
	if err := s.Load(versions...); err != nil {
		s.t.Fatal(err)
	}
}

func patient(id, version, updated string) Version {
	return Version{Type: "Patient", ID: id, VersionID: version, LastUpdated: at(updated),
		Body: []byte(`{"resourceType":"Patient","id":"` + id + `","active":true}`)}
}

// names lists the versions a set of lines holds as id/version.
func names(t *testing.T, lines []string) string {
	t.Helper()
	var list []string
	for _, line := range lines {
		if line == "" {
			continue
		}
		p, err := parseResource([]byte(line))
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		mark := ""
		if p.deleted {
			mark = "!"
		}
		list = append(list, p.id+"/"+p.versionID+mark)
	}
	sort.Strings(list)
	return strings.Join(list, " ")
}

// stored lists the versions of a server as id/version@minute.
func (s *sim) stored() string {
	var list []string
	for v := range s.Versions {
		mark := ""
		if v.Deleted {
			mark = "!"
		}
		list = append(list, fmt.Sprintf("%s/%s%s@%s", v.ID, v.VersionID, mark, v.LastUpdated.Format("15:04")))
	}
	return strings.Join(list, " ")
}
