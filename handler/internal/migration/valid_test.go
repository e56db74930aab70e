package migration

import "slices"

// told is what the batches together say.
func told(c Chunk) (files int, r Rejects) {
	for _, b := range c.Batches {
		files, r = files+b.Files, r.Plus(b.Rejects)
	}
	return files, r
}

// Valid names what makes a row impossible; empty: nothing. It knows nothing but the row.
func Valid(c Chunk) string {
	filesTold, rejectsTold := told(c)
	filesKept := c.FilesDone
	if c.Batch != (Tally{}) {
		filesKept += c.Batches[len(c.Batches)-1].Files
	}
	checks := []struct {
		ok   bool
		what string
	}{
		{len(c.ResourceTypes) > 0 && slices.IsSorted(c.ResourceTypes), "types missing or unsorted"},
		{c.ID == ChunkID(c.ResourceTypes, c.Window), "the id is not that of types and window"},
		{!c.Window.Empty(), "empty window"},
		{slices.Contains(States(), c.State), "unknown state"},
		{c.Attempts >= 0 && c.Imbalance >= 0 && c.Throttled >= 0 && c.EmptySeen >= 0, "negative counter"},
		{c.FilesDone >= 0 && c.FilesNow >= 0 && c.FilesDone+c.FilesNow <= c.Files, "more files done or in flight than there are"},
		{c.Resources.Imported >= 0 && c.Resources.Rejected >= 0 && c.Resources.Skipped >= 0 && c.Resources.Exported >= 0 && c.Resources.Benign >= 0, "negative tally"},
		{c.Resources.Imported+c.Resources.Rejected+c.Resources.Benign+c.Resources.Skipped <= c.Resources.Exported, "more lines told than exported"},
		{c.Manifest != "" || c.Files == 0 && c.Resources == Tally{}, "files or lines of no manifest"},
		{c.State != Planned || c.Manifest == "", "planned with a believed manifest"},
		{c.State != Exporting || c.Export.Attempt > 0 && c.Export.StatusURL != "" && c.Manifest == "", "exporting without a job of an attempt, or with a manifest"},
		{c.State != Exported || c.Manifest != "" && c.Files > c.FilesDone, "exported without files left"},
		{c.State != Exported || c.Import.StatusURL == "", "exported with an import job"},
		{c.State != Exported || (c.FilesNow > 0) == (c.Import.Body != ""), "an import body without files, or files without a body"},
		{c.State != Importing || c.Import.Body != "" && c.Import.StatusURL != "" && c.Import.Attempt > 0 && c.FilesNow > 0 && c.Manifest != "",
			"importing without a body, a job or files"},
		{c.State != Imported || c.FilesDone == c.Files && c.FilesNow == 0, "imported with files left"},
		{c.State != Imported || c.Resources.Imported+c.Resources.Rejected+c.Resources.Benign+c.Resources.Skipped == c.Resources.Exported, "imported off balance"},
		{c.State == Failed || c.State == Cancelled || c.Batch == Tally{}, "a batch to take back that has not failed"},
		{filesTold == filesKept, "batches that are not the files done"},
		{rejectsTold == c.Rejects, "rejects that are not those of the batches"},
		{c.Resources.Rejected+c.Resources.Benign <= c.Rejects.Benign+c.Rejects.Harmful(), "rejected lines of no class"},
		{c.Resources.Benign <= c.Rejects.Benign, "more benign lines than were found"},
		{c.Import.Result == "" || c.State == Importing, "a result of no import"},
		{c.Import.Result != "" || c.Reading == Reading{}, "rejects read of no result"},
		{len([]rune(c.LastError)) <= 1000, "an error text that no row can hold"},
	}
	for _, check := range checks {
		if !check.ok {
			return check.what
		}
	}
	return ""
}
