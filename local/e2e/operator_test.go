package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"fhirferry/local/show"
)

// patience is how long a run may take to get where a test waits for it.
const patience = 3 * time.Minute

// answer is what the app, or the host in its place, said.
type answer struct {
	code int
	body []byte
	err  error // no answer at all
}

// String is the answer in one line.
func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.code, a.body)
}

// status is the answer of GET /api/migration (operator contract 3).
type status struct {
	show.Status
	Since, Until, StartedAt, EndedAt *time.Time
	Reopened                         *int
}

// ask makes one call with a function key; the key is empty where the host asks for none.
func (w *world) ask(key, method, path string, body any) answer {
	w.Helper()
	content := []byte{}
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			w.Fatal(err)
		}
	}
	host := w.hosts[len(w.hosts)-1]
	req, err := http.NewRequestWithContext(w.Context(), method, host.URL()+"/api/migration"+path, bytes.NewReader(content))
	if err != nil {
		w.Fatal(err)
	}
	if key != "" {
		req.Header.Set("x-functions-key", key)
	}
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{code: resp.StatusCode, body: text, err: err}
}

// post makes one call of a verb; it is repeated while there is no handler to answer it.
func (w *world) post(verb string, body any) answer {
	w.Helper()
	return w.insist(func() answer { return w.ask("", http.MethodPost, "/"+verb, body) })
}

// get looks at a path below /api/migration, likewise.
func (w *world) get(path string) answer {
	w.Helper()
	return w.insist(func() answer { return w.ask("", http.MethodGet, path, nil) })
}

// insist repeats what fails for want of a handler.
func (w *world) insist(do func() answer) answer {
	w.Helper()
	var last answer
	w.poll(patience, func() bool {
		last = do()
		return last.err == nil && last.code < 500
	}, func() string { return "no handler answers: " + last.String() })
	return last
}

// verb makes one call that must be accepted.
func (w *world) verb(name string, body any) status {
	w.Helper()
	a := w.post(name, body)
	if a.code != http.StatusAccepted {
		w.Fatalf("%s: got %v, want 202", name, a)
	}
	return w.read(a)
}

func (w *world) read(a answer) status {
	w.Helper()
	var s status
	if err := json.Unmarshal(a.body, &s); err != nil {
		w.Fatalf("read the status: %v in %v", err, a)
	}
	return s
}

// refused makes one call that must be answered with a problem document of the code given, and returns its detail.
func (w *world) refused(name string, body any, code int) string {
	w.Helper()
	a := w.post(name, body)
	var problem struct {
		Title, Detail string
		Status        int
	}
	if a.code != code || json.Unmarshal(a.body, &problem) != nil || problem.Status != code || problem.Title == "" {
		w.Fatalf("%s: got %v, want a problem document with %d", name, a, code)
	}
	return problem.Detail
}

// look is the status now.
func (w *world) look() status {
	w.Helper()
	a := w.get("")
	if a.code != http.StatusOK {
		w.Fatalf("look at the status: got %v", a)
	}
	return w.read(a)
}

// until waits for a status that is as wanted. A run that halts meanwhile will not get there by itself.
func (w *world) until(what string, wanted func(status) bool) status {
	w.Helper()
	var last status
	w.poll(patience, func() bool {
		last = w.look()
		if wanted(last) {
			return true
		}
		if last.State == "halted" {
			w.Fatalf("waiting for %s, the run has halted: %s", what, display(last))
		}
		return false
	}, func() string { return "waiting for " + what + " took too long: " + display(last) })
	return last
}

// untilState waits for one of the states an operator sees.
func (w *world) untilState(state string) status {
	w.Helper()
	return w.until(state, func(s status) bool { return s.State == state })
}

// untilMigrated waits until everything before the instant has arrived.
func (w *world) untilMigrated(at time.Time) status {
	w.Helper()
	return w.until("migratedTill after "+at.Format(time.RFC3339), func(s status) bool {
		return s.MigratedTill != nil && s.MigratedTill.After(at)
	})
}

// poll asks again and again until done, and fails the test with an explanation when that takes longer than the limit.
func (w *world) poll(limit time.Duration, done func() bool, explain func() string) {
	w.Helper()
	deadline := time.Now().Add(limit)
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		if time.Now().After(deadline) {
			w.Fatal(explain())
		}
		<-ticker.C
	}
}

func display(s status) string {
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// chunk is one of GET /api/migration/chunks.
type chunk struct {
	ID, State   string
	Types       []string
	Since, Till time.Time
}

// chunks are all chunks of the run, page by page.
func (w *world) chunks() []chunk {
	w.Helper()
	var all []chunk
	for after := ""; ; {
		var page struct {
			Chunks []chunk
			Next   *string
		}
		a := w.get("/chunks?limit=3&after=" + url.QueryEscape(after))
		if err := json.Unmarshal(a.body, &page); err != nil || a.code != http.StatusOK {
			w.Fatalf("list chunks: got %v", a)
		}
		all = append(all, page.Chunks...)
		if page.Next == nil || *page.Next == "" {
			return all
		}
		after = *page.Next
	}
}
