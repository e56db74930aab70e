package engine

import (
	"context"
	"errors"
	"io"
	"regexp"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// Lines, and bytes, of an input that are passed between two looks at the clock: a line may be many megabytes long.
const (
	linesPerLook = 1000
	bytesPerLook = 8 << 20
)

// locate walks through the input file to the line that was told: from the byte at which its slice begins, where that is
// not the start of the file behind the next end of a line, counting the lines that are not blank (contract 5.3). The place
// moves along, so that a visit whose time is over need not walk again. The line itself is not passed before it is taken.
func (r *rejectReader) locate(ctx context.Context, input stagedFile, told fhir.ErrorLine) (line, bool, error) {
	if told.Offset != r.place.Slice {
		r.place.Slice, r.place.Line, r.place.At = told.Offset, 0, told.Offset
	}
	open, err := r.openInput(ctx, input)
	if err != nil || !open {
		return line{}, false, err
	}
	if r.place.Slice > 0 && r.place.At == r.place.Slice {
		if err := r.pass(input, false, nil); err != nil {
			return line{}, false, atEnd(err)
		}
	}
	passed, looked := 0, r.input.at
	for {
		var found line
		wanted := r.place.Line == told.Line-1
		err := r.pass(input, wanted, &found)
		switch {
		case err != nil:
			return line{}, false, atEnd(err)
		case wanted && !found.blank:
			return found, true, nil
		}
		if passed++; passed == linesPerLook || r.input.at-looked >= bytesPerLook {
			if r.overtime(ctx) {
				return line{}, false, errVisitOver
			}
			passed, looked = 0, r.input.at
		}
	}
}

// pass reads one line of the input and moves the place behind it, unless it is the one that is looked for.
func (r *rejectReader) pass(input stagedFile, wanted bool, found *line) error {
	next, err := r.input.next(wanted)
	if errors.Is(err, io.EOF) {
		return err
	}
	if err != nil {
		r.closeInput()
		return &unreadable{r.staging.Container() + "/" + input.name, err}
	}
	if found == nil { // the rest of a line that began in the slice before
		r.place.At = r.input.at
		return nil
	}
	*found = next
	if wanted && !next.blank {
		return nil
	}
	if !next.blank {
		r.place.Line++
	}
	r.place.At = r.input.at
	return nil
}

// atEnd turns the end of the file into a line that is not there.
func atEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// openInput reads the input from the place on, and reports whether the file is still there.
func (r *rejectReader) openInput(ctx context.Context, input stagedFile) (bool, error) {
	if r.gone == input.name {
		return false, nil
	}
	if r.input != nil && r.inputOf == input.name && r.input.at == r.place.At {
		return true, nil
	}
	r.closeInput()
	file, err := r.staging.Open(ctx, r.staging.Container(), input.name, r.place.At)
	if errors.Is(err, migration.ErrNotFound) {
		r.gone = input.name
		return false, nil
	}
	if err != nil {
		return false, &unreadable{r.staging.Container() + "/" + input.name, err}
	}
	r.input, r.inputOf = newLines(file, r.place.At, longestLine), input.name
	return true, nil
}

func (r *rejectReader) closeInput() {
	if r.input != nil {
		r.input.close()
	}
	r.input = nil
}

// classOf is what a fault means before the destination has been asked.
func classOf(f fhir.LineFault) migration.RejectClass {
	switch f {
	case fhir.DuplicateLine:
		return migration.DuplicateReject
	case fhir.ConflictLine:
		return migration.ConflictReject
	case fhir.MalformedLine:
		return migration.MalformedReject
	case fhir.SearchParameterLine:
		return migration.SearchParameterReject
	}
	return migration.OtherReject
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// saneID leaves out an id that is none: it may be anything that stands in a line.
func saneID(id string) string {
	if idForm.MatchString(id) {
		return id
	}
	return ""
}

// benign asks whether a line told as a duplicate lost nothing: the destination holds a version of the same lastUpdated and,
// where the source numbers its versions, of the same number (contract C18). One without a number must say the same, for of
// two versions in one millisecond only one is kept (contract 6.3).
func (r *rejectReader) benign(ctx context.Context, told fhir.ErrorLine, input stagedFile, head fhir.Head, found line) (bool, error) {
	if told.Fault != fhir.DuplicateLine || head.Type != input.Type || saneID(head.ID) == "" || head.LastUpdated.IsZero() {
		return false, nil
	}
	if known, asked := r.held[head]; asked {
		return known, nil
	}
	versions, err := r.destination.VersionsAt(ctx, head.Type, head.ID, head.LastUpdated)
	var fault *fhir.Error
	if errors.As(err, &fault) && fault.Declined() {
		return false, nil // nothing is proven, and asking again would hold the run up for ever
	}
	if err != nil {
		return false, err
	}
	own, readable := fhir.ReadVersion(found.content, head.Type)
	held := false
	for _, v := range versions {
		switch {
		case v.ID != head.ID || !v.LastUpdated.Equal(head.LastUpdated):
		case head.Numbered():
			held = held || v.VersionID == head.VersionID
		default:
			held = held || found.whole && readable && len(fhir.Differences(own, v)) == 0
		}
	}
	if head.Numbered() {
		r.held[head] = held
	}
	return held, nil
}
