package fhir

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Head is what identifies a version of a resource. What a line does not have, or has in a form that is none, is empty.
type Head struct {
	Type, ID, VersionID string
	LastUpdated         time.Time // to the millisecond, which is what an import keeps (contract 6.1)
}

// Numbered reports whether an import keeps the version's number: an int32 of a line that is dated (contract 6.1).
func (h Head) Numbered() bool {
	n, err := strconv.ParseInt(h.VersionID, 10, 64)
	return err == nil && n >= math.MinInt32 && n <= math.MaxInt32 && !h.LastUpdated.IsZero()
}

// ReadHead reads the head of a resource. Of one that is broken it is what stands before the break.
func ReadHead(resource []byte) Head {
	var h Head
	d := json.NewDecoder(bytes.NewReader(resource))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return h
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return h
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return h
		}
		switch name {
		case "resourceType":
			h.Type = plainText(value)
		case "id":
			h.ID = plainText(value)
		case "meta":
			h.readMeta(value)
		}
	}
	return h
}

// ReadVersion reads a line as a version to be compared; false when it is none of that type.
func ReadVersion(line []byte, resourceType string) (Version, bool) {
	v, match, err := historyEntry{Resource: line}.version(resourceType)
	return v, match && err == nil && len(line) > 0
}

func (h *Head) readMeta(value json.RawMessage) {
	var meta struct{ VersionID, LastUpdated json.RawMessage }
	if err := json.Unmarshal(value, &meta); err != nil {
		return // meta is no object
	}
	h.VersionID = plainText(meta.VersionID)
	if at, err := time.Parse(time.RFC3339Nano, plainText(meta.LastUpdated)); err == nil {
		h.LastUpdated = at.UTC().Truncate(time.Millisecond)
	}
}

// plainText is a JSON text; empty when the value is none.
func plainText(value json.RawMessage) string {
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return ""
	}
	return text
}
