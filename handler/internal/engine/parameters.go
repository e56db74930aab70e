package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// moveParameters takes a pass of moving custom search parameters as far as the visit's time allows: what both services
// have is read and compared once, the plan is written, and then followed. Each stage is a document: a visit finds by
// them how far the ones before it came.
func (v *errandVisit) moveParameters(ctx context.Context) error {
	plan, err := v.parametersPlan(ctx)
	if err != nil {
		return err
	}
	return v.writeParameters(ctx, plan)
}

// parametersPlan reads the plan, or makes it. Where it cannot be made in this visit, what happens instead is saved.
func (v *errandVisit) parametersPlan(ctx context.Context) (parametersPlan, error) {
	var plan parametersPlan
	found, err := v.document(ctx, "plan", &plan)
	if err != nil || found {
		v.planned(plan)
		return plan, err
	}
	theirs, err := v.sourceParameters(ctx)
	if err != nil {
		return plan, v.readFailed(ctx, err)
	}
	ours, err := v.storedParameters(ctx, v.destination, "destination")
	if err != nil {
		return plan, v.readFailed(ctx, err)
	}
	listed, err := v.destination.Definitions(ctx)
	if err != nil {
		return plan, v.readFailed(ctx, err)
	}
	if plan, err = keep(ctx, v, "plan", planParameters(theirs, ours, listed)); err != nil {
		return plan, err
	}
	v.planned(plan)
	v.errand.Progressed(v.Now(), v.errand.NotBefore) // it keeps its claim
	return plan, v.save(ctx)
}

// planned takes over what the comparison tells. A visit that died with the plan written has not.
func (v *errandVisit) planned(plan parametersPlan) {
	if v.errand.Parameters.Plan == "" {
		v.errand.Parameters, v.errand.Total = plan.tally(), len(plan.Write)
		v.errand.Parameters.Plan = v.errand.ID
	}
}

// readFailed makes the pass wait after a question that was not answered, or gives it up.
func (v *errandVisit) readFailed(ctx context.Context, err error) error {
	var fault *fhir.Error
	if !errors.As(err, &fault) {
		return err
	}
	return instead(v.patiently(ctx, err, func(reason string) error { return v.giveUpParameters(ctx, reason) }))
}

// giveUpParameters ends a pass before anything could be compared. The run goes on, and tells.
func (v *errandVisit) giveUpParameters(ctx context.Context, reason string) error {
	v.errand.Parameters.Undone = true
	return v.end(ctx, nil, migration.Problem{At: v.Now(), Doubt: true,
		Detail: "custom search parameters were not moved; move them by hand, or stop and start a new run: " + reason})
}

// parameterPart is what one visit has read of a service's search parameters.
type parameterPart struct {
	Next       string            `json:"next"` // page to go on with; empty: that was all
	Parameters []json.RawMessage `json:"parameters"`
}

// samePage is how often one page may be asked for in a visit: a query that is throttled before it has found anything
// answers with the token that it was given (contract 7.4).
const samePage = 10

// storedParameters reads every stored search parameter of a service. A visit that cannot reach the last page keeps what it
// has read, and the next one goes on from there.
func (v *errandVisit) storedParameters(ctx context.Context, service *fhir.Client, side string) ([]fhir.SearchParameter, error) {
	var all []fhir.SearchParameter
	next, n := "", 0
	for {
		var part parameterPart
		found, err := v.document(ctx, fmt.Sprintf("%s-%d", side, n), &part)
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		read, err := part.read()
		if err != nil {
			return nil, err
		}
		all, next, n = append(all, read...), part.Next, n+1
		if next == "" {
			return all, nil
		}
	}
	part, err := v.readOn(ctx, service, next)
	if err != nil {
		return nil, err
	}
	if part, err = keep(ctx, v, fmt.Sprintf("%s-%d", side, n), part); err != nil {
		return nil, err
	}
	if part.Next != "" {
		if v.Now().Sub(v.errand.StartedAt) >= v.limits.Stall {
			return nil, instead(v.giveUpParameters(ctx, "reading those of the "+side+" did not come to an end within FERRY_STALL"))
		}
		return nil, instead(v.goOn(ctx))
	}
	read, err := part.read()
	return append(all, read...), err
}

// instead ends a visit that wanted something, once what happens instead is saved.
func instead(err error) error {
	if err != nil {
		return err
	}
	return errYield
}

// readOn reads from a page on, the first for none, while the visit has time.
func (v *errandVisit) readOn(ctx context.Context, service *fhir.Client, page string) (parameterPart, error) {
	part := parameterPart{Next: page, Parameters: []json.RawMessage{}}
	seen := map[string]int{}
	for {
		found, next, err := service.SearchParameters(ctx, part.Next)
		if err != nil && part.Next != page {
			return part, nil // what was read is kept; the next visit meets the failure
		}
		if err != nil {
			return part, err
		}
		for _, p := range found {
			part.Parameters = append(part.Parameters, p.Content)
		}
		seen[part.Next]++
		part.Next = next
		switch {
		case next != "" && seen[next] >= samePage:
			return part, &fhir.Error{Op: "read search parameters", Detail: "the server leads to the same page again and again"}
		case next == "" || !v.roomFor(ctx) || v.workedLong(ctx):
			return part, nil
		}
	}
}

func (p parameterPart) read() ([]fhir.SearchParameter, error) {
	var all []fhir.SearchParameter
	for i, content := range p.Parameters {
		one, err := fhir.ParseSearchParameter(content)
		if err != nil {
			return nil, fmt.Errorf("read search parameter %d of a document: %w", i, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// document reads one of the errand's documents.
func (v *errandVisit) document(ctx context.Context, name string, into any) (found bool, err error) {
	return v.errandDocument(ctx, v.errand, name, into)
}

func (e *Engine) errandDocument(ctx context.Context, errand migration.Errand, name string, into any) (found bool, err error) {
	content, err := e.ledger.Document(ctx, errand.RunID, documentName(errand, name))
	if errors.Is(err, migration.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		return false, fmt.Errorf("read document %s: %w", documentName(errand, name), err)
	}
	return true, nil
}

// keep writes one of the errand's documents. What an earlier visit had written is followed instead.
func keep[T any](ctx context.Context, v *errandVisit, name string, value T) (T, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return value, fmt.Errorf("encode document %s: %w", documentName(v.errand, name), err)
	}
	written, err := v.ledger.PutDocument(ctx, v.errand.RunID, documentName(v.errand, name), content)
	if err != nil {
		return value, fmt.Errorf("keep document %s: %w", documentName(v.errand, name), err)
	}
	var kept T
	if err := json.Unmarshal(written, &kept); err != nil {
		return value, fmt.Errorf("read document %s: %w", documentName(v.errand, name), err)
	}
	return kept, nil
}

func documentName(errand migration.Errand, name string) string {
	return "errands/" + errand.ID + "/" + name + ".json"
}
