package fhir

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"
)

// MaxSliceBytes is the largest slice size that can be sent (contract 4.2: an int32). A longer file is read in slices.
const MaxSliceBytes = math.MaxInt32

// ImportFile is one file to import.
type ImportFile struct {
	Type string // resource type of every line; empty: mixed
	URL  string // absolute, without query
	ETag string // as it shall be compared; empty: not compared
}

// ImportMode says what an import does with versions and instants (contract 4.6, 6).
type ImportMode string

const (
	IncrementalLoad ImportMode = "IncrementalLoad" // keeps lastUpdated and version ids, earlier versions and deletes
	InitialLoad     ImportMode = "InitialLoad"     // creates only; every resource gets version 1 and the instant of its import
)

// ImportRequest is one import (contract 4.2), incremental and with negative versions allowed (6.4) unless Mode says
// otherwise.
type ImportRequest struct {
	Mode           ImportMode   // empty: IncrementalLoad, the only one that moves history
	Source         string       // inputSource: names run, chunk and attempt, and so makes the job's identity (4.5)
	Files          []ImportFile // in any order
	SliceBytes     int64        // processingUnitBytesToRead, at most MaxSliceBytes; 0: not sent
	ErrorContainer string       // empty: the server's own
}

// parameter is one element of a Parameters resource.
type parameter struct {
	Name    string      `json:"name"`
	String  string      `json:"valueString,omitempty"`
	URI     string      `json:"valueUri,omitempty"`
	Code    string      `json:"valueCode,omitempty"`
	Boolean *bool       `json:"valueBoolean,omitempty"`
	Integer *int64      `json:"valueInteger,omitempty"`
	Part    []parameter `json:"part,omitempty"`
}

// Body writes the request. Equal requests, their files in any order, give equal bytes, and equal bytes are the same job
// at the server (contract 4.5).
func (r ImportRequest) Body() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("import request: %w", err)
	}
	return r.encode(string(cmp.Or(r.Mode, IncrementalLoad)))
}

func (r ImportRequest) check() error {
	switch {
	case r.Mode != "" && r.Mode != IncrementalLoad && r.Mode != InitialLoad:
		return fmt.Errorf("mode %q is neither %s nor %s", r.Mode, IncrementalLoad, InitialLoad)
	case r.Source == "":
		return errors.New("source is missing")
	case len(r.Files) == 0:
		return errors.New("no files")
	case r.SliceBytes < 0 || r.SliceBytes > MaxSliceBytes:
		return fmt.Errorf("slice of %d bytes is outside 0 to %d", r.SliceBytes, MaxSliceBytes)
	}
	seen := make(map[string]bool, len(r.Files))
	for _, f := range r.Files {
		err := fileURL(f.URL)
		switch {
		case err != nil:
			return fmt.Errorf("file: %w", err)
		case seen[f.URL]:
			return fmt.Errorf("file %s is there twice", f.URL)
		case f.Type != "" && !typeName.MatchString(f.Type):
			return fmt.Errorf("file %s: %q is not a resource type", f.URL, f.Type)
		case f.Type == "SearchParameter":
			return fmt.Errorf("file %s: SearchParameter resources cannot be imported", f.URL)
		}
		seen[f.URL] = true
	}
	return nil
}

func (r ImportRequest) encode(mode string) ([]byte, error) {
	parameters := []parameter{
		{Name: "inputFormat", String: "application/fhir+ndjson"},
		{Name: "mode", String: mode},
		{Name: "inputSource", URI: r.Source},
		{Name: "storageDetail", Part: []parameter{{Name: "type", Code: "azure-blob"}}},
	}
	if mode != string(InitialLoad) {
		negative := true
		parameters = append(parameters, parameter{Name: "allowNegativeVersions", Boolean: &negative})
	}
	if r.SliceBytes > 0 {
		parameters = append(parameters, parameter{Name: "processingUnitBytesToRead", Integer: &r.SliceBytes})
	}
	if r.ErrorContainer != "" {
		parameters = append(parameters, parameter{Name: "errorContainerName", String: r.ErrorContainer})
	}
	files := slices.SortedFunc(slices.Values(r.Files), func(a, b ImportFile) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.URL, b.URL))
	})
	for _, f := range files {
		parameters = append(parameters, f.parameter())
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		ResourceType string      `json:"resourceType"`
		Parameter    []parameter `json:"parameter"`
	}{"Parameters", parameters})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func (f ImportFile) parameter() parameter {
	input := parameter{Name: "input"}
	if f.Type != "" {
		input.Part = append(input.Part, parameter{Name: "type", String: f.Type})
	}
	input.Part = append(input.Part, parameter{Name: "url", URI: f.URL})
	if f.ETag != "" {
		input.Part = append(input.Part, parameter{Name: "etag", URI: f.ETag})
	}
	return input
}

// QuotedETags reports whether an import body gives its etags with their quotes.
func QuotedETags(body []byte) bool { return bytes.Contains(body, []byte(`"etag","valueUri":"\"`)) }

// StartImport starts an import job with a body made by ImportRequest.Body and returns its status URL. The same body
// gives the same job, whatever has become of it (contract 4.5), so it may be sent again after an unknown outcome.
func (c *Client) StartImport(ctx context.Context, body []byte) (statusURL string, err error) {
	if len(body) == 0 {
		return "", errors.New("start import: the body is empty")
	}
	return c.kickOff(ctx, call{op: "start import", kind: importKickOff, method: http.MethodPost, url: c.at("/$import", nil), body: body})
}

// ImportStatus is the answer to a poll of an import job.
type ImportStatus struct {
	Done       bool
	RetryAfter time.Duration // wait asked for, at most 1 h; zero: the server did not say
	Progress   int64         // bytes in the body of a 202: it grows with the units completed
	Result     []byte        // as received, when Done; a JSON object
}

// ImportStatus polls an import job once. A finished job may hold back its answer for a minute (contract 5.1).
func (c *Client) ImportStatus(ctx context.Context, statusURL string) (ImportStatus, error) {
	p, err := c.poll(ctx, "check import", importPoll, statusURL)
	if err != nil {
		return ImportStatus{}, err
	}
	return ImportStatus{Done: p.done, RetryAfter: p.retryAfter, Progress: p.size, Result: p.body}, nil
}

// CancelImport ends an import job; one that is unknown or over is no error (contract 5.5).
func (c *Client) CancelImport(ctx context.Context, statusURL string) error {
	return c.cancel(ctx, "cancel import", statusURL, http.StatusNotFound, http.StatusConflict)
}
