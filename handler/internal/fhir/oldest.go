package fhir

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Oldest finds the smallest meta.lastUpdated: of all versions and soft deletes with history, else of current resources.
// Without types it asks the whole server. Pages may be empty and still have a next one (contract 7.4), so found is false
// only when there is no next; the context bounds the search.
func (c *Client) Oldest(ctx context.Context, history bool, types []string) (at time.Time, found bool, err error) {
	types, err = sortedTypes(types)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("find oldest: %w", err)
	}
	first := url.Values{"_sort": {"_lastUpdated"}, "_count": {"1"}}
	if !history {
		if len(types) > 0 {
			first.Set("_type", list(types))
		}
		return c.oldestFrom(ctx, "find oldest resource", c.at("/", first))
	}
	if len(types) == 0 {
		return c.oldestFrom(ctx, "find oldest version", c.at("/_history", first))
	}
	// The history of the whole server ignores a list of types (contract 7.3).
	for _, name := range types {
		one, ok, err := c.oldestFrom(ctx, "find oldest version of "+name, c.at("/"+name+"/_history", first))
		if err != nil {
			return time.Time{}, false, err
		}
		if ok && (!found || one.Before(at)) {
			at, found = one, true
		}
	}
	return at, found, nil
}

// noProgress is how often one page may be asked for: a query that is throttled before it has found anything answers with
// the token that it was given (contract 7.4), and a server that goes round in circles must not hold us for ever.
const noProgress = 10

func (c *Client) oldestFrom(ctx context.Context, op string, page *url.URL) (time.Time, bool, error) {
	seen := map[string]int{}
	for {
		q := call{op: op, kind: counting, method: http.MethodGet, url: page, prefer: strict, limit: searchLimit}
		a, err := c.do(ctx, q)
		if err != nil {
			return time.Time{}, false, err
		}
		if a.status != http.StatusOK {
			return time.Time{}, false, c.failure(q, a)
		}
		b, err := parseBundle(a.body)
		if err != nil {
			return time.Time{}, false, unbelievable(q, a, err)
		}
		at, found, err := b.first()
		if err != nil {
			return time.Time{}, false, unbelievable(q, a, err)
		}
		next := b.next()
		if found || next == "" {
			return at, found, nil
		}
		seen[page.String()]++
		if page, err = c.resolve(page, next); err != nil {
			return time.Time{}, false, unbelievable(q, a, fmt.Errorf("next page: %w", err))
		}
		if seen[page.String()] >= noProgress {
			return time.Time{}, false, unbelievable(q, a, fmt.Errorf("the next page is one already seen %d times", noProgress))
		}
	}
}

// first returns the instant of the first match on the page. A deleted version may come without its resource.
func (b bundle) first() (time.Time, bool, error) {
	for _, e := range b.Entry {
		if e.Search.Mode == "outcome" || e.Resource.ResourceType == "OperationOutcome" {
			continue
		}
		raw := e.Resource.Meta.LastUpdated
		if raw == "" {
			raw = e.Response.LastModified
		}
		at, err := time.Parse(time.RFC3339Nano, raw)
		if err != nil {
			return time.Time{}, false, errors.New("the oldest entry has no usable lastUpdated")
		}
		return at.UTC(), true, nil
	}
	return time.Time{}, false, nil
}
