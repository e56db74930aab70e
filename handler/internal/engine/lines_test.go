package engine

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// F33: line ends of both kinds, a byte order mark, blank lines and lines longer than any buffer keep their places.
func TestLines(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 200_000) + `"}`
	const mark = "\uFEFF"
	for name, tc := range map[string]struct {
		content string
		want    []string
	}{
		"empty":               {"", nil},
		"one":                 {"{}\n", []string{"{}"}},
		"no end":              {"{}\n[]", []string{"{}", "[]"}},
		"carriage returns":    {"{}\r\n\r\n[]\r\n", []string{"{}", "[]"}},
		"blank lines":         {"\n \n{}\n\t\n\n[]\n\n", []string{"{}", "[]"}},
		"mark":                {mark + "{}\n[]\n", []string{"{}", "[]"}},
		"mark and blank":      {mark + "\n{}\n", []string{"{}"}},
		"mark alone":          {mark, nil},
		"mark further behind": {"{}\n" + mark + "[]\n", []string{"{}", mark + "[]"}},
		"long":                {"{}\n" + long + "\r\n[]\n", []string{"{}", long, "[]"}},
		"long without end":    {long, []string{long}},
	} {
		for way, reader := range map[string]io.Reader{
			"at once": strings.NewReader(tc.content), "byte by byte": iotest.OneByteReader(strings.NewReader(tc.content)),
			"end with the data": iotest.DataErrReader(strings.NewReader(tc.content)),
		} {
			l := newLines(io.NopCloser(reader), 0, longestLine)
			var got []string
			for n := 0; ; n++ {
				found, err := l.next(true)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if found.blank {
					continue
				}
				got = append(got, string(found.content))
				if from := tc.content[found.from:]; !strings.HasPrefix(from, string(found.content)) || !found.whole {
					t.Errorf("%s, %s: line %d is said to begin at byte %d", name, way, n, found.from)
				}
			}
			if strings.Join(got, "|") != strings.Join(tc.want, "|") || l.at != int64(len(tc.content)) {
				t.Errorf("%s, %s: got %d lines up to byte %d, want %d up to %d", name, way, len(got), l.at, len(tc.want), len(tc.content))
			}
		}
	}
}

func TestLinesKeepLittle(t *testing.T) {
	content := strings.Repeat("y", 300_000) + "\nshort\n"
	l := newLines(io.NopCloser(strings.NewReader(content)), 0, 1000)
	if found, err := l.next(false); err != nil || found.content != nil || found.blank {
		t.Errorf("passed over: got %+v, %v", found, err)
	}
	l = newLines(io.NopCloser(strings.NewReader(content)), 0, 1000)
	found, err := l.next(true)
	if err != nil || len(found.content) != 1000 || found.whole {
		t.Errorf("too long: got %d bytes, whole %v, %v", len(found.content), found.whole, err)
	}
	if found, err = l.next(true); err != nil || string(found.content) != "short" || !found.whole {
		t.Errorf("after it: got %q, whole %v, %v", found.content, found.whole, err)
	}
	broken := errors.New("connection lost")
	l = newLines(io.NopCloser(io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(broken))), 0, 1000)
	if _, err := l.next(true); err != nil {
		t.Fatal(err)
	}
	if found, err := l.next(true); !errors.Is(err, broken) {
		t.Errorf("a line that breaks off: got %q, %v, want %v", found.content, err, broken)
	}
}

// FuzzLines: from the place behind any line a new reader goes on with the same lines.
func FuzzLines(f *testing.F) {
	f.Add([]byte("\uFEFF{}\r\n\n[]\n \n{\"a\":1}"))
	f.Add([]byte("\n\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		type seen struct {
			from  int64
			text  string
			after int64
		}
		read := func(at int64) (all []seen) {
			l := newLines(io.NopCloser(bytes.NewReader(content[at:])), at, longestLine)
			for {
				found, err := l.next(true)
				if err != nil {
					return all
				}
				if !bytes.HasPrefix(content[found.from:], found.content) {
					t.Fatalf("%q is not at byte %d", found.content, found.from)
				}
				all = append(all, seen{found.from, string(found.content), l.at})
			}
		}
		whole := read(0)
		for i, s := range whole {
			rest := read(s.after)
			if len(rest) != len(whole)-i-1 {
				t.Fatalf("behind line %d: got %d lines more, want %d", i, len(rest), len(whole)-i-1)
			}
			for j, r := range rest {
				if r != whole[i+1+j] {
					t.Fatalf("behind line %d: got %+v, want %+v", i, r, whole[i+1+j])
				}
			}
		}
	})
}
