package funchost

import (
	"io"
	"strings"
	"sync"
)

// console turns the handler's output into the host's log records, one per line and
// without an invocation id (host contract 2.7, H10).
type console struct {
	mu     sync.Mutex
	out    io.Writer
	strict bool
	errors []string // the last three error lines, for the message about its exit
}

// keptErrors is how many error lines the exit message quotes.
const keptErrors = 3

func (c *console) stdout(line string) { c.write("Information", line) }

func (c *console) stderr(line string) {
	level := "Error"
	lower := strings.ToLower(line)
	switch {
	case c.strict && strings.Contains(lower, "warn"):
		level = "Warning"
	case !c.strict && !containsAny(lower, "error", "fail", "severe", "unhandled exception"):
		level = "Information"
	}
	c.write(level, line)
}

func containsAny(text string, parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

func (c *console) write(level, line string) {
	const system, tooling = "languageworkerconsolelog", "azfuncjsonlog:"
	lower := strings.ToLower(line)
	if strings.HasPrefix(lower, system) {
		line = line[len(system):]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if level == "Error" {
		c.errors = append(c.errors, line)
		c.errors = c.errors[max(0, len(c.errors)-keptErrors):]
	}
	if strings.HasPrefix(lower, tooling) {
		_, _ = io.WriteString(c.out, line+"\n")
		return
	}
	_, _ = io.WriteString(c.out, level+": "+line+"\n")
}

// lastErrors takes the error lines kept since the last call.
func (c *console) lastErrors() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.Join(c.errors, "; ")
	c.errors = nil
	return text
}
