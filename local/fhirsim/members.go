package fhirsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// deletedURL marks the line of a soft-deleted version (contract 3).
const deletedURL = "http://azurehealthcareapis.com/data-extensions/deleted-state"

const deletedExtension = `{"url":"` + deletedURL + `","valueString":"soft-deleted"}`

// member is one name and its raw value at the top level of a JSON object.
type member struct {
	name  string
	value []byte
}

// members splits a valid, compact JSON object. The values alias object.
func members(object []byte) ([]member, error) {
	if len(object) < 2 || object[0] != '{' {
		return nil, errors.New("not a JSON object")
	}
	var list []member
	for i := 1; i < len(object) && object[i] != '}'; {
		if object[i] == ',' {
			i++
		}
		nameEnd := valueEnd(object, i)
		var name string
		if err := json.Unmarshal(object[i:nameEnd], &name); err != nil {
			return nil, err
		}
		end := valueEnd(object, nameEnd+1)
		list = append(list, member{name, object[nameEnd+1 : end]})
		i = end
	}
	return list, nil
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
	list, err := members(compact.Bytes())
	if err != nil {
		return parsed{}, err
	}
	var p parsed
	var meta, rest []byte
	for _, m := range list {
		switch m.name {
		case "resourceType":
			err = json.Unmarshal(m.value, &p.resourceType)
		case "id":
			err = json.Unmarshal(m.value, &p.id)
		case "meta":
			meta, err = p.readMeta(m.value)
		default:
			rest = appendMember(rest, m)
		}
		if err != nil {
			return parsed{}, fmt.Errorf("element '%s': %w", m.name, err)
		}
	}
	p.content = joined(meta, rest)
	return p, nil
}

func (p *parsed) readMeta(object []byte) ([]byte, error) {
	list, err := members(object)
	if err != nil {
		return nil, err
	}
	var rest []byte
	for _, m := range list {
		switch m.name {
		case "versionId":
			err = json.Unmarshal(m.value, &p.versionID)
		case "lastUpdated":
			err = json.Unmarshal(m.value, &p.lastUpdated)
		case "extension":
			p.deleted = p.deleted || bytes.Contains(m.value, []byte(`"`+deletedURL+`"`))
			rest = appendMember(rest, m)
		default:
			rest = appendMember(rest, m)
		}
		if err != nil {
			return nil, err
		}
	}
	return rest, nil
}

func appendMember(to []byte, m member) []byte {
	if len(to) > 0 {
		to = append(to, ',')
	}
	name, _ := json.Marshal(m.name)
	to = append(to, name...)
	to = append(to, ':')
	return append(to, m.value...)
}

func joined(meta, rest []byte) content {
	data := make([]byte, 0, len(meta)+len(rest))
	return content{append(append(data, meta...), rest...), len(meta)}
}

// asDeleted is the content with the soft-delete extension, added where it is missing.
func (c content) asDeleted() content {
	list, _ := members([]byte("{" + string(c.data[:c.meta]) + "}"))
	var meta []byte
	found := false
	for _, m := range list {
		if m.name == "extension" && !bytes.Contains(m.value, []byte(`"`+deletedURL+`"`)) {
			m.value = append([]byte("["+deletedExtension+","), m.value[1:]...)
		}
		found = found || m.name == "extension"
		meta = appendMember(meta, m)
	}
	if !found {
		meta = appendMember(meta, member{"extension", []byte("[" + deletedExtension + "]")})
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
