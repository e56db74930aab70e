package funchost

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// layout writes files of an app root that is never started.
func layout(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const timerFile = `{"bindings":[{"type":"timerTrigger","direction":"in","name":"timer","schedule":"0 * * * * *"}]}`

func load(t *testing.T, files map[string]string, env ...string) (names []string, broken []error, err error) {
	t.Helper()
	if files["host.json"] == "" {
		files["host.json"] = hostFile
	}
	root := layout(t, files)
	s := newSettings(env...)
	h, err := readHostJSON(root, s)
	if err != nil {
		return nil, nil, err
	}
	c, err := newConfig(root, h, s)
	if err != nil {
		return nil, nil, err
	}
	functions, broken, err := loadFunctions(root, c, s, time.Unix(0, 0))
	for _, f := range functions {
		name := f.name
		if f.disabled {
			name += " (disabled)"
		}
		names = append(names, name)
	}
	return names, broken, err
}

func TestFunctionsAreFoundInDirectChildFolders(t *testing.T) {
	queue := func(name, connection string) string {
		return fmt.Sprintf(`{"bindings":[{"type":"queueTrigger","name":"item","queueName":%q,"connection":%q}]}`, name, connection)
	}
	names, broken, err := load(t, map[string]string{
		"tick/function.json":         timerFile,
		"deep/er/function.json":      timerFile,
		"function.json":              timerFile,
		"lib/other.json":             timerFile,
		"Upper-case_1/function.json": timerFile,
		"off/function.json":          `{"disabled":true,` + timerFile[1:],
		"offByName/function.json":    `{"disabled":"SWITCH",` + timerFile[1:],
		"offByApp/function.json":     timerFile,
		"q/function.json":            queue("%QUEUE%", "Store"),
		"1st/function.json":          timerFile,
		"host/function.json":         timerFile,
		"badJSON/function.json":      `{"bindings":`,
		"none/function.json":         `{}`,
		"two/function.json":          `{"bindings":[{"type":"timerTrigger","name":"a","schedule":"0 * * * * *"},{"type":"timerTrigger","name":"b","schedule":"0 * * * * *"}]}`,
		"badName/function.json":      strings.Replace(timerFile, `"timer"`, `"my_timer"`, 1),
		"badCron/function.json":      strings.Replace(timerFile, "0 * * * * *", "every minute", 1),
		"noSetting/function.json":    strings.Replace(timerFile, "0 * * * * *", "%NOT_SET%", 1),
		"noStore/function.json":      queue("orders", "Elsewhere"),
		"badQueue/function.json":     queue("a--b", "Store"),
	}, "SWITCH=1", "AzureWebJobs__offByApp__Disabled=true", "QUEUE=Orders", "Store=AccountName=x")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Upper-case_1", "off (disabled)", "offByApp (disabled)", "offByName (disabled)", "q", "tick"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
	text := errors.Join(broken...).Error()
	for _, name := range []string{"1st", "host", "badJSON", "none", "two", "badName", "badCron", "noSetting", "noStore", "badQueue"} {
		if !strings.Contains(text, "function "+name+":") {
			t.Errorf("%s is not named as broken in:\n%s", name, text)
		}
	}
	if !strings.Contains(text, "NOT_SET") || !strings.Contains(text, "Elsewhere") {
		t.Errorf("the missing settings are not named in:\n%s", text)
	}
}

func TestTheAllowListOfFunctions(t *testing.T) {
	names, _, err := load(t, map[string]string{"a/function.json": timerFile, "b/function.json": timerFile,
		"host.json": strings.Replace(hostFile, `"version"`, `"functions":["B"],"version"`, 1)})
	if err != nil || !cmp.Equal(names, []string{"b"}) {
		t.Errorf("functions = %v, %v, want b", names, err)
	}
}

func TestWhatIsNotSimulatedIsRefused(t *testing.T) {
	for name, file := range map[string]string{
		"blob trigger":  `{"bindings":[{"type":"blobTrigger","name":"x"}]}`,
		"queue output":  `{"bindings":[{"type":"queueTrigger","name":"x","queueName":"abc"},{"type":"queue","direction":"out","name":"y"}]}`,
		"http no out":   `{"bindings":[{"type":"httpTrigger","name":"req"}]}`,
		"odd route":     `{"bindings":[{"type":"httpTrigger","name":"req","route":"a/{b}-{c}"},{"type":"http","direction":"out","name":"res"}]}`,
		"timer outputs": strings.Replace(timerFile, "]", `,{"type":"queue","direction":"out","name":"y"}]`, 1),
	} {
		if _, _, err := load(t, map[string]string{"f/function.json": file}); !errors.Is(err, errNotSimulated) {
			t.Errorf("%s: err = %v, want not simulated", name, err)
		}
	}
	for _, host := range []string{`{"version":"2.0","httpWorker":{}}`,
		strings.Replace(hostFile, `"enableForwardingHttpRequest"`, `"port":5,"enableForwardingHttpRequest"`, 1)} {
		if _, _, err := load(t, map[string]string{"host.json": host}); err == nil {
			t.Errorf("%s was accepted", host)
		}
	}
}

func TestHostJSON(t *testing.T) {
	for _, bad := range []string{`{}`, `{"version":2.0}`, `{"version":"3.0"}`, `{"version":"2.0"}`, `x`,
		`{"version":"2.0","functionTimeout":"10m","customHandler":{"description":{"defaultExecutablePath":"h"}}}`,
		`{"version":"2.0","extensions":{"queues":{"batchSize":33}},"customHandler":{"description":{"defaultExecutablePath":"h"}}}`,
		`{"version":"2.0","extensions":{"queues":{"messageEncoding":"utf8"}},"customHandler":{"description":{"defaultExecutablePath":"h"}}}`} {
		if _, _, err := load(t, map[string]string{"host.json": bad}); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	read := func(file string, env ...string) config {
		t.Helper()
		root, s := layout(t, map[string]string{"host.json": file}), newSettings(env...)
		h, err := readHostJSON(root, s)
		if err != nil {
			t.Fatal(err)
		}
		c, err := newConfig(root, h, s)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const least = `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"h"}}}`
	got := read(least)
	if got.timeout != 30*time.Minute || got.readyLimit != 30*time.Second || got.routePrefix != "api" || !got.strictError || got.forwards {
		t.Errorf("defaults = %+v", got)
	}
	if want := (queueConfig{batch: 16, threshold: 8, maxDequeue: 5, longestWait: time.Minute, base64: true}); got.queues != want {
		t.Errorf("queue defaults = %+v, want %+v", got.queues, want)
	}
	if got := read(least, "AZURE_FUNCTIONS_ENVIRONMENT=Development").queues.longestWait; got != 2*time.Second {
		t.Errorf("longest wait in development = %s, want 2s", got)
	}
	got = read(least, "AzureFunctionsJobHost__extensions__queues__batchSize=1", "azurefunctionsjobhost__functionTimeout=-1",
		"AzureFunctionsJobHost__extensions__http__routePrefix=", "AzureFunctionsJobHost__customHandler__description__arguments__0=a b")
	if got.queues.batch != 1 || got.queues.threshold != 0 || got.timeout != 0 || got.routePrefix != "" || !cmp.Equal(got.arguments, []string{"a", "b"}) {
		t.Errorf("overridden = %+v", got)
	}
}

func TestLocalSettings(t *testing.T) {
	root := layout(t, map[string]string{"local.settings.json": `{"IsEncrypted":false,"Values":{"A":"file","B":"file","N":null,"E":""}}`})
	pairs, err := localSettings(root)
	if err != nil {
		t.Fatal(err)
	}
	s := newSettings(append([]string{"A=env"}, pairs...)...)
	_, hasNull := s.lookup("N")
	empty, hasEmpty := s.lookup("E")
	if s.get("A") != "env" || s.get("b") != "file" || hasNull || !hasEmpty || empty != "" {
		t.Errorf("settings = %v", s.values)
	}
	for _, bad := range []string{`{"Values":{"A":"x"}}`, `{"IsEncrypted":true}`, `{"IsEncrypted":false,"Values":{"A":{"B":1}}}`} {
		if _, err := localSettings(layout(t, map[string]string{"local.settings.json": bad})); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if pairs, err := localSettings(t.TempDir()); err != nil || pairs != nil {
		t.Errorf("no file: %v, %v", pairs, err)
	}
}

func TestRoutes(t *testing.T) {
	for _, c := range []struct {
		template, path string
		want           bool
	}{
		{"migration/{*path}", "migration", true}, {"migration/{*path}", "/migration/chunks/1", true}, {"migration/{*path}", "migrations", false},
		{"orders/{id:int?}", "orders", true}, {"orders/{id:int?}", "ORDERS/7", true}, {"orders/{id:int?}", "orders/x", false}, {"orders/{id:int?}", "orders/7/8", false},
		{"a/{b}/c", "a/x/c", true}, {"a/{b}/c", "a//c", false}, {"a/{b}/c", "a/x", false}, {"a", "a/b", false}, {"a", "", false},
	} {
		r, err := parseRoute(c.template)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.match(c.path); got != c.want {
			t.Errorf("%s matches %q = %t, want %t", c.template, c.path, got, c.want)
		}
	}
	for _, bad := range []string{"admin/x", "runtime", "{*a}/b", "{a?}/b"} {
		if _, err := parseRoute(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	special, _ := parseRoute("a/b")
	general, _ := parseRoute("a/{*x}")
	if special.before(general) >= 0 || general.before(special) <= 0 {
		t.Error("the literal route does not come first")
	}
}

func TestConsoleLines(t *testing.T) {
	var out bytes.Buffer
	c := console{out: &out, strict: true}
	c.stdout("error in plain output")
	c.stderr("it broke")
	c.stderr("a WARNing")
	c.stderr("LanguageWorkerConsoleLog[x] y")
	c.stdout("azfuncjsonlog:{}")
	want := "Information: error in plain output\nError: it broke\nWarning: a WARNing\nError: [x] y\nazfuncjsonlog:{}\n"
	if got := out.String(); got != want {
		t.Errorf("console = %q, want %q", got, want)
	}
	if got := c.lastErrors(); got != "it broke; [x] y" {
		t.Errorf("last errors = %q", got)
	}
	out.Reset()
	lax := console{out: &out}
	lax.stderr("hello, a warning")
	lax.stderr("FAILed")
	if got := out.String(); got != "Information: hello, a warning\nError: FAILed\n" {
		t.Errorf("console = %q", got)
	}
}
