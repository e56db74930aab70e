package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// parameterOutcome is what became of one search parameter that was to be written.
type parameterOutcome string

const (
	parameterWritten parameterOutcome = "written"
	parameterRefused parameterOutcome = "refused" // for good
	parameterGivenUp parameterOutcome = "givenUp" // neither written nor refused within bounds
)

// parameterResult is the end of one, as its document keeps it.
type parameterResult struct {
	ID      string           `json:"id"`
	URL     string           `json:"url"`
	Outcome parameterOutcome `json:"outcome"`
	Status  int              `json:"status"` // 0: none
	Detail  string           `json:"detail"`
	Collide bool             `json:"collide"` // it was refused for another definition
}

// writeParameters writes one batch of what the plan still asks for, or ends the pass when nothing is left.
func (v *errandVisit) writeParameters(ctx context.Context, plan parametersPlan) error {
	results, err := v.parameterResults(ctx, v.errand)
	if err != nil {
		return err
	}
	left := unwritten(plan, results)
	if len(left) == 0 {
		return v.endParameters(ctx, plan, results)
	}
	// A write starts no job, but it changes the destination: it waits for what a job waits for (invariant 9).
	switch may, err := v.mayStart(ctx); {
	case err != nil:
		return err
	case !may:
		return v.hold(ctx)
	}
	giveUp := func(reason string) error { return v.giveUpWriting(ctx, plan, results, reason) }
	switch active, err := v.destination.ActiveReindex(ctx); {
	case err != nil && !indifferent(err):
		return v.patiently(ctx, err, giveUp)
	case active != "":
		return v.putOff(ctx, "the destination reindexes, and takes no search parameters meanwhile", 0, giveUp)
	}
	size := fhir.MostInBatch
	if v.errand.BatchSize > 0 {
		size = v.errand.BatchSize
	}
	chosen := batch(left, size)
	var bodies []fhir.SearchParameter
	for _, p := range chosen {
		bodies = append(bodies, fhir.SearchParameter{ID: p.ID, Content: p.Resource})
	}
	answers, err := v.destination.PutSearchParameters(ctx, bodies)
	var fault *fhir.Error
	switch {
	case err == nil:
		return v.seeAnswers(ctx, chosen, answers, giveUp)
	case !errors.As(err, &fault):
		return err
	case len(chosen) > 1 && fault.Unacceptable():
		// One entry spoils the others: halved often enough, it is refused alone.
		v.errand.BatchSize = (len(chosen) + 1) / 2
		return v.goOn(ctx)
	case len(chosen) > 1 && fault.TimedOut():
		// The server needs a while for each. It may be at work on these still, so the fewer ones come later.
		v.errand.BatchSize = (len(chosen) + 1) / 2
		return v.follow(ctx, v.limits.Poll)
	case !fault.Unacceptable():
		return v.patiently(ctx, err, giveUp)
	}
	return v.recordResults(ctx, []parameterResult{{chosen[0].ID, chosen[0].URL, parameterRefused, fault.Status, fault.Detail, false}}, 0)
}

// indifferent reports whether a server's refusal to tell of a reindex leaves the question to the write itself, which is
// refused too while one is active (contract 8.2).
func indifferent(err error) bool {
	var fault *fhir.Error
	return errors.As(err, &fault) && fault.Status >= 400 && fault.Status < 500 && !fault.Busy() && !fault.TimedOut()
}

// seeAnswers sorts the answers of a batch: what is final is kept, the rest is written again.
func (v *errandVisit) seeAnswers(ctx context.Context, chosen []plannedParameter, answers []fhir.BatchResult, giveUp func(string) error) error {
	var final []parameterResult
	var locked, busy, passing *fhir.BatchResult
	for i, a := range answers {
		p := chosen[i]
		switch {
		case a.Written():
			final = append(final, parameterResult{ID: p.ID, URL: p.URL, Outcome: parameterWritten, Status: a.Status})
		case a.Locked():
			locked = &a
		case a.Busy():
			busy = &a
		case a.Passing():
			passing = &a
		default:
			final = append(final, parameterResult{p.ID, p.URL, parameterRefused, a.Status, a.Detail, a.TwoOfOne()})
		}
	}
	switch {
	case len(final) > 0 && locked == nil && busy == nil && passing == nil:
		return v.recordResults(ctx, final, 0)
	case len(final) > 0:
		return v.recordResults(ctx, final, v.limits.Poll)
	case locked != nil:
		return v.putOff(ctx, fmt.Sprintf("the destination takes no search parameters now: %d %s", locked.Status, locked.Detail), 0, giveUp)
	case busy != nil && v.waitedTooLong():
		return giveUp(fmt.Sprintf("%d %s", busy.Status, busy.Detail))
	case busy != nil:
		v.errand.Postpone("", v.Now(), v.Now().Add(v.limits.Poll))
		return v.rest(ctx, v.limits.Poll)
	case v.spent():
		return giveUp(fmt.Sprintf("%d %s", passing.Status, passing.Detail))
	}
	reason := fmt.Sprintf("search parameters could not be written: %d %s", passing.Status, passing.Detail)
	wait := v.backOff(v.errand.Attempts)
	v.errand.Faulted(reason, v.Now(), v.Now().Add(wait))
	return v.rest(ctx, wait, v.problems("step parameters waits: "+reason)...)
}

// recordResults keeps what is final and lets the next visit go on with the rest.
func (v *errandVisit) recordResults(ctx context.Context, final []parameterResult, wait time.Duration) error {
	if _, err := v.addResults(ctx, final); err != nil {
		return err
	}
	return v.follow(ctx, wait)
}

// addResults keeps results and counts them. Those that an earlier visit kept before it died are taken instead: what they
// leave open is written again.
func (v *errandVisit) addResults(ctx context.Context, final []parameterResult) ([]parameterResult, error) {
	name := fmt.Sprintf("results-%d", len(v.errand.Documents))
	final, err := keep(ctx, v, name, final)
	if err != nil {
		return nil, err
	}
	v.errand.Documents = append(slices.Clone(v.errand.Documents), name)
	for _, r := range final {
		v.errand.Done++
		if r.Outcome == parameterWritten {
			v.errand.Parameters.Written++
		} else {
			v.errand.Parameters.Failed++
		}
	}
	return final, nil
}

// parameterResults reads what is final so far, in the order of its batches.
func (e *Engine) parameterResults(ctx context.Context, errand migration.Errand) ([]parameterResult, error) {
	var all []parameterResult
	for _, name := range errand.Documents {
		var some []parameterResult
		found, err := e.errandDocument(ctx, errand, name, &some)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("document %s is gone", documentName(errand, name))
		}
		all = append(all, some...)
	}
	return all, nil
}

// unwritten is what the plan still asks for.
func unwritten(plan parametersPlan, results []parameterResult) []plannedParameter {
	done := map[string]bool{}
	for _, r := range results {
		done[r.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(plan.Write), func(p plannedParameter) bool { return done[p.ID] })
}

// giveUpWriting ends a pass that cannot write what is left. The run goes on, and tells.
func (v *errandVisit) giveUpWriting(ctx context.Context, plan parametersPlan, results []parameterResult, reason string) error {
	for left := unwritten(plan, results); len(left) > 0; left = unwritten(plan, results) {
		var ends []parameterResult
		for _, p := range left {
			ends = append(ends, parameterResult{ID: p.ID, URL: p.URL, Outcome: parameterGivenUp, Detail: reason})
		}
		kept, err := v.addResults(ctx, ends)
		if err != nil {
			return err
		}
		results = append(results, kept...)
	}
	v.errand.Parameters.Undone = true
	return v.endParameters(ctx, plan, results)
}

// definitionsNamed is how many search parameters a pass names in problems of their own: problems must not push each other
// out.
const definitionsNamed = 20

// endParameters ends a pass whose every parameter has come to its end; whatever was not moved is a problem.
func (v *errandVisit) endParameters(ctx context.Context, plan parametersPlan, results []parameterResult) error {
	doubts := plan.doubts()
	var givenUp []string
	reason := ""
	for _, r := range results {
		switch r.Outcome {
		case parameterRefused:
			i := slices.IndexFunc(plan.Write, func(p plannedParameter) bool { return p.ID == r.ID })
			doubts = append(doubts, refusedParameter(plan.Write[i], r))
		case parameterGivenUp:
			givenUp, reason = append(givenUp, r.URL), r.Detail
		}
	}
	if n := len(doubts) - definitionsNamed; n > 0 {
		doubts = append(slices.Clone(doubts[:definitionsNamed]), fmt.Sprintf("%d more search parameters were not moved: the documents "+
			"errands/%s/ of the run tell which and why", n, v.errand.ID))
	}
	if len(givenUp) > 0 {
		doubts = append(doubts, fmt.Sprintf("%d search parameters were not moved, for the destination did not take them; move them by "+
			"hand: %s: %s", len(givenUp), reason, some(givenUp)))
	}
	var problems []migration.Problem
	for _, d := range doubts {
		problems = append(problems, migration.Problem{At: v.Now(), Doubt: true, Detail: d})
	}
	return v.end(ctx, nil, problems...)
}

// refusedParameter says why one was not moved, and names the definition that it collides with.
func refusedParameter(p plannedParameter, r parameterResult) string {
	switch {
	case r.Status == http.StatusMethodNotAllowed:
		return fmt.Sprintf("search parameter %s was not moved: it is built in at the destination, and cannot be changed there", p.parameterName)
	case r.Collide && len(p.Rivals) > 0:
		others := namesOf(p.Rivals)
		return fmt.Sprintf("search parameter %s was not moved, for it collides with the destination's %s: change or delete one of them; "+
			"%d %s", p.parameterName, some(others), r.Status, r.Detail)
	case r.Status == http.StatusForbidden:
		return fmt.Sprintf("search parameter %s was not moved: %d %s; grant the app's identity the role FHIR Data Writer, or FHIR Data "+
			"Contributor, on the destination", p.parameterName, r.Status, r.Detail)
	}
	return fmt.Sprintf("search parameter %s was not moved: %d %s", p.parameterName, r.Status, r.Detail)
}
