package migration

import (
	"fmt"
	"slices"
	"time"
)

// ResultKept keeps the name of the result's document: the import is over and is not asked about again. Lines that it
// rejected are read and classified before the batch counts as completed. The chunk keeps its slot meanwhile.
func (c *Chunk) ResultKept(document string, now time.Time) error {
	if err := c.require("result kept", Importing); err != nil {
		return err
	}
	if c.Import.Result != "" || document == "" {
		return c.illegal("a second result of one import")
	}
	c.Import.Result, c.Import.EndedAt, c.Reading = document, now, Reading{}
	c.UpdatedAt, c.LastError, c.Attempts = now, "", 0
	return nil
}

// RejectsRead moves the place in the rejected lines on. A place behind the one reached is refused: lines would be counted
// twice.
func (c *Chunk) RejectsRead(r Reading, now, next time.Time) error {
	if err := c.require("rejects read", Importing); err != nil {
		return err
	}
	was := c.Reading
	back := r.Unit < was.Unit || r.Pages < was.Pages || r.Unit == was.Unit && r.Listed < was.Listed
	for _, class := range RejectClasses() {
		back = back || r.Rejects.Of(class) < was.Rejects.Of(class)
	}
	if c.Import.Result == "" || back {
		return c.illegal("rejects read without a result, or backwards")
	}
	c.Reading, c.UpdatedAt, c.NotBefore, c.LastError = r, now, next, ""
	return nil
}

// manyLines is the size from which a chunk with more than half of its lines rejected fails once (operator contract 3).
const manyLines = 100

// ImportCompleted adds a balanced batch to the books (invariant 12), its rejected lines by the classes that were read.
// With files left the chunk is Exported again, else Imported. A chunk of 100 lines or more, over half of them rejected and
// not benign, fails once; retry accepts it.
func (c *Chunk) ImportCompleted(accepted, rejected int64, now time.Time) error {
	if err := c.require("import completed", Importing); err != nil {
		return err
	}
	read := c.Reading.Rejects
	if c.Import.Result == "" || read.Benign+read.Harmful() < rejected {
		return c.illegal("import completed with rejected lines that were not read")
	}
	// An error file may tell more lines than were rejected, those of a try that was given up. The harmful ones come first.
	benign := max(rejected-read.Harmful(), 0)
	batch := Tally{Imported: accepted, Rejected: rejected - benign, Benign: benign}
	c.Resources, c.Rejects = c.Resources.Plus(batch), c.Rejects.Plus(read)
	c.Batches = append(slices.Clone(c.Batches), ImportBatch{
		From: c.FilesDone, Files: c.FilesNow, Attempt: c.Import.Attempt, Result: c.Import.Result, Pages: c.Reading.Pages, Rejects: read,
	})
	lines := c.Resources.Exported - c.Resources.Skipped
	c.Attempts, c.NotBefore, c.UpdatedAt = 0, now, now
	if lines >= manyLines && c.Resources.Rejected*2 > lines && !c.RejectsTaken {
		c.leaveImport(now)
		c.State, c.Batch = Failed, batch
		c.LastError = fmt.Sprintf("the destination rejected %d of %d lines; GET /api/migration/rejects?chunk=%s lists them; "+
			"then retry to accept the rejects, or stop", c.Resources.Rejected, lines, c.ID)
		return nil
	}
	c.ETags = "" // the run has learned it
	c.FilesDone += c.FilesNow
	c.LastImport = c.Import
	c.FilesNow, c.Import, c.Reading = 0, Job{Attempt: c.Import.Attempt}, Reading{}
	c.State, c.LastError = Exported, ""
	if c.FilesDone >= c.Files {
		c.State = Imported
	}
	return nil
}

// takeBatchBack takes the batch whose rejects failed the chunk out of the books again; it is imported once more.
func (c *Chunk) takeBatchBack() {
	if c.Batch == (Tally{}) {
		return
	}
	last := len(c.Batches) - 1
	c.Rejects = c.Rejects.Minus(c.Batches[last].Rejects)
	c.Batches = slices.Clone(c.Batches[:last])
	c.Resources, c.Batch = c.Resources.Minus(c.Batch), Tally{}
}
