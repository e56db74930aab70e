package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// Limits are the numbers and durations of the settings that may change in mid-run.
type Limits struct {
	migration.Limits
	FilesPerImport  int
	MaxCount        int  // _maxCount of exports; 0: not sent
	Parallel        bool // _isParallel of exports
	Settle          time.Duration
	Interval        time.Duration // shortest span of a round at the moving edge
	ConfirmInterval time.Duration
	Stall           time.Duration
	RequestTimeout  time.Duration // longest wait for one answer; visits and claims nest in multiples of it (invariant 7)
}

// Engine moves a migration one step at a time. It holds no state of its own: any number of instances may work on the
// same tables at once.
type Engine struct {
	source, destination *fhir.Client
	ledger              Ledger
	queue               Queue
	staging             Staging
	log                 *slog.Logger
	settings            migration.Settings
	limits              Limits

	rejectsPerPage, rejectsAtOnce int                        // in one document; in memory
	overtime                      func(context.Context) bool // whether a visit that reads rejects lets others in

	Now   func() time.Time // the clock; time.Now unless a test turns it
	NewID func() string    // names a new run; time and chance unless a test says otherwise
}

// New builds an engine. The settings are what start freezes for a run.
func New(source, destination *fhir.Client, ledger Ledger, queue Queue, staging Staging, log *slog.Logger,
	settings migration.Settings, limits Limits,
) *Engine {
	e := &Engine{
		source: source, destination: destination, ledger: ledger, queue: queue, staging: staging, log: log,
		settings: settings, limits: limits, rejectsPerPage: 1000, rejectsAtOnce: 20_000, Now: time.Now, NewID: newRunID,
	}
	e.overtime = e.workedLong
	return e
}

// Prepare creates the queue, the tables and the containers where they are missing. A queue trigger never creates its
// queue (host contract H27).
func (e *Engine) Prepare(ctx context.Context) error {
	return errors.Join(e.ledger.Prepare(ctx), e.queue.Prepare(ctx), e.staging.Prepare(ctx))
}

// wake is the id of a nudge that visits nothing: it looks for what is due, like a tick, when a wait at rest is over.
const wake = "wake"

// visitTime is how long a visit may take, claimTime when its claim lapses (invariant 7).
func (e *Engine) visitTime() time.Duration { return 2 * e.limits.RequestTimeout }
func (e *Engine) claimTime() time.Duration { return 3 * e.limits.RequestTimeout }

// roomFor reports whether the visit has time for one request more. A context's deadline is real time, whatever Now says.
func (e *Engine) roomFor(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > e.limits.RequestTimeout
}

// workedLong reports whether a visit of many questions has worked for so long that it should let others in. The host
// takes no message before the last of a batch is done (host.json), so a long visit holds back the polls of its instance.
func (e *Engine) workedLong(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && e.visitTime()-time.Until(deadline) > e.limits.RequestTimeout/4
}

// changeRun applies change to the run's row until no one else was faster. Change returns false to leave it alone. A run
// that is not the current one any more is ErrNotFound (invariant 17).
func (e *Engine) changeRun(ctx context.Context, id string, change func(*migration.Run) bool, problems ...migration.Problem) (migration.Run, Version, error) {
	for {
		run, v, err := e.ledger.Current(ctx)
		if err != nil {
			return run, v, err
		}
		if run.ID != id {
			return run, v, migration.ErrNotFound
		}
		if !change(&run) {
			return run, v, nil
		}
		run.UpdatedAt = e.Now()
		next, err := e.ledger.SaveRun(ctx, run, v, problems...)
		if err == nil {
			e.reported(ctx, run.ID, problems)
		}
		if !errors.Is(err, migration.ErrConflict) {
			return run, next, err
		}
	}
}

// backOff is the wait after the nth fault in a row: it doubles from Poll up to ten times it.
func (e *Engine) backOff(attempts int) time.Duration {
	wait := e.limits.Poll << min(max(attempts, 0), 4)
	return min(wait, 10*e.limits.Poll)
}

// slowDown makes all kick-offs of a kind wait and returns until when.
func (e *Engine) slowDown(ctx context.Context, runID string, kind migration.JobKind, retryAfter time.Duration) (time.Time, error) {
	var until time.Time
	err := e.ledger.ChangeSlots(ctx, runID, kind, func(s *migration.Slots) bool {
		s.SlowDown(retryAfter, e.limits.Poll, e.Now())
		until = s.NotBefore
		return true
	})
	return until, err
}

// briefly is a context for mending what a visit has begun when its own time is up.
func (e *Engine) briefly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), e.limits.RequestTimeout)
}

// explain is an error as operators read it, without the server's request id: the same trouble is shown once.
func explain(err error) string {
	var fault *fhir.Error
	if errors.As(err, &fault) {
		plain := *fault
		plain.Request = ""
		return plain.Error()
	}
	return err.Error()
}
