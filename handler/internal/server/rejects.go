package server

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// rejectsJSON counts rejected lines by class, in the order of the classes.
type rejectsJSON migration.Rejects

func (c rejectsJSON) MarshalJSON() ([]byte, error) {
	var buf bytes.Buffer
	for i, class := range migration.RejectClasses() {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		buf.WriteByte(sep)
		fmt.Fprintf(&buf, "%q:%d", class, migration.Rejects(c).Of(class))
	}
	buf.WriteByte('}')
	return buf.Bytes(), nil
}

type rejectPageJSON struct {
	Rejects []rejectJSON `json:"rejects"`
	Next    *string      `json:"next"`
}

type rejectJSON struct {
	Chunk     string                `json:"chunk"`
	Class     migration.RejectClass `json:"class"`
	Type      *string               `json:"type"`
	ID        *string               `json:"id"`
	Text      string                `json:"text"`
	File      string                `json:"file"`
	Offset    *int64                `json:"offset"` // null: the line was not found
	Line      *int64                `json:"line"`   // null: the error file does not tell it
	ErrorFile string                `json:"errorFile"`
}

func showRejects(page engine.RejectPage) rejectPageJSON {
	shown := rejectPageJSON{Rejects: []rejectJSON{}, Next: text(page.Next)}
	for _, r := range page.Rejects {
		one := rejectJSON{
			Chunk: r.Chunk, Class: r.Class, Type: text(r.Type), ID: text(r.ID), Text: r.Text, File: r.File, ErrorFile: r.ErrorFile,
		}
		if r.Offset >= 0 {
			one.Offset = &r.Offset
		}
		if r.Line > 0 {
			one.Line = &r.Line
		}
		shown.Rejects = append(shown.Rejects, one)
	}
	return shown
}

func (s *server) rejects(r *http.Request) (int, any, error) {
	query, err := readRejectQuery(r.URL.RawQuery)
	if err != nil {
		return 0, nil, err
	}
	var page engine.RejectPage
	if s.Verbs != nil {
		if page, err = s.Verbs.Rejects(r.Context(), query); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusOK, showRejects(page), nil
}

// rejectCursorForm is a chunk that is done, or a place within one.
var rejectCursorForm = regexp.MustCompile(strings.TrimSuffix(chunkForm.String(), "$") + `(/\d{1,9}(-\d{1,9}){3}/\d{1,9})?$`)

// readRejectQuery reads the parameters of GET rejects, as readChunkQuery does those of GET chunks.
func readRejectQuery(raw string) (engine.RejectQuery, error) {
	var q engine.RejectQuery
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, refuse(http.StatusUnprocessableEntity, "Query not accepted", "The query is not of the form name=value&name=value.")
	}
	var wrong []string
	if class := strings.Join(values["class"], ","); class != "" {
		known := false
		if q.Class, known = migration.ParseRejectClass(class); !known {
			wrong = append(wrong, fmt.Sprintf("class: want one of %s", joined(migration.RejectClasses())))
		}
	}
	if q.Type = strings.Join(values["type"], ","); q.Type != "" && !typeForm.MatchString(q.Type) {
		wrong = append(wrong, "type: want one FHIR resource type, such as Patient")
	}
	if q.Chunk = strings.Join(values["chunk"], ","); q.Chunk != "" && !chunkForm.MatchString(q.Chunk) {
		wrong = append(wrong, "chunk: want the id of a chunk")
	}
	if limit := strings.Join(values["limit"], ","); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 {
			wrong = append(wrong, fmt.Sprintf("limit: want a whole number from 1 to %d", mostRows))
		}
		q.Limit = min(n, mostRows)
	}
	if q.After = strings.Join(values["after"], ","); q.After != "" && !rejectCursorForm.MatchString(q.After) {
		wrong = append(wrong, `after: want the "next" of the page before`)
	}
	if len(wrong) > 0 {
		return q, refuse(http.StatusUnprocessableEntity, "Query not accepted", "%s.", strings.Join(wrong, "; "))
	}
	return q, nil
}
