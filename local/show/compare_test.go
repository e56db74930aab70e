package show

import (
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirferry/local/seed"
)

func version(id, number string, body string) seed.Version {
	return seed.Version{Type: "Patient", ID: id, VersionID: number, LastUpdated: noon, Body: []byte(body)}
}

func TestCompareFindsEveryDifference(t *testing.T) {
	same := version("a", "1", `{"x":1.50,"y":"ü"}`)
	other := same
	other.Body = []byte("{ \"y\": \"\\u00fc\", \"x\" : 1.50 }")
	later, deleted, renumbered := same, same, same
	later.LastUpdated = noon.Add(time.Millisecond)
	deleted.Deleted = true
	renumbered.VersionID = "2"
	moved := same
	moved.Type = "Encounter"
	for name, c := range map[string]struct {
		source, destination []seed.Version
		want                Row
	}{
		"equal":                   {[]seed.Version{same}, []seed.Version{same}, Row{"total", 1, 1, 0, 0, 0}},
		"equal but for its form":  {[]seed.Version{same}, []seed.Version{other}, Row{"total", 1, 1, 0, 0, 0}},
		"a version is missing":    {[]seed.Version{same, renumbered}, []seed.Version{same}, Row{"total", 2, 1, 1, 0, 0}},
		"a version too many":      {[]seed.Version{same}, []seed.Version{same, renumbered}, Row{"total", 1, 2, 0, 1, 0}},
		"a version twice":         {[]seed.Version{same}, []seed.Version{same, same}, Row{"total", 1, 2, 0, 1, 0}},
		"a number lost precision": {[]seed.Version{same}, []seed.Version{version("a", "1", `{"x":1.5,"y":"ü"}`)}, Row{"total", 1, 1, 0, 0, 1}},
		"text differs":            {[]seed.Version{same}, []seed.Version{version("a", "1", `{"x":1.50,"y":"u"}`)}, Row{"total", 1, 1, 0, 0, 1}},
		"a list in other order":   {[]seed.Version{version("a", "1", `{"l":[1,2]}`)}, []seed.Version{version("a", "1", `{"l":[2,1]}`)}, Row{"total", 1, 1, 0, 0, 1}},
		"another instant":         {[]seed.Version{same}, []seed.Version{later}, Row{"total", 1, 1, 1, 1, 0}},
		"deleted on one side":     {[]seed.Version{same}, []seed.Version{deleted}, Row{"total", 1, 1, 1, 1, 0}},
		"renumbered":              {[]seed.Version{same}, []seed.Version{renumbered}, Row{"total", 1, 1, 1, 1, 0}},
		"of another type":         {[]seed.Version{same}, []seed.Version{moved}, Row{"total", 1, 1, 1, 1, 0}},
		"nothing at all":          {nil, nil, Row{"total", 0, 0, 0, 0, 0}},
		"broken JSON, same bytes": {[]seed.Version{version("a", "1", `{"x`)}, []seed.Version{version("a", "1", `{"x`)}, Row{"total", 1, 1, 0, 0, 0}},
		"more after the value":    {[]seed.Version{version("a", "1", `{}`)}, []seed.Version{version("a", "1", `{} {}`)}, Row{"total", 1, 1, 0, 0, 1}},
	} {
		got := Compare(slices.Values(c.source), slices.Values(c.destination))
		if diff := cmp.Diff(c.want, got.Total()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if equal := c.want.Source > 0 && c.want.Missing+c.want.Extra+c.want.Different == 0; got.Equal() != equal || (len(got.Examples) > 0) == (equal || c.want.Source == 0) {
			t.Errorf("%s: got Equal %v and examples %q", name, got.Equal(), got.Examples)
		}
	}
}

func TestCompareNamesWhatIsUnequal(t *testing.T) {
	gone := version("gone", "3", `{}`)
	gone.Deleted = true
	got := Compare(slices.Values([]seed.Version{version("a", "1", `{}`), gone, version("c", "1", `{"x":1}`)}),
		slices.Values([]seed.Version{version("a", "1", `{}`), version("b", "1", `{}`), version("c", "1", `{"x":2}`)}))
	want := []string{
		"missing: Patient/gone version 3 of 2026-03-04T12:00:00.000Z, a soft delete",
		"different: Patient/c version 1 of 2026-03-04T12:00:00.000Z",
		"extra: Patient/b version 1 of 2026-03-04T12:00:00.000Z",
	}
	if diff := cmp.Diff(want, got.Examples); diff != "" {
		t.Errorf("examples (-want +got):\n%s", diff)
	}
}

func TestCompareNamesAtMostAFew(t *testing.T) {
	g := seed.Generator{Resources: 500}
	got := Compare(g.Versions(), slices.Values([]seed.Version(nil)))
	if len(got.Examples) != maxExamples || got.Total().Missing != got.Total().Source {
		t.Errorf("got %d examples, %+v", len(got.Examples), got.Total())
	}
}

// TestCompareOfALargeSeed stands for a real end: everything is there, but for one late version that got lost.
func TestCompareOfALargeSeed(t *testing.T) {
	g := seed.Generator{Seed: 2, Resources: 3_000}
	without := func(n int) iter.Seq[seed.Version] {
		return func(yield func(seed.Version) bool) {
			i := 0
			for v := range g.Versions() {
				if i++; i != n && !yield(v) {
					return
				}
			}
		}
	}
	if got := Compare(g.Versions(), without(-1)); !got.Equal() || len(got.Rows) < 15 {
		t.Errorf("the same seed twice: got %+v", got)
	}
	got := Compare(g.Versions(), without(2_500))
	if got.Equal() || got.Total().Missing != 1 || len(got.Examples) != 1 || !strings.HasPrefix(got.Examples[0], "missing: ") {
		t.Errorf("one version lost: got %+v", got)
	}
}
