package funchost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// encode is the body of host contract 3.2, compact.
func (in invocation) encode() ([]byte, error) {
	return compact(struct{ Data, Metadata map[string]any }{in.data, in.metadata})
}

// compact writes JSON as the host does: <, > and & as they are.
func compact(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, fmt.Errorf("encode an invocation: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// doubled is a string or scalar as Data and Metadata hold it: JSON text inside a JSON
// string (host contract 3.3, H12). Objects, bytes and dates are not doubled.
func doubled(value any) string {
	text, err := compact(value)
	if err != nil {
		// Only strings, numbers and booleans come here; they have no such error.
		panic(err)
	}
	return string(text)
}

// seconds is a date as metadata holds it: plain, without a fraction.
func seconds(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05-07:00") }

// ticks is a date inside an object: up to seven digits of a second, and an offset.
func ticks(t time.Time) string { return t.Format("2006-01-02T15:04:05.9999999-07:00") }

// system is the object sys of every metadata.
func system(function string, now time.Time) map[string]any {
	return map[string]any{
		"MethodName": function,
		"UtcNow":     now.UTC().Format("2006-01-02T15:04:05.9999999Z"),
		"RandGuid":   guid(),
	}
}

// merge adds the top-level properties of a message that looks like a JSON object to
// its metadata, over the system's own keys of the same name (host contract 3.4, H13).
func merge(metadata map[string]any, message string) {
	trimmed := strings.TrimSpace(message)
	if !strings.HasPrefix(trimmed, "{") || !strings.HasSuffix(trimmed, "}") {
		return
	}
	decoder := json.NewDecoder(strings.NewReader(trimmed))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || decoder.More() {
		return
	}
	for name, value := range object {
		if strings.HasSuffix(strings.ToLower(name), "trigger") {
			continue
		}
		if merged := mergedValue(value); merged != nil {
			metadata[existingKey(metadata, name)] = merged
		}
	}
}

// existingKey is the key that name replaces, whatever its case, or name itself.
func existingKey(metadata map[string]any, name string) string {
	for key := range metadata {
		if strings.EqualFold(key, name) {
			return key
		}
	}
	return name
}

// mergedValue is nil for what is not merged: arrays and null.
func mergedValue(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return v
	case string:
		return doubled(dateText(v))
	case bool:
		if v {
			return doubled("True")
		}
		return doubled("False")
	case json.Number:
		return doubled(numberText(v))
	}
	return nil
}

// isoDate is a string that the host's JSON reader takes for a date.
var isoDate = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})?$`)

// dateText rewrites a date the way .NET's invariant culture prints it; the clock of
// the host is UTC.
func dateText(text string) string {
	m := isoDate.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	if m[2] == "" {
		text += "Z"
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return strings.TrimSuffix(text, "Z")
	}
	return t.UTC().Format("01/02/2006 15:04:05")
}

// numberText is a number as .NET prints it: integers as they are, others by the
// shortest form, with an exponent from 1E+15 and below 1E-05.
func numberText(n json.Number) string {
	if !strings.ContainsAny(n.String(), ".eE") {
		return n.String()
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	magnitude := f
	if f < 0 {
		magnitude = -f
	}
	if magnitude != 0 && (magnitude >= 1e15 || magnitude < 1e-5) {
		return strings.ToUpper(strconv.FormatFloat(f, 'e', -1, 64))
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
