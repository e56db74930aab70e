package engine

import (
	"context"
	"errors"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// shortestPart is how short a part becomes because it could not be counted in time; a count of a day that takes too long
// is a fault. One that holds too many is halved down to a millisecond.
const shortestPart = 24 * time.Hour

// compareCounts goes on with a surface check, one question at a time.
func (v *errandVisit) compareCounts(ctx context.Context) error {
	e := &v.errand
	for asked := 0; e.Check.At < len(e.Types); {
		q, more := e.NextCount()
		if !more {
			v.found.Counts = append(v.found.Counts, e.CloseCounts())
			continue
		}
		if reason := v.inVain(q.Side); reason != "" {
			e.GiveUpCount(q, reason)
			continue
		}
		if !v.roomFor(ctx) || asked > 0 && v.workedLong(ctx) {
			return v.pause(ctx)
		}
		asked++
		if err := v.askCount(ctx, q); err != nil {
			return err
		}
	}
	return v.conclude(ctx)
}

// askCount asks for the count of one part.
func (v *errandVisit) askCount(ctx context.Context, q migration.CountQuestion) error {
	e, part := &v.errand, v.errand.Span(q)
	n, err := v.client(q.Side).Count(ctx, fhir.CountQuery{
		Types: []string{e.Types[e.Check.At]}, Since: part.Since, Before: part.Till, History: q.Measure != migration.CurrentBefore,
	})
	patience := e.PatienceWith(q.Side)
	var fault *fhir.Error
	asFault := errors.As(err, &fault)
	switch {
	case err == nil:
		*patience = migration.Patience{}
		e.Counted(q, n)
		return nil
	case q.Side == migration.AtSource && deprecated(err):
		e.Check.ExportOnly = true
		return nil
	case asFault && fault.TooMany() && e.CountInParts(migration.Instant):
		return nil
	case asFault && fault.TimedOut() && !patience.Spent(v.limits.Limits) && e.CountInParts(shortestPart):
		return nil
	}
	reason, err := v.troubled(ctx, q.Side, err)
	if err != nil {
		return err
	}
	e.GiveUpCount(q, reason)
	return nil
}
