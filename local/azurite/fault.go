package azurite

import (
	"math/rand/v2"
	"strings"
)

// Effect is what a fault does to a request.
type Effect int

// The effects of a fault.
const (
	// Busy answers 503 ServerBusy; the service never sees the request.
	Busy Effect = iota + 1
	// Drop lets the service do its work and then resets the caller's connection
	// in place of the answer, so that the caller cannot know.
	Drop
	// Refuse resets the connection; the service never sees the request.
	Refuse
)

// Fault disturbs requests whose operation begins with Operation ("" is every one):
// the next Next of them, and each further one with Probability (0 to 1).
type Fault struct {
	Effect      Effect
	Operation   string
	Next        int
	Probability float64
}

// faults is the list that a proxy asks for each request; the caller holds its lock.
type faults struct {
	list   []*Fault
	random *rand.Rand
}

// strike returns the effect of the first fault that wants the operation, or 0.
func (f *faults) strike(operation string) Effect {
	for _, fault := range f.list {
		if !strings.HasPrefix(operation, fault.Operation) {
			continue
		}
		if fault.Next > 0 {
			fault.Next--
			return fault.Effect
		}
		if fault.Probability > 0 && f.random.Float64() < fault.Probability {
			return fault.Effect
		}
	}
	return 0
}
