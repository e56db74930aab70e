package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"fhirferry/local/funchost"
)

// check is one finding of GET /api/migration/access (operator contract 3).
type check struct {
	Name, Detail, Remedy string
	OK                   bool
}

// access is the preflight, asked for with a key.
func (w *world) access(key string) (bool, map[string]check) {
	w.Helper()
	a := w.insist(func() answer { return w.ask(key, http.MethodGet, "/access", nil) })
	var report struct {
		OK     bool
		Checks []check
	}
	if err := json.Unmarshal(a.body, &report); err != nil || a.code != http.StatusOK {
		w.Fatalf("access: got %v", a)
	}
	checks := map[string]check{}
	for _, c := range report.Checks {
		checks[c.Name] = c
	}
	return report.OK, checks
}

// bad are settings that cannot be used, and required ones that are missing; the function of a trigger whose setting is
// missing is left out by the host without a word (host contract 3.6).
func bad() map[string]string {
	return map[string]string{
		"FERRY_SOURCE_URL": "ftp://example.org", "FERRY_DESTINATION_URL": "", "FERRY_WINDOW": "soon", "FERRY_MAX_IMPORTS": "9",
		"FERRY_HISTORY": "perhaps", "FERRY_SINCE": "yesterday", "FERRY_MODE": "sideways", "FERRY_POLL": "-3s",
		"FERRY_QUEUE": "", "FERRY_SCHEDULE": "", "FERRY_CHUNK_LIMIT": "many", "FERRY_AUTH": "basic", "FERRY_CONFIRMATIONS": "x",
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 81, resources: 20, settings: bad()})
	w.start(1)
	if s := w.look(); s.State != "idle" {
		w.Errorf("with bad settings the state is %q, want idle", s.State)
	}
	ok, checks := w.access("")
	if ok {
		w.Error("access says that all is well")
	}
	detail := w.refused("start", nil, http.StatusUnprocessableEntity)
	for name := range bad() {
		if c, there := checks[name]; !there || c.OK || c.Detail == "" || c.Remedy == "" {
			w.Errorf("access says of %s: %+v, there: %v", name, c, there)
		}
		if !strings.Contains(detail, name) {
			w.Errorf("start does not name %s in %q", name, detail)
		}
	}
	if n := len(w.Source.Jobs()); n != 0 {
		w.Errorf("%d exports were started", n)
	}
}

// TestKeys wants every call to need a key, and the key of watch to look and nothing else.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 82, resources: 20})
	w.startHost(funchost.Options{AppRoot: os.Getenv(distVariable), EnableAuth: true, HostKey: "host-key",
		FunctionKeys: map[string]string{"watch": "watch-key", "operate": "operate-key"}})
	w.insist(func() answer { return w.ask("watch-key", http.MethodGet, "", nil) })
	for _, c := range []struct {
		key, method, path string
		want              int
	}{
		{"", http.MethodGet, "", http.StatusUnauthorized},
		{"", http.MethodGet, "/access", http.StatusUnauthorized},
		{"", http.MethodPost, "/start", http.StatusUnauthorized},
		{"wrong", http.MethodPost, "/start", http.StatusUnauthorized},
		{"watch-key", http.MethodPost, "/start", http.StatusUnauthorized},
		{"operate-key", http.MethodGet, "", http.StatusUnauthorized},
		{"watch-key", http.MethodGet, "", http.StatusOK},
		{"watch-key", http.MethodGet, "/chunks", http.StatusOK},
		{"operate-key", http.MethodPost, "/pause", http.StatusConflict},
		{"operate-key", http.MethodPost, "/no-such-verb", http.StatusNotFound},
	} {
		if a := w.ask(c.key, c.method, c.path, nil); a.code != c.want {
			w.Errorf("%s migration%s with key %q: got %v, want %d", c.method, c.path, c.key, a, c.want)
		}
	}
	if ok, checks := w.access("watch-key"); !ok {
		w.Errorf("access finds fault with good settings: %+v", checks)
	}
}
