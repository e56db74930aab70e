package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// node is a value of a JSON document. The order of an object's fields is kept, for people read them in that order.
type node struct {
	keys   []string
	fields map[string]*node // of an object
	items  []*node          // of an array
	value  any              // of anything else: text, json.Number, bool or nil
}

// openapiDocument is the document that is served.
var openapiDocument = sync.OnceValue(func() *node {
	decoder := json.NewDecoder(bytes.NewReader(description))
	decoder.UseNumber()
	n, err := readNode(decoder)
	if err != nil {
		panic(fmt.Sprintf("openapi.json: %v", err))
	}
	return n
})

func readNode(d *json.Decoder) (*node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	n := &node{value: token}
	switch token {
	case json.Delim('{'):
		n.value, n.fields = nil, map[string]*node{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name := key.(string)
			if n.fields[name] != nil {
				return nil, fmt.Errorf("field %q is there twice", name)
			}
			if n.fields[name], err = readNode(d); err != nil {
				return nil, err
			}
			n.keys = append(n.keys, name)
		}
	case json.Delim('['):
		n.value, n.items = nil, []*node{}
		for d.More() {
			item, err := readNode(d)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
	default:
		return n, nil
	}
	_, err = d.Token() // what closes it
	return n, err
}

// at goes down by field names; nil where one is not there.
func (n *node) at(names ...string) *node {
	for _, name := range names {
		if n == nil {
			return nil
		}
		n = n.fields[name]
	}
	return n
}

// text is the text at a place, empty where there is none.
func (n *node) text(names ...string) string {
	if found := n.at(names...); found != nil {
		s, _ := found.value.(string)
		return s
	}
	return ""
}

// names are the fields of the object at a place, in their order.
func (n *node) names(names ...string) []string {
	if found := n.at(names...); found != nil {
		return found.keys
	}
	return nil
}

// texts are the texts of the array at a place.
func (n *node) texts(names ...string) []string {
	var all []string
	if found := n.at(names...); found != nil {
		for _, item := range found.items {
			s, _ := item.value.(string)
			all = append(all, s)
		}
	}
	return all
}

// walk visits every value below, with its place as a JSON pointer.
func (n *node) walk(place string, visit func(place string, n *node)) {
	visit(place, n)
	for _, k := range n.keys {
		n.fields[k].walk(place+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(k), visit)
	}
	for i, item := range n.items {
		item.walk(fmt.Sprintf("%s/%d", place, i), visit)
	}
}

// resolve follows a $ref into the document; what is none is returned as it is.
func (n *node) resolve(document *node) *node {
	for n != nil && n.at("$ref") != nil {
		place, ok := strings.CutPrefix(n.text("$ref"), "#/")
		if !ok {
			return nil
		}
		n = document.at(strings.Split(place, "/")...)
	}
	return n
}

// component is the name of the schema that a schema is a $ref to; empty: it is none.
func (n *node) component() string {
	name, ok := strings.CutPrefix(n.text("$ref"), "#/components/schemas/")
	if !ok {
		return ""
	}
	return name
}

// nullable takes null out of a schema: {"anyOf":[x,{"type":"null"}]} and {"type":["x","null"]}.
func (n *node) nullable() (rest *node, isNull bool) {
	if any := n.at("anyOf"); any != nil && len(any.items) == 2 && any.items[1].text("type") == "null" {
		return any.items[0], true
	}
	return n, slices.Contains(n.texts("type"), "null")
}

// hasType reports whether the type of a schema is the one, or the one or null.
func (n *node) hasType(want string) bool {
	return n.text("type") == want || slices.Equal(n.texts("type"), []string{want, "null"})
}

// operationOf is one call of the document.
type operationOf struct {
	method, path string // method in capitals
	*node
}

func (o operationOf) route() string { return o.method + " " + o.path }

func operations(document *node) []operationOf {
	var all []operationOf
	for _, path := range document.names("paths") {
		for _, method := range document.names("paths", path) {
			all = append(all, operationOf{strings.ToUpper(method), path, document.at("paths", path, method)})
		}
	}
	return all
}
