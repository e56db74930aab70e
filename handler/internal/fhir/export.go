package fhir

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// mostPerPage is the largest _maxCount a server takes (contract 1.3).
const mostPerPage = 10_000

// ExportRequest is one export at the system level (contract 1.3).
type ExportRequest struct {
	Types     []string  // empty: every type
	Since     time.Time // inclusive; zero: not sent
	Till      time.Time // inclusive, or exclusive in parallel exports of gen2 (contract 1.4); zero: not sent
	Container string    // staging container; empty: the server's own
	Parallel  bool      // always sent, because the two generations have different defaults
	History   bool      // earlier versions too
	Deleted   bool      // soft deletes too
	MaxCount  int       // resources per page, at most 10,000; 0: not sent

	// De-identified export, which needs Container and Parallel.
	AnonymizationConfig string // the configuration's blob in the container "anonymization"; empty: as they are
	AnonymizationETag   string // that the blob must have, with quotes or without; empty: any
}

func (r ExportRequest) query() (url.Values, error) {
	types, err := sortedTypes(r.Types)
	if err != nil {
		return nil, err
	}
	if r.MaxCount < 0 || r.MaxCount > mostPerPage {
		return nil, fmt.Errorf("maximum count %d is outside 0 to %d", r.MaxCount, mostPerPage)
	}
	v := url.Values{"_isParallel": {strconv.FormatBool(r.Parallel)}}
	if len(types) > 0 {
		v.Set("_type", list(types))
	}
	if !r.Since.IsZero() {
		v.Set("_since", lower(r.Since))
	}
	if !r.Till.IsZero() {
		v.Set("_till", upper(r.Till))
	}
	if r.Container != "" {
		v.Set("_container", r.Container)
	}
	if r.MaxCount > 0 {
		v.Set("_maxCount", strconv.Itoa(r.MaxCount))
	}
	switch {
	case r.AnonymizationConfig == "" && r.AnonymizationETag != "":
		return nil, errors.New("the etag of a de-identification configuration is given, and no configuration")
	case r.AnonymizationConfig != "" && (r.Container == "" || !r.Parallel):
		return nil, errors.New("a de-identified export must be parallel and name its container")
	case r.AnonymizationConfig != "":
		v.Set("_anonymizationConfig", r.AnonymizationConfig)
		if r.AnonymizationETag != "" {
			v.Set("_anonymizationConfigEtag", r.AnonymizationETag)
		}
	}
	var associated []string
	if r.History {
		associated = append(associated, "_history")
	}
	if r.Deleted {
		associated = append(associated, "_deleted")
	}
	if len(associated) > 0 {
		v.Set("includeAssociatedData", strings.Join(associated, ","))
	}
	return v, nil
}

// StartExport starts an export job and returns its status URL. The same request sent twice starts two jobs (contract
// 1.7): after an error with OutcomeUnknown an orphan may run.
func (c *Client) StartExport(ctx context.Context, r ExportRequest) (statusURL string, err error) {
	query, err := r.query()
	if err != nil {
		return "", fmt.Errorf("start export: %w", err)
	}
	return c.kickOff(ctx, call{op: "start export", kind: exportKickOff, method: http.MethodGet, url: c.at("/$export", query)})
}

// ExportStatus is the answer to a poll of an export job.
type ExportStatus struct {
	Done       bool
	RetryAfter time.Duration // wait asked for, at most 1 h; zero: the server did not say
	Progress   int64         // bytes in the body of a 202
	Manifest   []byte        // as received, when Done; a JSON object
}

// ExportStatus polls an export job once.
func (c *Client) ExportStatus(ctx context.Context, statusURL string) (ExportStatus, error) {
	p, err := c.poll(ctx, "check export", exportPoll, statusURL)
	if err != nil {
		return ExportStatus{}, err
	}
	return ExportStatus{Done: p.done, RetryAfter: p.retryAfter, Progress: p.size, Manifest: p.body}, nil
}

// CancelExport ends an export job. A job that is gone, and a service that cancels nothing any more (contract 0.4), are
// no errors.
func (c *Client) CancelExport(ctx context.Context, statusURL string) error {
	return c.cancel(ctx, "cancel export", statusURL, http.StatusNotFound, http.StatusGone)
}
