package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

type verb = func(context.Context) (engine.Status, error)

// operation answers an operator's request with a status and a JSON body, or with an error.
type operation func(r *http.Request) (status int, body any, err error)

// answer gives an operation its deadline and writes what it returns.
func (s *server) answer(do operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.HTTPTimeout)
		defer cancel()
		status, body, err := do(r.WithContext(ctx))
		if err != nil {
			s.fail(w, r, err)
			return
		}
		writeJSON(w, status, "application/json", body)
	}
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		panic(fmt.Sprintf("encode %T: %v", body, err)) // a programming error: bodies are our own structs
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // the caller has gone: no one is left to tell
}

// status shows the current run and, with them, what is wrong with the settings: a run made with good ones may be there.
func (s *server) status(r *http.Request) (int, any, error) {
	st := engine.Status{State: migration.ShownIdle}
	if s.Verbs != nil {
		var err error
		if st, err = s.Verbs.Status(r.Context()); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusOK, showStatus(st, s.settingProblems()), nil
}

// settingProblems are true at this very moment, so they come first among problems that are shown newest first.
func (s *server) settingProblems() []migration.Problem {
	problems := make([]migration.Problem, 0, len(s.Settings))
	for _, p := range s.Settings {
		problems = append(problems, migration.Problem{Detail: sentence(p), At: s.Now()})
	}
	return problems
}

func sentence(p engine.SettingProblem) string {
	said := p.Setting + ": " + strings.TrimSuffix(p.Detail, ".")
	if p.Remedy != "" {
		said += "; " + strings.TrimSuffix(p.Remedy, ".")
	}
	return said + "."
}

// badSettings lists every problem at once, so that a person mends them in one go.
func (s *server) badSettings(status int, title string) *problem {
	p := &problem{Title: title, Status: status}
	var all []string
	for _, sp := range s.Settings {
		all = append(all, sentence(sp))
		p.Settings = append(p.Settings, settingJSON(sp))
	}
	p.Detail = strings.Join(all, " ")
	if len(all) == 0 {
		p.Detail = "The handler has no usable settings; its log says why."
	}
	return p
}

func (s *server) start(r *http.Request) (int, any, error) {
	if len(s.Settings) > 0 || s.Verbs == nil {
		return 0, nil, s.badSettings(http.StatusUnprocessableEntity, "Settings not accepted")
	}
	overrides, err := readOverrides(r.Body)
	if err != nil {
		return 0, nil, err
	}
	st, err := s.Verbs.Start(r.Context(), overrides)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, showStatus(st, s.settingProblems()), nil
}

// verb calls one of the verbs that take nothing. They work with bad settings too, as long as there is an engine: an
// operator must be able to stop what runs.
func (s *server) verb(pick func(*Verbs) verb) http.HandlerFunc {
	return s.answer(func(r *http.Request) (int, any, error) {
		if s.Verbs == nil {
			return 0, nil, s.badSettings(http.StatusConflict, "No migration can be reached with these settings")
		}
		st, err := pick(s.Verbs)(r.Context())
		if err != nil {
			return 0, nil, err
		}
		return http.StatusAccepted, showStatus(st, s.settingProblems()), nil
	})
}

func (s *server) retry(r *http.Request) (int, any, error) {
	if s.Verbs == nil {
		return 0, nil, s.badSettings(http.StatusConflict, "No migration can be reached with these settings")
	}
	st, reopened, err := s.Verbs.Retry(r.Context())
	if err != nil {
		return 0, nil, err
	}
	shown := showStatus(st, s.settingProblems())
	shown.Reopened = &reopened
	return http.StatusAccepted, shown, nil
}

func (s *server) chunks(r *http.Request) (int, any, error) {
	query, err := readChunkQuery(r.URL.RawQuery)
	if err != nil {
		return 0, nil, err
	}
	var page engine.ChunkPage
	if s.Verbs != nil {
		if page, err = s.Verbs.Chunks(r.Context(), query); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusOK, showChunks(page), nil
}

// access lists the settings first: with bad ones the other checks may not even have been possible.
func (s *server) access(r *http.Request) (int, any, error) {
	shown := accessJSON{OK: s.Verbs != nil && len(s.Settings) == 0, Checks: []checkJSON{}}
	for _, p := range s.Settings {
		shown.Checks = append(shown.Checks, checkJSON{Name: p.Setting, Detail: p.Detail, Remedy: p.Remedy})
	}
	if shown.OK {
		shown.Checks = append(shown.Checks, checkJSON{Name: "settings", OK: true, Detail: "every setting is accepted"})
	}
	if s.Verbs != nil {
		for _, c := range s.Verbs.Access(r.Context()) {
			shown.Checks = append(shown.Checks, checkJSON{Name: c.Name, OK: c.OK, Detail: c.Detail, Remedy: c.Remedy})
			shown.OK = shown.OK && c.OK
		}
	}
	return http.StatusOK, shown, nil
}

var (
	// A FHIR type name; whether the server knows it is for the engine to find out.
	typeForm  = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`)
	chunkForm = regexp.MustCompile(`^\d{8}T\d{6}\.\d{3}Z_\d{8}T\d{6}\.\d{3}Z_[0-9a-f]{8}$`)
)

// mostRows is how many rows one page looks at, at most; a larger limit gets a shorter page, which the contract allows.
const mostRows = 1000

// readChunkQuery reads the parameters of GET chunks. The host joins a repeated one with a comma and leaves its key in
// place as "code" (host contract 4.2), so parameters that are not ours are let pass.
func readChunkQuery(raw string) (engine.ChunkQuery, error) {
	var q engine.ChunkQuery
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, refuse(http.StatusUnprocessableEntity, "Query not accepted", "The query is not of the form name=value&name=value.")
	}
	var wrong []string
	if state := strings.Join(values["state"], ","); state != "" {
		known := false
		if q.State, known = migration.ParseState(state); !known {
			wrong = append(wrong, fmt.Sprintf("state: want one of %s", joined(migration.States())))
		}
	}
	if q.Type = strings.Join(values["type"], ","); q.Type != "" && !typeForm.MatchString(q.Type) {
		wrong = append(wrong, "type: want one FHIR resource type, such as Patient")
	}
	if limit := strings.Join(values["limit"], ","); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 {
			wrong = append(wrong, fmt.Sprintf("limit: want a whole number from 1 to %d", mostRows))
		}
		q.Limit = min(n, mostRows)
	}
	if q.After = strings.Join(values["after"], ","); q.After != "" && !chunkForm.MatchString(q.After) {
		wrong = append(wrong, `after: want the "next" of the page before`)
	}
	if len(wrong) > 0 {
		return q, refuse(http.StatusUnprocessableEntity, "Query not accepted", "%s.", strings.Join(wrong, "; "))
	}
	return q, nil
}

func joined[T ~string](values []T) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, string(v))
	}
	return strings.Join(texts, ", ")
}
