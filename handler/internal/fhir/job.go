package fhir

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// respondAsync is the Prefer of every kick-off: that of an import may hold nothing else (contract 4.2).
const respondAsync = "respond-async"

// kickOff sends a request that starts a job and returns the job's status URL.
func (c *Client) kickOff(ctx context.Context, q call) (string, error) {
	q.prefer, q.limit = respondAsync, errorLimit
	a, err := c.do(ctx, q)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusAccepted {
		return "", c.failure(q, a)
	}
	status, err := c.resolve(q.url, a.header.Get("Content-Location"))
	if err != nil {
		return "", unbelievable(q, a, fmt.Errorf("Content-Location of the job: %w", err))
	}
	return status.String(), nil
}

// progress is the answer to a poll.
type progress struct {
	done       bool
	retryAfter time.Duration
	size       int64
	body       []byte
}

// poll asks how a job is doing. Only 200 is an end; 202 is none, with or without a body (contract 5.2).
func (c *Client) poll(ctx context.Context, op string, k kind, statusURL string) (progress, error) {
	u, err := url.Parse(statusURL)
	if err != nil {
		return progress{}, fmt.Errorf("%s: the status URL cannot be read", op)
	}
	q := call{op: op, kind: k, method: http.MethodGet, url: u, limit: statusLimit}
	a, err := c.do(ctx, q)
	if err != nil {
		return progress{}, err
	}
	switch a.status {
	case http.StatusAccepted:
		return progress{retryAfter: retryAfter(a.header, c.Now()), size: a.size}, nil
	case http.StatusOK:
		if trimmed := bytes.TrimSpace(a.body); len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(trimmed) {
			return progress{}, unbelievable(q, a, errors.New(notObject(trimmed, a.header)))
		}
		return progress{done: true, body: a.body}, nil
	}
	return progress{}, c.failure(q, a)
}

func notObject(body []byte, h http.Header) string {
	if len(body) == 0 {
		return "the answer is empty"
	}
	return "the answer is " + kindOfBody(h.Get("Content-Type")) + ", not a JSON object"
}

// cancel asks the server to end a job. Any 2xx, and the statuses that say there is nothing left to end, are success.
func (c *Client) cancel(ctx context.Context, op, statusURL string, over ...int) error {
	u, err := url.Parse(statusURL)
	if err != nil {
		return fmt.Errorf("%s: the status URL cannot be read", op)
	}
	q := call{op: op, method: http.MethodDelete, url: u, limit: errorLimit}
	a, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	if a.status < 300 || slices.Contains(over, a.status) {
		return nil
	}
	return c.failure(q, a)
}
