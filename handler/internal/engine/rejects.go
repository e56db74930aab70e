package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// mostDoubts is how many error files a page of rejects complains of one by one: problems must not push each other out.
const mostDoubts = 5

// rejectPage is a document that lists rejected lines, and where the next one begins. What is written once is followed:
// a visit that finds the page of another goes on behind it, so that no line is counted twice.
type rejectPage struct {
	Rejects []Reject
	Doubts  []string // what could not be told of these lines
	Next    migration.Reading
}

// rejectReader reads and classifies the rejected lines of the batch whose import has ended.
type rejectReader struct {
	*visit
	units []errorUnit
	place migration.Reading
	page  rejectPage

	told    []fhir.ErrorLine // of the error file read now, behind the place, in order
	unread  bool             // whether it tells more than these
	of      int              // its number; -1: none was read
	input   *lines           // of the input file read now
	inputOf string           // its name
	gone    string           // name of an input file that is not there any more
	held    map[fhir.Head]bool
}

// errVisitOver says that the visit's time is up and the reading goes on in the next.
var errVisitOver = errors.New("the visit has no time left")

// unreadable is a file in the staging account that could not be read, though it may be there.
type unreadable struct {
	file  string
	cause error
}

func (u *unreadable) Error() string { return "read " + u.file + ": " + u.cause.Error() }
func (u *unreadable) Unwrap() error { return u.cause }

// readRejects reads the error files of an import that has ended, page by page, and completes it when all its rejected
// lines are classified. Whatever does not answer postpones it: nothing is taken for benign unseen.
func (v *visit) readRejects(ctx context.Context) error {
	r, accepted, rejected, err := v.rejectReader(ctx)
	if err != nil {
		return err
	}
	defer r.closeInput()
	for {
		halt := r.fill(ctx)
		if halt != nil && ctx.Err() != nil {
			return halt
		}
		if err := r.keepPage(ctx); err != nil {
			return err
		}
		if err := v.chunk.RejectsRead(r.place, v.Now(), v.chunk.NotBefore); err != nil {
			return err
		}
		var problems []migration.Problem
		for _, doubt := range r.page.Doubts {
			problems = append(problems, v.doubt(doubt)...)
		}
		switch {
		case halt != nil:
			return v.pauseReading(ctx, halt, problems)
		case r.place.Unit == len(r.units):
			return v.completeImport(ctx, accepted, rejected, problems)
		}
		if err := v.save(ctx, migration.Save{Problems: problems}); err != nil {
			return err
		}
	}
}

// rejectReader begins where the visit before has stopped.
func (v *visit) rejectReader(ctx context.Context) (r *rejectReader, accepted, rejected int64, err error) {
	content, err := v.ledger.Document(ctx, v.run.ID, v.chunk.Import.Result)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("read import result %s: %v", v.chunk.Import.Result, err) // missing is no quiet exit
	}
	result, err := fhir.ParseImportResult(content)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("read import result %s: %w", v.chunk.Import.Result, err)
	}
	batch, err := v.batch(ctx)
	if err != nil {
		return nil, 0, 0, err
	}
	for _, f := range batch {
		accepted, rejected = accepted+result.Accepted[f.URL], rejected+result.Rejected[f.URL]
	}
	r = &rejectReader{visit: v, units: errorUnits(result, batch, v.staging), place: v.chunk.Reading, of: -1}
	return r, accepted, rejected, nil
}

// pauseReading saves how far the reading came and when it goes on.
func (v *visit) pauseReading(ctx context.Context, halt error, problems []migration.Problem) error {
	var fault *fhir.Error
	var file *unreadable
	reason, next := "", v.Now()
	switch {
	case errors.Is(halt, errVisitOver):
	case errors.As(halt, &fault):
		next = next.Add(v.pollWait(fault.RetryAfter, v.chunk.Import.EndedAt))
		if !fault.Busy() {
			reason = "rejected lines wait for the destination to say what it holds: " + explain(halt)
		}
	case errors.As(halt, &file):
		next = next.Add(v.pollWait(0, v.chunk.Import.EndedAt))
		reason = fmt.Sprintf("rejected lines wait, for file %s cannot be read: %s; the app's identity needs the role Storage Blob "+
			"Data Reader, or Contributor, on the whole staging account", file.file, plainCause(file.cause))
	default:
		return halt
	}
	if reason != "" {
		problems = append(problems, v.problem(reason)...)
	}
	if err := v.chunk.Postpone(reason, v.Now(), next); err != nil {
		return err
	}
	return v.save(ctx, migration.Save{Problems: problems})
}

// plainCause is the first line of an error, without the URL that net/http repeats with its query.
func plainCause(err error) string {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// keepPage writes the page that was filled, or follows the one that was written in its place before.
func (r *rejectReader) keepPage(ctx context.Context) error {
	if len(r.page.Rejects) == 0 {
		return nil
	}
	name := rejectsName(r.chunk, r.chunk.FilesDone, r.chunk.Import.Attempt, r.place.Pages)
	r.place.Pages++
	r.page.Next = r.place
	if n := len(r.page.Doubts) - mostDoubts; n > 0 {
		r.page.Doubts = append(r.page.Doubts[:mostDoubts:mostDoubts], fmt.Sprintf("%d more error files do not tell all of their rejected lines", n))
	}
	content, err := json.Marshal(r.page)
	if err != nil {
		return fmt.Errorf("encode rejects of chunk %s: %w", r.chunk.ID, err)
	}
	kept, err := r.ledger.PutDocument(ctx, r.run.ID, name, content)
	if err != nil {
		return fmt.Errorf("keep rejects of chunk %s: %w", r.chunk.ID, err)
	}
	if bytes.Equal(kept, content) {
		return nil
	}
	if r.page, err = parseRejectPage(name, kept); err != nil {
		return err
	}
	r.place, r.of = r.page.Next, -1
	r.closeInput()
	return nil
}

// rejectsName is the document of a page: a function of what is read, never of when.
func rejectsName(c migration.Chunk, from, attempt, page int) string {
	return fmt.Sprintf("rejects/%s/%d-%d-%d-%d.json", c.ID, c.Export.Attempt, from, attempt, page)
}

func parseRejectPage(name string, content []byte) (rejectPage, error) {
	var p rejectPage
	if err := json.Unmarshal(content, &p); err != nil {
		return p, fmt.Errorf("read rejects %s: %w", name, err)
	}
	return p, nil
}

// completeImport adds the batch to the books and goes on with the next.
func (v *visit) completeImport(ctx context.Context, accepted, rejected int64, problems []migration.Problem) error {
	from, read := v.chunk.State, v.chunk.Reading.Rejects
	before := v.chunk.Resources
	if err := v.chunk.ImportCompleted(accepted, rejected, v.Now()); err != nil {
		return err
	}
	if lines := v.chunk.Resources.Minus(before); lines.Rejected > 0 {
		problems = append(problems, v.problem(fmt.Sprintf("the destination rejected %d of %d lines (%s); "+
			"GET /api/migration/rejects?chunk=%s lists them", lines.Rejected, accepted+rejected, tellRejects(read), v.chunk.ID))...)
	}
	if v.chunk.State == migration.Failed {
		problems = append(problems, v.problem(v.chunk.LastError)...)
	}
	straightOn := v.chunk.State == migration.Exported && v.roomFor(ctx)
	save := migration.Save{Problems: problems}
	if straightOn {
		save.Slot = migration.SlotKeep
	}
	if err := v.moved(ctx, from, save); err != nil {
		return err
	}
	if rejected > 0 {
		v.log.InfoContext(ctx, "rejects classified", slog.String("event", "RejectsClassified"), "run", v.run.ID, "chunk", v.chunk.ID,
			"benign", read.Benign, "duplicate", read.Duplicate, "conflict", read.Conflict, "malformed", read.Malformed,
			"searchParameter", read.SearchParameter, "other", read.Other)
	}
	if !straightOn {
		return nil
	}
	v.holding = true
	return v.startImport(ctx) // files are left: straight on, with the slot
}

// tellRejects counts the classes that there are.
func tellRejects(r migration.Rejects) string {
	var parts []string
	for _, class := range migration.RejectClasses() {
		if n := r.Of(class); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, class))
		}
	}
	return strings.Join(parts, ", ")
}
