package fhirsim

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// BenchmarkMillion loads 1,000,000 small resources, counts a window of them and exports and imports all.
func BenchmarkMillion(b *testing.B) {
	for range b.N {
		blobs := NewMemoryBlobs("https://acct.blob.example")
		c := &clock{now: start}
		s := New(Options{Generation: Gen1, Blobs: blobs, Now: c.Now, Seed: 1})
		versions := make([]Version, 1_000_000)
		for i := range versions {
			id := fmt.Sprintf("r%d", i)
			versions[i] = Version{Type: []string{"Patient", "Observation", "Encounter"}[i%3], ID: id, VersionID: "1",
				LastUpdated: start.Add(-time.Duration(i) * time.Minute),
				Body:        fmt.Appendf(nil, `{"resourceType":"X","id":%q,"status":"final","code":{"text":"value %d"}}`, id, i)}
		}
		stage := func(name string, work func()) {
			begun := time.Now()
			work()
			b.ReportMetric(time.Since(begun).Seconds(), name+"-s")
		}
		stage("load", func() {
			if err := s.Load(versions...); err != nil {
				b.Fatal(err)
			}
		})
		destination := New(Options{Generation: Gen2, Blobs: blobs, Now: c.Now, Seed: 1})
		ask := func(s *Server, method, path, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "http://sim.example"+path, strings.NewReader(body))
			r.Header.Set("Accept", fhirJSON)
			r.Header.Set("Content-Type", fhirJSON)
			r.Header.Set("Prefer", "respond-async")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			c.add(time.Hour)
			return w
		}
		stage("count", func() { ask(s, "GET", "/?_summary=count&_lastUpdated=ge1990", "") })
		var m manifest
		stage("export", func() {
			ask(s, "GET", "/$export?_isParallel=true", "")
			s.Step()
			c.add(time.Hour)
			if err := json.Unmarshal(ask(s, "GET", fmt.Sprintf("/_operations/export/%d", s.Jobs()[0].ID), "").Body.Bytes(), &m); err != nil {
				b.Fatal(err)
			}
		})
		var inputs []string
		for _, f := range m.Output {
			inputs = append(inputs, f.URL)
		}
		stage("import", func() {
			ask(destination, "POST", "/$import", importBodyOf("all", inputs))
			destination.Step()
		})
		if got := destination.Counts()["Patient"]; got < 333_333 {
			b.Fatalf("got %d patients", got)
		}
	}
}
