package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// errorUnit is the error file of one slice of an input file, with the lines that the import counted for it.
type errorUnit struct {
	input           stagedFile
	container, name string // of the error file; empty: it lies outside the staging account
	count           int64
}

func (u errorUnit) file() string {
	if u.name == "" {
		return "outside the staging account"
	}
	return u.container + "/" + u.name
}

// errorUnits are the error files of a batch in an order that is the same in every visit: of its files, then as the
// result names them.
func errorUnits(result fhir.ImportResult, batch []stagedFile, staging Staging) []errorUnit {
	of := map[string][]fhir.ErrorFile{}
	for _, e := range result.Errors {
		if e.Count > 0 {
			of[e.InputURL] = append(of[e.InputURL], e)
		}
	}
	var units []errorUnit
	for _, f := range batch {
		at := map[string]int{}
		for _, e := range of[f.URL] {
			if i, known := at[e.URL]; known {
				units[i].count += e.Count
				continue
			}
			at[e.URL] = len(units)
			u := errorUnit{input: f, count: e.Count}
			u.container, u.name = inAccount(e.URL, staging)
			units = append(units, u)
		}
	}
	return units
}

// inAccount finds the container and name of a file of the staging account; anything else is never asked for, for our
// token would travel (invariant 16).
func inAccount(file string, staging Staging) (container, name string) {
	path, ok := strings.CutPrefix(file, strings.TrimSuffix(staging.Endpoint(), "/")+"/")
	if !ok || strings.ContainsAny(path, "?#") {
		return "", ""
	}
	container, name, _ = strings.Cut(path, "/")
	name, err := url.PathUnescape(name)
	if err != nil || container == "" || name == "" || strings.Contains(path, "..") {
		return "", ""
	}
	return container, name
}

// fill classifies lines until a page is full, everything is read, the visit's time is over or something does not answer.
// It comes at least one line, or one error file, further.
func (r *rejectReader) fill(ctx context.Context) error {
	r.page, r.held = rejectPage{}, map[fhir.Head]bool{}
	for len(r.page.Rejects) < r.rejectsPerPage && r.place.Unit < len(r.units) {
		told, ok, err := r.nextTold(ctx)
		if err != nil {
			return err
		}
		if !ok {
			r.endUnit()
		} else if err := r.take(ctx, told); err != nil {
			return err
		}
		if r.overtime(ctx) && r.place.Unit < len(r.units) {
			return errVisitOver
		}
	}
	return nil
}

// nextTold is the first line that the error file tells of behind the place.
func (r *rejectReader) nextTold(ctx context.Context) (fhir.ErrorLine, bool, error) {
	if r.of != r.place.Unit || len(r.told) == 0 && r.unread {
		if err := r.readTold(ctx); err != nil {
			return fhir.ErrorLine{}, false, err
		}
	}
	if len(r.told) == 0 {
		return fhir.ErrorLine{}, false, nil
	}
	first := r.told[0]
	r.told = r.told[1:]
	return first, true, nil
}

// readTold reads the error file and keeps the first lines behind the place, each once (F18), in the order in which they
// stand in the input. Lines that tell no place are left out, and so counted as not told. A file that is not there tells
// nothing.
func (r *rejectReader) readTold(ctx context.Context) error {
	r.told, r.unread, r.of = nil, false, r.place.Unit
	u := r.units[r.place.Unit]
	if u.name == "" {
		return nil
	}
	file, err := r.staging.Open(ctx, u.container, u.name, 0)
	if errors.Is(err, migration.ErrNotFound) {
		return nil
	}
	if err != nil {
		r.of = -1
		return &unreadable{u.file(), err}
	}
	l := newLines(file, 0, longestErrorLine)
	defer l.close()
	for {
		found, err := l.next(true)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.of = -1
			return &unreadable{u.file(), err}
		}
		e, err := fhir.ParseErrorLine(found.content)
		if err != nil || cmp.Or(cmp.Compare(e.Offset, r.place.Slice), cmp.Compare(e.Line, r.place.Line)) <= 0 {
			continue
		}
		if r.told = append(r.told, e); len(r.told) == 2*r.rejectsAtOnce {
			r.sortTold()
		}
	}
	r.sortTold()
	return nil
}

func (r *rejectReader) sortTold() {
	place := func(a, b fhir.ErrorLine) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Line, b.Line))
	}
	slices.SortStableFunc(r.told, place)
	r.told = slices.CompactFunc(r.told, func(a, b fhir.ErrorLine) bool { return place(a, b) == 0 })
	if len(r.told) > r.rejectsAtOnce {
		r.told, r.unread = r.told[:r.rejectsAtOnce:r.rejectsAtOnce], true
	}
}

// endUnit counts the lines of which the error file told nothing, and goes on to the next.
func (r *rejectReader) endUnit() {
	u := r.units[r.place.Unit]
	if missing := u.count - r.place.Listed; missing > 0 {
		r.page.Rejects = append(r.page.Rejects, Reject{
			Class: migration.OtherReject, Type: u.input.Type, File: u.input.name, ErrorFile: u.file(), Offset: -1,
			Text: fmt.Sprintf("%d rejected lines of which the error file tells nothing", missing),
		})
		r.page.Doubts = append(r.page.Doubts, fmt.Sprintf("%d of %d rejected lines of file %s are not told by error file %s, which is missing, "+
			"incomplete or out of reach; they are counted as other", missing, u.count, u.input.name, u.file()))
		r.place.Rejects.Add(migration.OtherReject, missing)
	}
	r.place = migration.Reading{Unit: r.place.Unit + 1, Pages: r.place.Pages, Rejects: r.place.Rejects}
}

// take finds one line in the input and adds it to the page.
func (r *rejectReader) take(ctx context.Context, told fhir.ErrorLine) error {
	u := r.units[r.place.Unit]
	found, there, err := r.locate(ctx, u.input, told)
	if err != nil {
		return err
	}
	reject := Reject{
		Class: classOf(told.Fault), Type: u.input.Type, ID: told.ID, Text: told.Text,
		File: u.input.name, ErrorFile: u.file(), Offset: -1, Line: told.Line,
	}
	if there {
		head := fhir.ReadHead(found.content)
		// Where the text names another resource than the line holds, the place is not to be trusted.
		if told.ID == "" || told.ID == head.ID {
			reject.Offset, reject.ID = found.from, saneID(head.ID)
			benign, err := r.benign(ctx, told, u.input, head, found)
			if err != nil {
				return err
			}
			if benign {
				reject.Class = migration.BenignReject
			}
		}
		r.place.At = r.input.at
	}
	r.page.Rejects = append(r.page.Rejects, reject)
	r.place.Line = told.Line
	r.place.Listed++
	r.place.Rejects.Add(reject.Class, 1)
	return nil
}
