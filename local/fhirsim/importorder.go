package fhirsim

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// importOrder is a validated $import body. Together with the request URL it is the identity of the job: no
// time and no caller is part of it (contract 4.5).
type importOrder struct {
	URL                 string        `json:"url"`
	Inputs              []importInput `json:"inputs"`
	Format              string        `json:"format"`
	Source              string        `json:"source"`
	Storage             string        `json:"storage"`
	Mode                string        `json:"mode"`
	NegativeVersions    bool          `json:"negative"`
	EventualConsistency bool          `json:"eventual"`
	ErrorContainer      string        `json:"errors"`
	SliceBytes          int64         `json:"slice"`
}

type importInput struct {
	Type string `json:"type"`
	URL  string `json:"url"`
	Etag string `json:"etag"`
}

// parameter is one item of a Parameters resource with the value types $import knows.
type parameter struct {
	Name         string      `json:"name"`
	ValueString  string      `json:"valueString"`
	ValueURI     string      `json:"valueUri"`
	ValueURL     string      `json:"valueUrl"`
	ValueCode    string      `json:"valueCode"`
	ValueBoolean bool        `json:"valueBoolean"`
	ValueInteger int32       `json:"valueInteger"`
	Part         []parameter `json:"part"`
}

func (p parameter) text() string {
	for _, value := range []string{p.ValueString, p.ValueURI, p.ValueURL, p.ValueCode} {
		if value != "" {
			return value
		}
	}
	return ""
}

const notParameters = "Import request must be specified as a Paramters.  The body provided in this request is not valid. "

// readImportOrder validates in the order of contract 4.3. The error's text is the answer's.
func (s *Server) readImportOrder(c *call) (importOrder, error) {
	var body struct {
		ResourceType string      `json:"resourceType"`
		Parameter    []parameter `json:"parameter"`
	}
	if err := json.Unmarshal(c.content, &body); err != nil || body.ResourceType != "Parameters" {
		return importOrder{}, refuse(notParameters)
	}
	o := importOrder{URL: "http://" + c.Host + c.URL.Path, Storage: "azure-blob", SliceBytes: defaultSlice}
	force := false
	for _, p := range body.Parameter {
		o.take(p)
		force = force || p.Name == "force" && p.ValueBoolean
	}
	if !strings.EqualFold(o.Format, "application/fhir+ndjson") {
		return o, refuse("Value of the following parameter inputFormat is invalid.")
	}
	if o.Storage != "azure-blob" {
		return o, refuse("Value of the following parameter storageDetails is invalid.")
	}
	if len(o.Inputs) == 0 {
		return o, refuse("Value of the following parameter input is invalid.")
	}
	if s.opt.ImportAccountURL == "" {
		return o, refuse("The import storage account is not configured correctly on the server. ")
	}
	if err := s.checkInputs(o.Inputs); err != nil {
		return o, err
	}
	return o, s.checkMode(&o, force)
}

func (o *importOrder) take(p parameter) {
	switch p.Name {
	case "inputFormat":
		o.Format = p.text()
	case "mode":
		o.Mode = p.text()
	case "inputSource":
		o.Source = p.text()
	case "allowNegativeVersions":
		o.NegativeVersions = p.ValueBoolean
	case "eventualConsistency":
		o.EventualConsistency = p.ValueBoolean
	case "errorContainerName":
		o.ErrorContainer = p.text()
	case "processingUnitBytesToRead":
		if p.ValueInteger > 0 {
			o.SliceBytes = int64(p.ValueInteger)
		}
	case "storageDetail":
		for _, part := range p.Part {
			if part.Name == "type" && part.text() != "" {
				o.Storage = part.text()
			}
		}
	case "input":
		var input importInput
		for _, part := range p.Part {
			switch part.Name {
			case "type":
				input.Type = part.text()
			case "url":
				input.URL = part.text()
			case "etag":
				input.Etag = part.text()
			}
		}
		o.Inputs = append(o.Inputs, input)
	}
}

func (s *Server) checkInputs(inputs []importInput) error {
	seen := map[string]bool{}
	var twice []string
	for _, input := range inputs {
		if seen[input.URL] && !slices.Contains(twice, input.URL) {
			twice = append(twice, input.URL)
		}
		seen[input.URL] = true
	}
	if len(twice) > 0 {
		return refuse("Import request cannot have duplicate files. Found duplicates: %s. ", strings.Join(twice, ", "))
	}
	for _, input := range inputs {
		if input.Type != "" && !s.knowsType(input.Type) {
			return refuse("Requested operation does not support resource type: %s.", input.Type)
		}
	}
	var hosts []string
	for _, input := range inputs {
		u, err := url.Parse(input.URL)
		if err != nil || !u.IsAbs() || u.Host == "" || strings.Contains(input.URL, "?") {
			return refuse("Value of the following parameter input.url is invalid.")
		}
		hosts = append(hosts, u.Scheme+"://"+u.Hostname())
	}
	account, err := url.Parse(s.opt.ImportAccountURL)
	for _, host := range hosts {
		if err != nil || host != account.Scheme+"://"+account.Hostname() {
			return refuse("input.url must match the configured integration storage account endpoint.")
		}
	}
	for _, input := range inputs {
		if input.Type == "SearchParameter" {
			return refuse("Requested operation does not support resource type: %s.", input.Type)
		}
	}
	return nil
}

func (s *Server) checkMode(o *importOrder, force bool) error {
	s.mu.RLock()
	initial := s.locked
	s.mu.RUnlock()
	switch strings.ToLower(o.Mode) {
	case "", "incrementalload":
		o.Mode = "IncrementalLoad"
	case "initialload":
		o.Mode = "InitialLoad"
		if !initial && !force {
			return refuse("Initial import mode is not enabled. Please update service configuration to enable initial import mode.")
		}
	default:
		return refuse("The import mode '%s' is not supported.", o.Mode)
	}
	return nil
}
