package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// startCheck keeps a check that visits carry out, and says where to look for it.
func (s *server) startCheck(w http.ResponseWriter, r *http.Request) {
	s.answer(func(r *http.Request) (int, any, error) {
		if len(s.Settings) > 0 || s.Verbs == nil {
			return 0, nil, s.badSettings(http.StatusUnprocessableEntity, "Settings not accepted")
		}
		order, err := readCheckOrder(r.Body)
		if err != nil {
			return 0, nil, err
		}
		check, err := s.Verbs.StartCheck(r.Context(), order)
		if err != nil {
			return 0, nil, err
		}
		w.Header().Set("Location", "/api/migration/checks/"+check.Errand.ID)
		return http.StatusAccepted, showCheck(check), nil
	})(w, r)
}

// checks lists the checks, newest first, without what they have found.
func (s *server) checks(r *http.Request) (int, any, error) {
	shown := checkListJSON{Checks: []checkSummaryJSON{}}
	if s.Verbs != nil {
		checks, err := s.Verbs.Checks(r.Context())
		if err != nil {
			return 0, nil, err
		}
		for _, c := range checks {
			shown.Checks = append(shown.Checks, summarize(c))
		}
	}
	return http.StatusOK, shown, nil
}

// check shows one check with what it has found so far.
func (s *server) check(r *http.Request) (int, any, error) {
	if s.Verbs == nil {
		return 0, nil, refuse(http.StatusNotFound, "Not found", "There is no check: the handler has no usable settings.")
	}
	found, err := s.Verbs.Check(r.Context(), chi.URLParam(r, "id"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, showCheck(found), nil
}

// mostSeed is the largest whole number that every reader of JSON keeps.
const mostSeed = 1<<53 - 1

// readCheckOrder reads the body of a request for a check. What is wrong is reported together.
func readCheckOrder(body io.Reader) (engine.CheckOrder, error) {
	var o engine.CheckOrder
	raw, err := io.ReadAll(io.LimitReader(body, startLimit+1))
	if err != nil {
		return o, refuse(http.StatusBadRequest, "Body not readable", "The body broke off before its end. Send the request again.")
	}
	if len(raw) > startLimit {
		return o, refuse(http.StatusRequestEntityTooLarge, "Body too large", "The body of a check holds at most %d bytes.", startLimit)
	}
	fields := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := json.Unmarshal(raw, &fields); err != nil {
			return o, refuse(http.StatusUnprocessableEntity, "Body not accepted",
				`The body is not a JSON object such as {"kind":"deep","types":["Patient"],"sample":5}.`)
		}
	}
	var wrong []string
	if err := readKind(&o, fields["kind"]); err != nil {
		wrong = append(wrong, err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := orderField(&o, name, fields[name]); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		text := wrong[0]
		for _, w := range wrong[1:] {
			text += "; " + w
		}
		return o, refuse(http.StatusUnprocessableEntity, "Value not accepted", "%s.", text)
	}
	return o, nil
}

func readKind(o *engine.CheckOrder, value json.RawMessage) error {
	var text string
	if len(value) > 0 && json.Unmarshal(value, &text) == nil && migration.ErrandKind(text).IsCheck() {
		o.Kind = migration.ErrandKind(text)
		return nil
	}
	return fmt.Errorf("kind: want one of %s", joined(migration.CheckKinds()))
}

// orderField reads one field besides the kind. Its errors name the field and the accepted form.
func orderField(o *engine.CheckOrder, name string, value json.RawMessage) error {
	comparing := []migration.ErrandKind{migration.SurfaceErrand, migration.DeepErrand, ""}
	deep := []migration.ErrandKind{migration.DeepErrand, ""} // empty: the kind is wrong, which is told already
	field, known := map[string]struct {
		kinds []migration.ErrandKind
		read  func(json.RawMessage) error
	}{
		"kind":  {append(comparing, migration.AccessErrand), func(json.RawMessage) error { return nil }},
		"types": {comparing, func(v json.RawMessage) (err error) { o.Types, err = readCheckTypes(v); return err }},
		"asOf":  {comparing, func(v json.RawMessage) (err error) { o.AsOf, err = readInstant(v); return err }},
		"sample": {deep, func(v json.RawMessage) (err error) {
			o.Sample, err = readWhole[int](v, 1, migration.MostSample)
			return err
		}},
		"seed": {deep, func(v json.RawMessage) (err error) { o.Seed, err = readWhole[int64](v, 0, mostSeed); return err }},
	}[name]
	switch {
	case !known:
		return fmt.Errorf("%.64q: no such field; want kind, types, asOf, sample or seed", name)
	case string(value) == "null":
		return nil
	case !slices.Contains(field.kinds, o.Kind):
		return fmt.Errorf("%s: a check of kind %s takes none", name, o.Kind)
	}
	if err := field.read(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func readCheckTypes(value json.RawMessage) ([]string, error) {
	types, err := readTypes(value)
	if err == nil && slices.Contains(types, "SearchParameter") {
		return nil, errors.New("SearchParameter is moved by a step of its own, which reports for itself")
	}
	return types, err
}

func readWhole[T int | int64](value json.RawMessage, least, most T) (*T, error) {
	var n T
	if err := json.Unmarshal(value, &n); err != nil || n < least || n > most {
		return nil, fmt.Errorf("want a whole number from %d to %d", least, most)
	}
	return &n, nil
}
