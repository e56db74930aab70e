package fhir

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// ImportResult is what a completed import did (contract 5.2).
type ImportResult struct {
	Accepted map[string]int64 // lines, by input URL; lines that were there already included
	Rejected map[string]int64 // lines, by input URL
	Errors   []ErrorFile      // in the server's order, one per slice with rejected lines
}

// ErrorFile is one file of rejected lines.
type ErrorFile struct {
	Type     string // may be empty
	InputURL string
	URL      string // may be empty
	Count    int64
}

// ParseImportResult reads a result. One that it cannot hold in full is an *Error that names the place.
func ParseImportResult(b []byte) (ImportResult, error) {
	r, err := parseResult(b)
	if err != nil {
		return ImportResult{}, &Error{Op: "read import result", fault: unusable, Detail: tidy(err.Error()), cause: err}
	}
	return r, nil
}

type resultItem struct {
	Type     string `json:"type"`
	Count    *int64 `json:"count"`
	InputURL string `json:"inputUrl"`
	URL      string `json:"url"`
}

func parseResult(b []byte) (ImportResult, error) {
	var doc struct {
		Output *[]resultItem `json:"output"`
		Error  []resultItem  `json:"error"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return ImportResult{}, fmt.Errorf("not an import result: %w", plainJSON(err))
	}
	if doc.Output == nil {
		return ImportResult{}, errors.New("output is missing")
	}
	r := ImportResult{}
	var err error
	if r.Accepted, err = sums("output", *doc.Output); err != nil {
		return ImportResult{}, err
	}
	if r.Rejected, err = sums("error", doc.Error); err != nil {
		return ImportResult{}, err
	}
	for _, e := range doc.Error {
		r.Errors = append(r.Errors, ErrorFile{Type: e.Type, InputURL: e.InputURL, URL: e.URL, Count: *e.Count})
	}
	return r, nil
}

// sums adds up the items of each input; it may have several, one per slice.
func sums(name string, items []resultItem) (map[string]int64, error) {
	sum := make(map[string]int64, len(items))
	for i, item := range items {
		switch {
		case item.InputURL == "":
			return nil, fmt.Errorf("%s[%d]: inputUrl is missing", name, i)
		case item.Count == nil || *item.Count < 0:
			return nil, fmt.Errorf("%s[%d]: count is missing or negative", name, i)
		case *item.Count > math.MaxInt64-sum[item.InputURL]:
			return nil, fmt.Errorf("%s[%d]: the counts add up to more than can be held", name, i)
		}
		sum[item.InputURL] += *item.Count
	}
	return sum, nil
}
