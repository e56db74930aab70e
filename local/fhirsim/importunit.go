package fhirsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"
)

// unitResult is what one slice came to.
type unitResult struct {
	accepted, failed int
	errorURL         string
}

// lineError is one line that was not accepted.
type lineError struct {
	line   int
	reason string
}

// runUnit imports one slice: read, store in batches, write the error file. The caller holds working.
func (s *Server) runUnit(j *importJob, u *importUnit) (unitResult, error) {
	ctx := context.Background()
	input := j.order.Inputs[u.input]
	container, name, _ := splitBlobURL(s.opt.Blobs, input.URL)
	data, etag, err := s.opt.Blobs.Get(ctx, container, name, u.offset)
	if errors.Is(err, ErrBlobNotFound) || err == nil && etag != j.etags[u.input] {
		return unitResult{}, &unitFailure{400,
			"Input file deleted, renamed, or moved during job. Import processing operation failed."}
	}
	if err != nil {
		return unitResult{}, err
	}
	if _, hit := s.faults.take(faultLeaveLease, ""); hit {
		s.mu.Lock()
		u.leased = false // as after a crash: nobody gives it back
		s.mu.Unlock()
		if err := s.opt.Blobs.Lease(ctx, container, name); err != nil && !errors.Is(err, ErrBlobLeased) {
			return unitResult{}, err
		}
	}
	lines := sliceLines(data, u.offset, j.order.SliceBytes, s.opt.ExactSlices)
	if j.order.SliceBytes >= int64(len(data)) { // the last slice of the file
		lines = lines[:max(0, len(lines)-j.skip)]
	}
	doom := j.takeDoom(s)
	if doom != nil {
		lines = lines[:len(lines)/2]
	}
	accepted, failed, fatal := s.storeLines(j, input.Type, lines)
	if doom != nil {
		fatal = &unitFailure{doom.Status, doom.Text}
	}
	if fatal != nil {
		return unitResult{}, fatal
	}
	result := unitResult{accepted: accepted, failed: len(failed)}
	if len(failed) > 0 {
		result.errorURL, err = s.writeErrors(ctx, j, u, failed)
	}
	return result, err
}

func (j *importJob) takeDoom(s *Server) *Arm {
	s.mu.Lock()
	defer s.mu.Unlock()
	doom := j.doom
	j.doom = nil
	return doom
}

// noInternalIDs is the text of contract 5.4.
const noInternalIDs = "Unable to generate internal IDs. If the lastUpdated meta element is provided as input, reduce" +
	" the number of resources with the same up to millisecond lastUpdated below 10,000."

// crowds reports whether the line is one too many of its millisecond in this job (S32).
func (j *importJob) crowds(s *Server, line *importLine) bool {
	limit, on := s.faults.standing(faultLimitMillisecond)
	if !on || !line.dated {
		return false
	}
	j.crowd[line.at]++
	return j.crowd[line.at] > limit.Count
}

// storeLines parses all lines and merges the good ones in batches (contract 4.8 and 6). A number too large for
// the index ends it at its batch; what was stored before stays (contract 6.6).
func (s *Server) storeLines(j *importJob, inputType string, lines [][]byte) (accepted int, failed []lineError, fatal *unitFailure) {
	every, _ := s.faults.take(faultRejectLines, "")
	_, duplicate := s.faults.take(faultDuplicateErrors, "")
	now := s.opt.Now()
	refused := map[int]bool{}
	note := func(list ...lineError) {
		for _, e := range list {
			if !refused[e.line] {
				refused[e.line] = true
				failed = append(failed, e)
			}
		}
	}
	var batch []*importLine
	flush := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		note(s.merge(batch, j.order.NegativeVersions, now)...)
		batch = nil
	}
	for i, data := range lines {
		line, reason := s.parseLine(data, i+1, inputType, j.order.Mode, now)
		if reason == "" {
			reason = s.faults.rejects(line.typ, line.id, i+1)
		}
		if every.Count > 0 && (i+1)%every.Count == 0 {
			reason = every.Text
		}
		if reason != "" {
			note(lineError{i + 1, reason})
			continue
		}
		if j.crowds(s, line) {
			return 0, nil, &unitFailure{400, noInternalIDs}
		}
		if line.hasHugeNumber() {
			return 0, nil, &unitFailure{400, "Arithmetic overflow error converting numeric to data type decimal."}
		}
		if batch = append(batch, line); len(batch) == importBatch {
			flush()
		}
		if duplicate {
			duplicate = false
			note(line.duplicate())
		}
	}
	flush()
	return len(lines) - len(failed), failed, nil
}

// sliceLines reads the non-empty lines of the slice [offset, offset+size) of a blob; data is the blob from
// offset on. A slice behind the first skips the line it begins in, and counts the skipped line's length after
// decoding: each stray continuation byte at its start counts as the three bytes of U+FFFD, so that a line
// which starts in the last bytes of the slice can be lost (contract 4.9). exact repairs that.
func sliceLines(data []byte, offset, size int64, exact bool) [][]byte {
	var lines [][]byte
	progress := int64(0)
	if offset == 0 {
		data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // decoded away, so not counted either
	}
	for first := true; progress <= size && len(data) > 0; first = false {
		line := data
		if end := bytes.IndexByte(data, '\n'); end >= 0 {
			line = data[:end+1]
		}
		data = data[len(line):]
		progress += int64(len(line))
		if first && offset > 0 {
			if !exact {
				progress += 2 * strayBytes(line)
			}
			continue
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

func strayBytes(line []byte) int64 {
	n := int64(0)
	for _, b := range line {
		if utf8.RuneStart(b) {
			break
		}
		n++
	}
	return n
}

// writeErrors stores the error file of a unit (contract 5.3) and returns its URL.
func (s *Server) writeErrors(ctx context.Context, j *importJob, u *importUnit, failed []lineError) (string, error) {
	container := orElse(j.order.ErrorContainer, "fhirlogs")
	name := fmt.Sprintf("%s%d_%d.ndjson", j.order.Inputs[u.input].Type, j.id, u.id)
	var file []byte
	for _, f := range failed {
		line := jsonAnswer(0, "", operationOutcome{"OperationOutcome", "", nil, []issue{{Severity: "error",
			Details: &text{f.reason},
			Diagnostics: fmt.Sprintf("Failed to process resource at line: %d with stream start offset: %d",
				f.line, u.offset)}}}).body
		file = append(append(file, line...), '\n')
	}
	if _, hit := s.faults.take(faultRepeatErrorLines, ""); hit {
		file = append(file, file...)
	}
	if _, hit := s.faults.take(faultCutErrorFile, ""); hit {
		last := bytes.LastIndexByte(file[:len(file)-1], '\n') + 1
		file = file[:last+(len(file)-last)/2]
	}
	if err := s.opt.Blobs.CreateContainer(ctx, container); err != nil {
		return "", err
	}
	if _, hit := s.faults.take(faultLoseErrorFile, ""); hit {
		return blobURL(s.opt.Blobs, container, name), nil
	}
	return blobURL(s.opt.Blobs, container, name), s.opt.Blobs.Put(ctx, container, name, file)
}
