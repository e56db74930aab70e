package show

import (
	"maps"
	"slices"
	"time"
)

// Status is the answer of GET /api/migration (operator contract 3).
type Status struct {
	State         string         `json:"state"`
	Mode          string         `json:"mode"`
	MigratedTill  *time.Time     `json:"migratedTill"`
	Chunks        map[string]int `json:"chunks"` // by state; states may be added
	Resources     Resources      `json:"resources"`
	Parameters    *Parameters    `json:"searchParameters"` // null: they are not moved
	Reindex       *Reindex       `json:"reindex"`          // likewise
	Check         *Check         `json:"check"`            // the newest
	Clean         bool           `json:"clean"`
	Problems      []Problem      `json:"problems"`
	ProblemsTotal int            `json:"problemsTotal"`
}

// Resources are a run's running totals, in versions.
type Resources struct {
	Exported int64 `json:"exported"`
	Imported int64 `json:"imported"`
	Rejected int64 `json:"rejected"`
	Skipped  int64 `json:"skipped"`
	Benign   int64 `json:"benign"`
}

// Parameters is how far the custom search parameters are.
type Parameters struct {
	State   string `json:"state"`
	Found   int    `json:"found"`
	Written int    `json:"written"`
	Present int    `json:"present"`
	Failed  int    `json:"failed"`
}

// Reindex is how far the destination's reindex is.
type Reindex struct {
	State string `json:"state"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// Problem is something an operator should know.
type Problem struct {
	Chunk  string    `json:"chunk"`
	Detail string    `json:"detail"`
	At     time.Time `json:"at"`
}

// settled is the number of lines of which the destination has said what became of them.
func (s Status) settled() int64 {
	return s.Resources.Imported + s.Resources.Rejected + s.Resources.Benign
}

// Open is the number of chunks that still have work to do.
func (s Status) Open() int {
	return s.Chunks["planned"] + s.Chunks["exporting"] + s.Chunks["exported"] + s.Chunks["importing"]
}

// ChunkCount is the number of chunks in every state.
func (s Status) ChunkCount() int {
	total := 0
	for _, n := range s.Chunks {
		total += n
	}
	return total
}

// states are the chunk states that occur, in the order a chunk passes them, unknown ones last.
func (s Status) states() []string {
	known := []string{"planned", "exporting", "exported", "importing", "imported", "split", "failed", "cancelled"}
	states := slices.Sorted(maps.Keys(s.Chunks))
	slices.SortStableFunc(states, func(a, b string) int { return place(known, a) - place(known, b) })
	return slices.DeleteFunc(states, func(state string) bool { return s.Chunks[state] == 0 })
}

func place(in []string, word string) int {
	if i := slices.Index(in, word); i >= 0 {
		return i
	}
	return len(in)
}
