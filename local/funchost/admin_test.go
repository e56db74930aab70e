package funchost

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRunningAFunctionByHand(t *testing.T) {
	a := httpApp(t)
	a.addTimer("")
	a.addQueue("")
	c := noon()
	h := a.start(Options{Now: c.now})
	a.awaitNext(minute(1))
	run := func(name, body string) int {
		status, _, _ := call(t, http.MethodPost, h.URL()+"/admin/functions/"+name, body, nil)
		return status
	}
	for _, bad := range []string{"", "null", "x", `{"input":5}`} {
		if got := run("visit", bad); got != http.StatusBadRequest {
			t.Errorf("body %q: status = %d, want 400", bad, got)
		}
	}
	if got := run("nothing", "{}"); got != http.StatusNotFound {
		t.Errorf("unknown function: status = %d, want 404", got)
	}
	if got := run("watch", "{}"); got != http.StatusNotImplemented {
		t.Errorf("HTTP function: status = %d, want 501", got)
	}
	if len(a.calls) != 0 {
		t.Fatal("the handler was called")
	}

	if got := run("TICK", "{}"); got != http.StatusAccepted {
		t.Errorf("timer: status = %d, want 202", got)
	}
	if got := tickOf(t, receive(t, a.calls, "tick")); got.IsPastDue || got.ScheduleStatus.Next != "2026-11-24T12:01:00+00:00" {
		t.Errorf("tick = %+v %+v", got, got.ScheduleStatus)
	}
	a.awaitNext(minute(1))

	a.answers(func(report) order { return order{Status: 500} })
	if got := run("visit", `{"input":"{\"chunk\":\"c1\"}"}`); got != http.StatusAccepted {
		t.Errorf("queue: status = %d, want 202", got)
	}
	got := receive(t, a.calls, "visit")
	for _, want := range []string{`"item":"\"{\\\"chunk\\\":\\\"c1\\\"}\""`, `"chunk":"\"c1\""`, `"DequeueCount":"1"`} {
		if !strings.Contains(string(got.Body), want) {
			t.Errorf("body = %s, want %s in it", got.Body, want)
		}
	}
	eventually(t, "the failure is logged", func() bool { return strings.Contains(a.records.String(), "answered status 500") })
	if a.length(a.queue+"-poison") != -1 || len(a.calls) != 0 {
		t.Error("a run by hand was retried or poisoned")
	}
}

func TestHostEndpoints(t *testing.T) {
	a := httpApp(t)
	a.addQueue("")
	a.send()
	h := a.start(Options{HostID: "the-app"})
	ask := func(method, path string, into any) int {
		status, _, body := call(t, method, h.URL()+path, "", nil)
		if into != nil {
			if err := json.Unmarshal([]byte(body), into); err != nil {
				t.Fatalf("%s: %v: %s", path, err, body)
			}
		}
		return status
	}
	var status struct{ ID, State, Version string }
	eventually(t, "the host runs", func() bool { ask("GET", "/admin/host/status", &status); return status.State == "Running" })
	if status.ID != "the-app" || status.Version != hostVersion {
		t.Errorf("status = %+v", status)
	}
	var list []struct{ Name string }
	ask("GET", "/admin/functions", &list)
	if want := []struct{ Name string }{{"operate"}, {"visit"}, {"watch"}}; !cmp.Equal(list, want) {
		t.Errorf("functions = %v", list)
	}
	if ask("GET", "/admin/host/ping", nil) != 200 || ask("POST", "/admin/host/ping", nil) != 200 || ask("GET", "/admin/other", nil) != 404 {
		t.Error("ping or an unknown endpoint answers otherwise")
	}

	var drain struct{ State string }
	if got := ask("POST", "/admin/host/drain", nil); got != http.StatusAccepted {
		t.Errorf("drain: status = %d", got)
	}
	eventually(t, "the drain completes", func() bool { ask("GET", "/admin/host/drain/status", &drain); return drain.State == "Completed" })
	a.send(encoded("kept for later"))
	if ask("GET", "/api/migration", nil); len(a.calls) != 1 {
		t.Error("HTTP is not served in drain mode")
	}
	receive(t, a.calls, "the HTTP call")
	if got := ask("POST", "/admin/host/resume", &drain); got != 200 || drain.State != "Running" {
		t.Errorf("resume: status = %d, %+v", got, drain)
	}
	if got := receive(t, a.calls, "the message"); got.URI != "/visit" {
		t.Errorf("the handler got %s", got.URI)
	}
}
