package fhirsim

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// exportOrder is a validated kick-off (contract 1.3).
type exportOrder struct {
	level     string // "", "Patient" or "Group"
	group     string
	members   []string // quoted patient references of the group, known when the coordinator runs
	since     *interval
	till      *interval
	types     []string // empty: all
	unknown   []string // unknown names of _type
	filters   []typeFilter
	history   bool
	deleted   bool
	parallel  bool
	maxCount  int
	container string

	anonymized *anonymization // nil: the lines stay as they are
}

var patientReference = regexp.MustCompile(`"Patient/[A-Za-z0-9\-.]{1,64}"`)

type typeFilter struct {
	resourceType string
	filter
}

// refusal is an error whose text is shown to the client as it is.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// exportNames are the query names $export accepts; every other one is refused (S2).
func exportNames() []string {
	return []string{"_since", "_till", "_type", "_typeFilter", "_container", "_format", "_outputFormat",
		"_isParallel", "includeAssociatedData", "_maxCount", "_anonymizationConfig",
		"_anonymizationConfigCollectionReference", "_anonymizationConfigEtag"}
}

// exportHeaderProblem checks the headers of contract 1.2; empty: none.
func exportHeaderProblem(header http.Header) string {
	if accept := header.Values("Accept"); len(accept) != 1 || accept[0] != fhirJSON {
		return fmt.Sprintf(`Value supplied, %s,  for the "Accept" header is not supported.`, strings.Join(accept, ","))
	}
	prefer := header.Values("Prefer")
	if len(prefer) == 0 {
		return "Missing required header; Prefer"
	}
	async := false
	for _, token := range strings.Split(strings.Join(prefer, ","), ",") {
		switch token = strings.TrimSpace(token); token {
		case "respond-async":
			async = true
		case "handling=strict", "handling=lenient":
		default:
			return fmt.Sprintf(`Value supplied, %s,  for the "Prefer" header is not supported.`, token)
		}
	}
	if !async {
		return "Missing required header value; header=Prefer,value=respond-async."
	}
	return ""
}

// readExportOrder validates path and query. The error's text is the answer's.
func (s *Server) readExportOrder(c *call) (exportOrder, error) {
	var o exportOrder
	if err := o.readLevel(c.path); err != nil {
		return o, err
	}
	for name := range c.query {
		if !slices.Contains(exportNames(), name) {
			return o, refuse(`The "%s" parameter is not supported.`, name)
		}
	}
	for _, read := range []func(*call, *exportOrder) error{
		s.readExportDates, s.readExportTypes, readExportSizes, s.readExportMode, readExportFormats,
		s.readAnonymization,
	} {
		if err := read(c, &o); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o *exportOrder) readLevel(path []string) error {
	switch {
	case len(path) == 1:
		return nil
	case len(path) == 2 && path[0] == "Patient":
		o.level = "Patient"
		return nil
	case len(path) == 3 && path[0] == "Group":
		o.level, o.group = "Group", path[1]
		return nil
	}
	return refuse("Requested operation does not support resource type: %s.", path[0])
}

func (s *Server) readExportDates(c *call, o *exportOrder) error {
	for name, field := range map[string]**interval{"_since": &o.since, "_till": &o.till} {
		if !c.query.Has(name) {
			continue
		}
		value, err := parseInterval(c.query.Get(name))
		if err != nil {
			return refuse("'%s' The date time string '%s' is not in a correct format.", name, c.query.Get(name))
		}
		*field = &value
	}
	return nil
}

func (s *Server) readExportTypes(c *call, o *exportOrder) error {
	for _, name := range listOf(c.query.Get("_type")) {
		if s.knowsType(name) {
			o.types = append(o.types, name)
		} else {
			o.unknown = append(o.unknown, name)
		}
	}
	for _, token := range listOf(c.query.Get("includeAssociatedData")) {
		switch token {
		case "_history":
			o.history = o.level == ""
		case "_deleted":
			o.deleted = o.level == ""
		default:
			return refuse("The value '%s' of includeAssociatedData is not supported.", token)
		}
	}
	segments := listOf(c.query.Get("_typeFilter"))
	if len(segments) == 0 {
		return nil
	}
	if c.query.Get("_type") == "" {
		return refuse("The _type parameter must be included when using the _typeFilter parameter. ")
	}
	if c.query.Get("includeAssociatedData") != "" {
		return refuse(`The request "_typeFilter" cannot be used with an export request with historical or soft deleted resources.`)
	}
	lenient := strings.Contains(strings.Join(c.Header.Values("Prefer"), ","), "handling=lenient")
	for _, segment := range segments {
		name, query, found := strings.Cut(segment, "?")
		values, err := url.ParseQuery(query)
		if !found || err != nil || !s.knowsType(name) {
			return refuse("The _typeFilter segment '%s' could not be parsed.", segment)
		}
		f, unsupported, err := s.parseFilter([]string{name}, values, false)
		if err != nil {
			return err
		}
		if len(unsupported) > 0 && !lenient {
			return refuse("The search parameter %s is not supported for resource type %s.", unsupported[0], name)
		}
		o.filters = append(o.filters, typeFilter{name, f})
	}
	return nil
}

func readExportSizes(c *call, o *exportOrder) error {
	o.maxCount = maxPerPage
	if value := c.query.Get("_maxCount"); value != "" {
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return refuse("The value '%s' is not valid for _maxCount.", value)
		}
		if n > maxPerPage {
			return refuse("Export operation parameter 'MaximumNumberOfResourcesPerQuery' was out of the range of" +
				" valid values. Please specify a different value within a range '1' - '10000'.")
		}
		if n > 0 {
			o.maxCount = int(n)
		}
	}
	o.container = c.query.Get("_container")
	if slices.Contains(strings.Split(o.container, "/"), "..") {
		return refuse("The value '%s' is not valid. Path traversal characters are not allowed.", o.container)
	}
	return nil
}

func (s *Server) readExportMode(c *call, o *exportOrder) error {
	o.parallel = s.opt.Generation == Gen2
	if s.opt.DefaultParallel != nil {
		o.parallel = *s.opt.DefaultParallel
	}
	if value := c.query.Get("_isParallel"); value != "" {
		parallel, err := strconv.ParseBool(value)
		if err != nil {
			return refuse("The value '%s' is not valid for _isParallel.", value)
		}
		o.parallel = parallel
	}
	switch {
	case len(o.filters) > 0 || o.level == "Group":
		o.parallel = false
	case o.level == "Patient":
		o.parallel = true
	}
	return nil
}

func readExportFormats(c *call, _ *exportOrder) error {
	if name := c.query.Get("_format"); name != "" {
		return refuse("The export format '%s' is not supported.", name)
	}
	switch format := c.query.Get("_outputFormat"); format {
	case "", "application/fhir+ndjson", "application/ndjson", "ndjson":
	default:
		return refuse("The output format '%s' is not supported.", format)
	}
	return nil
}

func listOf(value string) []string {
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}

// matches applies _typeFilter and, roughly, the compartments of Patient and Group exports: a resource belongs
// to a patient when it holds a reference to one.
func (o exportOrder) matches(r *row) bool {
	filtered, passed := false, false
	for _, f := range o.filters {
		if f.resourceType == r.table.name {
			filtered, passed = true, passed || f.matches(r)
		}
	}
	if filtered && !passed {
		return false
	}
	switch o.level {
	case "Patient":
		return r.table.name == "Patient" || bytes.Contains(r.body, []byte(`"Patient/`))
	case "Group":
		return slices.ContainsFunc(o.members, func(reference string) bool {
			return r.table.name == "Patient" && reference == `"Patient/`+r.id+`"` ||
				bytes.Contains(r.body, []byte(reference))
		})
	}
	return true
}

// window is the span of lastUpdated the order covers, by the table of contract 1.4.
func (s *Server) window(o exportOrder, created time.Time) span {
	till := interval{created, created}
	if o.till != nil {
		till = *o.till
	}
	w := span{from: math.MinInt64}
	step := s.opt.precision()
	if o.since != nil {
		w.from = o.since.low.Truncate(step).UnixNano()
	}
	if s.opt.Generation == Gen2 && o.parallel {
		w.to = till.low.Truncate(step).UnixNano()
		return w
	}
	w.to = till.high.Truncate(step).Add(step).UnixNano()
	return w
}
