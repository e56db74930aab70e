package fhir

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
)

// SearchParameter is a definition that somebody stored at a server. Those that the server was built with are no
// resources of it (contract 8.1).
type SearchParameter struct {
	ID, URL, Code string
	Bases         []string // resource types that it is for, or Resource or DomainResource for all of them
	LastUpdated   time.Time
	Content       []byte // as received
}

// ParseSearchParameter reads a SearchParameter resource. Only what identifies it is asked for: whether it can be searched
// by is for the server that is to hold it.
func ParseSearchParameter(content []byte) (SearchParameter, error) {
	var doc struct {
		ResourceType, ID, URL, Code string
		Base                        []string
		Meta                        struct{ LastUpdated string }
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return SearchParameter{}, fmt.Errorf("not a search parameter: %w", plainJSON(err))
	}
	if doc.ResourceType != "SearchParameter" || !resourceID.MatchString(doc.ID) {
		return SearchParameter{}, errors.New("not a search parameter: no resource of that type, or none with an id")
	}
	at, _ := time.Parse(time.RFC3339Nano, doc.Meta.LastUpdated) // unknown is oldest
	return SearchParameter{doc.ID, doc.URL, doc.Code, doc.Base, at, bytes.Clone(content)}, nil
}

// Same reports whether two definitions mean the same. What is about a copy and not about the definition is left out: its
// id, its meta, and the narrative for people. Everything else counts, the status too.
func (p SearchParameter) Same(o SearchParameter) bool {
	a, aerr := meaning(p.Content)
	b, berr := meaning(o.Content)
	return aerr == nil && berr == nil && reflect.DeepEqual(a, b)
}

func meaning(content []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	var m map[string]any
	err := d.Decode(&m)
	for _, name := range []string{"id", "meta", "text"} {
		delete(m, name)
	}
	return m, err
}

// SearchParameters reads one page of the stored search parameters, the first for an empty page. Next is the following
// page, empty at the end: a page may be short or empty and still have one (contract 7.4).
func (c *Client) SearchParameters(ctx context.Context, page string) (found []SearchParameter, next string, err error) {
	u := c.at("/SearchParameter", url.Values{"_count": {"1000"}})
	if page != "" {
		if u, err = url.Parse(page); err != nil {
			return nil, "", errors.New("read search parameters: the page's URL cannot be read")
		}
	}
	q := call{op: "read search parameters", kind: reading, method: http.MethodGet, url: u, prefer: strict, limit: searchLimit}
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, "", err
	}
	if a.status != http.StatusOK {
		return nil, "", c.failure(q, a)
	}
	found, next, err = parseParameterPage(a.body)
	if err != nil {
		return nil, "", unbelievable(q, a, err)
	}
	if next == "" {
		return found, "", nil
	}
	following, err := c.resolve(u, next)
	if err != nil {
		return nil, "", unbelievable(q, a, fmt.Errorf("next page: %w", err))
	}
	return found, following.String(), nil
}

func parseParameterPage(body []byte) (found []SearchParameter, next string, err error) {
	b, err := parseBundle(body)
	if err != nil {
		return nil, "", err
	}
	var resources struct {
		Entry []struct{ Resource json.RawMessage }
	}
	if err := json.Unmarshal(body, &resources); err != nil {
		return nil, "", errors.New("the answer is not a Bundle")
	}
	for i, e := range b.Entry {
		if e.Search.Mode == "outcome" || e.Resource.ResourceType == "OperationOutcome" {
			continue
		}
		p, err := ParseSearchParameter(resources.Entry[i].Resource)
		if err != nil {
			return nil, "", fmt.Errorf("entry %d: %w", i, err)
		}
		found = append(found, p)
	}
	return found, b.next(), nil
}

// Definition is a search parameter that a server lets be searched by: one that it was built with, or a stored one that a
// reindex has brought into use (contract 7.6).
type Definition struct {
	URL, Code string
	Bases     []string // sorted
}

// Definitions reads those that the capability statement lists, by URL.
func (c *Client) Definitions(ctx context.Context) ([]Definition, error) {
	q := c.metadata("read the search parameters of the capability statement")
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, c.failure(q, a)
	}
	list, err := parseDefinitions(a.body)
	if err != nil {
		return nil, unbelievable(q, a, err)
	}
	return list, nil
}

func parseDefinitions(body []byte) ([]Definition, error) {
	type named struct{ Name, Definition string }
	var doc struct {
		ResourceType string
		Rest         []struct {
			SearchParam []named
			Resource    []struct {
				Type        string
				SearchParam []named
			}
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.ResourceType != "CapabilityStatement" || len(doc.Rest) == 0 {
		return nil, errors.New("the answer is not a CapabilityStatement; check the base URL")
	}
	byURL := map[string]Definition{}
	add := func(base string, params []named) {
		for _, p := range params {
			url, _, _ := strings.Cut(p.Definition, "|") // a canonical may name its version
			if url == "" {
				continue
			}
			d := byURL[url]
			d.URL, d.Code = url, cmp.Or(d.Code, p.Name)
			d.Bases = append(d.Bases, base)
			byURL[url] = d
		}
	}
	for _, rest := range doc.Rest {
		add("Resource", rest.SearchParam)
		for _, r := range rest.Resource {
			add(r.Type, r.SearchParam)
		}
	}
	list := make([]Definition, 0, len(byURL))
	for _, d := range byURL {
		slices.Sort(d.Bases)
		d.Bases = slices.Compact(d.Bases)
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Definition) int { return cmp.Compare(a.URL, b.URL) })
	return list, nil
}

// EnabledParameters tells by URL which search parameters can be searched by, as the server's $status says. Not every
// server has that (contract 8.1).
func (c *Client) EnabledParameters(ctx context.Context) (map[string]bool, error) {
	q := call{op: "read the status of search parameters", kind: reading, method: http.MethodGet,
		url: c.at("/SearchParameter/$status", nil), limit: searchLimit}
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, c.failure(q, a)
	}
	enabled, err := parseParameterStatus(a.body)
	if err != nil {
		return nil, unbelievable(q, a, err)
	}
	return enabled, nil
}

// parseParameterStatus reads pairs of url and status, whatever kind of text they are.
func parseParameterStatus(body []byte) (map[string]bool, error) {
	var doc struct {
		ResourceType string
		Parameter    []struct{ Part []parameterValue }
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.ResourceType != "Parameters" {
		return nil, errors.New("the answer is not a Parameters resource")
	}
	enabled := map[string]bool{}
	for _, p := range doc.Parameter {
		var url, status string
		for _, part := range p.Part {
			switch part.Name {
			case "url":
				url = part.text()
			case "status":
				status = part.text()
			}
		}
		if url == "" || status == "" {
			continue
		}
		enabled[url] = strings.EqualFold(status, "Enabled")
	}
	if len(enabled) == 0 {
		return nil, errors.New("the answer names no search parameter with its status")
	}
	return enabled, nil
}
