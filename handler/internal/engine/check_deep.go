package engine

import (
	"context"
	"fmt"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// compareContents goes on with a deep check, one resource at a time: those chosen at the source are looked up at the
// destination, and the other way round.
func (v *errandVisit) compareContents(ctx context.Context) error {
	e := &v.errand
	if !e.Scope.History && e.Scope.Deleted {
		e.Note("soft deletes are not among the resources compared, for only current ones can be chosen where earlier versions are not moved")
	}
	if e.Scope.DeIdentified() {
		e.Note("exports are de-identified: whether the resources are there is compared, their content is not")
	}
	for looked := 0; e.Check.At < len(e.Types); {
		if e.Sampled() {
			v.found.Samples = append(v.found.Samples, e.CloseSamples())
			continue
		}
		if e.Check.ExportOnly {
			return v.abandon(ctx)
		}
		if !v.roomFor(ctx) || looked > 0 && v.workedLong(ctx) {
			return v.pause(ctx)
		}
		looked++
		if err := v.lookAtOne(ctx); err != nil {
			return err
		}
	}
	return v.conclude(ctx)
}

// abandon ends a deep check of a source that answers nothing any more: neither can resources be chosen there, nor looked up.
func (v *errandVisit) abandon(ctx context.Context) error {
	e := &v.errand
	e.Note("could not be checked: the source is deprecated and refuses every question")
	if row := e.Check.Row; row.AtSource+row.AtDestination > 0 {
		v.found.Samples = append(v.found.Samples, e.CloseSamples())
	}
	return v.conclude(ctx)
}

// lookAtOne chooses one resource and compares it. Questions that are given up are findings, never equal.
func (v *errandVisit) lookAtOne(ctx context.Context) error {
	e, here := &v.errand, v.errand.Check.Side
	if reason := v.inVain(here); reason != "" {
		e.Unchosen(reason)
		return nil
	}
	chosen, found, err := v.choose(ctx)
	if over, err := v.unheard(ctx, here, err); err != nil || over != "" {
		if err == nil && !e.Check.ExportOnly {
			e.Unchosen(fmt.Sprintf("no resource could be chosen at the %s: %s", here, over))
		}
		return err
	}
	switch {
	case !found && (e.Check.Oldest.IsZero() || e.Exhausted()):
		e.Unchosen("")
		return nil
	case !found:
		return nil
	case chosen.Deleted && !e.Scope.Deleted:
		e.PassOverDelete(chosen.LastUpdated)
		return nil
	case e.Chosen(chosen.LastUpdated):
		e.PassOver(chosen.LastUpdated)
		return nil
	}
	finding := &migration.Finding{ID: chosen.ID, LastUpdated: chosen.LastUpdated, Chosen: here}
	there := here.Other()
	reason := v.inVain(there)
	equal := false
	if reason == "" {
		equal, err = v.lookUp(ctx, chosen, finding)
		if reason, err = v.unheard(ctx, there, err); err != nil || e.Check.ExportOnly {
			return err
		}
	}
	switch {
	case reason != "":
		finding.Verdict, finding.Detail = migration.Unknown, fmt.Sprintf("could not be looked up at the %s: %s", there, reason)
	case equal:
		finding = nil
	}
	e.Compared(chosen.LastUpdated, finding)
	return nil
}

// unheard judges how a question went: nothing, the reason why it was given up, or the error that ends the visit.
func (v *errandVisit) unheard(ctx context.Context, s migration.Side, err error) (reason string, _ error) {
	switch {
	case err == nil:
		*v.errand.PatienceWith(s) = migration.Patience{}
		return "", nil
	case s == migration.AtSource && deprecated(err):
		v.errand.Check.ExportOnly = true
		return countsRefused, nil
	}
	return v.troubled(ctx, s, err)
}

// choose finds the next resource: the first at or after an instant that the seed decides, else the first of what is left.
func (v *errandVisit) choose(ctx context.Context) (chosen fhir.Version, found bool, err error) {
	e := &v.errand
	client := v.client(e.Check.Side)
	q := fhir.FirstQuery{Type: e.Types[e.Check.At], Since: e.Scope.Since, Before: e.AsOf, History: e.Scope.History}
	if e.Check.Oldest.IsZero() {
		oldest, found, err := client.First(ctx, q)
		if err != nil || !found {
			return oldest, false, err
		}
		e.Began(oldest.LastUpdated)
	}
	for _, at := range []time.Time{e.Instant(), e.Check.From} {
		if q.Since = at; !at.Before(e.AsOf) {
			continue
		}
		if chosen, found, err = client.First(ctx, q); err != nil || found || at.Equal(e.Check.From) {
			break
		}
	}
	return chosen, found, err
}

// lookUp finds the chosen version at the other side and compares it. What is not equal is told in the finding.
func (v *errandVisit) lookUp(ctx context.Context, chosen fhir.Version, f *migration.Finding) (equal bool, err error) {
	there := f.Chosen.Other()
	copies, err := v.client(there).VersionsAt(ctx, chosen.Type, chosen.ID, chosen.LastUpdated)
	if err != nil {
		return false, err
	}
	if len(copies) == 0 {
		return false, v.missing(ctx, chosen, f)
	}
	if v.errand.Scope.DeIdentified() {
		return true, nil // its content is another one by intent
	}
	var paths []string
	for i, c := range copies {
		source, destination := chosen, c
		if there == migration.AtSource {
			source, destination = c, chosen
		}
		// Several within one millisecond: the one that is most alike.
		if d := fhir.Differences(source, destination); i == 0 || len(d) < len(paths) {
			paths = d
		}
	}
	if len(paths) == 0 {
		return true, nil
	}
	f.Verdict, f.Detail, f.Paths = migration.Different, "the content differs", paths
	return false, nil
}

// missing tells why a version may not be at the other side: it was not to be there yet, a later one has taken its place
// where earlier ones are not kept, or it should be there and is not.
func (v *errandVisit) missing(ctx context.Context, chosen fhir.Version, f *migration.Finding) error {
	there := f.Chosen.Other()
	if there == migration.AtDestination && v.run.ID != "" {
		unfinished, err := v.ledger.Unfinished(ctx, v.run.ID)
		if err != nil {
			return fmt.Errorf("list unfinished chunks: %w", err)
		}
		if till := v.run.MigratedTill(unfinished); !chosen.LastUpdated.Before(till) && !v.run.Ended() {
			f.Verdict, f.Detail = migration.Unknown, "not compared: it was written after what has been migrated so far"
			return nil
		}
	}
	if !v.errand.Scope.History {
		newest, found, err := v.client(there).Newest(ctx, chosen.Type, chosen.ID)
		if err != nil {
			return err
		}
		if found && newest.LastUpdated.After(chosen.LastUpdated) {
			f.Verdict, f.Detail = migration.Unknown, fmt.Sprintf("not compared: the %s has a later version, and earlier ones are not moved", there)
			return nil
		}
	}
	if v.errand.Scope.DeIdentified() {
		f.Verdict, f.Detail = migration.Unknown, fmt.Sprintf("not found at the %s: it is missing, or the de-identification has changed its id or date", there)
		return nil
	}
	f.Verdict = migration.Different
	f.Detail = "missing at the destination"
	if there == migration.AtSource {
		f.Detail = "the destination has it and the source has not"
	}
	return nil
}
