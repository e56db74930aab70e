package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// startLimit bounds the body of a start request.
const startLimit = 64 << 10

// readOverrides reads the body of a start request. Nothing, null and {} all keep every setting. What is wrong is
// reported together.
func readOverrides(body io.Reader) (engine.Overrides, error) {
	raw, err := io.ReadAll(io.LimitReader(body, startLimit+1))
	if err != nil {
		return engine.Overrides{}, refuse(http.StatusBadRequest, "Body not readable",
			"The body broke off before its end. Send the request again.")
	}
	if len(raw) > startLimit {
		return engine.Overrides{}, refuse(http.StatusRequestEntityTooLarge, "Body too large",
			"The body of a start holds at most %d bytes.", startLimit)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return engine.Overrides{}, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return engine.Overrides{}, refuse(http.StatusUnprocessableEntity, "Body not accepted", "The body is not a JSON object "+
			`such as {"mode":"once","since":"2020-01-01T00:00:00Z","types":["Patient"]}. Leave it out to keep every setting.`)
	}
	var o engine.Overrides
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := override(&o, name, fields[name]); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		return engine.Overrides{}, refuse(http.StatusUnprocessableEntity, "Value not accepted", "%s.", strings.Join(wrong, "; "))
	}
	return o, nil
}

// override reads one field of the body. Its errors name the field and the accepted form.
func override(o *engine.Overrides, name string, value json.RawMessage) error {
	read, known := map[string]func(json.RawMessage) error{
		"mode":   func(v json.RawMessage) (err error) { o.Mode, err = readMode(v); return err },
		"since":  func(v json.RawMessage) (err error) { o.Since, err = readInstant(v); return err },
		"until":  func(v json.RawMessage) (err error) { o.Until, err = readInstant(v); return err },
		"types":  func(v json.RawMessage) (err error) { o.Types, err = readTypes(v); return err },
		"window": func(v json.RawMessage) (err error) { o.Window, err = readDuration(v); return err },
	}[name]
	if !known {
		return fmt.Errorf("%.64q: no such field; want mode, since, until, types or window", name)
	}
	if string(value) == "null" {
		return nil // keeps the setting
	}
	if err := read(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func readMode(value json.RawMessage) (*string, error) {
	var text string
	err := json.Unmarshal(value, &text)
	switch {
	case err == nil && (text == string(migration.Continuous) || text == string(migration.Once)):
		return &text, nil
	case err == nil && (text == "export" || text == "import"):
		return nil, fmt.Errorf("%s is not supported yet; want continuous or once", text)
	}
	return nil, errors.New("want continuous or once")
}

func readInstant(value json.RawMessage) (*time.Time, error) {
	var text string
	if err := json.Unmarshal(value, &text); err == nil {
		// The zero time means "not set" in a run: it must not slip in as a bound.
		if t, err := time.Parse(time.RFC3339, text); err == nil && !t.IsZero() {
			t = t.UTC()
			return &t, nil
		}
	}
	return nil, errors.New("want an RFC 3339 instant such as 2024-01-31T00:00:00Z")
}

// readTypes takes a list, or the comma-separated text that the setting takes. An empty list is refused: it could mean
// every type or none.
func readTypes(value json.RawMessage) ([]string, error) {
	form := errors.New(`want FHIR resource types such as ["Patient","Observation"]; leave it out to keep the setting`)
	var types []string
	if err := json.Unmarshal(value, &types); err != nil {
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return nil, form
		}
		types = strings.Split(text, ",")
	}
	for i, t := range types {
		if types[i] = strings.TrimSpace(t); !typeForm.MatchString(types[i]) {
			return nil, form
		}
	}
	if len(types) == 0 {
		return nil, form
	}
	return types, nil
}

var durationForm = regexp.MustCompile(`^([0-9]+)(ms|s|m|h|d)$`)

// readDuration reads a number and a unit, as every duration among the settings is written (operator contract 2).
func readDuration(value json.RawMessage) (*time.Duration, error) {
	form := errors.New("want a positive duration such as 30d, 12h, 5m, 30s or 250ms")
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return nil, form
	}
	parts := durationForm.FindStringSubmatch(text)
	if parts == nil {
		return nil, form
	}
	unit := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}[parts[2]]
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/int64(unit) {
		return nil, form
	}
	d := time.Duration(n) * unit
	return &d, nil
}
