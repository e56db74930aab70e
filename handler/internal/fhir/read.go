package fhir

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Version is one version of a resource, or a soft delete. Its content is health data: it stays in this package, which
// tells the names of elements that differ and nothing else of it.
type Version struct {
	Type, ID    string
	VersionID   string
	LastUpdated time.Time // UTC, cut to the millisecond that both stores keep (contract 0.2)
	Deleted     bool

	content map[string]any // numbers as json.Number
}

// FirstQuery says where to look for a version of one resource type.
type FirstQuery struct {
	Type    string
	Since   time.Time // inclusive; zero: no lower bound
	Before  time.Time // exclusive; not in the future for a history (contract 7.3)
	History bool      // among all versions and soft deletes; else among current resources
}

// First finds the version that was last updated first within the span; found is false when there is none.
func (c *Client) First(ctx context.Context, q FirstQuery) (first Version, found bool, err error) {
	if !typeName.MatchString(q.Type) {
		return first, false, fmt.Errorf("find a version: %q is not a resource type", q.Type)
	}
	count := CountQuery{Since: q.Since, Before: q.Before}
	path, values := "/"+q.Type, count.searchQuery(nil)
	if q.History {
		path, values = path+"/_history", count.historyQuery()
	}
	values.Del("_summary")
	values.Set("_sort", "_lastUpdated")
	values.Set("_count", "1")
	err = c.eachPage(ctx, "find a version of "+q.Type, c.at(path, values), func(body []byte) (string, error) {
		versions, next, err := parseVersions(body, q.Type)
		if err != nil || len(versions) == 0 {
			return next, err
		}
		first, found = versions[0], true
		return "", nil
	})
	return first, found, err
}

// VersionsAt finds the versions of a resource that were last updated within the millisecond of at; none when the server
// has no such version, or no such resource. More than one is possible where rows carry finer ticks (contract 0.2).
func (c *Client) VersionsAt(ctx context.Context, resourceType, id string, at time.Time) ([]Version, error) {
	at = at.UTC().Truncate(time.Millisecond)
	return c.instanceHistory(ctx, "look up a version of "+resourceType, resourceType, id,
		url.Values{"_since": {lower(at)}, "_before": {upper(at.Add(time.Millisecond))}, "_count": {"100"}}, 100)
}

// Newest finds the newest version of a resource, soft deletes included; found is false when the server does not know it.
func (c *Client) Newest(ctx context.Context, resourceType, id string) (newest Version, found bool, err error) {
	versions, err := c.instanceHistory(ctx, "look up the newest version of "+resourceType, resourceType, id,
		url.Values{"_sort": {"-_lastUpdated"}, "_count": {"1"}}, 1)
	if err != nil || len(versions) == 0 {
		return newest, false, err
	}
	return versions[0], true, nil
}

func (c *Client) instanceHistory(ctx context.Context, op, resourceType, id string, values url.Values, most int) ([]Version, error) {
	if !typeName.MatchString(resourceType) || !resourceID.MatchString(id) {
		return nil, fmt.Errorf("%s: not a resource type and id", op)
	}
	var found []Version
	err := c.eachPage(ctx, op, c.at("/"+resourceType+"/"+id+"/_history", values), func(body []byte) (string, error) {
		versions, next, err := parseVersions(body, resourceType)
		found = append(found, versions...)
		if len(found) >= most {
			next = ""
		}
		return next, err
	})
	var fault *Error
	if errors.As(err, &fault) && fault.Status == http.StatusNotFound && fault.Code == "not-found" {
		return nil, nil // the history of an id that the server does not know (contract 7.3); a gateway's 404 has no code
	}
	return found, err
}

// historyEntry is an entry of a page of versions.
type historyEntry struct {
	Search struct {
		Mode string `json:"mode"`
	} `json:"search"`
	FullURL  string          `json:"fullUrl"`
	Resource json.RawMessage `json:"resource"`
	Request  struct {
		Method string `json:"method"`
		URL    string `json:"url"`
	} `json:"request"`
	Response struct {
		LastModified string `json:"lastModified"`
		ETag         string `json:"etag"`
	} `json:"response"`
}

// parseVersions reads a page. What is wrong with it is told without its content.
func parseVersions(body []byte, resourceType string) (versions []Version, next string, err error) {
	b, err := parseBundle(body)
	if err != nil {
		return nil, "", err
	}
	var page struct {
		Entry []historyEntry `json:"entry"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, "", errors.New("the entries of the bundle cannot be read")
	}
	for _, e := range page.Entry {
		v, match, err := e.version(resourceType)
		if err != nil {
			return nil, "", err
		}
		if match {
			versions = append(versions, v)
		}
	}
	return versions, b.next(), nil
}

// softDeleted marks the resource of a soft-deleted version (contract 3).
const softDeleted = "http://azurehealthcareapis.com/data-extensions/deleted-state"

// version reads an entry; match is false for what is not of the type, a warning above all. A deleted version may come
// without its resource: then request and response tell what it is.
func (e historyEntry) version(resourceType string) (v Version, match bool, err error) {
	var head struct {
		ResourceType string `json:"resourceType"`
		ID           string `json:"id"`
		Meta         struct {
			VersionID   string `json:"versionId"`
			LastUpdated string `json:"lastUpdated"`
			Extension   []struct {
				URL string `json:"url"`
			} `json:"extension"`
		} `json:"meta"`
	}
	v.Type, v.Deleted = resourceType, e.Request.Method == http.MethodDelete
	if len(e.Resource) > 0 {
		if err := json.Unmarshal(e.Resource, &head); err != nil {
			return v, false, errors.New("an entry's resource cannot be read")
		}
		if e.Search.Mode == "outcome" || head.ResourceType != resourceType {
			return v, false, nil
		}
		if v.content, err = decodeContent(e.Resource); err != nil {
			return v, false, err
		}
	}
	for _, x := range head.Meta.Extension {
		v.Deleted = v.Deleted || x.URL == softDeleted
	}
	v.ID, v.VersionID = head.ID, head.Meta.VersionID
	if v.ID == "" {
		v.ID = e.idFromURL(resourceType)
	}
	if v.VersionID == "" {
		v.VersionID = strings.Trim(strings.TrimPrefix(e.Response.ETag, "W/"), `"`)
	}
	at := head.Meta.LastUpdated
	if at == "" {
		at = e.Response.LastModified
	}
	updated, err := time.Parse(time.RFC3339Nano, at)
	if err != nil || !resourceID.MatchString(v.ID) {
		return v, false, errors.New("an entry has no usable id and lastUpdated")
	}
	v.LastUpdated = updated.UTC().Truncate(time.Millisecond)
	return v, true, nil
}

// idFromURL finds the id behind the type in the entry's URLs.
func (e historyEntry) idFromURL(resourceType string) string {
	for _, u := range []string{e.Request.URL, e.FullURL} {
		parts := strings.Split(strings.Trim(u, "/"), "/")
		for i := len(parts) - 2; i >= 0; i-- {
			if parts[i] == resourceType {
				return parts[i+1]
			}
		}
	}
	return ""
}

func decodeContent(resource []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(resource))
	d.UseNumber()
	var content map[string]any
	if err := d.Decode(&content); err != nil {
		return nil, errors.New("an entry's resource is not a JSON object")
	}
	return content, nil
}
