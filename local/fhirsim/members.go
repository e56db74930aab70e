package fhirsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// deletedURL marks the line of a soft-deleted version (contract 3).
const deletedURL = "http://azurehealthcareapis.com/data-extensions/deleted-state"

const deletedExtension = `{"url":"` + deletedURL + `","valueString":"soft-deleted"}`

// member is one name and its raw value at the top level of a JSON object.
type member struct {
	name  string
	raw   []byte // name and value as they stand
	value []byte
}

// eachMember visits the members of a valid, compact JSON object. What it passes aliases object.
func eachMember(object []byte, visit func(member) error) error {
	if len(object) < 2 || object[0] != '{' {
		return errors.New("not a JSON object")
	}
	for i := 1; i < len(object) && object[i] != '}'; {
		if object[i] == ',' {
			i++
		}
		nameEnd := valueEnd(object, i)
		name, err := unquote(object[i:nameEnd])
		if err != nil {
			return err
		}
		end := valueEnd(object, nameEnd+1)
		if err := visit(member{name, object[i:end], object[nameEnd+1 : end]}); err != nil {
			return fmt.Errorf("element '%s': %w", name, err)
		}
		i = end
	}
	return nil
}

// unquote reads a JSON string, the plain ones without the decoder.
func unquote(value []byte) (string, error) {
	if len(value) > 1 && value[0] == '"' && bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err
}

// valueEnd is the index after the JSON value that starts at i in valid, compact JSON.
func valueEnd(data []byte, i int) int {
	depth := 0
	for i < len(data) {
		switch data[i] {
		case '"':
			i = stringEnd(data, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// stringEnd is the index after the string that starts at i.
func stringEnd(data []byte, i int) int {
	for i++; data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// content is a resource without its type, id, versionId and lastUpdated: what a row stores.
type content struct {
	// data is the rest of meta's members followed by the rest of the resource's members.
	data []byte
	// meta is the length of the first part.
	meta int
}

// parsed is a resource read from JSON.
type parsed struct {
	resourceType, id       string
	versionID, lastUpdated string
	deleted                bool
	content
}

// parseResource reads one resource. The soft-delete extension is recognised and kept in the content.
func parseResource(body []byte) (parsed, error) {
	var compact bytes.Buffer
	compact.Grow(len(body))
	if err := json.Compact(&compact, body); err != nil {
		return parsed{}, err
	}
	var p parsed
	meta, rest := make([]byte, 0, 64), make([]byte, 0, compact.Len())
	err := eachMember(compact.Bytes(), func(m member) (err error) {
		switch m.name {
		case "resourceType":
			p.resourceType, err = unquote(m.value)
		case "id":
			p.id, err = unquote(m.value)
		case "meta":
			meta, err = p.readMeta(meta, m.value)
		default:
			rest = appendMember(rest, m)
		}
		return err
	})
	p.content = joined(meta, rest)
	return p, err
}

// readMeta appends to rest what is not versionId and lastUpdated.
func (p *parsed) readMeta(rest, object []byte) ([]byte, error) {
	err := eachMember(object, func(m member) (err error) {
		switch m.name {
		case "versionId":
			p.versionID, err = unquote(m.value)
			return err
		case "lastUpdated":
			p.lastUpdated, err = unquote(m.value)
			return err
		case "extension":
			p.deleted = p.deleted || bytes.Contains(m.value, []byte(`"`+deletedURL+`"`))
		}
		rest = appendMember(rest, m)
		return nil
	})
	return rest, err
}

func appendMember(to []byte, m member) []byte {
	if len(to) > 0 {
		to = append(to, ',')
	}
	return append(to, m.raw...)
}

func joined(meta, rest []byte) content {
	data := make([]byte, 0, len(meta)+len(rest))
	return content{append(append(data, meta...), rest...), len(meta)}
}

// asDeleted is the content with the soft-delete extension, added where it is missing.
func (c content) asDeleted() content {
	var meta []byte
	found := false
	_ = eachMember([]byte("{"+string(c.data[:c.meta])+"}"), func(m member) error { // it was read once already
		if m.name == "extension" && !bytes.Contains(m.value, []byte(`"`+deletedURL+`"`)) {
			m.raw = []byte(`"extension":[` + deletedExtension + "," + string(m.value[1:]))
		}
		found = found || m.name == "extension"
		meta = appendMember(meta, m)
		return nil
	})
	if !found {
		meta = appendMember(meta, member{raw: []byte(`"extension":[` + deletedExtension + "]")})
	}
	return joined(meta, c.data[c.meta:])
}

// equal compares two contents as the service does after re-serializing: the order of members is nothing.
func (c content) equal(other content) bool {
	if c.meta == other.meta && bytes.Equal(c.data, other.data) {
		return true
	}
	return c.canonical() == other.canonical()
}

func (c content) canonical() string {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(c.appendJSON(nil, "", "")))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return string(c.data)
	}
	text, _ := json.Marshal(value)
	return string(text)
}

// appendJSON writes the resource with head as its first members and metaHead as the first ones of meta.
func (c content) appendJSON(to []byte, head, metaHead string) []byte {
	to = append(append(to, '{'), head...)
	if head != "" {
		to = append(to, ',')
	}
	to = append(append(to, `"meta":{`...), metaHead...)
	if metaHead != "" && c.meta > 0 {
		to = append(to, ',')
	}
	to = append(append(to, c.data[:c.meta]...), '}')
	if len(c.data) > c.meta {
		to = append(append(to, ','), c.data[c.meta:]...)
	}
	return append(to, '}')
}

// maxIntegerDigits is what decimal(36,18) holds before the point (contract 6.6).
const maxIntegerDigits = 18

// hasHugeNumber reports whether a number of the content does not fit decimal(36,18). Which elements the
// service indexes is not simulated: any number counts.
func (c content) hasHugeNumber() bool {
	for i := 0; i < len(c.data); i++ {
		switch b := c.data[i]; {
		case b == '"':
			i = stringEnd(c.data, i) - 1
		case b >= '0' && b <= '9':
			start := i
			for i < len(c.data) && strings.IndexByte("0123456789.eE+-", c.data[i]) >= 0 {
				i++
			}
			if integerDigits(string(c.data[start:i])) > maxIntegerDigits {
				return true
			}
		}
	}
	return false
}

func integerDigits(number string) int {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	integer, _, _ := strings.Cut(mantissa, ".")
	shift, _ := strconv.Atoi(strings.TrimPrefix(exponent, "+")) // 0 without an exponent
	if strings.Trim(mantissa, "0.") == "" {
		return 1
	}
	return len(integer) + shift
}
