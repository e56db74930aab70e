package azurite

import (
	"net/http"
	"strings"
)

// Operation names what a request asks of a service, e.g. "table insert", "table
// merge", "table batch", "queue put", "blob lease". The account is the first
// segment of the path, as in every address of the emulator.
func Operation(s Service, r *http.Request) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	var verb string
	switch s {
	case Table:
		verb = tableVerb(r.Method, path)
	case Queue:
		verb = queueVerb(r, path)
	default:
		verb = blobVerb(r, path)
	}
	return string(s) + " " + verb
}

func tableVerb(method, path string) string {
	if path == "$batch" {
		return "batch"
	}
	name, keys, _ := strings.Cut(path, "(")
	if name == "Tables" {
		return chosen(method, map[string]string{
			http.MethodPost: "create table", http.MethodGet: "list tables", http.MethodDelete: "delete table"})
	}
	if method == http.MethodGet && (keys == "" || keys == ")") {
		return "query"
	}
	return chosen(method, map[string]string{
		http.MethodPost: "insert", http.MethodGet: "get", http.MethodPatch: "merge",
		http.MethodPut: "replace", http.MethodDelete: "delete"})
}

func queueVerb(r *http.Request, path string) string {
	name, rest, _ := strings.Cut(path, "/")
	switch {
	case name == "" && r.Method == http.MethodGet:
		return "list queues"
	case rest == "":
		return chosen(r.Method, map[string]string{
			http.MethodPut: "create queue", http.MethodDelete: "delete queue",
			http.MethodGet: "get properties", http.MethodHead: "get properties"})
	case rest == "messages":
		if r.URL.Query().Get("peekonly") == "true" {
			return "peek"
		}
		return chosen(r.Method, map[string]string{
			http.MethodPost: "put", http.MethodGet: "get", http.MethodDelete: "clear"})
	default:
		return chosen(r.Method, map[string]string{
			http.MethodPut: "update", http.MethodDelete: "delete"})
	}
}

func blobVerb(r *http.Request, path string) string {
	q := r.URL.Query()
	comp := q.Get("comp")
	what := "blob"
	if q.Get("restype") == "container" {
		what = "container"
	}
	switch {
	case comp == "list" && what == "container":
		return "list blobs"
	case comp == "list" || path == "":
		return "list containers"
	case comp == "block":
		return "put block"
	case comp == "blocklist" && r.Method == http.MethodPut:
		return "put block list"
	case comp != "":
		return comp
	}
	return chosen(r.Method, map[string]string{
		http.MethodPut: "put " + what, http.MethodGet: "get " + what,
		http.MethodHead: "get properties", http.MethodDelete: "delete " + what})
}

func chosen(method string, verbs map[string]string) string {
	if verb, known := verbs[method]; known {
		return verb
	}
	return strings.ToLower(method)
}
