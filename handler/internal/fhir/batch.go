package fhir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// MostInBatch is how many entries a server takes in one batch (contract 8.2).
const MostInBatch = 500

// BatchResult is what a batch answers for one entry. A batch is a 200 whatever became of its entries (contract 8.2).
type BatchResult struct {
	Status int
	Detail string // diagnostics; at most 500 characters, without query strings; empty when it was written
	text   string // untrimmed, lower case
}

// PutSearchParameters writes search parameters, each under its own id, in one batch, and returns one result for each in
// their order. Written twice they are the same, so that a lost answer costs nothing.
func (c *Client) PutSearchParameters(ctx context.Context, parameters []SearchParameter) ([]BatchResult, error) {
	body, err := batchBody(parameters)
	if err != nil {
		return nil, fmt.Errorf("write search parameters: %w", err)
	}
	q := call{op: "write search parameters", kind: changing, method: http.MethodPost, url: c.at("/", nil), body: body, limit: searchLimit}
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, c.failure(q, a)
	}
	results, err := parseBatchResults(a.body, len(parameters))
	if err != nil {
		return nil, unbelievable(q, a, err)
	}
	return results, nil
}

func batchBody(parameters []SearchParameter) ([]byte, error) {
	if len(parameters) == 0 || len(parameters) > MostInBatch {
		return nil, fmt.Errorf("%d entries are not between 1 and %d", len(parameters), MostInBatch)
	}
	type request struct {
		Method string `json:"method"`
		URL    string `json:"url"`
	}
	type entry struct {
		Resource json.RawMessage `json:"resource"`
		Request  request         `json:"request"`
	}
	var entries []entry
	for _, p := range parameters {
		entries = append(entries, entry{p.Content, request{http.MethodPut, "SearchParameter/" + p.ID}})
	}
	return json.Marshal(struct {
		ResourceType string  `json:"resourceType"`
		Type         string  `json:"type"`
		Entry        []entry `json:"entry"`
	}{"Bundle", "batch", entries})
}

// parseBatchResults is strict about the number of results: one that is missing would be a parameter lost in silence.
func parseBatchResults(body []byte, want int) ([]BatchResult, error) {
	var doc struct {
		ResourceType string `json:"resourceType"`
		Entry        []struct {
			Response struct {
				Status  string          `json:"status"`
				Outcome json.RawMessage `json:"outcome"`
			} `json:"response"`
			Resource json.RawMessage `json:"resource"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.ResourceType != "Bundle" {
		return nil, errors.New("the answer is not a Bundle")
	}
	if len(doc.Entry) != want {
		return nil, fmt.Errorf("the answer has %d entries for %d requests", len(doc.Entry), want)
	}
	results := make([]BatchResult, want)
	for i, e := range doc.Entry {
		code, _, _ := strings.Cut(strings.TrimSpace(e.Response.Status), " ") // the reason may follow
		status, err := strconv.Atoi(code)
		if err != nil || status < 200 || status > 599 {
			return nil, fmt.Errorf("entry %d of the answer has no usable status", i)
		}
		results[i] = BatchResult{Status: status}
		if status < 300 {
			continue
		}
		reason := e.Response.Outcome
		if len(reason) == 0 {
			reason = e.Resource // some servers put the outcome there
		}
		o := parseOutcome(reason, "application/json")
		results[i].Detail, results[i].text = tidy(o.text), strings.ToLower(o.text)
	}
	return results, nil
}

// Written reports that the entry is stored.
func (r BatchResult) Written() bool { return r.Status < 300 }

// Locked reports that search parameters cannot be changed now: a reindex is under way, or the server is in initial import
// mode.
func (r BatchResult) Locked() bool {
	return r.Status == http.StatusConflict || r.Status == http.StatusLocked
}

// Busy reports that the server asks for patience.
func (r BatchResult) Busy() bool {
	return r.Status == http.StatusTooManyRequests || r.Status == http.StatusServiceUnavailable
}

// Passing reports a failure that the next try may not meet: a timeout, a fault of the server, what it did not expect
// itself (424), or two writers at once, which it answers 400 (contract 8.2).
func (r BatchResult) Passing() bool {
	return r.Status == http.StatusRequestTimeout || r.Status == http.StatusFailedDependency || r.Status >= http.StatusInternalServerError ||
		r.Status == http.StatusBadRequest && strings.Contains(r.text, "concurren")
}

// TwoOfOne reports that the definition collides with another: one of the same url, or of the same code on the same base
// (contract 8.2).
func (r BatchResult) TwoOfOne() bool {
	return r.Status == http.StatusBadRequest && strings.Contains(r.text, "already exists")
}
