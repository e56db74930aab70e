package fhir

import (
	"context"
	"errors"
	"fmt"
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

func (c *Client) oldestFrom(ctx context.Context, op string, page *url.URL) (at time.Time, found bool, err error) {
	err = c.eachPage(ctx, op, page, func(body []byte) (string, error) {
		b, err := parseBundle(body)
		if err != nil {
			return "", err
		}
		if at, found, err = b.first(); err != nil || found {
			return "", err
		}
		return b.next(), nil
	})
	return at, found, err
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
