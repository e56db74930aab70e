package fhir

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Capabilities is what we need of a capability statement (contract 7.6).
type Capabilities struct {
	FHIRVersion     string           // "4.0.1"
	Software        string           // may be empty
	SoftwareVersion string           // may be empty
	Types           []TypeCapability // by name, never empty
	Operations      []string         // names, sorted
	Transaction     bool             // the server takes transaction bundles
	Date            time.Time        // the answer's Date header; zero when missing
}

// TypeCapability is what the server does with one resource type.
type TypeCapability struct {
	Name         string
	Versioning   string // versioned, versioned-update, no-version
	UpdateCreate bool   // a PUT may create
}

// Offers reports whether the server names an operation. $import is offered unnamed (contract 7.6).
func (c Capabilities) Offers(operation string) bool {
	_, found := slices.BinarySearch(c.Operations, operation)
	return found
}

// Capabilities asks for the capability statement, without token.
func (c *Client) Capabilities(ctx context.Context) (Capabilities, error) {
	q := c.metadata("read capability statement")
	a, err := c.do(ctx, q)
	if err != nil {
		return Capabilities{}, err
	}
	if a.status != http.StatusOK {
		return Capabilities{}, c.failure(q, a)
	}
	found, err := parseCapabilities(a.body)
	if err != nil {
		return Capabilities{}, unbelievable(q, a, err)
	}
	found.Date, _ = http.ParseTime(a.header.Get("Date"))
	return found, nil
}

// Clock asks for the server's clock, in whole seconds, rounded down: the Date header of an answer.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	q := c.metadata("read server clock")
	a, err := c.do(ctx, q)
	if err != nil {
		return time.Time{}, err
	}
	if a.status != http.StatusOK {
		return time.Time{}, c.failure(q, a)
	}
	at, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return time.Time{}, unbelievable(q, a, errors.New("the answer has no usable Date header"))
	}
	return at.UTC(), nil
}

func (c *Client) metadata(op string) call {
	return call{op: op, method: http.MethodGet, url: c.at("/metadata", nil), anonymous: true, limit: searchLimit}
}

// at makes the URL of a path below the base.
func (c *Client) at(path string, query url.Values) *url.URL {
	u := *c.base
	u.Path += path
	u.RawQuery = query.Encode()
	return &u
}

func parseCapabilities(body []byte) (Capabilities, error) {
	var doc struct {
		ResourceType string `json:"resourceType"`
		FHIRVersion  string `json:"fhirVersion"`
		Software     struct{ Name, Version string }
		Rest         []struct {
			Interaction []struct{ Code string }
			Operation   []struct{ Name string }
			Resource    []struct {
				Type, Versioning string
				UpdateCreate     bool
			}
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.ResourceType != "CapabilityStatement" {
		return Capabilities{}, errors.New("the answer is not a CapabilityStatement; check the base URL")
	}
	if len(doc.Rest) == 0 || len(doc.Rest[0].Resource) == 0 {
		return Capabilities{}, errors.New("the capability statement names no resource types")
	}
	c := Capabilities{FHIRVersion: doc.FHIRVersion, Software: doc.Software.Name, SoftwareVersion: doc.Software.Version}
	rest := doc.Rest[0]
	for _, r := range rest.Resource {
		if !typeName.MatchString(r.Type) {
			return Capabilities{}, errors.New("the capability statement names a resource type that is none")
		}
		c.Types = append(c.Types, TypeCapability{Name: r.Type, Versioning: r.Versioning, UpdateCreate: r.UpdateCreate})
	}
	slices.SortFunc(c.Types, func(a, b TypeCapability) int { return cmp.Compare(a.Name, b.Name) })
	for _, o := range rest.Operation {
		c.Operations = append(c.Operations, o.Name)
	}
	slices.Sort(c.Operations)
	c.Transaction = slices.Contains(rest.Interaction, struct{ Code string }{"transaction"})
	return c, nil
}
