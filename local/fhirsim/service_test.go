package fhirsim

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// S39: /metadata of the two generations, open to all.
func TestMetadata(t *testing.T) {
	for _, g := range []Generation{Gen1, Gen2} {
		s := newSim(t, g, func(o *Options) { o.RequireToken = "secret" })
		r := s.get("/metadata")
		var m struct {
			FHIRVersion string
			Rest        []struct {
				Resource []struct {
					Type, Versioning string
					UpdateCreate     bool
				}
				Interaction []struct{ Code string }
				Operation   []struct{ Name string }
			}
		}
		mustDecode(t, r.body, &m)
		rest := m.Rest[0]
		if r.status != 200 || m.FHIRVersion != "4.0.1" || len(rest.Resource) < 140 || !rest.Resource[0].UpdateCreate || rest.Resource[0].Versioning != "versioned" {
			t.Errorf("generation %d: got %d %s with %d types", g, r.status, m.FHIRVersion, len(rest.Resource))
		}
		transaction := false
		for _, i := range rest.Interaction {
			transaction = transaction || i.Code == "transaction"
		}
		var operations []string
		for _, o := range rest.Operation {
			operations = append(operations, o.Name)
		}
		list := strings.Join(operations, " ")
		if transaction != (g == Gen2) || strings.Contains(list, "import") || strings.Contains(list, "includes") != (g == Gen2) || !strings.Contains(list, "export") {
			t.Errorf("generation %d: transaction %v, operations %s", g, transaction, list)
		}
	}
}

// F25: a token is asked for everywhere but at /metadata, can expire and be replaced; Requests hide it.
func TestTokens(t *testing.T) {
	s := newSim(t, Gen1, func(o *Options) { o.RequireToken = "one" })
	get := func(token string) int { return s.do("GET", "/Patient", "", "Authorization", "Bearer "+token).status }
	if code, text := diagnostics(t, s.get("/Patient")); code != "login" || text != "Authentication failed." {
		t.Errorf("no token: got %s %q", code, text)
	}
	if get("one") != 200 || get("two") != 401 {
		t.Error("the right token was refused or a wrong one accepted")
	}
	s.SetToken("two")
	if get("one") != 401 || get("two") != 200 {
		t.Error("after the change: the old token was accepted or the new one refused")
	}
	s.Faults().ExpireToken(1)
	if get("two") != 401 || get("two") != 200 {
		t.Error("ExpireToken: want one 401")
	}
	for _, r := range s.Requests() {
		if v := r.Header["Authorization"]; v != "" && v != "present" {
			t.Errorf("a token was recorded: %q", v)
		}
	}
}

// S41: the allow-list of the deprecated state, and its body.
func TestDeprecated(t *testing.T) {
	s := newSim(t, Gen1, func(o *Options) { o.Scale = 0.001 })
	s.load(patient("a", "1", "2024-01-01T00:00:00Z"))
	status := s.export("/$export")
	s.Faults().Deprecate()
	id := strings.TrimPrefix(status, s.url)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/metadata", 200}, {"GET", "/metadata/", 200}, {"GET", "/health/check", 200}, {"GET", id, 202},
		{"GET", "/$export", 202}, {"GET", "/$export/", 202}, {"GET", "/Patient/$export", 202}, {"GET", "/Group/g/$export", 202},
		{"GET", "/patient/$export", 410}, {"GET", "/Device/$export", 410}, {"GET", "//metadata", 410}, {"GET", "/$export//", 410},
		{"DELETE", id, 410}, {"POST", "/$export", 410}, {"HEAD", "/metadata", 410},
		{"GET", "/?_summary=count", 410}, {"GET", "/_history", 410}, {"GET", "/Patient/a", 410}, {"GET", "/SearchParameter", 410},
		{"PUT", "/Patient/a", 410}, {"GET", "/nonsense", 410},
	} {
		r := s.do(c.method, c.path, "", "Accept", fhirJSON, "Prefer", "respond-async")
		if r.status != c.want {
			t.Errorf("%s %s: got %d, want %d", c.method, c.path, r.status, c.want)
		}
		if c.want == 410 && c.method == "GET" && !strings.Contains(r.body, `"code":"service-deprecated"`) {
			t.Errorf("%s %s: got body %s", c.method, c.path, r.body)
		}
	}
	gen2 := newSim(t, Gen2)
	gen2.Faults().Deprecate()
	if r := gen2.get("/Patient"); r.status != 200 {
		t.Errorf("gen2 is always active: got %d", r.status)
	}
	s.Faults().Clear("Deprecate")
	if r := s.get("/Patient/a"); r.status != 200 {
		t.Errorf("active again: got %d", r.status)
	}
}

// S35 and F27: 423 and its exceptions.
func TestInitialModeLock(t *testing.T) {
	s := newSim(t, Gen2)
	for name, lock := range map[string]func(bool){
		"mode": s.SetInitialMode,
		"fault": func(on bool) {
			if s.Faults().Clear("Lock423"); on {
				s.Faults().Lock423()
			}
		},
	} {
		lock(true)
		r := s.do("PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`)
		want := `{"severity":"Error","code":"Locked","diagnostics":"Service is locked for initial import mode."}`
		if r.status != http.StatusLocked || r.body != want || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: PUT: got %d %s", name, r.status, r.body)
		}
		for _, c := range []struct {
			method, path string
			want         int
		}{{"GET", "/Patient", 200}, {"POST", "/$import", 400}, {"DELETE", "/_operations/import/9", 404}, {"DELETE", "/Patient/a", 423}, {"POST", "/Patient", 423}} {
			if r := s.do(c.method, c.path, ""); r.status != c.want {
				t.Errorf("%s: %s %s: got %d, want %d", name, c.method, c.path, r.status, c.want)
			}
		}
		lock(false)
	}
	if r := s.do("PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`); r.status != 201 {
		t.Errorf("unlocked: got %d", r.status)
	}
}

// S43 and writing over HTTP: versions, ETag, 410, hard delete, history of one id.
func TestResourcesOverHTTP(t *testing.T) {
	s := newSim(t, Gen1)
	steps := []struct {
		method, path, body string
		want               int
		etag               string
	}{
		{"PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`, 201, `W/"1"`},
		{"PUT", "/Patient/a", `{"resourceType":"Patient","id":"a","active":true}`, 200, `W/"2"`},
		{"PUT", "/Patient/a", `{"resourceType":"Patient","id":"b"}`, 400, ""},
		{"PUT", "/Patient/a", `{"resourceType":"Device","id":"a"}`, 400, ""},
		{"PUT", "/Patient/a", `{`, 400, ""},
		{"GET", "/Patient/a", "", 200, `W/"2"`},
		{"GET", "/Patient/a/_history/1", "", 200, `W/"1"`},
		{"DELETE", "/Patient/a", "", 204, `W/"3"`},
		{"DELETE", "/Patient/a", "", 204, `W/"3"`},
		{"GET", "/Patient/a", "", 410, `W/"3"`},
		{"DELETE", "/Patient/never", "", 204, ""},
		{"GET", "/Patient/never", "", 404, ""},
		{"PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`, 200, `W/"4"`},
		{"DELETE", "/Patient/a?hardDelete=true", "", 204, ""},
		{"GET", "/Patient/a", "", 404, ""},
		{"POST", "/Patient", `{"resourceType":"Patient"}`, 201, `W/"1"`},
		{"PATCH", "/Patient/a", "", 405, ""},
	}
	for _, c := range steps {
		s.clock.add(time.Second)
		r := s.do(c.method, c.path, c.body)
		if r.status != c.want || r.header.Get("ETag") != c.etag {
			t.Errorf("%s %s: got %d %s %s, want %d %s", c.method, c.path, r.status, r.header.Get("ETag"), r.body, c.want, c.etag)
		}
	}
	if got := s.Counts()["Patient"]; got != 1 {
		t.Errorf("got %d versions, want the posted one", got)
	}
	strict := newSim(t, Gen2, func(o *Options) { o.RefuseUpdateCreate = true })
	if r := strict.do("PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`); r.status != 405 {
		t.Errorf("updateCreate off: got %d, want 405", r.status)
	}
}

// Date is the server's clock, so that skew can be tested.
func TestDateHeader(t *testing.T) {
	s := newSim(t, Gen1)
	if got := s.get("/metadata").header.Get("Date"); got != "Sat, 01 Jun 2024 10:00:00 GMT" {
		t.Errorf("got %q", got)
	}
}

// F22: a write is dated at once and seen later, by every way of looking.
func TestLateVisibility(t *testing.T) {
	s := newSim(t, Gen1)
	s.Put("Patient", "a", []byte(`{"id":"a"}`))
	s.clock.add(time.Minute)
	s.Faults().LateVisibility(2, 30*time.Second)
	_, at := s.Put("Patient", "a", []byte(`{"id":"a","active":true}`))
	version, _ := s.Put("Patient", "a", []byte(`{"id":"a","active":false}`))
	if version != 3 || !at.Equal(s.clock.now) {
		t.Errorf("got version %d at %s", version, at)
	}
	if got := s.stored(); got != "a/1@10:00" {
		t.Errorf("at once: got %s", got)
	}
	s.clock.add(29 * time.Second)
	if b := s.bundle("/_history?_summary=count"); *b.Total != 1 {
		t.Errorf("before: got %d", *b.Total)
	}
	s.clock.add(time.Second)
	if got := s.stored(); got != "a/1@10:00 a/2@10:01 a/3@10:01" {
		t.Errorf("after: got %s", got)
	}
}

// Serve listens on loopback and many clients at once are served and stepped without harm.
func TestServeManyClients(t *testing.T) {
	s := New(Options{Generation: Gen2, Blobs: NewMemoryBlobs("http://acct.blob.example"), Scale: 1e-6, Seed: 1})
	base, stop, err := Serve("127.0.0.1:0", s)
	if err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			me := &sim{Server: s, t: t, url: base}
			for n := range 20 {
				s.Put("Patient", fmt.Sprintf("p%d", n), fmt.Appendf(nil, `{"by":%d}`, i))
				if err := me.roundTrip(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	stop()
	if got := s.Counts()["Patient"]; got != 160 {
		t.Errorf("got %d versions, want 160", got)
	}
	if _, _, err := Serve("nowhere:x", s); err == nil {
		t.Error("a nonsense address was served")
	}
}

// roundTrip searches and exports to the end.
func (s *sim) roundTrip() error {
	for _, path := range []string{"/_history?_count=5", "/?_summary=count"} {
		if r, err := s.try("GET", path, ""); err != nil || r.status != 200 {
			return fmt.Errorf("GET %s: got %d, %v", path, r.status, err)
		}
	}
	r, err := s.try("GET", "/$export?includeAssociatedData=_history&_maxCount=10", "", "Accept", fhirJSON, "Prefer", "respond-async")
	if err != nil || r.status != 202 {
		return fmt.Errorf("$export: got %d, %v", r.status, err)
	}
	for begun := time.Now(); time.Since(begun) < 10*time.Second; {
		if poll, err := s.try("GET", r.header.Get("Content-Location"), ""); err != nil || poll.status == 200 {
			return err
		}
	}
	return fmt.Errorf("export %s does not end", r.header.Get("Content-Location"))
}
