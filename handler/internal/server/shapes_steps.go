package server

import "fhirferry/handler/internal/engine"

// parametersJSON tells of the custom search parameters; found, present and failed are of the last comparison.
type parametersJSON struct {
	State   engine.StepState `json:"state"`
	Found   int              `json:"found"`
	Written int              `json:"written"`
	Present int              `json:"present"`
	Failed  int              `json:"failed"`
	At      instant          `json:"at"`
}

func showParameters(p *engine.ParametersStatus) *parametersJSON {
	if p == nil {
		return nil
	}
	return &parametersJSON{p.State, p.Found, p.Written, p.Present, p.Failed, instant(p.At)}
}

// reindexJSON tells how far the destination's reindex is.
type reindexJSON struct {
	State engine.ReindexState `json:"state"`
	Done  int                 `json:"done"`
	Total int                 `json:"total"`
	Job   *string             `json:"job"`
	At    instant             `json:"at"`
}

func showReindex(r *engine.ReindexStatus) *reindexJSON {
	if r == nil {
		return nil
	}
	return &reindexJSON{r.State, r.Done, r.Total, text(place(r.Job)), instant(r.At)}
}
