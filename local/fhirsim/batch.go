package fhirsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// maxBatch is the largest number of entries of a batch (contract 8.2).
const maxBatch = 500

type batchRequest struct {
	ResourceType string `json:"resourceType"`
	Type         string `json:"type"`
	Entry        []struct {
		Resource json.RawMessage `json:"resource"`
		Request  struct {
			Method string `json:"method"`
			URL    string `json:"url"`
		} `json:"request"`
	} `json:"entry"`
}

type batchReply struct {
	ResourceType string       `json:"resourceType"`
	ID           string       `json:"id"`
	Type         string       `json:"type"`
	Entry        []batchEntry `json:"entry"`
}

type batchEntry struct {
	Resource json.RawMessage `json:"resource,omitempty"`
	Response batchResponse   `json:"response"`
}

type batchResponse struct {
	Status       string          `json:"status"`
	Location     string          `json:"location,omitempty"`
	Etag         string          `json:"etag,omitempty"`
	LastModified string          `json:"lastModified,omitempty"`
	Outcome      json.RawMessage `json:"outcome,omitempty"`
}

// batch answers POST / with a Bundle of type batch: 200 with one status per entry, whatever became of each
// (contract 8.2). Entries are worked off in their order.
func (s *Server) batch(c *call) answer {
	if _, ok := strictness(c); !ok {
		return invalid(c, "The value of the handling preference is not valid.")
	}
	if refused := refuseMedia(c); refused != nil {
		return *refused
	}
	var b batchRequest
	if err := json.Unmarshal(c.content, &b); err != nil || b.ResourceType != "Bundle" {
		return invalid(c, "The body of the request must be a Bundle.")
	}
	if b.Type == "transaction" && s.opt.Generation == Gen2 {
		return outcome(c.now, http.StatusNotImplemented, "not-supported", "Transactions are not simulated.")
	}
	if b.Type != "batch" {
		return invalid(c, "Bundles of type '%s' are not supported.", b.Type)
	}
	if len(b.Entry) > maxBatch {
		return invalid(c, "The number of entries in the bundle exceeded the configured limit of %d.", maxBatch)
	}
	if text := duplicateDefinitions(b); text != "" {
		return invalid(c, "%s", text)
	}
	throttled := len(b.Entry)
	if arm, hit := s.faults.strike(faultThrottleBatch, c); hit {
		throttled = min(throttled, arm.Count)
	}
	base := s.baseURL(c)
	r := batchReply{ResourceType: "Bundle", ID: fmt.Sprintf("b%x", c.now.UnixNano()), Type: "batch-response",
		Entry: []batchEntry{}}
	for i, e := range b.Entry {
		a := answer{}
		if i < throttled {
			a = s.batchAnswer(c, e.Request.Method, e.Request.URL, e.Resource)
		} else {
			a = busy(Arm{Status: http.StatusTooManyRequests, Form: FormPlain})
		}
		r.Entry = append(r.Entry, a.asEntry(base, e.Request.URL))
	}
	return jsonAnswer(http.StatusOK, fhirJSON, r)
}

// batchAnswer is what the request of one entry would be answered on its own.
func (s *Server) batchAnswer(c *call, method, address string, content []byte) answer {
	request, err := http.NewRequestWithContext(c.Context(), method, "/"+strings.TrimPrefix(address, "/"), http.NoBody)
	if err != nil || strings.Contains(request.URL.Path, ":") {
		return invalid(c, "The url '%s' of an entry's request is not valid.", address)
	}
	request.Host, request.Header = c.Host, c.Header.Clone()
	entry := &call{Request: request, content: content, now: c.now, query: request.URL.Query(),
		path: strings.Split(strings.Trim(request.URL.Path, "/"), "/")}
	pattern, handle := s.find(entry)
	entry.route = method + " " + pattern
	if entry.route == "POST /" || strings.Contains(pattern, "$") || entry.path[0] == "_operations" {
		return methodNotAllowed(entry)
	}
	if s.forbidden(entry) {
		return forbiddenAnswer(entry)
	}
	return handle(entry)
}

func (a answer) asEntry(base, address string) batchEntry {
	e := batchEntry{Response: batchResponse{Status: strconv.Itoa(a.status), Etag: a.header["ETag"],
		LastModified: a.header["Last-Modified"]}}
	switch {
	case a.status >= http.StatusBadRequest && a.contentType != "text/html":
		e.Response.Outcome = a.body
	case len(a.body) > 0:
		e.Resource = a.body
		if a.status == http.StatusCreated {
			e.Response.Location = locationOf(base, address, a)
		}
	}
	return e
}

// locationOf is the URL of the version an entry made.
func locationOf(base, address string, a answer) string {
	p, err := parseResource(a.body)
	if err != nil {
		return base + "/" + address
	}
	return fmt.Sprintf("%s/%s/%s/_history/%s", base, p.resourceType, p.id, p.versionID)
}

// duplicateDefinitions refuses a bundle that defines one url, or one code on one base, twice; empty: it does not.
func duplicateDefinitions(b batchRequest) string {
	var seen []definition
	for _, e := range b.Entry {
		var d struct {
			ResourceType string
			definition
		}
		write := e.Request.Method == http.MethodPut || e.Request.Method == http.MethodPost
		if err := json.Unmarshal(e.Resource, &d); err != nil || !write || d.ResourceType != "SearchParameter" {
			continue // the entry's own answer says what is wrong with it
		}
		for _, before := range seen {
			if before.URL == d.URL && d.URL != "" {
				return fmt.Sprintf("The bundle contains more than one search parameter with the definition URL '%s'.", d.URL)
			}
			if base, shared := before.sharedBase(d.definition); shared && before.Code == d.Code && d.Code != "" {
				return fmt.Sprintf("The bundle contains more than one search parameter with the code '%s' for base type '%s'.", d.Code, base)
			}
		}
		seen = append(seen, d.definition)
	}
	return ""
}
