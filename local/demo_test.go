package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirferry/local/azurite"
	"fhirferry/local/fhirsim"
	"fhirferry/local/rig"
	"fhirferry/local/seed"
	"fhirferry/local/show"
)

// ferry is a migration without an app: it copies versions from one simulated service to the other, a few for each
// look at its status, and answers as the app does.
type ferry struct {
	mu      sync.Mutex
	pair    *pair
	spoil   func(fhirsim.Version) (fhirsim.Version, bool)
	haltAt  int
	verdict string // of the app's own checks; empty: equal
	state   string
	moved   map[string]bool
	till    *time.Time
}

func (f *ferry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	verb := strings.TrimPrefix(r.URL.Path, "/api/migration")
	switch {
	case verb == "/access":
		fmt.Fprint(w, `{"ok":false,"checks":[{"name":"staging","ok":false,"detail":"no.","remedy":"Mend it."}]}`)
		return
	case verb == "/chunks":
		fmt.Fprint(w, `{"chunks":[{"since":"2019-01-01T00:00:00.000Z","till":"2020-01-01T00:00:00.000Z"}],"next":null}`)
		return
	case verb == "/checks":
		fmt.Fprint(w, `{"id":"c-1","kind":"surface","state":"running","done":1,"total":2}`)
		return
	case verb == "/checks/c-1":
		fmt.Fprintf(w, `{"id":"c-1","kind":"surface","state":"done","verdict":%q,"same":2}`, cmp.Or(f.verdict, "equal"))
		return
	case verb == "/rejects":
		fmt.Fprint(w, `{"rejects":[{"class":"conflict","type":"Patient","id":"p-1","file":"a/b.ndjson","offset":1234}],"next":null}`)
		return
	case verb == "/start":
		f.state = "running"
	case verb == "/cutover":
		f.state = "completed"
		f.copy(1 << 30)
	case f.state == "running":
		f.copy(700)
	}
	if f.haltAt > 0 && len(f.moved) >= f.haltAt {
		f.state, f.haltAt = "halted", 1
	}
	w.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(w).Encode(show.Status{
		State: f.state, Chunks: map[string]int{"imported": 1}, Clean: true, Resources: show.Resources{Imported: int64(len(f.moved))}, MigratedTill: f.till,
	})
}

// copy moves up to n versions that are not there yet.
func (f *ferry) copy(n int) {
	var batch []fhirsim.Version
	began := time.Now()
	f.pair.Source.Versions(func(v fhirsim.Version) bool {
		key := v.Type + "/" + v.ID + "/" + v.VersionID
		if f.moved[key] {
			return true
		}
		f.moved[key] = true
		if f.spoil != nil {
			spoiled, keep := f.spoil(v)
			if !keep {
				return true
			}
			v = spoiled
		}
		batch = append(batch, v)
		return len(batch) < n
	})
	if err := f.pair.Destination.Load(batch...); err != nil {
		panic(err)
	}
	if len(batch) < n {
		f.till = &began
	}
}

// stage sets up a tale whose app is the ferry.
func stage(t *testing.T, f *ferry) (*tale, *bytes.Buffer) {
	t.Helper()
	blobs := fhirsim.NewMemoryBlobs("http://127.0.0.1:1/account")
	p := &pair{
		Rig: &rig.Rig{
			Source:      fhirsim.New(fhirsim.Options{Generation: fhirsim.Gen1, Blobs: blobs}),
			Destination: fhirsim.New(fhirsim.Options{Generation: fhirsim.Gen2, Blobs: blobs}),
			Proxies:     &azurite.Proxies{},
		},
		generator: seed.Generator{Resources: 1_000, Edges: edges()},
	}
	for server, url := range map[*fhirsim.Server]*string{p.Source: &p.SourceURL, p.Destination: &p.DestinationURL} {
		var stop func()
		var err error
		if *url, stop, err = fhirsim.Serve("127.0.0.1:0", server); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	if err := p.loadClinical(func(string, ...any) {}); err != nil {
		t.Fatal(err)
	}
	if err := p.Source.Load(fhirsim.Version{Type: apart, ID: "x", VersionID: "1", LastUpdated: oldest(), Body: []byte(`{"url":"http://x.example/x"}`)}); err != nil {
		t.Fatal(err)
	}
	f.pair, f.moved, f.state = p, map[string]bool{}, "idle"
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	var out bytes.Buffer
	order, err := readOrder([]string{"-write-least", "1s", "-rate", "100", "-patience", "500ms"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return &tale{order: order, pair: p, app: &app{operator: operator{base: server.URL, client: server.Client()}}, screen: show.NewDisplay(&out, 0, time.Second)}, &out
}

func TestATaleThatEndsWell(t *testing.T) {
	tale, out := stage(t, &ferry{})
	if err := tale.tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tale.conclude(t.Context(), out); err != nil {
		t.Errorf("got %v, want an equal end:\n%s", err, out)
	}
	for _, want := range []string{"preflight: staging: no. Mend it.", "running", "EQUAL", "1 at the source, 1 at the destination, which has the others built in", "lay exactly on one of the 2 edges",
		"surface check: equal (2 the same, 0 different, 0 unknown)", "not taken, conflict: Patient/p-1, at byte 1,234 of a/b.ndjson", "by class: map[conflict:1]"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if tale.writes.done.Total() < 50 {
		t.Errorf("got %d writes in a second at 100 a second", tale.writes.done.Total())
	}
}

func TestATaleThatEndsBadly(t *testing.T) {
	const victim = "patient-0000003"
	for name, c := range map[string]struct {
		ferry *ferry
		want  string
	}{
		"a version is lost": {&ferry{spoil: func(v fhirsim.Version) (fhirsim.Version, bool) { return v, v.ID != victim }}, "missing: Patient/" + victim},
		"a content is changed": {&ferry{spoil: func(v fhirsim.Version) (fhirsim.Version, bool) {
			if v.ID == victim {
				v.Body = bytes.Replace(v.Body, []byte("mrn"), []byte("MRN"), 1)
			}
			return v, true
		}}, "different: Patient/" + victim},
		"an instant is moved": {&ferry{spoil: func(v fhirsim.Version) (fhirsim.Version, bool) {
			if v.ID == victim {
				v.LastUpdated = v.LastUpdated.Add(-time.Millisecond)
			}
			return v, true
		}}, "extra: Patient/" + victim},
		"a search parameter is lost": {&ferry{spoil: func(v fhirsim.Version) (fhirsim.Version, bool) { return v, v.Type != apart }},
			"missing: search parameter http://x.example/x"},
		"the app's own check differs": {&ferry{verdict: "unknown"}, "NOT CHECKED"},
		"the run halts":               {&ferry{haltAt: 1}, "NOT EQUAL: the run ended as halted"},
	} {
		t.Run(name, func(t *testing.T) {
			tale, out := stage(t, c.ferry)
			if err := tale.tell(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := tale.conclude(t.Context(), out); !errors.Is(err, errNotEqual) || !strings.Contains(out.String(), c.want) {
				t.Errorf("got %v, want %v and %q in:\n%s", err, errNotEqual, c.want, out)
			}
		})
	}
}

func TestOrders(t *testing.T) {
	o, err := readOrder([]string{"-faults", "-source-fault", "StickExport=2", "-hosts", "2", "-kill", "4s"}, io.Discard)
	if err != nil || o.hosts != 2 || o.killEvery != 4*time.Second || len(o.source) < 5 || len(o.destination) < 3 || o.source[0].name != "StickExport" || o.source[0].arm.Times != 2 {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, f := range append(o.source, o.destination...) {
		if err := fhirsim.New(fhirsim.Options{}).Faults().Arm(f.name, f.arm); err != nil {
			t.Errorf("the mixture has a fault that cannot be armed: %v", err)
		}
	}
	for _, bad := range [][]string{{"-hosts", "3"}, {"-source-fault", "Nonsense"}, {"-scale", "0"}, {"rest"}, {"-storage-faults", "2"}, {"-source-fault", "StickExport=x"}} {
		if _, err := readOrder(bad, io.Discard); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestOperatorInsistsUntilARefusalIsFinal(t *testing.T) {
	answers := []int{0, 503, 502, 409}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := answers[0]
		answers = answers[1:]
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, `{"title":"Conflict","detail":"it runs already"}`)
	}))
	defer server.Close()
	err := operator{base: server.URL, client: server.Client()}.verb(t.Context(), "start")
	if len(answers) != 0 || err == nil || !strings.Contains(err.Error(), "409: Conflict: it runs already") {
		t.Errorf("got %v with %d answers left, want the refusal with 409", err, len(answers))
	}
}
