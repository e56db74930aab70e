package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fhirferry/local/rig"
	"fhirferry/local/show"
)

// operator is a person with curl: it knows the app's HTTP API (operator contract 3) and nothing else of it.
type operator struct {
	base   string // of the host, e.g. http://127.0.0.1:7071
	key    string // function key
	client *http.Client
}

// answerLimit is the longest answer read: a page of chunks.
const answerLimit = 16 << 20

func (o operator) ask(ctx context.Context, method, path string, into any) error {
	return o.send(ctx, method, path, "", into)
}

func (o operator) send(ctx context.Context, method, path, content string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, o.base+"/api/migration"+path, strings.NewReader(content))
	if err != nil {
		return fmt.Errorf("%s migration%s: %w", method, path, err)
	}
	req.Header.Set("x-functions-key", o.key)
	resp, err := o.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s migration%s: %w", method, path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("%s migration%s: read the answer: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		return refusal{path: path, status: resp.StatusCode, text: problemText(body)}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s migration%s: understand the answer: %w", method, path, err)
	}
	return nil
}

// refusal is an answer of the app, or of the host in its place, that says no.
type refusal struct {
	path   string
	status int
	text   string
}

// Error names the call and the reason given.
func (r refusal) Error() string {
	return fmt.Sprintf("migration%s was refused with %d: %s", r.path, r.status, r.text)
}

// final reports whether asking again is of no use: the request itself is wrong.
func (r refusal) final() bool { return r.status == http.StatusConflict || r.status == 422 }

func problemText(body []byte) string {
	var problem struct{ Title, Detail string }
	if json.Unmarshal(body, &problem) != nil || problem.Title+problem.Detail == "" {
		return "no problem document"
	}
	return problem.Title + ": " + problem.Detail
}

func (o operator) status(ctx context.Context) (show.Status, error) {
	var s show.Status
	return s, o.ask(ctx, http.MethodGet, "", &s)
}

// verb posts start or cutover. A handler that has just been killed is asked again.
func (o operator) verb(ctx context.Context, name string) error {
	var s show.Status
	return o.insist(ctx, func() error { return o.ask(ctx, http.MethodPost, "/"+name, &s) })
}

// insist repeats what fails for want of a handler, until ctx ends or a refusal is final.
func (o operator) insist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		if no, ok := err.(refusal); ok && no.final() {
			return err
		}
		if !rig.Wait(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
		}
	}
}

// access returns what the preflight found wrong.
func (o operator) access(ctx context.Context) (wrong []string, err error) {
	var report struct {
		Checks []struct {
			Name, Detail, Remedy string
			OK                   bool
		}
	}
	if err := o.insist(ctx, func() error { return o.ask(ctx, http.MethodGet, "/access", &report) }); err != nil {
		return nil, err
	}
	for _, check := range report.Checks {
		if !check.OK {
			wrong = append(wrong, check.Name+": "+check.Detail+" "+check.Remedy)
		}
	}
	return wrong, nil
}

// cuts are the instants at which windows of the run's chunks begin or end.
func (o operator) cuts(ctx context.Context) (map[int64]bool, error) {
	cuts := map[int64]bool{}
	for after := ""; ; {
		var page struct {
			Chunks []struct{ Since, Till time.Time }
			Next   *string
		}
		path := "/chunks?limit=500&after=" + url.QueryEscape(after)
		if err := o.insist(ctx, func() error { return o.ask(ctx, http.MethodGet, path, &page) }); err != nil {
			return nil, err
		}
		for _, c := range page.Chunks {
			cuts[c.Since.UnixMilli()], cuts[c.Till.UnixMilli()] = true, true
		}
		if page.Next == nil || *page.Next == "" {
			return cuts, nil
		}
		after = *page.Next
	}
}
