package engine

import (
	"fmt"
	"testing"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/store/storetest"
)

// Invariant 16: an error file outside the staging account is never asked for; any container of the account will do.
func TestInAccount(t *testing.T) {
	staging := storetest.NewStaging()
	end := staging.Endpoint()
	for file, want := range map[string][2]string{
		end + "/fhirlogs/Patient1_2.ndjson":    {"fhirlogs", "Patient1_2.ndjson"},
		end + "/errors/a%20b/c.ndjson":         {"errors", "a b/c.ndjson"},
		end + "/" + staging.Container() + "/x": {staging.Container(), "x"},
		end + "/fhirlogs/x?sig=1":              {},
		end + "/fhirlogs/../secrets/x":         {},
		end + "/fhirlogs/":                     {},
		end + "/fhirlogs":                      {},
		end + ".evil.example/fhirlogs/x":       {},
		"https://evil.example/fhirlogs/x":      {},
		end + "/fhirlogs/%zz":                  {},
		end + "//x":                            {},
		"":                                     {},
	} {
		if container, name := inAccount(file, staging); container != want[0] || name != want[1] {
			t.Errorf("%s: got %s, %s, want %v", file, container, name, want)
		}
	}
}

// The order of the error files is a function of the result and the batch; what an import tells of other inputs is left out.
func TestErrorUnits(t *testing.T) {
	staging := storetest.NewStaging()
	file := func(n int) stagedFile {
		return stagedFile{fhir.OutputFile{URL: fmt.Sprintf("%s/in/%d", staging.Endpoint(), n)}, fmt.Sprint(n)}
	}
	told := func(input, file int, count int64) fhir.ErrorFile {
		return fhir.ErrorFile{InputURL: fmt.Sprintf("%s/in/%d", staging.Endpoint(), input), URL: fmt.Sprintf("%s/out/%d", staging.Endpoint(), file), Count: count}
	}
	result := fhir.ImportResult{Errors: []fhir.ErrorFile{
		told(2, 20, 5), told(1, 11, 1), told(9, 90, 7), told(1, 10, 2), told(2, 21, 0), told(1, 11, 3),
	}}
	got := ""
	for _, u := range errorUnits(result, []stagedFile{file(1), file(2), file(3)}, staging) {
		got += fmt.Sprintf("%s %s %d; ", u.input.name, u.file(), u.count)
	}
	if want := "1 out/11 4; 1 out/10 2; 2 out/20 5; "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
