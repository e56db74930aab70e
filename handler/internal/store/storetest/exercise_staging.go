package storetest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirferry/handler/internal/migration"
)

// ExerciseStaging examines a staging container. Open returns an empty one, and a way to write a file into any container
// of the account.
func ExerciseStaging(t *testing.T, open func(*testing.T) (ExamStaging, func(container, name string, content []byte))) {
	staging, putIn := open(t)
	put := func(name string, content []byte) { putIn(staging.Container(), name, content) }
	folder := func(name string) map[string]migration.StagedFile {
		t.Helper()
		files, err := staging.Folder(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]migration.StagedFile{}
		for _, f := range files {
			if _, twice := byName[f.Name]; twice {
				t.Errorf("folder %s: %s is listed twice", name, f.Name)
			}
			if len(f.ETag) < 3 || f.ETag[0] != '"' || !strings.HasSuffix(f.ETag, `"`) || strings.Count(f.ETag, `"`) != 2 {
				t.Errorf("%s: got etag %s, want one in quotes", f.Name, f.ETag)
			}
			byName[f.Name] = f
		}
		return byName
	}
	if got := folder("job-1/"); len(got) > 0 {
		t.Errorf("folder of an empty container: got %v", got)
	}
	if err := staging.Prepare(t.Context()); err != nil { // there already
		t.Fatal(err)
	}
	sizes := map[string]int64{"job-1/Patient-1.ndjson": 3, "job-1/a b+ä&%.ndjson": 0, "job-1/deep/er.ndjson": 100_000}
	for name, size := range sizes {
		put(name, make([]byte, size))
	}
	for _, beside := range []string{"job-10/Patient-1.ndjson", "job-1", "Job-1/x", "other/job-1/y"} {
		put(beside, []byte("{}\n"))
	}
	first := folder("job-1/")
	got := map[string]int64{}
	for name, f := range first {
		got[name] = f.Size
	}
	if diff := cmp.Diff(sizes, got); diff != "" {
		t.Errorf("sizes (-want +got): %s", diff)
	}
	const changed = "job-1/Patient-1.ndjson"
	put(changed, []byte("other"))
	for name, f := range folder("job-1/") {
		if (f.ETag == first[name].ETag) != (name != changed) {
			t.Errorf("%s: got etag %s after %s, want another one only for what has changed", name, f.ETag, first[name].ETag)
		}
	}
	before := len(folder(""))
	if err := staging.Probe(t.Context()); err != nil {
		t.Errorf("probe: %v", err)
	}
	if got := len(folder("")); got != before || before != 7 {
		t.Errorf("files: got %d before the probe and %d after it, want 7", before, got)
	}
	if strings.HasSuffix(staging.Endpoint(), "/") || staging.Endpoint() == "" || staging.Container() == "" {
		t.Errorf("got endpoint %q, container %q; want both, no slash at the end", staging.Endpoint(), staging.Container())
	}
	exerciseFiles(t, staging, putIn)
}

// exerciseFiles looks at single files, in the staging container and in others.
func exerciseFiles(t *testing.T, staging ExamStaging, put func(container, name string, content []byte)) {
	const name = "a b+ä&%/lines.ndjson"
	content := bytes.Repeat([]byte("0123456789\n"), 700_000) // more than one buffer of any client
	other := staging.Container() + "-errors"
	for _, container := range []string{staging.Container(), other} {
		if _, err := staging.ETag(t.Context(), container, name); !errors.Is(err, migration.ErrNotFound) {
			t.Errorf("etag of a missing file of %s: got %v, want %v", container, err, migration.ErrNotFound)
		}
		if _, err := staging.Open(t.Context(), container, name, 0); !errors.Is(err, migration.ErrNotFound) {
			t.Errorf("opening a missing file of %s: got %v, want %v", container, err, migration.ErrNotFound)
		}
	}
	put(staging.Container(), name, []byte("another one"))
	put(other, name, content)
	put(other, "empty", nil)
	inside, err := staging.ETag(t.Context(), staging.Container(), name)
	if listed, lerr := staging.Folder(t.Context(), name); err != nil || lerr != nil || len(listed) != 1 || listed[0].ETag != inside {
		t.Errorf("got etag %s (%v), listed as %v (%v)", inside, err, listed, lerr)
	}
	for _, c := range []struct {
		container, name string
		offset          int64
		want            []byte
	}{
		{staging.Container(), name, 0, []byte("another one")},
		{other, name, 0, content},
		{other, name, 6_600_003, content[6_600_003:]},
		{other, name, int64(len(content)) - 1, []byte("\n")},
		{other, name, int64(len(content)), nil},
		{other, name, int64(len(content)) + 5, nil},
		{other, "empty", 0, nil},
		{other, "empty", 1, nil},
	} {
		reader, err := staging.Open(t.Context(), c.container, c.name, c.offset)
		if err != nil {
			t.Errorf("%s/%s from %d: %v", c.container, c.name, c.offset, err)
			continue
		}
		got, err := io.ReadAll(reader)
		if cerr := reader.Close(); err != nil || cerr != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s/%s from %d: got %d bytes (%v, %v), want %d", c.container, c.name, c.offset, len(got), err, cerr, len(c.want))
		}
	}
}
