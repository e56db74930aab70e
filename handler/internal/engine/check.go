package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// findings are the rows of a check as documents keep them. No value of a resource is among them.
type findings struct {
	Counts  []migration.CountRow  `json:"counts,omitempty"`
	Samples []migration.SampleRow `json:"samples,omitempty"`
	Access  []Check               `json:"access,omitempty"`
}

func (f findings) empty() bool { return len(f.Counts)+len(f.Samples)+len(f.Access) == 0 }

func (f *findings) add(more findings) {
	f.Counts = append(f.Counts, more.Counts...)
	f.Samples = append(f.Samples, more.Samples...)
	f.Access = append(f.Access, more.Access...)
}

// check goes on with a check until it is over, must wait, or the visit's time is up.
func (v *errandVisit) check(ctx context.Context) error {
	e := &v.errand
	switch {
	case e.Step && !v.run.ForThisEnd(*e):
		e.Note("the end of the run was moved meanwhile; another check follows")
		e.Verdict = migration.Unknown
		return v.end(ctx, nil)
	case e.Step && v.elsewhere(v.run):
		return v.wait(ctx, 10*v.limits.Poll, "the settings name other services than the run's; set them back")
	case e.Kind == migration.AccessErrand:
		return v.lookAtAccess(ctx)
	case e.Scope.Source != v.settings.Source || e.Scope.Destination != v.settings.Destination:
		e.Note("the settings name other services now than when the check was asked for; ask for a new one")
		e.Verdict = migration.Unknown
		return v.end(ctx, nil)
	}
	e.Check.ExportOnly = e.Check.ExportOnly || v.run.ExportOnly
	if !e.Check.Planned {
		if over, err := v.planCheck(ctx); over || err != nil {
			return err
		}
	}
	if e.Kind == migration.DeepErrand {
		return v.compareContents(ctx)
	}
	return v.compareCounts(ctx)
}

// planCheck fixes the resource types: those asked for, else the run's, else what the source's capability statement has of
// those in the settings. Over: the check has come to its end.
func (v *errandVisit) planCheck(ctx context.Context) (over bool, err error) {
	if asOf := v.errand.AsOf; !asOf.After(v.errand.Scope.Since) || !asOf.After(v.run.Since) {
		v.errand.Note("nothing was compared: what is moved begins at " + asOf.Format(time.RFC3339Nano) + " or later; " +
			"check again when migratedTill is past it, or name an asOf")
		return true, v.conclude(ctx)
	}
	types := v.errand.Types
	if len(types) == 0 {
		types = v.run.Types
	}
	if len(types) == 0 {
		c, err := v.source.Capabilities(ctx)
		if err != nil {
			reason, err := v.troubled(ctx, migration.AtSource, err)
			if err != nil {
				return true, err
			}
			v.errand.Note("the source's capability statement, which names the resource types, could not be read: " + reason)
			return true, v.conclude(ctx)
		}
		var unknown []string
		if types, unknown = migration.PlanTypes(v.errand.Scope.Types, typeNames(c)); len(unknown) > 0 {
			v.errand.Note(fmt.Sprintf("the source's capability statement does not list %v", unknown))
		}
	}
	if len(types) == 0 {
		v.errand.Note("there is no resource type to compare")
		return true, v.conclude(ctx)
	}
	v.errand.PlanCheck(types)
	return false, nil
}

// client is the service at one side.
func (v *errandVisit) client(s migration.Side) *fhir.Client {
	if s == migration.AtSource {
		return v.source
	}
	return v.destination
}

const countsRefused = "the source is deprecated and refuses every question"

// inVain is why one side is not asked anything any more; empty: it may be asked.
func (v *errandVisit) inVain(s migration.Side) string {
	switch {
	case s == migration.AtSource && v.errand.Check.ExportOnly:
		return countsRefused
	case v.errand.PatienceWith(s).Unheard(v.limits.Limits):
		return "not asked, for the " + string(s) + " did not answer the questions before"
	}
	return ""
}

// troubled tells what to do after a question that was not answered. It gives the question up and returns the reason; or
// the check waits, or storage failed, and the error ends the visit. A busy server is no fault.
func (v *errandVisit) troubled(ctx context.Context, s migration.Side, err error) (reason string, _ error) {
	var fault *fhir.Error
	if !errors.As(err, &fault) {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return "", err // of storage, or the handler is told to end: no server is to blame
		}
		// The visit's own time was up in the middle of a question: its several requests take too long.
		fault = &fhir.Error{Op: "ask the " + string(s), Detail: "no answer within the time of a visit"}
		err = fault
	}
	if fault.Busy() {
		return "", v.later(ctx, max(v.limits.Poll, fault.RetryAfter), explain(err))
	}
	silent := fault.Transport() || fault.TimedOut()
	if v.errand.PatienceWith(s).Fault(silent, v.limits.Limits) {
		return explain(err), nil
	}
	v.errand.Attempts = v.errand.PatienceWith(s).Faults
	return "", v.later(ctx, max(v.backOff(v.errand.Attempts-1), fault.RetryAfter), explain(err),
		v.problems(string(v.errand.Kind)+" check waits: "+explain(err))...)
}

// later keeps what was found and makes the check wait.
func (v *errandVisit) later(ctx context.Context, wait time.Duration, reason string, problems ...migration.Problem) error {
	ctx, cancel := v.briefly(ctx)
	defer cancel()
	if err := v.keep(ctx); err != nil {
		return err
	}
	v.errand.Postpone(reason, v.Now(), v.Now().Add(wait))
	return v.rest(ctx, wait, problems...)
}

// pause keeps what was found and lets the next visit go on.
func (v *errandVisit) pause(ctx context.Context) error {
	ctx, cancel := v.briefly(ctx)
	defer cancel()
	if err := v.keep(ctx); err != nil {
		return err
	}
	return v.goOn(ctx)
}

// keep writes what this visit has found as a document. Its name holds a digest, and the row names those that count: a
// visit that dies before it has saved the row leaves a document that nobody reads.
func (v *errandVisit) keep(ctx context.Context) error {
	if v.found.empty() {
		return nil
	}
	name, err := v.write(ctx, fmt.Sprintf("%d", len(v.errand.Documents)+1), v.found)
	if err != nil {
		return err
	}
	v.errand.Documents = append(v.errand.Documents, name)
	v.found = findings{}
	return nil
}

func (v *errandVisit) write(ctx context.Context, part string, f findings) (string, error) {
	content, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("write findings of check %s: %w", v.errand.ID, err)
	}
	digest := sha256.Sum256(content)
	name := fmt.Sprintf("checks/%s/%s-%s.json", v.errand.ID, part, hex.EncodeToString(digest[:6]))
	if _, err := v.ledger.PutDocument(ctx, v.errand.RunID, name, content); err != nil {
		return "", fmt.Errorf("write findings of check %s: %w", v.errand.ID, err)
	}
	return name, nil
}

// findings reads what the documents of a check hold, in the order in which it was found.
func (e *Engine) findings(ctx context.Context, errand migration.Errand) (all findings, err error) {
	for _, name := range errand.Documents {
		content, err := e.ledger.Document(ctx, errand.RunID, name)
		if err != nil {
			return all, fmt.Errorf("read findings of check %s: %v", errand.ID, err) // a missing document is no quiet exit
		}
		var part findings
		if err := json.Unmarshal(content, &part); err != nil {
			return all, fmt.Errorf("read findings of check %s: %w", errand.ID, err)
		}
		all.add(part)
	}
	return all, nil
}

// conclude ends a check: its verdict, one document of everything found, and at the end of a run a problem for each
// difference and each doubt.
func (v *errandVisit) conclude(ctx context.Context) error {
	ctx, cancel := v.briefly(ctx)
	defer cancel()
	all, err := v.findings(ctx, v.errand)
	if err != nil {
		return err
	}
	all.add(v.found)
	if !all.empty() {
		name, err := v.write(ctx, "all", all)
		if err != nil {
			return err
		}
		v.errand.Documents = []string{name}
	}
	v.errand.Progressed(v.Now(), v.Now())
	v.errand.Conclude()
	return v.end(ctx, nil, v.finalProblems(all)...)
}
