package engine

import (
	"context"
	"errors"
	"fmt"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// cancelTries is how often the cancellation of a job is asked before the chunk is given up without it.
const cancelTries = 3

// cancel cancels the chunk's job at its server and marks the chunk; it is never polled again (invariant 17).
func (v *visit) cancel(ctx context.Context) error {
	if err := v.claimBy(ctx, v.chunk.ClaimToCancel); err != nil {
		return err
	}
	from := v.chunk.State
	var problems []migration.Problem
	if err := v.cancelJob(ctx); err != nil {
		var fault *fhir.Error
		if !errors.As(err, &fault) {
			return err
		}
		if v.chunk.State.Open() && v.chunk.CancelFaults+1 < cancelTries {
			if err := v.chunk.CancelFaulted(fault.Error(), v.Now(), v.Now().Add(v.backOff(v.chunk.CancelFaults))); err != nil {
				return err
			}
			return v.save(ctx, migration.Save{Slot: v.keepSlot()})
		}
		problems = v.problem("its job could not be cancelled and may run on at the server: " + explain(err))
	}
	if err := v.chunk.Cancel(v.Now()); err != nil {
		return err
	}
	return v.moved(ctx, from, migration.Save{Problems: problems})
}

func (v *visit) cancelJob(ctx context.Context) error {
	switch {
	case v.chunk.State == migration.Exporting:
		return v.source.CancelExport(ctx, v.chunk.Export.StatusURL)
	case v.chunk.State == migration.Importing:
		return v.destination.CancelImport(ctx, v.chunk.Import.StatusURL)
	case v.chunk.Import.Body != "" && v.chunk.Import.StatusURL == "" && v.elsewhere(v.run):
		return elsewhereFault("cancel import")
	case v.chunk.Import.Body != "" && v.chunk.Import.StatusURL == "":
		// The answer of an import's kick-off was lost: the same body tells which job it started, so that no import
		// goes on behind a stopped run.
		body, err := v.ledger.Document(ctx, v.run.ID, v.chunk.Import.Body)
		if err != nil {
			return fmt.Errorf("read import body %s: %v", v.chunk.Import.Body, err)
		}
		statusURL, err := v.destination.StartImport(ctx, body)
		if err != nil {
			return err
		}
		return v.destination.CancelImport(ctx, statusURL)
	}
	return nil
}

// elsewhereFault stands for a question that is not asked because it would reach another server than the run's.
func elsewhereFault(op string) error {
	return &fhir.Error{Op: op, Detail: "the settings name another service than the run's, and the job is not known; look for it there"}
}
