package migration

import (
	"cmp"
	"time"
)

// FilesLost gives up a believed manifest whose files are gone or of another size; the window is exported again, but not
// for ever: every believed manifest resets the faults, so these are counted by themselves.
func (c *Chunk) FilesLost(reason string, now, next time.Time, limits Limits) error {
	if err := c.require("files lost", Exported, Importing); err != nil {
		return err
	}
	c.leaveImport(now)
	c.exportAgain()
	c.Lost++
	c.Attempts = max(c.Attempts, c.Lost-1)
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

// ImportAccepted records the destination's status URL. It needs a body that was saved before (invariants 13 and 14).
func (c *Chunk) ImportAccepted(statusURL string, now, next time.Time) error {
	if err := c.require("import accepted", Exported); err != nil {
		return err
	}
	if c.Import.Body == "" || c.FilesNow == 0 {
		return c.illegal("import accepted that was not intended")
	}
	c.State, c.NotBefore, c.UpdatedAt = Importing, next, now
	c.Import.StatusURL, c.Import.Started, c.Import.ProgressAt = statusURL, now, now
	if c.ImportStarted.IsZero() {
		c.ImportStarted = now
	}
	return nil
}

// OffBalance says that an import's books do not fit the manifest (invariant 12): the batch is imported again with
// another slice size, then exported again once, then the chunk fails.
func (c *Chunk) OffBalance(reason string, now, next time.Time) error {
	if err := c.require("off balance", Importing); err != nil {
		return err
	}
	c.leaveImport(now)
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

// leaveImport gives up the import under way, if there is one. Its successor carries a new number, for the same body
// would be handed the dead job (invariant 13).
func (c *Chunk) leaveImport(now time.Time) {
	if c.Import.StatusURL != "" {
		c.LastImport = c.Import
		if c.LastImport.EndedAt.IsZero() {
			c.LastImport.EndedAt = now
		}
	}
	if c.Import.Body != "" || c.Import.StatusURL != "" {
		c.Import = Job{Attempt: c.Import.Attempt + 1}
	}
	c.FilesNow, c.Reading = 0, Reading{}
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
