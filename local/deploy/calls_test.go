package deploy

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The keys of the story's app. An operator has the key of watch to look and that of operate to act.
const watchKey, operateKey, hostKey = "look", "act", "all"

// stubs stand in for the commands of a page: curl and jq keep what they were given, az hands out the keys.
const stubs = `
curl() { for a; do printf 'a%s\0' "$a" >>"$calls"; done; printf 'e\0' >>"$calls"; }
jq() { for a; do printf '%s\n' "$a" >>"$filters"; done; cat >/dev/null </dev/null; }
az() { case "$*" in *keys*watch*) echo look ;; *keys*operate*) echo act ;; esac; }
make() { :; }
azcopy() { :; }
`

// commands runs the shell blocks of a page with the stubs and returns the words of each curl, and the filters of jq. The
// shell reads them as an operator's would.
func commands(t *testing.T, page string, set []string) (calls [][]string, filters string) {
	t.Helper()
	folder := t.TempDir()
	for _, block := range blocks(content(t, page), "") {
		if !strings.Contains(block, "curl") && !strings.Contains(block, "watch=") {
			continue
		}
		block = regexp.MustCompile(`<[a-z][a-z +0-9]*>`).ReplaceAllString(block, "name")
		// The address, and a key for everything, are the story's. Everything else is set by the page or named by the caller.
		block = regexp.MustCompile(`(?m)^(base|key)=.*$`).ReplaceAllString(block, "")
		script := stubs + "calls=" + folder + "/calls filters=" + folder + "/filters\n" + strings.Join(set, "\n") + "\n" + block
		shell := exec.Command("sh", "-eu", "-c", script)
		shell.Dir, shell.Env = t.TempDir(), []string{"PATH=" + os.Getenv("PATH")}
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: the shell refuses a block: %v %s\n%s", page, err, out, block)
		}
	}
	kept, err := os.ReadFile(filepath.Join(folder, "calls"))
	if err != nil {
		t.Fatalf("%s has no calls: %v", page, err)
	}
	var words []string
	for _, w := range strings.Split(strings.TrimSuffix(string(kept), "\x00"), "\x00") {
		if w == "e" {
			calls, words = append(calls, words), nil
			continue
		}
		words = append(words, strings.TrimPrefix(w, "a"))
	}
	given, err := os.ReadFile(filepath.Join(folder, "filters"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return calls, string(given)
}

// blocks are the fenced blocks of a page in a language, without the indentation of lists.
func blocks(page, language string) []string {
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^( *)```(\\w*)\n(.*?)^ *```$").FindAllStringSubmatch(page, -1) {
		if m[2] == language {
			all = append(all, regexp.MustCompile("(?m)^"+m[1]).ReplaceAllString(m[3], ""))
		}
	}
	return all
}

// curl is one as a request.
type curl struct{ page, method, url, body, kind, key string }

func readCall(t *testing.T, page string, words []string) curl {
	t.Helper()
	c := curl{page: page, method: http.MethodGet}
	for i := 0; i < len(words); i++ {
		word := words[i]
		if !strings.HasPrefix(word, "-") {
			c.url = word
			continue
		}
		if word == "-sS" || word == "-i" {
			continue
		}
		if i++; i == len(words) {
			t.Fatalf(page+": curl %q ends too early", words)
		}
		switch word {
		case "-X":
			c.method = words[i]
		case "-d":
			c.body, c.kind = words[i], "application/x-www-form-urlencoded" // as curl does
		case "-H":
			if name, value, _ := strings.Cut(words[i], ": "); name == "x-functions-key" {
				c.key = value
			}
		default:
			t.Fatalf(page+": curl %q: what is %s?", words, word)
		}
	}
	return c
}

// send makes the call as it is written, and shows the answer.
func (s *story) send(c curl) (int, []byte) {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), c.method, c.url, bytes.NewReader([]byte(c.body)))
	if err != nil {
		s.Fatal(err)
	}
	request.Header.Set("x-functions-key", c.key)
	if c.kind != "" {
		request.Header.Set("Content-Type", c.kind)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	content, err := io.ReadAll(answer.Body)
	if cerr := answer.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		s.Fatal(err)
	}
	return answer.StatusCode, content
}

// keysOf adds the keys of all objects within.
func keysOf(value any, keys map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			keys[key] = true
			keysOf(inner, keys)
		}
	case []any:
		for _, inner := range v {
			keysOf(inner, keys)
		}
	}
}

// pages sends the calls of the pages, as they are written, to the app of a story that has come to its end. Each must be
// one that the app knows, with the key that the page says; the state may refuse it. What pages show of answers, and what
// they filter out of them, must be in answers.
func (s *story) pages() {
	s.Helper()
	base := s.host.URL() + "/api/migration"
	_, chunks := s.send(curl{method: http.MethodGet, url: base + "/chunks", key: hostKey})
	_, checks := s.send(curl{method: http.MethodGet, url: base + "/checks", key: hostKey})
	var ids struct{ Chunks, Checks []struct{ ID string } }
	for _, answer := range [][]byte{chunks, checks} {
		if err := json.Unmarshal(answer, &ids); err != nil {
			s.Fatal(err)
		}
	}
	if len(ids.Chunks) == 0 || len(ids.Checks) == 0 {
		s.Fatalf("got chunks %s and checks %s", chunks, checks)
	}
	const elsewhere = "http://service.invalid"
	set := []string{
		"base=" + base, `key="x-functions-key: ` + hostKey + `"`, `watch="x-functions-key: ` + watchKey + `"`, `operate="x-functions-key: ` + operateKey + `"`,
		"chunk=" + ids.Chunks[0].ID, "check=" + ids.Checks[0].ID, "group=group app=app token=token source=" + elsewhere + " destination=" + elsewhere,
	}
	known, sent, filtered := map[string]bool{}, map[string]int{}, map[string]string{}
	var all []curl
	for _, page := range callPages() {
		words, filters := commands(s.T, page, set)
		filtered[page] = filters
		for _, w := range words {
			if c := readCall(s.T, page, w); !strings.HasPrefix(c.url, elsewhere) {
				all = append(all, c)
			}
		}
	}
	// Looking comes first: a new run has other chunks.
	slices.SortStableFunc(all, func(a, b curl) int { return strings.Compare(a.method, b.method) })
	for _, c := range all {
		code, content := s.send(c)
		if code >= 300 && code != http.StatusConflict {
			s.Errorf("%s: %s %s %s: %d %s", c.page, c.method, c.url, c.body, code, content)
		}
		if c.key != hostKey && (c.key == operateKey) != (c.method == http.MethodPost) {
			s.Errorf("%s: %s %s with the key %q", c.page, c.method, c.url, c.key)
		}
		var value any
		if err := json.Unmarshal(content, &value); err != nil {
			s.Errorf("%s: %s %s: %v", c.page, c.method, c.url, err)
		}
		keysOf(value, known)
		sent[c.page]++
	}
	for page, filters := range filtered {
		if sent[page] < 5 {
			s.Errorf("%s: got %d calls", page, sent[page])
		}
		s.shows(page, filters, known)
	}
}

func callPages() []string {
	return []string{"docs/operate.md", "docs/cutover.md", "docs/disaster-recovery.md", "README.md"}
}

// shows wants the keys of a page's examples and filters among those of answers.
func (s *story) shows(page, filters string, known map[string]bool) {
	s.Helper()
	for _, example := range blocks(content(s.T, page), "json") {
		var value any
		if err := json.Unmarshal([]byte(example), &value); err != nil {
			s.Errorf("%s: %v in %s", page, err, example)
			continue
		}
		keys := map[string]bool{}
		keysOf(value, keys)
		for key := range keys {
			if !known[key] {
				s.Errorf("%s shows %q, which no answer has", page, key)
			}
		}
	}
	filters = regexp.MustCompile(`"[^"]*"|(?m)^-r$|^\S*\.json$`).ReplaceAllString(filters, "")
	for _, word := range regexp.MustCompile(`[A-Za-z]+`).FindAllString(filters, -1) {
		if !known[word] && !slices.Contains([]string{"select", "not", "length", "empty", "json", "chunks", "status"}, word) {
			s.Errorf("%s filters %q, which no answer has", page, word)
		}
	}
}
