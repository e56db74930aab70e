package fhirsim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const reindexBody = `{"resourceType":"Parameters","parameter":[{"name":"maximumNumberOfResourcesPerQuery","valueInteger":5},{"name":"shoe"}]}`

func (s *sim) postReindex(headers ...string) reply {
	s.t.Helper()
	return s.do("POST", "/$reindex", reindexBody, append(headers, "Content-Type", fhirJSON)...)
}

// reindexParameters are the values of a reindex job by name.
func (s *sim) reindexParameters(url string) map[string]any {
	s.t.Helper()
	r := s.get(url)
	var p struct {
		ResourceType string
		Parameter    []map[string]any
	}
	mustDecode(s.t, r.body, &p)
	if r.status != 200 || p.ResourceType != "Parameters" {
		s.t.Fatalf("GET %s: got %d %s", url, r.status, r.body)
	}
	values := map[string]any{}
	for _, item := range p.Parameter {
		for name, value := range item {
			if name != "name" {
				values[fmt.Sprint(item["name"])] = value
			}
		}
	}
	return values
}

func (s *sim) reindexStatusOf(url string) string {
	s.t.Helper()
	return fmt.Sprint(s.reindexParameters(url)["status"])
}

// S40: the way of a reindex by the clock, 409 for search parameters meanwhile, the active job given again.
func TestReindex(t *testing.T) {
	s := newSim(t, Gen2, func(o *Options) { o.ReindexRate = 1 })
	for i := range 100 {
		s.Put("Patient", fmt.Sprintf("p%d", i), []byte(`{}`))
		s.Put("Device", fmt.Sprintf("d%d", i), []byte(`{}`))
	}
	s.putParameter("eye", parameterOf("eye", "http://x/eye"))
	if r := s.get("/$reindex"); r.status != 405 {
		t.Errorf("none active: got %d, want 405", r.status)
	}
	r := s.postReindex()
	url := r.header.Get("Content-Location")
	if r.status != 201 || !strings.HasPrefix(url, s.url+"/_operations/reindex/") {
		t.Fatalf("got %d at %q", r.status, url)
	}
	if got := s.reindexStatusOf(url); got != "Queued" {
		t.Errorf("at once: got %s", got)
	}
	s.clock.add(30 * time.Second) // the longest wait in the queue
	s.clock.add(50 * time.Second)
	got := s.reindexParameters(url)
	done, _ := got["resourcesSuccessfullyReindexed"].(float64)
	if got["status"] != "Running" || got["totalResourcesToReindex"] != 100.0 || done < 50 || done > 80 || got["progress"] != done || got["endTime"] != nil {
		t.Errorf("half-way: got %v", got)
	}
	if again := s.postReindex(); again.status != 201 || again.header.Get("Content-Location") != url {
		t.Errorf("again: got %d %s, want the active job", again.status, again.header.Get("Content-Location"))
	}
	if r := s.get("/$reindex"); r.status != 200 || !strings.Contains(r.body, `"Running"`) {
		t.Errorf("active: got %d %s", r.status, r.body)
	}
	for _, c := range [][2]string{{"PUT", "/SearchParameter/eye"}, {"POST", "/SearchParameter"}, {"DELETE", "/SearchParameter/eye"}} {
		r := s.do(c[0], c[1], parameterOf("eye", "http://x/two"))
		if r.status != 409 || !strings.Contains(r.body, "Changes to search parameters are not allowed while a reindex job is in progress") {
			t.Errorf("%s %s: got %d %s, want 409", c[0], c[1], r.status, r.body)
		}
	}
	s.clock.add(51 * time.Second)
	got = s.reindexParameters(url)
	if got["status"] != "Completed" || got["resourcesSuccessfullyReindexed"] != 100.0 || got["progress"] != 100.0 || got["endTime"] == nil || got["searchParams"] != "http://x/eye" {
		t.Errorf("at the end: got %v", got)
	}
	if r := s.do("DELETE", url, ""); r.status != 400 {
		t.Errorf("cancel after the end: got %d, want 400", r.status)
	}
	if r := s.putParameter("two", parameterOf("two", "http://x/two")); r.status != 201 {
		t.Errorf("after the end: got %d", r.status)
	}
	if second := s.postReindex().header.Get("Content-Location"); second == url {
		t.Error("a finished job was given again")
	}
	jobs := s.Jobs()
	if len(jobs) != 2 || jobs[0].Kind != "reindex" || jobs[0].State != "completed" || !slices.Equal(jobs[0].Types, []string{"Patient"}) {
		t.Errorf("got %+v", jobs)
	}
	if got := s.Requests()[0]; got.Route != "PUT /{Type}/{id}" || got.Body != "" {
		t.Errorf("got %+v", got)
	}
	if i := slices.IndexFunc(s.Requests(), func(r Request) bool { return r.Body == reindexBody }); i < 0 {
		t.Error("the body of POST /$reindex was not recorded")
	}
}

// S40: the ends that are none; only a completed reindex makes a parameter usable.
func TestReindexFailures(t *testing.T) {
	s := newSim(t, Gen1)
	s.Put("Patient", "a", []byte(`{"gender":"male"}`))
	s.putParameter("eye", parameterOf("eye", "http://x/eye"))
	for name, c := range map[string]struct {
		arm  func()
		end  func(url string)
		want string
	}{
		"failed":    {func() { s.Faults().FailReindex(1, "out of luck") }, func(string) { s.settle() }, "Failed"},
		"stuck":     {func() { s.Faults().StickReindex(1) }, func(string) { s.clock.add(1000 * time.Hour) }, "Running"},
		"cancelled": {func() { s.Faults().StickReindex(1) }, func(url string) { s.do("DELETE", url, "") }, "Canceled"},
	} {
		c.arm()
		url := s.postReindex("Prefer", "respond-sync").header.Get("Content-Location")
		c.end(url)
		got := s.reindexParameters(url)
		if got["status"] != c.want || name == "failed" && got["failureDetails"] != "out of luck" || got["resourcesSuccessfullyReindexed"] == 1.0 {
			t.Errorf("%s: got %v", name, got)
		}
		if s.offered("Patient")["eye-eye"] != "" {
			t.Errorf("%s: the parameter is usable", name)
		}
		if c.want == "Running" {
			if r := s.do("DELETE", url, ""); r.status != 202 {
				t.Errorf("cancel: got %d, want 202", r.status)
			}
		}
	}
	if r := s.do("POST", "/$reindex", reindexBody, "Content-Type", fhirJSON, "Prefer", "respond-async"); r.status != 400 {
		t.Errorf("Prefer: got %d, want 400", r.status)
	}
	if r := s.do("POST", "/$reindex", reindexBody, "Content-Type", "text/plain"); r.status != 415 {
		t.Errorf("Content-Type: got %d, want 415", r.status)
	}
	if r := s.do("POST", "/$reindex", "{}", "Content-Type", fhirJSON); r.status != 400 {
		t.Errorf("body: got %d, want 400", r.status)
	}
	if r := s.get("/_operations/reindex/99"); r.status != 404 {
		t.Errorf("unknown: got %d, want 404", r.status)
	}
	s.reindexed()
	if s.offered("Patient")["eye-eye"] == "" {
		t.Error("completed at last: the parameter is not offered")
	}
}
