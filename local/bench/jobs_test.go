package main

import (
	"slices"
	"testing"
	"time"

	"fhirferry/local/fhirsim"
)

func at(second int) time.Time { return time.Unix(int64(second), 0) }

func job(kind string, from, to int) fhirsim.JobInfo {
	j := fhirsim.JobInfo{Kind: kind, Created: at(from)}
	if to > 0 {
		j.Ended = at(to)
	}
	return j
}

func TestGaps(t *testing.T) {
	whole := span{at(10), at(30)}
	for _, c := range []struct {
		name string
		jobs []fhirsim.JobInfo
		want []span
	}{
		{"no job", nil, []span{whole}},
		{"before, between and after", []fhirsim.JobInfo{job("export", 12, 15), job("import", 18, 25)},
			[]span{{at(10), at(12)}, {at(15), at(18)}, {at(25), at(30)}}},
		{"out of order, one within another", []fhirsim.JobInfo{job("import", 14, 16), job("export", 10, 20), job("export", 20, 28)},
			[]span{{at(28), at(30)}}},
		{"beyond the end", []fhirsim.JobInfo{job("export", 5, 12), job("export", 29, 40), job("export", 50, 60)},
			[]span{{at(12), at(29)}}},
		{"never ended", []fhirsim.JobInfo{job("export", 11, 0)}, []span{{at(10), at(11)}}},
	} {
		if got := gaps(whole, c.jobs); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestLasts(t *testing.T) {
	jobs := []fhirsim.JobInfo{job("export", 5, 9), job("import", 3, 4), job("import", 8, 12)}
	if got, want := lasts(jobs), (span{at(3), at(12)}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := lasts(ofKind(jobs, "export")), (span{at(5), at(9)}); got != want {
		t.Errorf("exports: got %v, want %v", got, want)
	}
}
