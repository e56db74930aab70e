package fhirsim

import (
	"slices"
	"time"
)

// JobInfo describes one export, import or reindex, past or present.
type JobInfo struct {
	ID          int64     `json:"id"`
	Kind        string    `json:"kind"`  // "export", "import" or "reindex"
	State       string    `json:"state"` // created, running, completed, failed, cancelled, systemCancelled
	Created     time.Time `json:"created"`
	Ended       time.Time `json:"ended"` // zero while open; an export's end does not include the quiet period
	Request     string    `json:"request"`
	From        time.Time `json:"from"`   // export window, inclusive; zero without _since
	Before      time.Time `json:"before"` // export window, exclusive: an inclusive _till plus one tick
	Types       []string  `json:"types"`  // of _type, or of the inputs
	URLs        []string  `json:"urls"`   // files written, or inputs
	InputSource string    `json:"source"` // of an import
	Accepted    int       `json:"accepted"`
	Rejected    int       `json:"rejected"`
	Lines       int       `json:"lines"` // exported so far
	Status      int       `json:"status"`
	Reason      string    `json:"reason"` // Status and Reason of a failure
	Cancelled   bool      `json:"cancelled"`
	AnswerLost  bool      `json:"answerLost"` // the client never saw its 202
	Shown       int       `json:"shown"`      // full manifests answered
}

// Jobs lists all exports, then all imports, then all reindexes, in the order they were made.
func (s *Server) Jobs() []JobInfo {
	s.stepIfIdle()
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []JobInfo
	for _, j := range s.exports {
		list = append(list, s.exportInfo(j))
	}
	for _, j := range s.imports {
		list = append(list, importInfo(j))
	}
	for _, j := range s.reindexes {
		list = append(list, JobInfo{ID: j.id, Kind: "reindex", State: string(j.state), Created: j.created,
			Ended: j.ended, Request: j.request, Types: j.types, Reason: j.reason, Cancelled: j.state == jobCancelled})
	}
	return list
}

func (s *Server) exportInfo(j *exportJob) JobInfo {
	info := JobInfo{ID: j.id, Kind: "export", State: string(j.state), Created: j.created, Ended: j.ended,
		Request: j.request, Before: time.Unix(0, j.window.to).UTC(), Types: j.order.types,
		Cancelled: j.state == jobCancelled, AnswerLost: j.answerLost, Shown: j.shown}
	if j.order.since != nil {
		info.From = time.Unix(0, j.window.from).UTC()
	}
	for _, f := range j.files {
		info.URLs = append(info.URLs, blobURL(s.opt.Blobs, j.container, f.name))
		info.Lines += f.count
	}
	if j.failure != nil {
		info.Status, info.Reason = j.failure.status, j.failure.reason
	}
	return info
}

func importInfo(j *importJob) JobInfo {
	info := JobInfo{ID: j.id, Kind: "import", State: string(j.state), Created: j.created, Ended: j.ended,
		Request: j.request, InputSource: j.order.Source, Cancelled: j.state == jobCancelled, AnswerLost: j.answerLost}
	for _, input := range j.order.Inputs {
		info.URLs = append(info.URLs, input.URL)
		if input.Type != "" && !slices.Contains(info.Types, input.Type) {
			info.Types = append(info.Types, input.Type)
		}
	}
	for _, u := range j.units {
		info.Accepted += u.accepted
		info.Rejected += u.failed
	}
	if j.failure != nil {
		info.Status, info.Reason = j.failure.status, j.failure.reason
	}
	return info
}

// MaxConcurrent is the largest number of jobs of a kind ("export" or "import") that were open at one time.
// Exports whose 202 was lost are left out: nobody can know of them.
func (s *Server) MaxConcurrent(kind string) int {
	type edge struct {
		at    time.Time
		delta int
	}
	var edges []edge
	for _, info := range s.Jobs() {
		if info.Kind != kind || info.AnswerLost {
			continue
		}
		edges = append(edges, edge{info.Created, 1})
		if !info.Ended.IsZero() {
			edges = append(edges, edge{info.Ended, -1})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.delta - b.delta
	})
	open, highest := 0, 0
	for _, e := range edges {
		open += e.delta
		highest = max(highest, open)
	}
	return highest
}
