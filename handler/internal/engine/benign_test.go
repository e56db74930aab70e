package engine

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
	"fhirferry/handler/internal/store/storetest"
)

// C18: what makes a line told as a duplicate benign, whatever a destination answers.
func TestBenign(t *testing.T) {
	const ms = "2024-05-01T10:00:00.123Z"
	resource := func(id, version, updated, rest string) string {
		return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"meta":{"versionId":%q,"lastUpdated":%q}%s}`, id, version, updated, rest)
	}
	for name, tc := range map[string]struct {
		line, held string // what the destination answers, whatever it was asked for
		told       string // id in the error text
		want       migration.RejectClass
		placed     bool
	}{
		"same version":              {resource("p1", "3", ms, ""), resource("p1", "3", ms, ""), "p1", migration.BenignReject, true},
		"ticks and offset":          {resource("p1", "3", "2024-05-01T12:00:00.1239+02:00", ""), resource("p1", "3", ms, ""), "p1", migration.BenignReject, true},
		"another version":           {resource("p1", "3", ms, ""), resource("p1", "2", ms, ""), "p1", migration.DuplicateReject, true},
		"another millisecond":       {resource("p1", "3", ms, ""), resource("p1", "3", "2024-05-01T10:00:00.124Z", ""), "p1", migration.DuplicateReject, true},
		"another resource":          {resource("p1", "3", ms, ""), resource("p2", "3", ms, ""), "p1", migration.DuplicateReject, true},
		"unnumbered, same content":  {resource("p1", "0f-a", ms, `,"gender":"male"`), resource("p1", "7", ms, `,"gender":"male"`), "p1", migration.BenignReject, true},
		"unnumbered, other content": {resource("p1", "0f-a", ms, `,"gender":"male"`), resource("p1", "7", ms, `,"gender":"other"`), "p1", migration.DuplicateReject, true},
		"no date":                   {`{"resourceType":"Patient","id":"p1"}`, resource("p1", "1", ms, ""), "p1", migration.DuplicateReject, true},
		"another type":              {`{"resourceType":"Device","id":"p1","meta":{"versionId":"3","lastUpdated":"` + ms + `"}}`, resource("p1", "3", ms, ""), "p1", migration.DuplicateReject, true},
		"the text names another":    {resource("p1", "3", ms, ""), resource("p1", "3", ms, ""), "p9", migration.DuplicateReject, false},
	} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"resourceType":"Bundle","entry":[{"resource":%s}]}`, tc.held)
		}))
		destination, err := fhir.New(front.URL, fhir.Options{})
		if err != nil {
			t.Fatal(err)
		}
		staging := storetest.NewStaging()
		e := New(nil, destination, nil, nil, staging, nil, migration.Settings{}, Limits{RequestTimeout: time.Minute})
		told := fmt.Sprintf(`{"resourceType":"OperationOutcome","issue":[{"details":{"text":"Failed to import duplicate resource, resource id: %s, line: 2"},`+
			`"diagnostics":"Failed to process resource at line: 2 with stream start offset: 0"}]}`, tc.told)
		for file, content := range map[[2]string]string{{staging.Container(), "in"}: "{}\n" + tc.line + "\n", {"errors", "out"}: told} {
			if err := staging.Put(t.Context(), file[0], file[1], []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		unit := errorUnit{input: stagedFile{fhir.OutputFile{Type: "Patient"}, "in"}, container: "errors", name: "out", count: 1}
		r := &rejectReader{visit: &visit{Engine: e}, units: []errorUnit{unit}, of: -1}
		if err := r.fill(t.Context()); err != nil || len(r.page.Rejects) != 1 {
			t.Fatalf("%s: got %+v, %v", name, r.page, err)
		}
		if got := r.page.Rejects[0]; got.Class != tc.want || (got.Offset == 3) != tc.placed || got.ID != tc.told {
			t.Errorf("%s: got %+v, want %s of %s", name, got, tc.want, tc.told)
		}
		front.Close()
	}
}
