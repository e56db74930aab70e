package funchost

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// config is what host.json asks of the host, checked.
type config struct {
	executable  string
	arguments   []string
	workingDir  string
	strictError bool // stderr lines are errors (host contract 2.7)
	forwards    bool
	readyLimit  time.Duration
	timeout     time.Duration // of one invocation; 0: none
	routePrefix string
	only        []string // the allow-list of functions; empty: all
	queues      queueConfig
}

// queueConfig is extensions.queues (host contract 1.5).
type queueConfig struct {
	batch, threshold, maxDequeue int
	longestWait, retryDelay      time.Duration
	base64                       bool
}

func newConfig(root string, h hostJSON, s settings) (config, error) {
	if h.has("httpworker") && !h.has("customhandler") {
		return config{}, errors.New("host.json: httpWorker is not simulated; use customHandler")
	}
	for _, key := range []string{"customhandler:http", "configurationprofile", "customhandler:enableproxyinghttprequest",
		"customhandler:port", "customhandler:description:defaultworkerpath", "customhandler:description:workerarguments"} {
		if h.has(key) && !strings.EqualFold(h[key], "false") {
			return config{}, errors.New("host.json: " + key + " is not simulated")
		}
	}
	r := reader{host: h}
	c := config{
		forwards:    r.flag("customhandler:enableforwardinghttprequest"),
		readyLimit:  r.span("customhandler:initializationtimeout", 30*time.Second, time.Millisecond),
		routePrefix: "api",
		only:        h.list("functions"),
		strictError: true,
		workingDir:  root,
		arguments:   arguments(h),
	}
	c.queues = r.queues(s)
	c.timeout = r.functionTimeout()
	if prefix, ok := h["extensions:http:routeprefix"]; ok {
		c.routePrefix = strings.Trim(prefix, "/")
	}
	if _, ok := h["customhandler:description:usestderrorstreamforerrorsonly"]; ok {
		c.strictError = r.flag("customhandler:description:usestderrorstreamforerrorsonly")
	}
	if dir := h["customhandler:description:workingdirectory"]; dir != "" {
		c.workingDir = below(root, dir)
	}
	c.executable = s.expand(h["customhandler:description:defaultexecutablepath"])
	if c.executable == "" {
		return config{}, errors.New("host.json: customHandler.description.defaultExecutablePath is required")
	}
	path := below(below(root, h["customhandler:description:workerdirectory"]), c.executable)
	if _, err := os.Stat(path); err == nil {
		c.executable = path
	}
	return c, r.err
}

func below(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

// arguments are joined and cut at blanks, unquoted: one with a blank becomes two (host
// contract 1.3).
func arguments(h hostJSON) []string {
	return strings.Fields(strings.Join(h.list("customhandler:description:arguments"), " "))
}

func (r *reader) queues(s settings) queueConfig {
	const at = "extensions:queues:"
	longest := time.Minute
	if strings.EqualFold(s.get("AZURE_FUNCTIONS_ENVIRONMENT"), "Development") {
		longest = 2 * time.Second
	}
	q := queueConfig{
		batch:       r.number(at+"batchsize", 16, 1, 32),
		maxDequeue:  r.number(at+"maxdequeuecount", 5, 1, 1<<30),
		longestWait: r.span(at+"maxpollinginterval", longest, 100*time.Millisecond),
		retryDelay:  r.span(at+"visibilitytimeout", 0, 0),
	}
	// One processor, as an instance of the Consumption plans counts.
	q.threshold = r.number(at+"newbatchthreshold", q.batch/2, 0, 1<<30)
	switch encoding := r.host[at+"messageencoding"]; strings.ToLower(encoding) {
	case "", "base64":
		q.base64 = true
	case "none":
	default:
		r.fail(at+"messageencoding", "base64 or none")
	}
	return q
}

// functionTimeout is half an hour unless set, as on all plans but Consumption; -1 is
// no limit (host contract 1.7).
func (r *reader) functionTimeout() time.Duration {
	const key = "functiontimeout"
	if text := r.host[key]; text == "-1" || text == "-00:00:00.0010000" {
		return 0
	}
	return r.span(key, 30*time.Minute, time.Second)
}
