package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
)

// Facts about the host that this file relies on (host contract 3):
//
//   - Timers and queue messages arrive as POST /<function folder>, in an envelope {"Data":{…},"Metadata":{…}}. Azure
//     frames the body as chunks, Core Tools with a Content-Length: a body is read to its end either way (3.1).
//   - A queue text arrives JSON-encoded inside JSON, so the text 5 arrives as "\"5\"" (3.3). It is decoded by what it
//     is known to be, a text; the number of levels is never guessed.
//   - Metadata is never read: fields of a message that is JSON overwrite its keys (3.4).
//   - An answer that is not 2xx fails the invocation: the queue delivers the message again. An empty 2xx hangs it until
//     the host kills the process, so the least answer is {} as application/json (3.7).
//   - We have no output bindings: rows are saved before a nudge is sent, and a nudge is sent with a delay.

// workItem is the name of the binding in functions/visit/function.json.
const workItem = "item"

// invocationLimit bounds an envelope: a queue message holds at most 64 KiB, and encoding it twice and merging it into
// the metadata multiplies that by less than sixteen.
const invocationLimit = 1 << 20

// An id is a table key of ours. Which ones exist is the engine's knowledge; it lets unknown ones pass.
var idForm = regexp.MustCompile(`^[0-9A-Za-z._-]{1,100}$`)

// errNotANudge marks messages that no repetition will make readable.
var errNotANudge = errors.New("not a nudge")

// tick decides what is due. The body says nothing that the tables do not know better, but is read to its end.
func (s *server) tick(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		s.fail(w, r, fmt.Errorf("read timer invocation: %w", err))
		return
	}
	s.work(w, r, func(ctx context.Context, v *Verbs) error { return v.Tick(ctx) })
}

// visit moves one thing one step. A message that names nothing is acknowledged: it holds no state, so nothing is lost
// with it, and delivering it five times more would not make it better (host contract C19).
func (s *server) visit(w http.ResponseWriter, r *http.Request) {
	id, err := readNudge(r.Body)
	switch {
	case errors.Is(err, errNotANudge):
		s.Log.LogAttrs(r.Context(), slog.LevelError, "queue message dropped", slog.String("error", cause(err.Error())))
		acknowledge(w)
		return
	case err != nil:
		s.fail(w, r, fmt.Errorf("read queue invocation: %w", err))
		return
	}
	s.work(w, r, func(ctx context.Context, v *Verbs) error { return v.Visit(ctx, id) })
}

// work runs an invocation within its deadline. With bad settings it does nothing: the tables keep what is due.
func (s *server) work(w http.ResponseWriter, r *http.Request, do func(context.Context, *Verbs) error) {
	if s.Verbs != nil && len(s.Settings) == 0 {
		ctx, cancel := context.WithTimeout(r.Context(), s.VisitTimeout)
		defer cancel()
		if err := do(ctx, s.Verbs); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	acknowledge(w)
}

func acknowledge(w http.ResponseWriter) {
	writeJSON(w, http.StatusOK, "application/json", struct{}{})
}

// readNudge reads an envelope to its end and returns the id in it, or an error that is errNotANudge when the message
// itself is at fault. Errors never quote the message.
func readNudge(body io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(body, invocationLimit+1))
	if err != nil {
		return "", err
	}
	if len(raw) > invocationLimit {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return "", err
		}
		return "", fmt.Errorf("%w: the envelope is larger than %d bytes", errNotANudge, invocationLimit)
	}
	var envelope struct {
		Data map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return "", fmt.Errorf("%w: the envelope of %d bytes is not the JSON of an invocation", errNotANudge, len(raw))
	}
	text, err := decodeText(envelope.Data[workItem])
	if err != nil {
		return "", err
	}
	if !idForm.MatchString(text) {
		return "", fmt.Errorf("%w: a text of %d bytes is no id", errNotANudge, len(text))
	}
	return text, nil
}

// decodeText decodes a binding that is known to be a text (host contract 3.3): a JSON string that holds the JSON of a
// string. Where the second level is something else, the host has not encoded twice, and the first level is the text.
func decodeText(value json.RawMessage) (string, error) {
	var once, twice string
	if value == nil {
		return "", fmt.Errorf("%w: the envelope has no %q", errNotANudge, workItem)
	}
	if err := json.Unmarshal(value, &once); err != nil {
		return "", fmt.Errorf("%w: %q is not a text", errNotANudge, workItem)
	}
	if json.Unmarshal([]byte(once), &twice) != nil {
		return once, nil
	}
	return twice, nil
}
