package fhir

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadHead(t *testing.T) {
	at := time.Date(2024, 5, 1, 10, 0, 0, 123e6, time.UTC)
	full := Head{"Patient", "p1", "3", at}
	for name, tc := range map[string]struct {
		line string
		want Head
	}{
		"usual":             {`{"resourceType":"Patient","id":"p1","meta":{"versionId":"3","lastUpdated":"2024-05-01T10:00:00.123+00:00"},"active":true}`, full},
		"another order":     {`{"active":true,"meta":{"lastUpdated":"2024-05-01T12:00:00.1239+02:00","versionId":"3"},"id":"p1","resourceType":"Patient"}`, full},
		"ids within":        {`{"resourceType":"Patient","contained":[{"resourceType":"Device","id":"x","meta":{"versionId":"9"}}],"id":"p1","meta":{"lastUpdated":"2024-05-01T10:00:00.123Z","versionId":"3"}}`, full},
		"broken behind":     {`{"resourceType":"Patient","id":"p1","meta":{"lastUpdated":"2024-05-01T10:00:00.123Z","versionId":"3"},"name":[{"family":"Sm`, full},
		"broken before":     {`{"resourceType":"Patient","name":["Sm,"id":"p1"}`, Head{Type: "Patient"}},
		"odd values":        {`{"resourceType":7,"id":null,"meta":[{"versionId":"3"}]}`, Head{}},
		"odd meta":          {`{"resourceType":"Patient","id":"p1","meta":{"versionId":3,"lastUpdated":"yesterday"}}`, Head{Type: "Patient", ID: "p1"}},
		"no resource":       {`[1,2]`, Head{}},
		"nothing":           {``, Head{}},
		"with a carriage\r": {"{\"resourceType\":\"Patient\",\"id\":\"p1\"}\r", Head{Type: "Patient", ID: "p1"}},
	} {
		if diff := cmp.Diff(tc.want, ReadHead([]byte(tc.line))); diff != "" {
			t.Errorf("%s (-want +got): %s", name, diff)
		}
	}
	for version, want := range map[string]bool{"1": true, "-4": true, "2147483647": true, "2147483648": false, "": false, "1.0": false,
		"0f0e2f0c-1d5b-4c39-9b6f-8a4f0d8a2b11": false} {
		if got := (Head{VersionID: version, LastUpdated: at}).Numbered(); got != want {
			t.Errorf("version %q is numbered: got %v, want %v", version, got, want)
		}
	}
	if (Head{VersionID: "1"}).Numbered() {
		t.Error("an undated line is numbered anew")
	}
}

// A line and a version of a history that say the same are told apart by nothing; a line that is broken is no version.
func TestReadVersion(t *testing.T) {
	const line = `{"resourceType":"Patient","id":"p1","meta":{"versionId":"0f-a","lastUpdated":"2024-05-01T10:00:00.123Z"},"gender":"male"}`
	v, ok := ReadVersion([]byte(line), "Patient")
	if !ok || v.ID != "p1" || v.VersionID != "0f-a" {
		t.Fatalf("got %+v, %v", v, ok)
	}
	other, ok := ReadVersion([]byte(`{"id":"p1","gender":"male","meta":{"lastUpdated":"2024-05-01T10:00:00.1234Z","versionId":"7"},"resourceType":"Patient"}`), "Patient")
	if d := Differences(v, other); !ok || len(d) > 0 {
		t.Errorf("the same content, renumbered: got %v", d)
	}
	for _, broken := range []string{"", "[]", line[:60], `{"resourceType":"Device","id":"p1"}`} {
		if _, ok := ReadVersion([]byte(broken), "Patient"); ok {
			t.Errorf("%s is taken for a version", broken)
		}
	}
}
