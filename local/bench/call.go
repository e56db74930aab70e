package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"fhirferry/local/rig"
	"fhirferry/local/show"
)

// answerTime is the longest anything may take to answer.
const answerTime = 60 * time.Second

// call sends one request and returns the answer's body; a status above 299 is an error that quotes its beginning.
func call(ctx context.Context, method, url, body string, header http.Header) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("make a request: %w", err)
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: read the answer: %w", method, req.URL.Path, err)
	}
	if resp.StatusCode > 299 {
		return nil, nil, fmt.Errorf("%s %s: %s: %.200s", method, req.URL.Path, resp.Status, content)
	}
	return content, resp.Header, nil
}

// post uses a verb of the app, again and again until the handler is ready.
func post(ctx context.Context, base, verb string) error {
	for {
		_, _, err := call(ctx, http.MethodPost, base+"/api/migration/"+verb, "", nil)
		if err == nil {
			return nil
		}
		if !rig.Wait(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
		}
	}
}

// until asks for the status until it is as wanted. A halted run never gets there.
func until(ctx context.Context, base string, enough func(show.Status) bool) (show.Status, error) {
	var s show.Status
	for {
		body, _, err := call(ctx, http.MethodGet, base+"/api/migration", "", nil)
		if err == nil {
			err = json.Unmarshal(body, &s)
		}
		switch {
		case err == nil && enough(s):
			return s, nil
		case err == nil && s.State == "halted":
			return s, fmt.Errorf("the run has halted: %v", s.Problems)
		case !rig.Wait(ctx, 250*time.Millisecond):
			return s, fmt.Errorf("%w while %s", context.Cause(ctx), s.State)
		}
	}
}

// median of at least one; the upper one of an even number.
func median(took []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)/2]
}
