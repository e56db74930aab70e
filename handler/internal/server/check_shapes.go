package server

import (
	"math"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/migration"
)

// shownCheckJSON is the check of a status: the one at the end of the run, else the newest.
type shownCheckJSON struct {
	ID      string               `json:"id"`
	Kind    migration.ErrandKind `json:"kind"`
	Verdict *migration.Verdict   `json:"verdict"` // null: under way
	Done    int                  `json:"done"`
	Total   int                  `json:"total"`
}

func showCheckOf(e migration.Errand) *shownCheckJSON {
	if e.ID == "" {
		return nil
	}
	return &shownCheckJSON{e.ID, e.Kind, text(e.Verdict), e.Done, e.Total}
}

type checkListJSON struct {
	Checks []checkSummaryJSON `json:"checks"`
}

type checkSummaryJSON struct {
	ID               string               `json:"id"`
	Kind             migration.ErrandKind `json:"kind"`
	State            string               `json:"state"` // running or done
	Verdict          *migration.Verdict   `json:"verdict"`
	Final            bool                 `json:"final"` // the run's own, before its end
	RunID            *string              `json:"runId"` // null: asked for before there was a run
	StartedAt        instant              `json:"startedAt"`
	UpdatedAt        instant              `json:"updatedAt"`
	EndedAt          instant              `json:"endedAt"`
	AsOf             instant              `json:"asOf"`
	Done             int                  `json:"done"`
	Total            int                  `json:"total"` // 0: not known yet
	PerMinute        *float64             `json:"perMinute"`
	RemainingSeconds *int64               `json:"remainingSeconds"`
	Same             int                  `json:"same"`
	Different        int                  `json:"different"`
	Unknown          int                  `json:"unknown"`
	Waiting          *string              `json:"waiting"` // the answer it waits after: of a busy server, or a fault
	Notes            []string             `json:"notes"`
}

func summarize(c engine.CheckResult) checkSummaryJSON {
	e := c.Errand
	s := checkSummaryJSON{
		ID: e.ID, Kind: e.Kind, State: "running", Verdict: text(e.Verdict), Final: e.Step,
		StartedAt: instant(e.StartedAt), UpdatedAt: instant(e.UpdatedAt), EndedAt: instant(e.EndedAt), AsOf: instant(e.AsOf),
		Done: e.Done, Total: e.Total, Same: e.Same, Different: e.Different, Unknown: e.Unknown,
		Waiting: text(e.LastError), Notes: append([]string{}, e.Check.Notes...),
	}
	if e.Ended() {
		s.State, s.Waiting = "done", nil
	}
	if e.RunID != migration.Idle {
		s.RunID = text(e.RunID)
	}
	if c.PerMinute > 0 {
		rate := math.Round(c.PerMinute*10) / 10
		s.PerMinute = &rate
		if !e.Ended() {
			left := int64(c.Remaining.Seconds())
			s.RemainingSeconds = &left
		}
	}
	return s
}

type checkResultJSON struct {
	checkSummaryJSON
	Types     []string   `json:"types"`
	Sample    *int       `json:"sample"`    // of a deep check
	Seed      *int64     `json:"seed"`      // of a deep check: the same one chooses the same resources
	Resources *tallyJSON `json:"resources"` // of the run: rejected lines explain differences
	Rows      []any      `json:"rows"`
}

func showCheck(c engine.CheckResult) checkResultJSON {
	shown := checkResultJSON{checkSummaryJSON: summarize(c), Types: append([]string{}, c.Errand.Types...), Rows: []any{}}
	if c.Errand.Kind == migration.DeepErrand {
		shown.Sample, shown.Seed = &c.Errand.Sample, &c.Errand.Seed
	}
	if c.Resources != nil {
		tally := tallyJSON(*c.Resources)
		shown.Resources = &tally
	}
	for _, r := range c.Counts {
		shown.Rows = append(shown.Rows, showCounts(r))
	}
	for _, r := range c.Samples {
		shown.Rows = append(shown.Rows, showSamples(r))
	}
	for _, l := range c.Access {
		shown.Rows = append(shown.Rows, checkJSON{Name: l.Name, OK: l.OK, Detail: l.Detail, Remedy: l.Remedy})
	}
	return shown
}

// countRowJSON is a resource type in a surface check. A count that could not be had is null.
type countRowJSON struct {
	Type     string            `json:"type"`
	Verdict  migration.Verdict `json:"verdict"`
	Reason   *string           `json:"reason"`
	Current  *pairJSON         `json:"current"`  // null: not compared
	Versions *pairJSON         `json:"versions"` // null: not compared
}

type pairJSON struct {
	Source      *int64 `json:"source"`
	Destination *int64 `json:"destination"`
}

func showCounts(r migration.CountRow) countRowJSON {
	return countRowJSON{Type: r.Type, Verdict: r.Verdict, Reason: text(r.Reason),
		Current: showPair(r, migration.CurrentBefore), Versions: showPair(r, migration.VersionsBefore)}
}

func showPair(r migration.CountRow, m migration.Measure) *pairJSON {
	source, asked, known := r.Answer(migration.AtSource, m)
	if !asked {
		return nil
	}
	var p pairJSON
	if known {
		p.Source = &source.Count
	}
	if destination, _, known := r.Answer(migration.AtDestination, m); known {
		p.Destination = &destination.Count
	}
	return &p
}

// sampleRowJSON is a resource type in a deep check. It names elements and holds no value of a resource.
type sampleRowJSON struct {
	Type         string            `json:"type"`
	Verdict      migration.Verdict `json:"verdict"`
	Reason       *string           `json:"reason"`
	Chosen       sidesJSON         `json:"chosen"`
	Same         int               `json:"same"`
	Different    int               `json:"different"`
	Unknown      int               `json:"unknown"`
	Findings     []findingJSON     `json:"findings"`
	MoreFindings int               `json:"moreFindings"`
}

type sidesJSON struct {
	Source      int `json:"source"`
	Destination int `json:"destination"`
}

type findingJSON struct {
	ID          *string           `json:"id"` // null: none could be chosen
	LastUpdated instant           `json:"lastUpdated"`
	ChosenAt    migration.Side    `json:"chosenAt"`
	Verdict     migration.Verdict `json:"verdict"`
	Detail      string            `json:"detail"`
	Paths       []string          `json:"paths"`
	MorePaths   int               `json:"morePaths"`
}

func showSamples(r migration.SampleRow) sampleRowJSON {
	shown := sampleRowJSON{Type: r.Type, Verdict: r.Verdict, Reason: text(r.Reason), Chosen: sidesJSON{r.AtSource, r.AtDestination},
		Same: r.Same, Different: r.Different, Unknown: r.Unknown, Findings: []findingJSON{}, MoreFindings: r.More}
	for _, f := range r.Findings {
		shown.Findings = append(shown.Findings, findingJSON{ID: text(f.ID), LastUpdated: instant(f.LastUpdated), ChosenAt: f.Chosen,
			Verdict: f.Verdict, Detail: f.Detail, Paths: append([]string{}, f.Paths...), MorePaths: f.MorePaths})
	}
	return shown
}
