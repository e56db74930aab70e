package azurite

import (
	"bytes"
	"maps"
	"regexp"
	"sync"
)

// Service is one of the three services of a storage account.
type Service string

// The services, named as the operation counts of a Proxy begin.
const (
	Blob  Service = "blob"
	Queue Service = "queue"
	Table Service = "table"
)

// listening is what Azurite prints once per service when it accepts connections,
// also with --silent.
var listening = regexp.MustCompile(`Azurite (Blob|Queue|Table) service is successfully listening at https?://([^\s/]+)`)

// keptOutput is how much of what Azurite says is kept for an error message, in bytes.
const keptOutput = 2000

// output reads the ports that Azurite chose from its standard output.
type output struct {
	ready chan struct{} // closed when all three services have an address

	mu    sync.Mutex
	hosts map[Service]string
	line  []byte
	last  []byte
}

func newOutput() *output {
	return &output{ready: make(chan struct{}), hosts: map[Service]string{}}
}

// Write takes the next piece of the process's output, whole lines or not.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = append(o.last, p...)
	o.last = o.last[max(0, len(o.last)-keptOutput):]
	o.line = append(o.line, p...)
	for {
		line, rest, found := bytes.Cut(o.line, []byte("\n"))
		if !found {
			return len(p), nil
		}
		o.line = rest
		o.read(line)
	}
}

func (o *output) read(line []byte) {
	m := listening.FindSubmatch(line)
	if m == nil {
		return
	}
	service := Service(bytes.ToLower(m[1]))
	if _, known := o.hosts[service]; known {
		return
	}
	o.hosts[service] = string(m[2])
	if len(o.hosts) == 3 {
		close(o.ready)
	}
}

func (o *output) addresses() map[Service]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.hosts)
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.last)
}
