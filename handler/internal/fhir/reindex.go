package fhir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ReindexState is how a reindex stands.
type ReindexState string

// The states of a reindex that are an end (contract 8.3); every other word is none.
const (
	ReindexCompleted ReindexState = "completed"
	ReindexFailed    ReindexState = "failed"
	ReindexCanceled  ReindexState = "canceled"
)

// Reindex is a reindex job as the server tells it.
type Reindex struct {
	ID          string
	Status      ReindexState // in small letters
	Done, Total int64        // resources; 0: not known yet
	Detail      string       // why it failed; at most 500 characters
}

// Over reports whether the job has ended, one way or another.
func (r Reindex) Over() bool {
	return r.Status == ReindexCompleted || r.Status == ReindexFailed || r.Status == ReindexCanceled
}

// StartReindex starts a reindex, or finds the one that is active already: there is one at most (contract 8.3). It returns
// the job's status URL.
func (c *Client) StartReindex(ctx context.Context) (statusURL string, err error) {
	q := call{op: "start reindex", kind: changing, method: http.MethodPost, url: c.at("/$reindex", nil),
		body: []byte(`{"resourceType":"Parameters","parameter":[]}`), limit: errorLimit}
	a, err := c.do(ctx, q)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusCreated && a.status != http.StatusOK {
		return "", c.failure(q, a)
	}
	status, err := c.resolve(q.url, a.header.Get("Content-Location"))
	if err != nil {
		return "", unbelievable(q, a, fmt.Errorf("Content-Location of the job: %w", err))
	}
	return status.String(), nil
}

// ReindexStatus polls a reindex once. The server answers 200 in every state (contract 8.3).
func (c *Client) ReindexStatus(ctx context.Context, statusURL string) (Reindex, error) {
	u, err := url.Parse(statusURL)
	if err != nil {
		return Reindex{}, errors.New("check reindex: the status URL cannot be read")
	}
	return c.reindex(ctx, call{op: "check reindex", kind: reindexPoll, method: http.MethodGet, url: u, limit: searchLimit})
}

// ActiveReindex finds the reindex that is queued or runs; its status URL is empty when there is none.
func (c *Client) ActiveReindex(ctx context.Context) (statusURL string, err error) {
	q := call{op: "look for a reindex", kind: reindexPoll, method: http.MethodGet, url: c.at("/$reindex", nil), limit: searchLimit}
	found, err := c.reindex(ctx, q)
	var fault *Error
	switch {
	case errors.As(err, &fault) && fault.Status == http.StatusMethodNotAllowed:
		return "", nil
	case err != nil:
		return "", err
	case found.Over():
		return "", nil
	case !resourceID.MatchString(found.ID):
		return "", &Error{Op: q.op, Status: http.StatusOK, kind: q.kind, fault: unusable, Detail: "the active job has no usable id"}
	}
	return c.at("/_operations/reindex/"+found.ID, nil).String(), nil
}

// CancelReindex ends a reindex. One that is finished, or that the server does not know, is no error.
func (c *Client) CancelReindex(ctx context.Context, statusURL string) error {
	return c.cancel(ctx, "cancel reindex", statusURL, http.StatusBadRequest, http.StatusNotFound, http.StatusGone)
}

func (c *Client) reindex(ctx context.Context, q call) (Reindex, error) {
	a, err := c.do(ctx, q)
	if err != nil {
		return Reindex{}, err
	}
	if a.status != http.StatusOK {
		return Reindex{}, c.failure(q, a)
	}
	r, err := parseReindex(a.body)
	if err != nil {
		return Reindex{}, unbelievable(q, a, err)
	}
	return r, nil
}

func parseReindex(body []byte) (Reindex, error) {
	var doc struct {
		ResourceType string           `json:"resourceType"`
		ID           string           `json:"id"`
		Parameter    []parameterValue `json:"parameter"`
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.ResourceType != "Parameters" {
		return Reindex{}, errors.New("the answer is not a Parameters resource")
	}
	r := Reindex{ID: doc.ID}
	for _, p := range doc.Parameter {
		switch p.Name {
		case "id":
			r.ID = p.text()
		case "status":
			r.Status = ReindexState(strings.ToLower(p.text()))
		case "totalResourcesToReindex":
			r.Total = p.number()
		case "resourcesSuccessfullyReindexed":
			r.Done = p.number()
		case "failureDetails":
			r.Detail = tidy(p.text())
		}
	}
	if r.Status == "cancelled" {
		r.Status = ReindexCanceled
	}
	if r.Status == "" {
		return Reindex{}, errors.New("the job has no status")
	}
	return r, nil
}
