package fhir

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const oneTotal = `{"resourceType":"Bundle","total":1}`

func TestTokenIsKept(t *testing.T) {
	server := serve(t, always(reply{status: 200, body: oneTotal}))
	given := &credential{}
	c := server.client(t, Options{Credential: given})
	for range 3 {
		if _, err := c.Count(t.Context(), CountQuery{}); err != nil {
			t.Fatal(err)
		}
	}
	u, _ := url.Parse(server.URL)
	if want := []string{"https://" + u.Host + "/.default"}; fmt.Sprint(given.scopes) != fmt.Sprint(want) {
		t.Errorf("scopes asked for: got %v, want %v", given.scopes, want)
	}
	for i, r := range server.requests() {
		if !strings.Contains(r, "Authorization: Bearer token-1\n") {
			t.Errorf("request %d: got %s, want token-1", i, r)
		}
	}
}

// TestTokenIsRenewed: five minutes before its expiry a token is not used any more.
func TestTokenIsRenewed(t *testing.T) {
	server := serve(t, always(reply{status: 200, body: oneTotal}))
	c := server.client(t, Options{Credential: &credential{life: time.Hour}})
	start := time.Now()
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "token-1"}, {54 * time.Minute, "token-1"}, {56 * time.Minute, "token-2"}} {
		c.Now = func() time.Time { return start.Add(step.after) }
		if _, err := c.Count(t.Context(), CountQuery{}); err != nil {
			t.Fatal(err)
		}
		seen := server.requests()
		if last := seen[len(seen)-1]; !strings.Contains(last, "Bearer "+step.want+"\n") {
			t.Errorf("after %s: got %s, want %s", step.after, last, step.want)
		}
	}
}

// TestRefusedToken: F25. A 401 is answered with a fresh token, once.
func TestRefusedToken(t *testing.T) {
	accept := "Bearer token-2"
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != accept {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply{200, nil, oneTotal}.write(w, r)
	})
	c := server.client(t, Options{Credential: &credential{}})
	if n, err := c.Count(t.Context(), CountQuery{}); err != nil || n != 1 {
		t.Fatalf("got %d, %v, want 1", n, err)
	}
	if n := len(server.requests()); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	accept = "nothing"
	_, err := c.Count(t.Context(), CountQuery{})
	if e := asError(t, err); answers(e) != "Unauthorized" {
		t.Errorf("got %v, want Unauthorized", err)
	}
	if n := len(server.requests()); n != 4 {
		t.Errorf("%d requests, want 4: one more try each", n)
	}
}

// TestRefusedKickOffBody: the repeat after a 401 carries the same body.
func TestRefusedKickOffBody(t *testing.T) {
	server := serve(t, inTurn(reply{status: 401}, reply{202, map[string]string{"Content-Location": "/_operations/import/7"}, ""}))
	c := server.client(t, Options{Credential: &credential{}})
	got, err := c.StartImport(t.Context(), []byte(`{"a":1}`))
	if want := server.URL + "/_operations/import/7"; err != nil || got != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
	for i, r := range server.requests() {
		if !strings.HasSuffix(r, "\n{\"a\":1}\n") {
			t.Errorf("request %d has no body: %s", i, r)
		}
	}
}

// TestNewerTokenSurvives: a late 401 for an old token does not throw a newer one away.
func TestNewerTokenSurvives(t *testing.T) {
	given := &credential{}
	cache := &tokenCache{credential: given, scope: "s"}
	old, _ := cache.get(t.Context(), time.Now())
	cache.drop(old)
	fresh, _ := cache.get(t.Context(), time.Now())
	cache.drop(old)
	if again, _ := cache.get(t.Context(), time.Now()); again != fresh {
		t.Errorf("got %s, want %s", again, fresh)
	}
}

func TestNoToken(t *testing.T) {
	server := serve(t, always(reply{status: 202}))
	cause := errors.New("no identity; GET http://169.254.169.254/token?client_secret=hush")
	c := server.client(t, Options{Credential: &credential{err: cause}})
	_, err := c.StartExport(t.Context(), ExportRequest{})
	e := asError(t, err)
	if got := answers(e); got != "Transport" {
		t.Errorf("got %q, want Transport alone: nothing was sent, so no job can have started", got)
	}
	if !errors.Is(err, cause) || strings.Contains(err.Error(), "hush") || e.Remedy() == "" {
		t.Errorf("got %v, want the cause, without its query, and a remedy", err)
	}
	if got := server.lines(); got != "" {
		t.Errorf("sent %s", got)
	}
}

// TestNoTokenOverPlainHTTP: only loopback may be spoken to with a token but without TLS.
func TestNoTokenOverPlainHTTP(t *testing.T) {
	for _, base := range []string{"http://fhir.example", "http://10.0.0.1:8080", "http://localhost.example", "http://127.0.0.1.example"} {
		if _, err := New(base, Options{Credential: &credential{}}); err == nil || !strings.Contains(err.Error(), "https") {
			t.Errorf("%s: got %v, want a refusal that names https", base, err)
		}
		if _, err := New(base, Options{}); err != nil {
			t.Errorf("%s without tokens: %v", base, err)
		}
	}
	for _, base := range []string{"http://localhost:1", "http://127.0.0.1:1", "http://127.8.8.8", "http://[::1]:1", "https://fhir.example"} {
		if _, err := New(base, Options{Credential: &credential{}}); err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
}

func TestScope(t *testing.T) {
	for base, want := range map[string]string{
		"https://ws-fhir.fhir.azurehealthcareapis.com/":    "https://ws-fhir.fhir.azurehealthcareapis.com/.default",
		"https://WS.fhir.azurehealthcareapis.com:443/base": "https://ws.fhir.azurehealthcareapis.com/.default",
		"https://fhir.example:8443":                        "https://fhir.example:8443/.default",
	} {
		c, err := New(base, Options{Credential: &credential{}})
		if err != nil || c.tokens.scope != want {
			t.Errorf("%s: got %v, %v, want %s", base, c.tokens.scope, err, want)
		}
	}
}

// TestTokenStaysHome: invariant 16. Whatever URL the server names, nothing goes to another origin.
func TestTokenStaysHome(t *testing.T) {
	thief := serve(t, always(reply{status: 200, body: oneTotal}))
	home := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/_history": // the next page is elsewhere
			reply{200, nil, `{"resourceType":"Bundle","link":[{"relation":"next","url":"` + thief.URL + `/?ct=1"}]}`}.write(w, r)
		default: // the job, and everything else, is elsewhere
			w.Header().Set("Location", thief.URL)
			w.Header().Set("Content-Location", thief.URL+"/_operations/export/1")
			if strings.HasPrefix(r.URL.Path, "/$") {
				w.WriteHeader(http.StatusAccepted)
			} else {
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
		}
	})
	c := home.client(t, Options{Credential: &credential{}})
	for _, statusURL := range []string{
		thief.URL + "/_operations/export/1",
		home.URL + "/_operations/export/1",
		strings.Replace(home.URL, "http://", "http://user:password@", 1) + "/_operations/export/1",
		strings.Replace(home.URL, "http://", "https://", 1) + "/_operations/export/1",
		"//" + strings.TrimPrefix(thief.URL, "http://") + "/x",
		"/_operations/export/1",
		"",
		"http://[::1",
	} {
		for name, call := range calls(c, statusURL) {
			if err := call(t.Context()); err == nil {
				t.Errorf("%s with %q: no error", name, statusURL)
			}
		}
	}
	if got := thief.lines(); got != "" {
		t.Errorf("the other origin was asked:\n%s", got)
	}
	for _, r := range home.requests() {
		if strings.HasPrefix(r, "GET /metadata") && strings.Contains(r, "Authorization") {
			t.Errorf("metadata was asked with a token: %s", r)
		}
	}
}

// TestForeignStatusURL: the refusal is an *Error that claims nothing about the job.
func TestForeignStatusURL(t *testing.T) {
	server := serve(t, always(reply{status: 200}))
	_, err := server.client(t, Options{}).ExportStatus(t.Context(), "https://evil.example/_operations/export/1?sig=hush")
	e := asError(t, err)
	if got := answers(e); got != "" || !strings.Contains(err.Error(), "evil.example") || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v (%s), want a refusal that names the host", err, got)
	}
}

func TestTLS(t *testing.T) {
	var mu sync.Mutex
	var got string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = r.Header.Get("Authorization")
		reply{200, nil, oneTotal}.write(w, r)
	}))
	defer server.Close()
	c, err := New(server.URL, Options{Credential: &credential{}, Transport: server.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Count(t.Context(), CountQuery{}); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := "Bearer token-1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTokensFromManyVisits lets many requests share one cache; the race detector is the judge.
func TestTokensFromManyVisits(t *testing.T) {
	server := serve(t, always(reply{status: 401}))
	c := server.client(t, Options{Credential: &credential{}})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _, _ = c.Count(context.Background(), CountQuery{}) })
	}
	all.Wait()
	if n := len(server.requests()); n != 40 {
		t.Errorf("%d requests, want 40", n)
	}
}
