package fhir

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// errorLine is a line of an error file as a server writes it.
func errorLine(text string, line, offset int64) []byte {
	quoted, _ := json.Marshal(text)
	return fmt.Appendf(nil, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","details":{"text":%s},`+
		`"diagnostics":"Failed to process resource at line: %d with stream start offset: %d"}]}`, quoted, line, offset)
}

// The texts of contract 5.3, and what parsers say: its kind is told, and nothing that a person has is repeated.
func TestParseErrorLine(t *testing.T) {
	same := "\x00"
	for _, tc := range []struct {
		text     string
		fault    LineFault
		id, want string
	}{
		{"Failed to import duplicate resource, resource id: p1, line: 17", DuplicateLine, "p1", same},
		{"Failed to import duplicate resource, resource id: a.B-3", DuplicateLine, "a.B-3", same},
		{"Failed to import resource with version conflict, resource id: 0f2c-9, line: 4", ConflictLine, "0f2c-9", same},
		{"Failed to import duplicate resource, resource id: Ann Smith, line: 17", DuplicateLine, "", "Failed to import duplicate resource, resource id: … …, line: 17"},
		{"SearchParameter resources cannot be processed by import.", SearchParameterLine, "", same},
		{"LastUpdated in the resource cannot be in the future.", OtherLine, "", same},
		{"Resource type not match.", OtherLine, "", same},
		{"Conditional reference is not supported for $import in InitialLoad.", OtherLine, "", same},
		{"Invalid resource id: 'Smith, Ann'. An id has letters.", MalformedLine, "", "Invalid resource id: '…'. An id has letters."},
		{`Type checking the data: Literal 'Smith' cannot be parsed as a date.`, MalformedLine, "",
			"Type checking the data: Literal '…' cannot be parsed as a date."},
		{"Encountered unknown element 'smith' at location 'Patient.name[0].family' while parsing", MalformedLine, "",
			"Encountered unknown element '…' at location 'Patient.name[0].family' while parsing"},
		{"Unexpected character encountered while parsing value: S. Path 'name[0].given', line 1, position 2345.", MalformedLine, "",
			"Unexpected character encountered while parsing value: …. Path 'name[0].given', line 1, position 2345."},
		{"Could not convert string to decimal: 1970-02-31. Path 'Smith'.", MalformedLine, "",
			"Could not convert string to decimal: …-…-…. Path '…'."},
		{`Unterminated string. Expected delimiter: ". Path`, MalformedLine, "", "Unterminated string. Expected delimiter: '…'"},
		{"Jos\u00e9 “Zé” Muñoz born 12345678 is not valid", MalformedLine, "", "… '…' … … … is not valid"},
		{"", OtherLine, "", ""},
		{"Ann Smith was here?token=abc", OtherLine, "", "… … was …?…"},
	} {
		if tc.want == same {
			tc.want = tc.text
		}
		got, err := ParseErrorLine(errorLine(tc.text, 17, 10_000_000))
		if want := (ErrorLine{tc.fault, tc.id, 10_000_000, 17, tc.want}); err != nil || got != want {
			t.Errorf("%q: got %+v (%v), want %+v", tc.text, got, err, want)
		}
	}
}

func TestParseErrorLineRefuses(t *testing.T) {
	for name, line := range map[string]string{
		"empty":          "",
		"broken":         `{"resourceType":"OperationOutcome","issue":[`,
		"no outcome":     `{"resourceType":"Patient"}`,
		"no issue":       `{"resourceType":"OperationOutcome","issue":[]}`,
		"no place":       `{"resourceType":"OperationOutcome","issue":[{"details":{"text":"x"}}]}`,
		"line 0":         string(errorLine("x", 0, 0)),
		"negative place": string(errorLine("x", -1, 0)),
		"endless number": strings.Replace(string(errorLine("x", 1, 0)), "line: 1 ", "line: 1"+strings.Repeat("0", 30)+" ", 1),
	} {
		if got, err := ParseErrorLine([]byte(line)); err == nil || strings.Contains(err.Error(), "Patient") {
			t.Errorf("%s: got %+v, %v, want an error that repeats nothing", name, got, err)
		}
	}
}

// FuzzParseErrorLine: whatever a text quotes, digits of it or words of it do not come through.
func FuzzParseErrorLine(f *testing.F) {
	f.Add("Literal '%s' cannot be parsed", int64(3), int64(0))
	f.Add(`value: %s. Path "%s"`, int64(1), int64(9))
	f.Fuzz(func(t *testing.T, text string, line, offset int64) {
		const secret = "Zwetschgenmus Qvx"
		text = strings.ReplaceAll(text, "%s", secret)
		got, err := ParseErrorLine(errorLine(text, line, offset))
		if err != nil {
			if line > 0 && offset >= 0 && line < 1e17 && offset < 1e17 {
				t.Fatalf("%q at %d, %d: %v", text, line, offset, err)
			}
			return
		}
		if got.Line != line || got.Offset != offset || got.Line < 1 {
			t.Fatalf("got place %d, %d, want %d, %d", got.Line, got.Offset, line, offset)
		}
		if strings.Contains(got.Text, "Zwetschgenmus") || strings.Contains(got.Text, "Qvx") || len([]rune(got.Text)) > detailLimit {
			t.Fatalf("%q was repeated as %q", text, got.Text)
		}
	})
}
