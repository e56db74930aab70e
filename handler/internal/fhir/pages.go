package fhir

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// noProgress is how often one page may be asked for: a query that is throttled before it has found anything answers with
// the token that it was given (contract 7.4), and a server that goes round in circles must not hold us for ever.
const noProgress = 10

// eachPage reads a search or a history page by page. Take reads one page's body and returns the URL of the next, empty
// when no more is wanted; pages may be empty and still have a next one (contract 7.4). What take cannot read is an
// unbelievable answer.
func (c *Client) eachPage(ctx context.Context, op string, page *url.URL, take func(body []byte) (next string, err error)) error {
	seen := map[string]int{}
	for {
		q := call{op: op, kind: counting, method: http.MethodGet, url: page, prefer: strict, limit: searchLimit}
		a, err := c.do(ctx, q)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return c.failure(q, a)
		}
		next, err := take(a.body)
		if err != nil {
			return unbelievable(q, a, err)
		}
		if next == "" {
			return nil
		}
		seen[page.String()]++
		if page, err = c.resolve(page, next); err != nil {
			return unbelievable(q, a, fmt.Errorf("next page: %w", err))
		}
		if seen[page.String()] >= noProgress {
			return unbelievable(q, a, fmt.Errorf("the next page is one already seen %d times", noProgress))
		}
	}
}
