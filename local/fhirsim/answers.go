package fhirsim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	fhirJSON  = "application/fhir+json"
	plainJSON = "application/json"
)

// answer is what a handler decided; it is sent once, or never when dropped.
type answer struct {
	status      int
	contentType string
	header      map[string]string
	body        []byte
	wait        time.Duration // before it is sent, by the real clock
	declared    int64         // Content-Length to claim; 0: the true one
	dropped     bool          // the connection is reset in place of an answer
}

func (a answer) with(name, value string) answer {
	header := map[string]string{name: value}
	for k, v := range a.header {
		header[k] = v
	}
	a.header = header
	return a
}

type issue struct {
	Severity    string `json:"severity"`
	Code        string `json:"code,omitempty"`
	Details     *text  `json:"details,omitempty"`
	Diagnostics string `json:"diagnostics,omitempty"`
}

type text struct {
	Text string `json:"text"`
}

type operationOutcome struct {
	ResourceType string            `json:"resourceType"`
	ID           string            `json:"id,omitempty"`
	Meta         map[string]string `json:"meta,omitempty"`
	Issue        []issue           `json:"issue"`
}

// outcome is an error answer in the form of contract 1.6.
func outcome(now time.Time, status int, code, diagnostics string) answer {
	stamp := now.UTC()
	body := operationOutcome{"OperationOutcome", fmt.Sprintf("c%x", stamp.UnixNano()),
		map[string]string{"lastUpdated": formatInstant(stamp.Truncate(time.Millisecond).UnixNano())},
		[]issue{{Severity: "error", Code: code, Diagnostics: diagnostics}}}
	return jsonAnswer(status, fhirJSON, body)
}

func invalid(c *call, format string, args ...any) answer {
	return outcome(c.now, http.StatusBadRequest, "invalid", fmt.Sprintf(format, args...))
}

func jsonAnswer(status int, contentType string, value any) answer {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // only our own structs get here
	}
	return answer{status: status, contentType: contentType, body: body}
}

// busy is a 429 or 503 in the form the fault asks for (contract 10.1).
func busy(arm Arm) answer {
	status, code, reason := arm.Status, "throttled", "The maximum number of concurrent API calls on this instance was reached."
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusServiceUnavailable {
		code, reason = "processing", "The service is currently unavailable."
	}
	if arm.Form == FormHTML {
		page := fmt.Sprintf("<html><body><h1>%d %s</h1></body></html>", status, http.StatusText(status))
		return answer{status: status, contentType: "text/html", body: []byte(page)}
	}
	a := jsonAnswer(status, plainJSON+"; charset=utf-8", operationOutcome{"OperationOutcome", "", nil,
		[]issue{{Severity: "error", Code: code, Diagnostics: reason}}})
	if arm.Form == FormHeaders {
		a = a.with("Retry-After", "1").with("x-ms-retry-after-ms", "520")
	}
	return a
}

func (s *Server) send(w http.ResponseWriter, c *call, a answer) {
	if a.wait > 0 && !pause(c.Context(), a.wait) {
		return
	}
	if a.dropped {
		reset(w)
		return
	}
	header := w.Header()
	header.Set("Date", c.now.UTC().Format(http.TimeFormat))
	header.Set("X-Request-Id", fmt.Sprintf("r%x", c.now.UnixNano()))
	if a.contentType != "" {
		header.Set("Content-Type", a.contentType)
	}
	for name, value := range a.header {
		header.Set(name, value)
	}
	length := int64(len(a.body))
	if a.declared > 0 {
		length = a.declared
	}
	if a.status != http.StatusNoContent {
		header.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that went away is its own affair
}

// pause waits by the real clock; false when the client went away meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reset closes the connection without an answer, with a TCP reset where it can.
func reset(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server then closes the connection itself
	}
	if tcp, ok := connection.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // without it the client sees an end in place of a reset; both are losses
	}
	_ = connection.Close()
}

// strictness is the handling asked for in Prefer; ok is false for a value other than strict and lenient.
func strictness(c *call) (strict, ok bool) {
	for _, token := range strings.Split(c.Header.Get("Prefer"), ",") {
		if value, found := strings.CutPrefix(strings.TrimSpace(token), "handling="); found {
			return value == "strict", value == "strict" || value == "lenient"
		}
	}
	return false, true
}
