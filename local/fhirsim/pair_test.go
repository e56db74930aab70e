package fhirsim

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A whole migration by hand: every version of the source arrives at the destination.
func TestExportThenImportMovesEveryVersion(t *testing.T) {
	for _, parallel := range []string{"true", "false"} {
		source := newSim(t, Gen1)
		destination := newSim(t, Gen2)
		for i := range 300 {
			id := fmt.Sprintf("p%d", i%100)
			source.Put("Patient", id, fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"meta":{"tag":[{"code":"é"}]},"n":[%d]}`, id, i))
			source.clock.add(time.Minute)
			source.Put("Observation", id, fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"value":%d}`, id, i))
		}
		source.Delete("Patient", "p7")
		source.Put("Patient", "gone", []byte(`{"id":"gone"}`))
		source.HardDelete("Patient", "gone")
		source.clock.add(time.Minute)
		m, lines := source.exported("/$export?includeAssociatedData=_history,_deleted&_maxCount=50&_isParallel=" + parallel)
		if len(m.Output) < 12 {
			t.Errorf("parallel %s: got %d files, want at least 12 of 50 lines", parallel, len(m.Output))
		}
		destination.clock.now = source.clock.now
		result := destination.imported("all", lines)
		if got := result.Output[0].Count; got != 601 || len(result.Error) != 0 {
			t.Errorf("got %d accepted and errors %v, want 601 and none", got, result.Error)
		}
		if diff := cmp.Diff(all(source.Server), all(destination.Server)); diff != "" {
			t.Errorf("parallel %s: destination differs (-source +destination):\n%s", parallel, diff)
		}
		again := destination.imported("again", lines)
		if again.Output[0].Count != 601 || destination.Counts()["Patient"] != 301 {
			t.Errorf("importing again: got %d accepted, counts %v; want 601 and nothing new", again.Output[0].Count, destination.Counts())
		}
	}
}

func all(s *Server) map[string]string {
	list := map[string]string{}
	for v := range s.Versions {
		list[v.Type+"/"+v.ID+"/"+v.VersionID] = string(v.Body)
	}
	return list
}
