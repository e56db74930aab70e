package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
	"fhirferry/handler/internal/store/storetest"
)

// counted are the places of the lines of a slice as contract 5.3 counts them: behind the first end of a line, where the
// slice does not begin the file, and without blank lines.
func counted(content []byte, offset int) []int64 {
	at := offset
	if offset > 0 {
		end := bytes.IndexByte(content[offset:], '\n')
		if end < 0 {
			return nil
		}
		at += end + 1
	} else if bytes.HasPrefix(content, []byte("\uFEFF")) {
		at = 3
	}
	var places []int64
	for at < len(content) {
		text, _, _ := bytes.Cut(content[at:], []byte("\n"))
		if len(bytes.TrimSpace(text)) > 0 {
			places = append(places, int64(at))
		}
		at += len(text) + 1
	}
	return places
}

// randomFile is an NDJSON file with every odd thing that a file may have.
func randomFile(rng *rand.Rand) []byte {
	var file bytes.Buffer
	if rng.IntN(2) == 0 {
		file.WriteString("\uFEFF")
	}
	for n := range 5 + rng.IntN(40) {
		end := []string{"\n", "\r\n", "\n\n", "\n \r\n"}[rng.IntN(4)]
		fmt.Fprintf(&file, `{"resourceType":"Patient","id":"p%d","x":"%s"}%s`, n, strings.Repeat("ä", rng.IntN(30)), end)
	}
	if rng.IntN(2) == 0 {
		fmt.Fprint(&file, `{"resourceType":"Patient","id":"last"}`)
	}
	return file.Bytes()
}

// Lines told of any slices of a file, in any order and more than once, are found at their places, in however many visits.
func TestLinesOfSlices(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		content := randomFile(rng)
		staging := storetest.NewStaging()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(staging.Put(t.Context(), staging.Container(), "in", content))
		want := map[string]int64{} // place by slice and line; negative: there is no such line
		var result fhir.ImportResult
		for n := range 1 + rng.IntN(4) {
			offset, lines := rng.IntN(len(content)+10), []string(nil)
			if n == 0 {
				offset = 0
			}
			places := counted(content, min(offset, len(content)))
			for line := 1; line <= len(places)+2; line++ {
				key := fmt.Sprintf("errors/%d %d", n, line)
				if rng.IntN(3) == 0 {
					if want[key] = -1; line <= len(places) {
						want[key] = places[line-1]
					}
					lines = append(lines, fmt.Sprintf(`{"resourceType":"OperationOutcome","issue":[{"details":{"text":"Unexpected"},`+
						`"diagnostics":"Failed to process resource at line: %d with stream start offset: %d"}]}`, line, offset))
				}
			}
			told := len(lines)
			lines = append(lines, lines[:told/2]...) // a restarted unit
			rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			must(staging.Put(t.Context(), "errors", fmt.Sprint(n), []byte(strings.Join(lines, "\r\n"))))
			result.Errors = append(result.Errors, fhir.ErrorFile{
				InputURL: "in", URL: fmt.Sprintf("%s/errors/%d", staging.Endpoint(), n), Count: int64(told + 1), // one is not told
			})
		}
		e := &Engine{staging: staging, rejectsPerPage: 1 + rng.IntN(5), rejectsAtOnce: 1 + rng.IntN(5), Now: time.Now}
		e.overtime = func(context.Context) bool { return rng.IntN(3) == 0 }
		units := errorUnits(result, []stagedFile{{fhir.OutputFile{URL: "in", Type: "Patient"}, "in"}}, staging)
		got, untold := map[string]int64{}, 0
		var place migration.Reading
		r := &rejectReader{visit: &visit{Engine: e}, units: units, of: -1}
		for place.Unit < len(units) {
			if rng.IntN(2) == 0 { // another visit
				r = &rejectReader{visit: &visit{Engine: e}, units: units, place: place, of: -1}
			}
			err := r.fill(t.Context())
			if err != nil && !errors.Is(err, errVisitOver) {
				t.Fatal(err)
			}
			for _, reject := range r.page.Rejects {
				if reject.Line == 0 {
					untold++
					continue
				}
				key := fmt.Sprintf("%s %d", reject.ErrorFile, reject.Line)
				if _, twice := got[key]; twice {
					t.Fatalf("seed %d: %s is listed twice", seed, key)
				}
				got[key] = reject.Offset
			}
			place = r.place
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || untold != len(units) || place.Rejects.Malformed != int64(len(want)) || place.Rejects.Other != int64(untold) {
			t.Fatalf("seed %d: got %v and %d untold (%+v), want %v and %d", seed, got, untold, place.Rejects, want, len(units))
		}
	}
}

// A visit looks at the clock on its way through long lines too, and between error files that tell nothing.
func TestLooksAtTheClock(t *testing.T) {
	staging := storetest.NewStaging()
	put := func(container, name, content string) {
		t.Helper()
		if err := staging.Put(t.Context(), container, name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	put(staging.Container(), "in", strings.Repeat(strings.Repeat("x", bytesPerLook/2)+"\n", 5))
	put("errors", "far", `{"resourceType":"OperationOutcome","issue":[{"details":{"text":"Unexpected"},`+
		`"diagnostics":"Failed to process resource at line: 5 with stream start offset: 0"}]}`)
	input := stagedFile{fhir.OutputFile{Type: "Patient"}, "in"}
	unit := func(name string) errorUnit { return errorUnit{input: input, container: "errors", name: name, count: 1} }
	e := &Engine{staging: staging, rejectsPerPage: 100, rejectsAtOnce: 100, Now: time.Now}
	e.overtime = func(context.Context) bool { return true }
	r := &rejectReader{visit: &visit{Engine: e}, units: []errorUnit{unit("gone"), unit("gone too"), unit("far")}, of: -1}
	var places []string
	for r.place.Unit < len(r.units) {
		if err := r.fill(t.Context()); err != nil && !errors.Is(err, errVisitOver) {
			t.Fatal(err)
		}
		places = append(places, fmt.Sprint(r.place.Unit, r.place.Line))
		r = &rejectReader{visit: r.visit, units: r.units, place: r.place, of: -1}
	}
	if want := []string{"1 0", "2 0", "2 2", "2 4", "2 5", "3 0"}; !slices.Equal(places, want) {
		t.Errorf("places at which visits ended: got %q, want %q", places, want)
	}
}
