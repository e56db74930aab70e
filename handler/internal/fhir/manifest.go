package fhir

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"
)

// Manifest is what a completed export wrote (contract 2.2).
type Manifest struct {
	TransactionTime time.Time    // when the job was created
	Output          []OutputFile // by type, then URL
	Errors          int          // files under error[]; in practice none
	Request         string       // the kick-off as the server understood it; empty: it does not say
}

// DeIdentifiedBy is the configuration, and its etag, by which the export was de-identified, as its request tells: the
// server shows no other proof (contract 2.2). Empty: it was not, or says two things at once.
func (m Manifest) DeIdentifiedBy() (config, etag string) {
	u, err := url.Parse(m.Request)
	if err != nil {
		return "", ""
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query["_anonymizationConfig"]) > 1 || len(query["_anonymizationConfigEtag"]) > 1 {
		return "", ""
	}
	return query.Get("_anonymizationConfig"), query.Get("_anonymizationConfigEtag")
}

// OutputFile is one NDJSON file.
type OutputFile struct {
	Type  string
	URL   string // absolute, without query
	Count int64  // lines
}

// ParseManifest reads a manifest. It is strict about all that the books rest on: a manifest that it cannot hold in full
// is an *Error that names the place.
func ParseManifest(b []byte) (Manifest, error) {
	m, err := parseManifest(b)
	if err != nil {
		return Manifest{}, &Error{Op: "read export manifest", fault: unusable, Detail: tidy(err.Error()), cause: err}
	}
	return m, nil
}

func parseManifest(b []byte) (Manifest, error) {
	var doc struct {
		TransactionTime string `json:"transactionTime"`
		Request         any    `json:"request"`
		Output          *[]struct {
			Type  string `json:"type"`
			URL   string `json:"url"`
			Count *int64 `json:"count"`
		} `json:"output"`
		Deleted []json.RawMessage `json:"deleted"`
		Error   []json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return Manifest{}, fmt.Errorf("not a manifest: %w", plainJSON(err))
	}
	at, err := time.Parse(time.RFC3339Nano, doc.TransactionTime)
	switch {
	case err != nil:
		return Manifest{}, errors.New("transactionTime is missing or not an instant")
	case doc.Output == nil:
		return Manifest{}, errors.New("output is missing")
	case len(doc.Deleted) > 0:
		return Manifest{}, errors.New("deleted is not empty; such files are not understood and would be lost")
	}
	m := Manifest{TransactionTime: at.UTC(), Output: make([]OutputFile, 0, len(*doc.Output)), Errors: len(doc.Error)}
	m.Request, _ = doc.Request.(string) // nothing rests on it but the proof of de-identification
	seen := make(map[string]bool, len(*doc.Output))
	var lines int64
	for i, o := range *doc.Output {
		switch {
		case !typeName.MatchString(o.Type):
			return Manifest{}, fmt.Errorf("output[%d]: type is missing or not a resource type", i)
		case fileURL(o.URL) != nil:
			return Manifest{}, fmt.Errorf("output[%d]: %w", i, fileURL(o.URL))
		case seen[o.URL]:
			return Manifest{}, fmt.Errorf("output[%d]: %s is there twice", i, o.URL)
		case o.Count == nil || *o.Count < 0:
			return Manifest{}, fmt.Errorf("output[%d]: count of %s is missing or negative", i, o.URL)
		case *o.Count > math.MaxInt64-lines:
			return Manifest{}, fmt.Errorf("output[%d]: the counts add up to more than can be held", i)
		}
		seen[o.URL], lines = true, lines+*o.Count
		m.Output = append(m.Output, OutputFile{Type: o.Type, URL: o.URL, Count: *o.Count})
	}
	slices.SortFunc(m.Output, OutputFile.compare)
	return m, nil
}

func (o OutputFile) compare(p OutputFile) int {
	return cmp.Or(cmp.Compare(o.Type, p.Type), cmp.Compare(o.URL, p.URL), cmp.Compare(o.Count, p.Count))
}

// fileURL checks the form of a file's URL. Where it leads is for the owner of the staging container to judge. A query
// would be a signature, which an import refuses (contract 4.1).
func fileURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return errors.New("url is missing")
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.User != nil:
		return errors.New("url is not an absolute http or https URL")
	case u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return errors.New("url has a query or a fragment")
	}
	return nil
}

// plainJSON describes why JSON could not be read without repeating any of it.
func plainJSON(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("wrong kind of value at byte %d", e.Offset)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("JSON is broken or cut off at byte %d", e.Offset)
	}
	return errors.New("JSON cannot be read")
}

// Digest identifies the set of files: equal for two manifests exactly when they name the same (type, url, count).
func (m Manifest) Digest() string {
	files := slices.SortedFunc(slices.Values(m.Output), OutputFile.compare)
	h := sha256.New()
	for _, o := range files {
		fmt.Fprintf(h, "%q %q %d\n", o.Type, o.URL, o.Count)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Lines is the sum of the files' counts.
func (m Manifest) Lines() int64 {
	var sum int64
	for _, o := range m.Output {
		sum += o.Count
	}
	return sum
}
