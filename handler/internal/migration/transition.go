package migration

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Limits are the numbers that the rules need; they come from settings.
type Limits struct {
	MaxExports, MaxImports int
	MaxFailures            int           // consecutive faults before a chunk fails
	Confirmations          int           // equal manifests before one is believed
	Poll                   time.Duration // shortest wait between two polls of one job
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
	c.NotBefore, c.UpdatedAt = until, now
	return nil
}

// ExportIntended numbers a new try before its kick-off is sent (invariant 14). What an earlier try left is never read.
func (c *Chunk) ExportIntended() error {
	if err := c.require("export intended", Planned); err != nil {
		return err
	}
	c.Export = Job{Attempt: c.Export.Attempt + 1}
	return nil
}

// ExportAccepted records the source's status URL.
func (c *Chunk) ExportAccepted(statusURL string, now, next time.Time) error {
	if err := c.require("export accepted", Planned); err != nil {
		return err
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

// Confirmed reports whether the manifest with this digest would be believed with one equal answer more.
func (c Chunk) Confirmed(digest string, confirmations int) bool {
	return c.Export.Digest == digest && c.Export.Answers+1 >= confirmations
}

// Believed is a confirmed manifest: its document, the files in it that are to be imported, and its lines.
type Believed struct {
	Manifest       string
	Files          int
	Lines, Skipped int64 // all lines, and those of SearchParameter among them
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
	c.UpdatedAt, c.LastError = now, Trim(reason)
	if children == nil {
		c.State = Failed
		c.LastError = Trim("one resource type and one millisecond are too much for one export: " + reason)
		return nil, nil
	}
	c.State = Split
	return children, nil
}

// FilesLost gives up a believed manifest whose files are gone or of another size; the window is exported again.
func (c *Chunk) FilesLost(reason string, now, next time.Time, limits Limits) error {
	if err := c.require("files lost", Exported, Importing); err != nil {
		return err
	}
	c.leaveImport()
	c.exportAgain()
	c.fault(reason, now, next, limits)
	return nil
}

// ImportIntended records the body that is about to be posted, before it is (invariants 13 and 14).
func (c *Chunk) ImportIntended(body string, files int) error {
	if err := c.require("import intended", Exported); err != nil {
		return err
	}
	c.Import = Job{Attempt: c.Import.Attempt, Body: body}
	c.FilesNow = files
	return nil
}

// ImportAccepted records the destination's status URL.
func (c *Chunk) ImportAccepted(statusURL string, now, next time.Time) error {
	if err := c.require("import accepted", Exported); err != nil {
		return err
	}
	c.State, c.NotBefore, c.UpdatedAt = Importing, next, now
	c.Import.StatusURL, c.Import.Started, c.Import.ProgressAt = statusURL, now, now
	return nil
}

// manyLines is the size from which a chunk with more than half of its lines rejected fails once (operator contract 3).
const manyLines = 100

// ImportCompleted adds a balanced batch to the books (invariant 12). With files left the chunk is Exported again, else
// Imported. A chunk of 100 lines or more, over half of them rejected, fails once; retry accepts it.
func (c *Chunk) ImportCompleted(accepted, rejected int64, now time.Time) error {
	if err := c.require("import completed", Importing); err != nil {
		return err
	}
	batch := Tally{Imported: accepted, Rejected: rejected}
	c.Resources = c.Resources.Plus(batch)
	lines := c.Resources.Exported - c.Resources.Skipped
	c.Attempts, c.NotBefore, c.UpdatedAt = 0, now, now
	if lines >= manyLines && c.Resources.Rejected*2 > lines && !c.RejectsTaken {
		c.leaveImport()
		c.State, c.Batch = Failed, batch
		c.LastError = fmt.Sprintf("the destination rejected %d of %d lines; read the error files named in the import "+
			"result, then retry to accept the rejects or stop", c.Resources.Rejected, lines)
		return nil
	}
	c.ETags = "" // the run has learned it
	c.FilesDone += c.FilesNow
	c.FilesNow, c.Import = 0, Job{Attempt: c.Import.Attempt}
	c.State, c.LastError = Exported, ""
	if c.FilesDone >= c.Files {
		c.State = Imported
	}
	return nil
}

// OffBalance says that an import's books do not fit the manifest (invariant 12): the batch is imported again with
// another slice size, then exported again once, then the chunk fails.
func (c *Chunk) OffBalance(reason string, now, next time.Time) error {
	if err := c.require("off balance", Importing); err != nil {
		return err
	}
	c.leaveImport()
	c.Imbalance++
	c.UpdatedAt, c.NotBefore, c.LastError = now, next, Trim(reason)
	switch c.Imbalance {
	case 1:
		c.State = Exported
	case 2:
		c.exportAgain()
	default:
		c.State = Failed
	}
	return nil
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
		c.State = Planned
	} else {
		c.leaveImport()
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
	c.leaveImport()
	c.State, c.UpdatedAt, c.LastError = Failed, now, Trim(reason)
	return nil
}

// Cancel ends the chunk because its run was stopped; it is never polled again (invariant 17).
func (c *Chunk) Cancel(now time.Time) error {
	if err := c.require("cancel", Planned, Exporting, Exported, Importing, Failed); err != nil {
		return err
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
	c.leaveImport()
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
	c.Resources, c.Batch = c.Resources.Minus(c.Batch), Tally{}
	c.Attempts, c.Imbalance, c.Throttled, c.EmptySeen, c.ShortSum = 0, 0, 0, 0, 0
	c.NotBefore, c.UpdatedAt, c.LastError = now, now, ""
}

// leaveImport gives up the import under way, if there is one. Its successor carries a new number, for the same body
// would be handed the dead job (invariant 13).
func (c *Chunk) leaveImport() {
	if c.Import.Body != "" || c.Import.StatusURL != "" {
		c.Import = Job{Attempt: c.Import.Attempt + 1}
	}
	c.FilesNow = 0
}

// exportAgain forgets the manifest: every file of the next one is imported, so nothing is counted twice.
func (c *Chunk) exportAgain() {
	c.State = Planned
	c.Manifest, c.Files, c.FilesDone = "", 0, 0
	c.Resources = Tally{}
}

// EmptyDoubted notes an empty export that no count can prove (invariant 11) and asks for a second one, which proves it.
// That is no fault.
func (c *Chunk) EmptyDoubted(now time.Time) error {
	if err := c.require("doubt of an empty export", Exporting); err != nil {
		return err
	}
	c.EmptySeen++
	c.State, c.NotBefore, c.UpdatedAt = Planned, now, now
	return nil
}

// ShortDoubted notes an export with fewer lines than were counted when it was planned and tries it again once
// (invariant 12).
func (c *Chunk) ShortDoubted(sum int64, reason string, now, next time.Time, limits Limits) error {
	if err := c.require("doubt of a short export", Exporting); err != nil {
		return err
	}
	c.ShortSum = sum
	c.State = Planned
	c.fault(reason, now, next, limits)
	return nil
}

// ExportThrottled counts an export that died of throttling; the second one says that the chunk is too large.
func (c *Chunk) ExportThrottled(reason string, now, next time.Time, limits Limits) error {
	if err := c.JobLost(reason, now, next, limits); err != nil {
		return err
	}
	c.Throttled++
	return nil
}

// ImportMissedETag notes that an import died of an etag in the given form; the next one gives them in the other.
func (c *Chunk) ImportMissedETag(tried ETagForm, reason string, now, next time.Time, limits Limits) error {
	if err := c.require("missed etag", Importing); err != nil {
		return err
	}
	c.ETags = tried.Other()
	return c.JobLost(reason, now, next, limits)
}

// NextETags is the form in which the chunk's next import gives its etags: the chunk's own once one has died of it,
// whatever the run has learned meanwhile.
func (c Chunk) NextETags(r Run) ETagForm { return cmp.Or(c.ETags, r.ETags, QuotedETags) }

// ImportStalled notes that the destination was asked to cancel a stalled import. It is followed to its end, for a
// cancelled import may have finished before the request reached it.
func (c *Chunk) ImportStalled(reason string, now, next time.Time) error {
	if err := c.require("stall", Importing); err != nil {
		return err
	}
	if c.Import.CancelAt.IsZero() {
		c.Import.CancelAt = now
	}
	c.NotBefore, c.UpdatedAt, c.LastError = next, now, Trim(reason)
	return nil
}
