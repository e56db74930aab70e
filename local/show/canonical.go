package show

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"maps"
	"slices"
)

// digest is enough of a SHA-256 to tell contents apart.
type digest [16]byte

func digestOf(data []byte) digest {
	sum := sha256.Sum256(data)
	return digest(sum[:16])
}

// canonical is the JSON with members in order of their names, without space between tokens, strings in one way of
// escaping, and numbers as they were written: 1.50 differs from 1.5, since a service must keep the precision.
// What is not one JSON value is returned as it is.
func canonical(raw []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return raw
	}
	if _, err := dec.Token(); err != io.EOF {
		return raw
	}
	return appendCanonical(make([]byte, 0, len(raw)), value)
}

func appendCanonical(to []byte, value any) []byte {
	switch v := value.(type) {
	case map[string]any:
		to = append(to, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(appendCanonical(to, name), ':')
			to = appendCanonical(to, v[name])
		}
		return append(to, '}')
	case []any:
		to = append(to, '[')
		for i, element := range v {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendCanonical(to, element)
		}
		return append(to, ']')
	case json.Number:
		return append(to, v...)
	}
	text, err := json.Marshal(value) // a string, true, false or null: none of them can fail
	if err != nil {
		panic("encode a decoded JSON value: " + err.Error())
	}
	return append(to, text...)
}
