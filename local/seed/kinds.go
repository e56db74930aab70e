package seed

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// resource is a JSON object under construction.
type resource = map[string]any

// kind is a resource type and how to invent one of it.
type kind struct {
	name   string
	weight int // share of all resources, in thousandths
	body   func(*story) resource
}

func kinds() []kind {
	return []kind{
		{"Patient", 60, patient},
		{"Practitioner", 6, practitioner},
		{"Organization", 2, organization},
		{"Location", 4, location},
		{"Encounter", 120, encounter},
		{"Condition", 80, condition},
		{"Observation", 350, observation},
		{"Procedure", 60, procedure},
		{"MedicationRequest", 60, medicationRequest},
		{"Immunization", 40, immunization},
		{"DiagnosticReport", 50, diagnosticReport},
		{"AllergyIntolerance", 20, allergyIntolerance},
		{"CarePlan", 15, carePlan},
		{"Claim", 50, claim},
		{"Coverage", 30, coverage},
		{"DocumentReference", 25, documentReference},
		{"ServiceRequest", 18, serviceRequest},
		{"Appointment", 10, appointment},
	}
}

func resourceID(name string, n int) string {
	return fmt.Sprintf("%s-%07d", strings.ToLower(name), n)
}

// story is what a body is told from: Rand gives the same draws for every version of one resource, change gives
// other draws for each version.
type story struct {
	*rand.Rand
	change  *rand.Rand
	n       int
	version int
	at      time.Time
	count   func(name string) int
}

func (s *story) pick(from ...string) string { return from[s.IntN(len(from))] }

func (s *story) turn(from ...string) string { return from[s.change.IntN(len(from))] }

// ref points to a resource of the named type; servers do not check that it is there (contract 6.1).
func (s *story) ref(name string) resource {
	return resource{"reference": name + "/" + resourceID(name, s.IntN(s.count(name)))}
}

// when is an instant of the story, the same for all versions of a resource.
func (s *story) when(days int) string {
	base := time.Date(2019, time.June, 1, 8, 0, 0, 0, time.UTC).AddDate(0, 0, s.IntN(2000))
	return base.Add(time.Duration(s.IntN(days*24*60)) * time.Minute).Format(time.RFC3339)
}

func (s *story) day() string { return s.when(1)[:10] }

// amount is a decimal with two digits, written as JSON text so that 12.50 stays 12.50.
func (s *story) amount(below int) decimal {
	return decimal(fmt.Sprintf("%d.%02d", s.IntN(below), s.IntN(100)))
}

func (s *story) measured(below int) decimal {
	return decimal(fmt.Sprintf("%d.%d", s.change.IntN(below), s.change.IntN(10)))
}

func coded(system, code, display string) resource {
	return resource{"coding": list(resource{"system": system, "code": code, "display": display}), "text": display}
}

func list(items ...resource) []resource { return items }

// decimal is a JSON number by its text.
type decimal string

// MarshalJSON is the number's text.
func (d decimal) MarshalJSON() ([]byte, error) { return []byte(d), nil }
