package server

import (
	"bytes"
	"fmt"
	"net/url"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// The JSON of operator contract 3. Names are fixed there; what is not set is null, never left out.

// instant is written in UTC with milliseconds, the precision of everything planned; the zero time is null.
type instant time.Time

func (t instant) MarshalJSON() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("null"), nil
	}
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// text is null when it is empty.
func text[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}

type statusJSON struct {
	State            migration.Shown       `json:"state"`
	RunID            *string               `json:"runId"`
	Mode             *migration.Mode       `json:"mode"`
	Source           *string               `json:"source"`
	Destination      *string               `json:"destination"`
	Since            instant               `json:"since"`
	Until            instant               `json:"until"`
	StartedAt        instant               `json:"startedAt"`
	UpdatedAt        instant               `json:"updatedAt"`
	EndedAt          instant               `json:"endedAt"`
	MigratedTill     instant               `json:"migratedTill"`
	Frontier         instant               `json:"frontier"`
	End              instant               `json:"end"`
	SourceKind       *migration.SourceKind `json:"sourceKind"`
	ExportOnly       bool                  `json:"exportOnly"`
	Planning         *string               `json:"planning"`
	DeIdentification *deIdentificationJSON `json:"deIdentification"` // null: exports are not de-identified
	Quiet            *quietJSON            `json:"quiet"`            // null: there are no quiet hours
	Parameters       *parametersJSON       `json:"searchParameters"` // null: switched off, or no run
	Reindex          *reindexJSON          `json:"reindex"`          // likewise
	Chunks           countsJSON            `json:"chunks"`
	Resources        tallyJSON             `json:"resources"`
	Clean            bool                  `json:"clean"`
	Check            *shownCheckJSON       `json:"check"`
	Problems         []problemJSON         `json:"problems"`
	ProblemsTotal    int                   `json:"problemsTotal"`
	Reopened         *int                  `json:"reopened,omitempty"` // of a retry
}

// countsJSON holds every state, in the order of the walk.
type countsJSON map[migration.State]int

func (c countsJSON) MarshalJSON() ([]byte, error) {
	var buf bytes.Buffer
	for i, state := range migration.States() {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		buf.WriteByte(sep)
		fmt.Fprintf(&buf, "%q:%d", state, c[state])
	}
	buf.WriteByte('}')
	return buf.Bytes(), nil
}

// deIdentificationJSON says by what the run's exports are de-identified, and how many have proven it.
type deIdentificationJSON struct {
	Config        string `json:"config"`
	ETag          string `json:"etag"`
	ExportsProven int    `json:"exportsProven"`
}

func showDeIdentification(d *engine.DeIdentification) *deIdentificationJSON {
	if d == nil {
		return nil
	}
	return &deIdentificationJSON{Config: d.Config, ETag: d.ETag, ExportsProven: d.ExportsProven}
}

// quietJSON says whether no job is started now, and until when.
type quietJSON struct {
	Now   bool    `json:"now"`
	Until instant `json:"until"` // null: it is not quiet
}

func showQuiet(q *engine.Quietness) *quietJSON {
	if q == nil {
		return nil
	}
	return &quietJSON{Now: q.Now, Until: instant(q.Until)}
}

type tallyJSON struct {
	Exported int64 `json:"exported"`
	Imported int64 `json:"imported"`
	Rejected int64 `json:"rejected"`
	Skipped  int64 `json:"skipped"`
	Benign   int64 `json:"benign"`
}

type problemJSON struct {
	Chunk  *string `json:"chunk"`
	Detail string  `json:"detail"`
	At     instant `json:"at"`
}

// showStatus writes a status, with further problems in front of its own.
func showStatus(st engine.Status, first []migration.Problem) statusJSON {
	shown := statusJSON{
		State: st.State, RunID: text(st.RunID), Mode: text(st.Mode),
		Source: text(st.Source), Destination: text(st.Destination),
		Since: instant(st.Since), Until: instant(st.Until),
		StartedAt: instant(st.StartedAt), UpdatedAt: instant(st.UpdatedAt), EndedAt: instant(st.EndedAt),
		MigratedTill: instant(st.MigratedTill), Frontier: instant(st.Frontier), End: instant(st.End),
		SourceKind: text(st.SourceKind), ExportOnly: st.ExportOnly, Planning: text(st.Planning), Quiet: showQuiet(st.Quiet), DeIdentification: showDeIdentification(st.DeIdentification),
		Parameters: showParameters(st.SearchParameters), Reindex: showReindex(st.Reindex),
		Chunks: countsJSON(st.Totals.Chunks), Resources: tallyJSON(st.Totals.Resources), Clean: st.Totals.Clean(), Check: showCheckOf(st.Check),
		Problems: []problemJSON{}, ProblemsTotal: len(first) + max(st.Totals.Reported, len(st.Totals.Problems)),
	}
	for _, p := range append(first, st.Totals.Problems...) {
		if len(shown.Problems) == migration.MostProblems {
			break
		}
		shown.Problems = append(shown.Problems, problemJSON{Chunk: text(p.Chunk), Detail: p.Detail, At: instant(p.At)})
	}
	return shown
}

type chunkPageJSON struct {
	Chunks []chunkJSON `json:"chunks"`
	Next   *string     `json:"next"`
}

type chunkJSON struct {
	ID        string          `json:"id"`
	Types     []string        `json:"types"`
	Since     instant         `json:"since"`
	Till      instant         `json:"till"`
	State     migration.State `json:"state"`
	Expected  *int64          `json:"expected"` // null: not counted
	Attempts  int             `json:"attempts"`
	NotBefore instant         `json:"notBefore"`
	UpdatedAt instant         `json:"updatedAt"`
	Export    jobJSON         `json:"export"`
	Import    jobJSON         `json:"import"`
	Files     int             `json:"files"`
	FilesDone int             `json:"filesDone"`
	Resources tallyJSON       `json:"resources"`
	Rejects   rejectsJSON     `json:"rejects"`
	LastError *string         `json:"lastError"`
}

type jobJSON struct {
	Attempt   int     `json:"attempt"`
	StatusURL *string `json:"statusUrl"`
	StartedAt instant `json:"startedAt"`
}

func showChunks(page engine.ChunkPage) chunkPageJSON {
	shown := chunkPageJSON{Chunks: []chunkJSON{}, Next: text(page.Next)}
	for _, c := range page.Chunks {
		shown.Chunks = append(shown.Chunks, showChunk(c))
	}
	return shown
}

func showChunk(c migration.Chunk) chunkJSON {
	shown := chunkJSON{
		ID: c.ID, Types: c.ResourceTypes, Since: instant(c.Window.Since), Till: instant(c.Window.Till), State: c.State,
		Attempts: c.Attempts, NotBefore: instant(c.NotBefore), UpdatedAt: instant(c.UpdatedAt),
		Export: showJob(c.Export), Import: showJob(c.Import), Files: c.Files, FilesDone: c.FilesDone,
		Resources: tallyJSON(c.Resources), Rejects: rejectsJSON(c.Rejects), LastError: text(c.LastError),
	}
	if c.Expected >= 0 {
		shown.Expected = &c.Expected
	}
	return shown
}

// showJob leaves out whatever a status URL may carry besides its place.
func showJob(j migration.Job) jobJSON {
	shown := jobJSON{Attempt: j.Attempt, StartedAt: instant(j.Started)}
	shown.StatusURL = text(place(j.StatusURL))
	return shown
}

// place is a URL without whatever it carries besides its place; empty for what is none.
func place(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment = nil, "", false, ""
	return u.String()
}

type accessJSON struct {
	OK     bool        `json:"ok"`
	Checks []checkJSON `json:"checks"`
}

type checkJSON struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"`
}
