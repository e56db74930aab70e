package funchost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// hostJSON is host.json as .NET's configuration holds it: flat, every value a text,
// keys in lower case joined by colons, array elements by index. Unknown keys stay
// unread.
type hostJSON map[string]string

// overridePrefix begins the app settings that replace a value of host.json, with
// double underscores for the levels (host contract 1.2).
const overridePrefix = "azurefunctionsjobhost__"

// readHostJSON reads host.json of an app root and applies the overrides (H2).
func readHostJSON(root string, s settings) (hostJSON, error) {
	text, err := os.ReadFile(filepath.Join(root, "host.json"))
	if err != nil {
		return nil, fmt.Errorf("read host.json: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var tree map[string]any
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("read host.json: %w", err)
	}
	if version, ok := tree["version"].(string); !ok || version != "2.0" {
		return nil, errors.New(`read host.json: "version" must be the string "2.0"`)
	}
	flat := hostJSON{}
	flat.flatten("", tree)
	for lower, value := range s.values {
		if key, ok := strings.CutPrefix(lower, overridePrefix); ok {
			flat[strings.ReplaceAll(key, "__", ":")] = value
		}
	}
	return flat, nil
}

func (h hostJSON) flatten(path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			h.flatten(join(path, strings.ToLower(key)), child)
		}
	case []any:
		for i, child := range v {
			h.flatten(join(path, strconv.Itoa(i)), child)
		}
	case nil:
	default:
		h[path] = fmt.Sprint(v)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + ":" + key
}

// has says that a key or anything below it is present.
func (h hostJSON) has(key string) bool {
	if _, ok := h[key]; ok {
		return true
	}
	for k := range h {
		if strings.HasPrefix(k, key+":") {
			return true
		}
	}
	return false
}

// list is the elements of an array in the order of their indices.
func (h hostJSON) list(key string) []string {
	var indices []int
	for k := range h {
		if rest, ok := strings.CutPrefix(k, key+":"); ok {
			if i, err := strconv.Atoi(rest); err == nil {
				indices = append(indices, i)
			}
		}
	}
	sort.Ints(indices)
	var values []string
	for _, i := range indices {
		values = append(values, h[key+":"+strconv.Itoa(i)])
	}
	return values
}

// reader takes typed values out of host.json and keeps the first error.
type reader struct {
	host hostJSON
	err  error
}

func (r *reader) fail(key, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("host.json: %s is %q, want %s", key, r.host[key], want)
	}
}

func (r *reader) number(key string, otherwise, lowest, highest int) int {
	text, ok := r.host[key]
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < lowest || n > highest {
		r.fail(key, fmt.Sprintf("a number from %d to %d", lowest, highest))
	}
	return n
}

func (r *reader) flag(key string) bool {
	switch text := r.host[key]; strings.ToLower(text) {
	case "true":
		return true
	case "", "false":
	default:
		r.fail(key, "true or false")
	}
	return false
}

func (r *reader) span(key string, otherwise, lowest time.Duration) time.Duration {
	text, ok := r.host[key]
	if !ok {
		return otherwise
	}
	d, err := parseTimeSpan(text)
	if err != nil || d < lowest {
		r.fail(key, "a TimeSpan such as 00:00:30, "+lowest.String()+" or more")
	}
	return d
}
