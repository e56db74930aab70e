package fhir

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Call is one HTTP exchange as an observer sees it: nothing of it is a secret, an id of a resource, or content.
type Call struct {
	Operation string // what it was for, "start export": one of a small set
	Method    string
	Route     string // path below the base URL, ids replaced, without query: /Patient/{id}/_history
	Host      string // of the server
	Status    int    // 0: there was no answer
	Duration  time.Duration
	Success   bool // an answer below 400 that could be read to its end
}

// observe tells the observer of an exchange that has ended.
func (c *Client) observe(ctx context.Context, q call, began time.Time, status int, err error) {
	if c.observer == nil {
		return
	}
	c.observer(ctx, Call{
		Operation: operationForm.FindString(q.op), Method: q.method, Route: c.route(q.url), Host: c.base.Host,
		Status: status, Duration: time.Since(began), Success: err == nil && status < http.StatusBadRequest,
	})
}

var (
	typeForm = regexp.MustCompile(`^([A-Z][a-z]+)+$`)
	// operationForm ends before anything that could be an id.
	operationForm = regexp.MustCompile(`^[A-Za-z]*(?: [A-Za-z]+\b)*`)
)

// route is the path of a request with everything replaced that is not a word of the API: what is unknown may be an id.
func (c *Client) route(u *url.URL) string {
	path := strings.Trim(strings.TrimPrefix(u.Path, c.base.Path), "/")
	if path == "" {
		return "/"
	}
	segments := strings.Split(path, "/")
	for n, s := range segments {
		known := slices.Contains([]string{"metadata", "$export", "$import", "$reindex", "_history", "_search", "_operations"}, s) ||
			n == 0 && len(s) <= 40 && typeForm.MatchString(s) ||
			n == 1 && segments[0] == "_operations" && slices.Contains([]string{"export", "import", "reindex"}, s)
		if !known {
			segments[n] = "{id}"
		}
	}
	return "/" + strings.Join(segments, "/")
}
