package fhir

import (
	"fmt"
	"net/http"
	"net/url"
)

// ByHand is a kick-off request for a person to send: what StartExport and StartImport send, but for the token.
type ByHand struct {
	Method  string
	URL     string
	Headers []string // "Name: value"; an Authorization header comes on top
	Scope   string   // what a token for the request is asked for
}

// ByHand writes the export's kick-off request to the server at baseURL.
func (r ExportRequest) ByHand(baseURL string) (ByHand, error) {
	query, err := r.query()
	if err != nil {
		return ByHand{}, fmt.Errorf("export request: %w", err)
	}
	return byHand(http.MethodGet, baseURL, "/$export", query, "Accept: application/fhir+json", "Prefer: "+respondAsync)
}

// ImportByHand writes the kick-off request of an import at baseURL; its body is made by ImportRequest.Body.
func ImportByHand(baseURL string) (ByHand, error) {
	return byHand(http.MethodPost, baseURL, "/$import", nil,
		"Accept: application/fhir+json", "Prefer: "+respondAsync, "Content-Type: application/fhir+json")
}

func byHand(method, baseURL, path string, query url.Values, headers ...string) (ByHand, error) {
	base, err := parseBase(baseURL)
	if err != nil {
		return ByHand{}, err
	}
	c := Client{base: base}
	return ByHand{Method: method, URL: c.at(path, query).String(), Headers: headers, Scope: scope(base)}, nil
}
