package fhir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// strict makes the server refuse what it does not understand of a search, instead of dropping it and counting too much
// (contract 7.5).
const strict = "handling=strict"

// CountQuery says what to count.
type CountQuery struct {
	Types   []string  // empty: the whole server
	Since   time.Time // inclusive; zero: no lower bound
	Before  time.Time // exclusive; zero: no upper bound
	History bool      // every version and soft delete; else current resources
}

// Count asks how many there are. Versions of several types are asked type by type and summed, because the history of
// the whole server ignores a list of types (contract 7.3).
func (c *Client) Count(ctx context.Context, q CountQuery) (int64, error) {
	types, err := sortedTypes(q.Types)
	if err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	if !q.History {
		return c.countOne(ctx, "count resources", c.at("/", q.searchQuery(types)))
	}
	if len(types) == 0 {
		return c.countOne(ctx, "count versions", c.at("/_history", q.historyQuery()))
	}
	var sum int64
	for _, name := range types {
		n, err := c.countOne(ctx, "count versions of "+name, c.at("/"+name+"/_history", q.historyQuery()))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func (q CountQuery) searchQuery(types []string) url.Values {
	v := url.Values{"_summary": {"count"}}
	if len(types) > 0 {
		v.Set("_type", list(types))
	}
	if !q.Since.IsZero() {
		v.Add("_lastUpdated", "ge"+lower(q.Since))
	}
	if !q.Before.IsZero() {
		v.Add("_lastUpdated", "lt"+upper(q.Before))
	}
	return v
}

func (q CountQuery) historyQuery() url.Values {
	v := url.Values{"_summary": {"count"}}
	if !q.Since.IsZero() {
		v.Set("_since", lower(q.Since))
	}
	if !q.Before.IsZero() {
		v.Set("_before", upper(q.Before))
	}
	return v
}

func (c *Client) countOne(ctx context.Context, op string, u *url.URL) (int64, error) {
	q := call{op: op, kind: counting, method: http.MethodGet, url: u, prefer: strict, limit: searchLimit}
	a, err := c.do(ctx, q)
	if err != nil {
		return 0, err
	}
	if a.status != http.StatusOK {
		return 0, c.failure(q, a)
	}
	b, err := parseBundle(a.body)
	if err != nil {
		return 0, unbelievable(q, a, err)
	}
	if b.Total == nil || *b.Total < 0 {
		return 0, unbelievable(q, a, errors.New("the bundle has no usable total"))
	}
	return *b.Total, nil
}

// bundle is a page of a search or a history.
type bundle struct {
	ResourceType string `json:"resourceType"`
	Total        *int64 `json:"total"`
	Link         []struct {
		Relation string `json:"relation"`
		URL      string `json:"url"`
	} `json:"link"`
	Entry []entry `json:"entry"`
}

type entry struct {
	Search struct {
		Mode string `json:"mode"`
	} `json:"search"`
	Resource struct {
		ResourceType string `json:"resourceType"`
		Meta         struct {
			LastUpdated string `json:"lastUpdated"`
		} `json:"meta"`
	} `json:"resource"`
	Response struct {
		LastModified string `json:"lastModified"`
	} `json:"response"`
}

func parseBundle(body []byte) (bundle, error) {
	var b bundle
	if err := json.Unmarshal(body, &b); err != nil || b.ResourceType != "Bundle" {
		return bundle{}, errors.New("the answer is not a Bundle")
	}
	return b, nil
}

func (b bundle) next() string {
	for _, l := range b.Link {
		if l.Relation == "next" {
			return l.URL
		}
	}
	return ""
}
