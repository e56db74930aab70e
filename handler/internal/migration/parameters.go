package migration

// Parameters counts what has become of the custom search parameters: of one pass in its errand, of all in the run.
type Parameters struct {
	Found   int    // at the source, when they were compared last
	Present int    // of those: at the destination already, with the same content
	Failed  int    // of those: not moved, each with a problem that says why
	Written int    // to the destination
	Undone  bool   // the last pass was given up before it was through
	Plan    string // errand whose documents hold the last comparison; empty: there was none
}

// after adds a pass to what earlier ones did. One that was given up before it had compared anything leaves the last
// comparison standing.
func (p Parameters) after(pass Parameters) Parameters {
	pass.Written += p.Written
	if pass.Plan == "" {
		pass.Plan, pass.Found, pass.Present, pass.Failed = p.Plan, p.Found, p.Present, p.Failed
	}
	return pass
}

// Reindex is how the destination's $reindex ended.
type Reindex struct {
	Result      ReindexOutcome // empty: it has not ended
	Job         string         // status URL; empty: none was started
	Done, Total int            // resources
}

// ReindexOutcome is a word for the end of a reindex.
type ReindexOutcome string

// The ends of a reindex.
const (
	ReindexCompleted ReindexOutcome = "completed"
	ReindexFailed    ReindexOutcome = "failed"    // or given up; a problem says why
	ReindexNeedless  ReindexOutcome = "notNeeded" // nothing was written, and all there is can be searched by
)

// ReindexOutcomes lists every end, and the word for none.
func ReindexOutcomes() []ReindexOutcome {
	return []ReindexOutcome{"", ReindexCompleted, ReindexFailed, ReindexNeedless}
}
