package fhir

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// unknown is a parameter name and an import mode that no server knows.
const unknown = "fhirferryProbe"

// ProbeExport finds out whether an export would be permitted without starting one: it sends a parameter that every
// server refuses by name (contract 1.3). nil: permitted.
func (c *Client) ProbeExport(ctx context.Context) error {
	return c.probe(ctx, call{
		op: "probe export", kind: exportKickOff, method: http.MethodGet, url: c.at("/$export", url.Values{unknown: {"1"}}),
	}, strings.ToLower(unknown), c.CancelExport)
}

// ProbeImport finds out whether an import of inputURL would be permitted without starting one: its mode is unknown, and
// the mode is looked at last (contract 4.3), so that this refusal proves all that comes before. nil: permitted.
func (c *Client) ProbeImport(ctx context.Context, inputURL string) error {
	if err := fileURL(inputURL); err != nil {
		return fmt.Errorf("probe import: %w", err)
	}
	body, err := ImportRequest{Source: "fhirferry:probe", Files: []ImportFile{{URL: inputURL}}}.encode(unknown)
	if err != nil {
		return fmt.Errorf("probe import: %w", err)
	}
	return c.probe(ctx, call{
		op: "probe import", kind: importKickOff, method: http.MethodPost, url: c.at("/$import", nil), body: body,
	}, "mode", c.CancelImport)
}

func (c *Client) probe(ctx context.Context, q call, named string, cancel func(context.Context, string) error) error {
	statusURL, err := c.kickOff(ctx, q)
	if err == nil {
		// A server that takes anything: permitted, but the job must not run.
		return cancel(ctx, statusURL)
	}
	e, ok := errors.AsType[*Error](err)
	if ok && e.Status == http.StatusBadRequest && strings.Contains(e.text, named) {
		return nil
	}
	return err
}
