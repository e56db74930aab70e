package show

import (
	"fmt"
	"strings"
	"time"
)

// Check is the answer of GET /api/migration/checks/{id}.
type Check struct {
	ID               string     `json:"id"`
	Kind             string     `json:"kind"`
	State            string     `json:"state"`
	Verdict          *string    `json:"verdict"`
	AsOf             *time.Time `json:"asOf"`
	Seed             *int64     `json:"seed"`
	Done             int        `json:"done"`
	Total            int        `json:"total"`
	RemainingSeconds *int64     `json:"remainingSeconds"`
	Same             int        `json:"same"`
	Different        int        `json:"different"`
	Unknown          int        `json:"unknown"`
	Notes            []string   `json:"notes"`
}

// Ended reports whether the check is over.
func (c Check) Ended() bool {
	return c.State == "done" || c.State == "" && c.Verdict != nil // the status leaves the state out
}

// Equal reports whether the check found both sides equal and could look at all that it was to look at.
func (c Check) Equal() bool { return c.Ended() && c.Verdict != nil && *c.Verdict == "equal" }

// Line is the check in one line.
func (c Check) Line() string {
	line := fmt.Sprintf("%s check", c.Kind)
	if !c.Ended() {
		line += fmt.Sprintf(": %s of %s", grouped(int64(c.Done)), grouped(int64(c.Total)))
		if c.RemainingSeconds != nil {
			line += fmt.Sprintf(", %s left", clock(time.Duration(*c.RemainingSeconds)*time.Second))
		}
		return line
	}
	verdict := "no verdict"
	if c.Verdict != nil {
		verdict = *c.Verdict
	}
	line += fmt.Sprintf(": %s (%s the same, %s different, %s unknown)", verdict, grouped(int64(c.Same)), grouped(int64(c.Different)), grouped(int64(c.Unknown)))
	if c.Seed != nil {
		line += fmt.Sprintf(", seed %d", *c.Seed)
	}
	return strings.Join(append([]string{line}, c.Notes...), "; ")
}

// Reject is a line that the destination did not take, as GET /api/migration/rejects lists it.
type Reject struct {
	Chunk  string  `json:"chunk"`
	Class  string  `json:"class"`
	Type   *string `json:"type"`
	ID     *string `json:"id"`
	Text   string  `json:"text"`
	File   string  `json:"file"`
	Offset *int64  `json:"offset"`
}

// Line is the reject in one line.
func (r Reject) Line() string {
	resource, at := "an unknown resource", "of unknown place"
	if r.Type != nil && r.ID != nil {
		resource = *r.Type + "/" + *r.ID
	}
	if r.Offset != nil {
		at = fmt.Sprintf("at byte %s", grouped(*r.Offset))
	}
	return fmt.Sprintf("%s: %s, %s of %s", r.Class, resource, at, r.File)
}
