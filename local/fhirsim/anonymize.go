package fhirsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// anonymizationContainer is where configurations of a de-identified export are looked up (contract 1.3).
const anonymizationContainer = "anonymization"

// anonymization is what a de-identified export was asked for.
type anonymization struct {
	config, etag string
	rules        []redaction
}

// redaction removes what a path leads to.
type redaction struct {
	resourceType string // Resource: every type
	path         []string
}

var redactedPath = regexp.MustCompile(`^[A-Z][A-Za-z]*(\.[a-z][A-Za-z]*)+$`)

// readAnonymization checks the parameters of a de-identified export.
func (s *Server) readAnonymization(c *call, o *exportOrder) error {
	config, etag := c.query.Get("_anonymizationConfig"), c.query.Get("_anonymizationConfigEtag")
	collection := c.query.Get("_anonymizationConfigCollectionReference")
	switch {
	case config+etag+collection == "":
		return nil
	case c.query.Get("_container") == "":
		return refuse("Missing '_container' for anonymized export")
	case config == "":
		return refuse("Missing '_anonymizationConfig' for anonymized export")
	case !s.opt.AnonymizedExport:
		return refuse(`The requested "anonymized-export" operation is not enabled`)
	case collection != "" && etag != "":
		return refuse("The parameters _anonymizationConfigEtag and _anonymizationConfigCollectionReference exclude each other.")
	case collection != "":
		return refuse("The registry '%s' is not configured.", collection)
	}
	o.anonymized = &anonymization{config: config, etag: etag}
	return nil
}

// load reads the configuration when the job runs; what is wrong with it fails the job (contract 2.4). Whether
// an etag has its quotes is unconfirmed, so both forms match.
func (a *anonymization) load(b Blobs) *failure {
	data, etag, err := b.Get(context.Background(), anonymizationContainer, a.config, 0)
	switch {
	case errors.Is(err, ErrBlobNotFound):
		return &failure{400, fmt.Sprintf("Anonymization configuration '%s' was not found.", a.config)}
	case err != nil:
		return &failure{403, "This request is not authorized to perform this operation. " + a.config}
	case a.etag != "" && strings.Trim(a.etag, `"`) != strings.Trim(etag, `"`):
		return &failure{400, fmt.Sprintf("Anonymization configuration '%s' does not match the ETag %s.", a.config, a.etag)}
	}
	if a.rules, err = readRedactions(data); err != nil {
		return &failure{400, fmt.Sprintf("Failed to parse anonymization configuration '%s': %s", a.config, err)}
	}
	return nil
}

// readRedactions reads fhirPathRules. Only the methods keep and redact and paths of members are simulated;
// every other rule is an error, so that nothing seems anonymized that is not.
func readRedactions(config []byte) ([]redaction, error) {
	var c struct {
		Rules []struct{ Path, Method string } `json:"fhirPathRules"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	if len(c.Rules) == 0 {
		return nil, errors.New("there are no fhirPathRules")
	}
	var rules []redaction
	for _, rule := range c.Rules {
		switch {
		case strings.EqualFold(rule.Method, "keep"):
		case strings.EqualFold(rule.Method, "redact") && redactedPath.MatchString(rule.Path):
			parts := strings.Split(rule.Path, ".")
			rules = append(rules, redaction{parts[0], parts[1:]})
		default:
			return nil, fmt.Errorf("method '%s' for path '%s' is not simulated", rule.Method, rule.Path)
		}
	}
	return rules, nil
}

// redactedLabel is the security label of a resource that something was taken out of.
func redactedLabel() map[string]any {
	return map[string]any{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
		"code": "REDACTED", "display": "redacted"}
}

// apply gives the line without what the rules redact, and with the label if that was anything.
func (a *anonymization) apply(resourceType string, line []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var resource map[string]any
	if err := decoder.Decode(&resource); err != nil {
		panic(fmt.Sprintf("fhirsim: a stored %s is no JSON object: %v", resourceType, err))
	}
	changed := false
	for _, rule := range a.rules {
		if rule.resourceType == resourceType || rule.resourceType == "Resource" {
			changed = remove(resource, rule.path) || changed
		}
	}
	if !changed {
		return line
	}
	meta, _ := resource["meta"].(map[string]any)
	security, _ := meta["security"].([]any)
	meta["security"] = append(slices.Clone(security), redactedLabel())
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(resource); err != nil {
		panic(err) // it was decoded just now
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// remove takes out every value at the path; false when there was none.
func remove(from any, path []string) bool {
	removed := false
	switch value := from.(type) {
	case []any:
		for _, item := range value {
			removed = remove(item, path) || removed
		}
	case map[string]any:
		next, found := value[path[0]]
		switch {
		case !found:
		case len(path) == 1:
			delete(value, path[0])
			removed = true
		default:
			removed = remove(next, path[1:])
		}
	}
	return removed
}

// withoutAnonymization is a kick-off URL without its anonymization parameters.
func withoutAnonymization(request string) string {
	u, err := url.Parse(request)
	if err != nil {
		return request
	}
	query := u.Query()
	for name := range query {
		if strings.HasPrefix(name, "_anonymizationConfig") {
			query.Del(name)
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}
