package migration

import (
	"slices"
	"time"
)

// Limits are the numbers that the rules need; they come from settings.
type Limits struct {
	MaxExports, MaxImports int
	MaxFailures            int           // consecutive faults before a chunk fails
	Confirmations          int           // equal manifests before one is believed
	Poll                   time.Duration // shortest wait between two polls of one job
	SearchParameters       bool          // custom search parameters are moved too, before the first chunk
	Quiet                  QuietHours    // when no job is started
	QuietImports           bool          // what has been exported is imported in quiet hours too
}

func (c *Chunk) illegal(event string) error {
	return &IllegalTransition{Chunk: c.ID, State: c.State, Event: event}
}

func (c *Chunk) require(event string, states ...State) error {
	if !slices.Contains(states, c.State) {
		return c.illegal(event)
	}
	return nil
}

// Claim reserves the chunk for one visit until the given instant (invariant 5). A chunk that is not due answers
// ErrNotDue. Failed chunks can be claimed too, only to cancel them.
func (c *Chunk) Claim(now, until time.Time) error {
	if err := c.require("claim", Planned, Exporting, Exported, Importing, Failed); err != nil {
		return err
	}
	if now.Before(c.NotBefore) {
		return ErrNotDue
	}
	c.NotBefore, c.ClaimedTill, c.UpdatedAt = until, until, now
	return nil
}

// ClaimToCancel reserves the chunk of a run that is stopping. It does not wait for the next poll, which may be an hour
// away, but for a visit under way, and after a try to cancel that failed.
func (c *Chunk) ClaimToCancel(now, until time.Time) error {
	if c.Cancellable(now) {
		c.NotBefore = now
	}
	return c.Claim(now, until)
}

// Cancellable reports whether a stop may visit the chunk now.
func (c Chunk) Cancellable(now time.Time) bool {
	return c.State.Unfinished() && (!now.Before(c.NotBefore) || !c.NotBefore.Equal(c.ClaimedTill))
}

// CancelFaulted counts a try to cancel the chunk's job that failed. It keeps its claim up to the next.
func (c *Chunk) CancelFaulted(reason string, now, next time.Time) error {
	if err := c.require("fault of a cancellation", Planned, Exporting, Exported, Importing); err != nil {
		return err
	}
	c.CancelFaults++
	c.NotBefore, c.ClaimedTill, c.UpdatedAt, c.LastError = next, next, now, Trim(reason)
	return nil
}

// ExportIntended numbers a new try before its kick-off is sent (invariant 14). What an earlier try left is never read.
func (c *Chunk) ExportIntended() error {
	if err := c.require("export intended", Planned); err != nil {
		return err
	}
	c.Export, c.EmptyTypes = Job{Attempt: c.Export.Attempt + 1}, 0
	return nil
}

// ExportAccepted records the source's status URL. It needs an attempt that was saved as intended before and has no job
// yet (invariant 14).
func (c *Chunk) ExportAccepted(statusURL string, now, next time.Time) error {
	if err := c.require("export accepted", Planned); err != nil {
		return err
	}
	if c.Export.Attempt == 0 || c.Export.StatusURL != "" {
		return c.illegal("export accepted that was not intended")
	}
	c.State, c.NotBefore, c.UpdatedAt = Exporting, next, now
	c.Export.StatusURL, c.Export.Started, c.Export.ProgressAt = statusURL, now, now
	return nil
}

// ManifestSeen counts equal 200 answers in a row; a different manifest starts the count again (invariant 10).
func (c *Chunk) ManifestSeen(digest string, now, next time.Time) error {
	if err := c.require("manifest seen", Exporting); err != nil {
		return err
	}
	if c.Export.Digest != digest {
		c.Export.Digest, c.Export.Answers = digest, 0
	}
	c.Export.Answers++
	c.NotBefore, c.UpdatedAt, c.LastError = next, now, ""
	c.Export.ProgressAt = now
	return nil
}

// ManifestDoubted takes the belief in the answers so far away: a 200 came that is no manifest (invariant 10).
func (c *Chunk) ManifestDoubted() error {
	if err := c.require("manifest doubted", Exporting); err != nil {
		return err
	}
	c.Export.Answers, c.Export.Digest = 0, ""
	return nil
}

// Confirmed reports whether the manifest with this digest would be believed with one equal answer more.
func (c Chunk) Confirmed(digest string, confirmations int) bool {
	return c.Export.Digest == digest && c.Export.Answers+1 >= confirmations
}

// Believed is a confirmed manifest: its document, the files in it that are to be imported, and its lines.
type Believed struct {
	Manifest       string
	Files          int
	Lines, Skipped int64 // all lines, and those of SearchParameter among them
	Proven         bool  // to be de-identified as the run asks
}

// ExportCompleted keeps a believed manifest. Without a file to import the chunk is Imported: the caller has proven
// that it is empty (invariant 11), or nothing but SearchParameter.
func (c *Chunk) ExportCompleted(b Believed, now time.Time) error {
	if err := c.require("export completed", Exporting); err != nil {
		return err
	}
	c.State, c.Attempts, c.NotBefore, c.UpdatedAt, c.LastError = Exported, 0, now, now, ""
	c.Manifest, c.Files, c.FilesDone, c.FilesNow = b.Manifest, b.Files, 0, 0
	c.Resources = Tally{Exported: b.Lines, Skipped: b.Skipped}
	if b.Proven {
		c.Proven++
	}
	c.Export.EndedAt = now
	if b.Files == 0 {
		c.State = Imported
	}
	return nil
}

// TooLarge replaces the chunk by two smaller ones: by resource type, else by time. A chunk of one type and one
// millisecond cannot be cut and fails.
func (c *Chunk) TooLarge(reason string, now time.Time) (children []Chunk, err error) {
	if err := c.require("too large", Planned, Exporting); err != nil {
		return nil, err
	}
	if n := len(c.ResourceTypes); n > 1 {
		children = []Chunk{
			NewChunk(c.ResourceTypes[:n/2], c.Window, -1, now),
			NewChunk(c.ResourceTypes[n/2:], c.Window, -1, now),
		}
	} else if first, second, ok := c.Window.Halve(); ok {
		children = []Chunk{NewChunk(c.ResourceTypes, first, -1, now), NewChunk(c.ResourceTypes, second, -1, now)}
	}
	if c.State == Exporting {
		c.Export.EndedAt = now
	}
	c.UpdatedAt, c.LastError = now, Trim(reason)
	if children == nil {
		c.State = Failed
		c.LastError = Trim("one resource type and one millisecond are too much for one export: " + reason)
		return nil, nil
	}
	c.State = Split
	return children, nil
}

// Postpone moves the next visit. Being told to wait is not a failed attempt. A reason is shown to operators; an empty
// one leaves the last.
func (c *Chunk) Postpone(reason string, now, next time.Time) error {
	if err := c.require("postpone", Planned, Exporting, Exported, Importing); err != nil {
		return err
	}
	c.NotBefore, c.UpdatedAt = next, now
	if reason != "" {
		c.LastError = Trim(reason)
	}
	return nil
}

// Progressed notes that a job in flight still works: a 202 whose body may have grown. A 202 after a 200 takes the
// belief in that 200 away (invariant 10).
func (c *Chunk) Progressed(size int64, now, next time.Time) error {
	if err := c.require("progress", Exporting, Importing); err != nil {
		return err
	}
	job := &c.Export
	if c.State == Importing {
		job = &c.Import
	}
	if size > job.Progress {
		job.Progress, job.ProgressAt = size, now
	}
	job.Answers, job.Digest = 0, ""
	c.NotBefore, c.UpdatedAt = next, now
	return nil
}

// Faulted counts a fault. A chunk at rest fails when it has had too many in a row; a job in flight is never given up
// for a poll that failed.
func (c *Chunk) Faulted(reason string, now, next time.Time, limits Limits) error {
	if err := c.require("fault", Planned, Exporting, Exported, Importing); err != nil {
		return err
	}
	c.fault(reason, now, next, limits)
	return nil
}

func (c *Chunk) fault(reason string, now, next time.Time, limits Limits) {
	c.Attempts++
	c.NotBefore, c.UpdatedAt, c.LastError = next, now, Trim(reason)
	if c.State.AtRest() && c.Attempts >= limits.MaxFailures {
		c.State = Failed
	}
}

// JobLost says that a server's job is gone, dead or stalled: the export is tried again, or the import.
func (c *Chunk) JobLost(reason string, now, next time.Time, limits Limits) error {
	if err := c.require("job lost", Exporting, Importing); err != nil {
		return err
	}
	// The fault counter survives the way through the states at rest: an accepted kick-off of a job that then dies is
	// no progress, or a job that always dies would be started for ever.
	if c.State == Exporting {
		c.State, c.Export.EndedAt = Planned, now
	} else {
		c.leaveImport(now)
		c.State = Exported
	}
	c.fault(reason, now, next, limits)
	return nil
}

// Rejected fails the chunk at once: the server said that trying again is useless.
func (c *Chunk) Rejected(reason string, now time.Time) error {
	if err := c.require("rejected", Planned, Exporting, Exported, Importing); err != nil {
		return err
	}
	if c.State == Exporting {
		c.Export.EndedAt = now
	}
	c.leaveImport(now)
	c.State, c.UpdatedAt, c.LastError = Failed, now, Trim(reason)
	return nil
}

// Cancel ends the chunk because its run was stopped; it is never polled again (invariant 17).
func (c *Chunk) Cancel(now time.Time) error {
	if err := c.require("cancel", Planned, Exporting, Exported, Importing, Failed); err != nil {
		return err
	}
	switch c.State {
	case Exporting:
		c.Export.EndedAt = now
	case Importing:
		c.leaveImport(now)
	}
	c.State, c.NotBefore, c.UpdatedAt = Cancelled, now, now
	return nil
}

// RetryExport reopens a failed chunk from its beginning: its believed files, if it ever had any, are gone.
func (c *Chunk) RetryExport(now time.Time) error {
	if err := c.require("retry", Failed); err != nil {
		return err
	}
	c.reopen(now)
	c.leaveImport(now)
	c.exportAgain()
	return nil
}

// RetryImport reopens a failed chunk whose believed files are still there. If it failed for its many rejects, they are
// accepted from now on.
func (c *Chunk) RetryImport(now time.Time) error {
	if err := c.require("retry", Failed); err != nil {
		return err
	}
	if c.Manifest == "" {
		return c.illegal("retry of an import without a manifest")
	}
	c.reopen(now)
	c.State = Exported
	return nil
}

func (c *Chunk) reopen(now time.Time) {
	c.RejectsTaken = c.RejectsTaken || c.Batch.Rejected > 0
	c.takeBatchBack()
	c.Attempts, c.Imbalance, c.Throttled, c.Lost, c.EmptySeen, c.ShortSum = 0, 0, 0, 0, 0, 0
	c.NotBefore, c.UpdatedAt, c.LastError = now, now, ""
}

// exportAgain forgets the manifest: every file of the next one is imported, so nothing is counted twice.
func (c *Chunk) exportAgain() {
	c.State = Planned
	c.Manifest, c.Files, c.FilesDone = "", 0, 0
	c.Resources, c.Rejects, c.Batches, c.ImportStarted = Tally{}, Rejects{}, nil, time.Time{}
}

// EmptyDoubted notes an empty export that no count can prove (invariant 11) and asks for a second one, which proves it.
// That is no fault.
func (c *Chunk) EmptyDoubted(now time.Time) error {
	if err := c.require("doubt of an empty export", Exporting); err != nil {
		return err
	}
	c.EmptySeen++
	c.Export.EndedAt = now
	c.State, c.NotBefore, c.UpdatedAt = Planned, now, now
	return nil
}

// ShortDoubted notes an export with fewer lines than were counted when it was planned and tries it again once
// (invariant 12).
func (c *Chunk) ShortDoubted(sum int64, reason string, now, next time.Time, limits Limits) error {
	if err := c.require("doubt of a short export", Exporting); err != nil {
		return err
	}
	c.ShortSum, c.Export.EndedAt = sum, now
	c.State = Planned
	c.fault(reason, now, next, limits)
	return nil
}

// ExportThrottled counts an export that died of throttling; the second one says that the chunk is too large.
func (c *Chunk) ExportThrottled(reason string, now, next time.Time, limits Limits) error {
	if err := c.require("throttled export", Exporting); err != nil {
		return err
	}
	c.Throttled++
	return c.JobLost(reason, now, next, limits)
}
