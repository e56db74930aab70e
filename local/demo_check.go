package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"fhirferry/local/rig"
	"fhirferry/local/show"
)

// checkEvery is how often a check is looked at.
const checkEvery = 500 * time.Millisecond

// check asks the app for a check of its own and follows it to its end.
func (o operator) check(ctx context.Context, order string, tell func(show.Check)) (show.Check, error) {
	var c show.Check
	err := o.insist(ctx, func() error { return o.send(ctx, http.MethodPost, "/checks", order, &c) })
	for err == nil && !c.Ended() {
		if !rig.Wait(ctx, checkEvery) {
			return c, fmt.Errorf("follow check %s: %w", c.ID, context.Cause(ctx))
		}
		id := c.ID
		if err = o.insist(ctx, func() error { return o.ask(ctx, http.MethodGet, "/checks/"+url.PathEscape(id), &c) }); err == nil {
			tell(c)
		}
	}
	return c, err
}

// shownRejects is how many rejects the closing table names.
const shownRejects = 10

// rejects are the first lines that the destination did not take, and how many there are by class.
func (o operator) rejects(ctx context.Context) (first []show.Reject, classes map[string]int, err error) {
	classes = map[string]int{}
	for after := ""; ; {
		var page struct {
			Rejects []show.Reject
			Next    *string
		}
		path := "/rejects?limit=1000&after=" + url.QueryEscape(after)
		if err := o.insist(ctx, func() error { return o.ask(ctx, http.MethodGet, path, &page) }); err != nil {
			return nil, nil, err
		}
		for _, r := range page.Rejects {
			classes[r.Class]++
			if len(first) < shownRejects {
				first = append(first, r)
			}
		}
		if page.Next == nil || *page.Next == "" {
			return first, classes, nil
		}
		after = *page.Next
	}
}
