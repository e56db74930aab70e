package fhirsim

import "time"

// The methods below arm one fault each for the next n matches; a negative n means all. Arm offers the same
// by name, also with a probability, a route or matches to let pass.

// ThrottleKickoff answers n kick-offs ($export and $import) 429; no job is made (F1).
func (f *Faults) ThrottleKickoff(n int, form Form) {
	f.arm(faultThrottleKickoff, Arm{Times: n, Status: 429, Form: form})
}

// LoseExportAnswer resets the connection after an export job was made (F2).
func (f *Faults) LoseExportAnswer(n int) { f.arm(faultLoseExportAnswer, Arm{Times: n}) }

// LoseImportAnswer resets the connection after an import job was made (F3).
func (f *Faults) LoseImportAnswer(n int) { f.arm(faultLoseImportAnswer, Arm{Times: n}) }

// PartialManifest lets n export jobs answer their first complete poll 200 without the last file, then 202
// once, then in full (F4). Arm's Count gives more partial polls than one.
func (f *Faults) PartialManifest(n int) { f.arm(faultPartialManifest, Arm{Times: n}) }

// StickExport makes n exports that stay at 202 until cancelled (F5).
func (f *Faults) StickExport(n int) { f.arm(faultStickExport, Arm{Times: n}) }

// FailExport fails n exports with the stored status, once their first unit is done (F6).
func (f *Faults) FailExport(n, status int, diagnostics string) {
	f.arm(faultFailExport, Arm{Times: n, Status: status, Text: diagnostics})
}

// ForgetExport makes n exports unknown, 404, once their units run (F7).
func (f *Faults) ForgetExport(n int) { f.arm(faultForgetExport, Arm{Times: n}) }

// SystemCancelExport cancels n exports from inside: 200 with empty output (F8).
func (f *Faults) SystemCancelExport(n int) { f.arm(faultSystemCancelExport, Arm{Times: n}) }

// RestartExportUnit lets n export units die half-way: a leftover file stays, the work is done again under a
// new unit id (S13).
func (f *Faults) RestartExportUnit(n int) { f.arm(faultRestartExportUnit, Arm{Times: n}) }

// LoseBlob deletes one file of each of n exports just before their manifest is shown (F9).
func (f *Faults) LoseBlob(n int) { f.arm(faultLoseBlob, Arm{Times: n}) }

// TruncateBlob cuts one file of each of n exports to half its lines just before their manifest is shown (F10).
func (f *Faults) TruncateBlob(n int) { f.arm(faultTruncateBlob, Arm{Times: n}) }

// ChangeBlob rewrites one file of each of n exports 1 ms or more after the manifest was shown first, at the
// next poll, so that its etag changes (F10).
func (f *Faults) ChangeBlob(n int) { f.arm(faultChangeBlob, Arm{Times: n}) }

// ByteOrderMark begins n exported files with a BOM (F33).
func (f *Faults) ByteOrderMark(n int) { f.arm(faultByteOrderMark, Arm{Times: n}) }

// EmptyLines puts an empty line after every line of n exported files (F33).
func (f *Faults) EmptyLines(n int) { f.arm(faultEmptyLines, Arm{Times: n}) }

// EmptyFile adds a file with no bytes and count 0 to n exports (F33).
func (f *Faults) EmptyFile(n int) { f.arm(faultEmptyFile, Arm{Times: n}) }

// ForeignOutputURL names another host in the output URLs of n manifest answers.
func (f *Faults) ForeignOutputURL(n int) { f.arm(faultForeignOutputURL, Arm{Times: n}) }

// ForeignContentLocation names another host in Content-Location of n kick-off answers.
func (f *Faults) ForeignContentLocation(n int) { f.arm(faultForeignContentLocation, Arm{Times: n}) }

// MissingContentLocation leaves Content-Location out of n kick-off answers.
func (f *Faults) MissingContentLocation(n int) { f.arm(faultMissingContentLocation, Arm{Times: n}) }

// ForgetAnonymization lets n exports ignore their anonymization parameters: the lines stay as they are and the
// manifest's request does not name them.
func (f *Faults) ForgetAnonymization(n int) { f.arm(faultForgetAnonymization, Arm{Times: n}) }

// FailImportEtag fails n imports as if the first input's etag did not match (F11).
func (f *Faults) FailImportEtag(n int) { f.arm(faultFailImportEtag, Arm{Times: n}) }

// FailImport fails the first unit of n imports half-way through its lines; what is stored stays (F12, F13).
func (f *Faults) FailImport(n, status int, reason string) {
	f.arm(faultFailImport, Arm{Times: n, Status: status, Text: reason})
}

// StickImport makes n imports that stay at 202 until cancelled.
func (f *Faults) StickImport(n int) { f.arm(faultStickImport, Arm{Times: n}) }

// RejectLines refuses the import lines for which reason gives a text; nil ends it (F15). Armed by name it
// refuses every Count-th line of n units with Text.
func (f *Faults) RejectLines(reason func(resourceType, id string, line int) string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reject = reason
}

// DuplicateErrors reports the first line of n import units as a duplicate, although it is stored (F14).
func (f *Faults) DuplicateErrors(n int) { f.arm(faultDuplicateErrors, Arm{Times: n}) }

// RepeatErrorLines writes the error lines of n import units twice, as a restarted unit does (F18).
func (f *Faults) RepeatErrorLines(n int) { f.arm(faultRepeatErrorLines, Arm{Times: n}) }

// LoseErrorFile names error files that are not there, 404, for n import units with rejected lines.
func (f *Faults) LoseErrorFile(n int) { f.arm(faultLoseErrorFile, Arm{Times: n}) }

// CutErrorFile ends the error files of n import units in the middle of their last line.
func (f *Faults) CutErrorFile(n int) { f.arm(faultCutErrorFile, Arm{Times: n}) }

// LimitMillisecond fails every import with more dated lines of one millisecond than the limit, as the service
// does above 10,000 (F24, S32); what was stored stays. Clear("LimitMillisecond") ends it; by name Count is the
// limit.
func (f *Faults) LimitMillisecond(limit int) {
	f.arm(faultLimitMillisecond, Arm{Times: -1, Count: limit})
}

// SkipLines silently leaves out the last `lines` lines of every file of n imports (F10, F17). With a
// negative n it strikes each import.
func (f *Faults) SkipLines(n, lines int) { f.arm(faultSkipLines, Arm{Times: n, Count: lines}) }

// LeaveLease leaves an infinite lease on the input of n import units (F34).
func (f *Faults) LeaveLease(n int) { f.arm(faultLeaveLease, Arm{Times: n}) }

// SlowImportPoll makes n import polls wait d by the real clock (F19).
func (f *Faults) SlowImportPoll(n int, d time.Duration) {
	f.arm(faultSlowImportPoll, Arm{Times: n, Milliseconds: int(d.Milliseconds())})
}

// PollProgressBody gives n 202 answers of export polls a JSON body (F20); imports have theirs by contract.
func (f *Faults) PollProgressBody(n int) { f.arm(faultPollProgressBody, Arm{Times: n}) }

// PollStatus answers n polls of export and import jobs so, whatever the job's state. A length above zero is
// claimed as Content-Length. Arm's Route narrows it to one kind.
func (f *Faults) PollStatus(n, status int, body, contentType string, length int64) {
	f.arm(faultPollStatus, Arm{Times: n, Status: status, Body: body, ContentType: contentType, Length: length})
}

// RefuseSearchParameter answers n writes of SearchParameter, in a batch or alone, with the status; 400, 409 and
// 424 are those of contract 8.2. A request, for instance "PUT /SearchParameter/abc", chooses one (F28).
func (f *Faults) RefuseSearchParameter(n, status int, request, text string) {
	f.arm(faultRefuseSearchParameter, Arm{Times: n, Status: status, Route: request, Text: text})
}

// ThrottleBatch answers the entries behind the first `after` ones of n batches 429 inside the 200 (F28).
func (f *Faults) ThrottleBatch(n, after int) { f.arm(faultThrottleBatch, Arm{Times: n, Count: after}) }

// FailReindex lets n reindex jobs end Failed with the details; no parameter becomes usable.
func (f *Faults) FailReindex(n int, details string) {
	f.arm(faultFailReindex, Arm{Times: n, Text: details})
}

// StickReindex makes n reindex jobs that stay Running until cancelled.
func (f *Faults) StickReindex(n int) { f.arm(faultStickReindex, Arm{Times: n}) }

// LateVisibility keeps n writes invisible for d after they were dated, by the server's clock (F22).
func (f *Faults) LateVisibility(n int, d time.Duration) {
	f.arm(faultLateVisibility, Arm{Times: n, Milliseconds: int(d.Milliseconds())})
}

// ExpireToken answers 401 to n requests that need a token (F25).
func (f *Faults) ExpireToken(n int) { f.arm(faultExpireToken, Arm{Times: n}) }

// Deprecate puts a Gen1 server into the Deprecated state (F26, contract 0.4); Clear("Deprecate") ends it.
func (f *Faults) Deprecate() { f.arm(faultDeprecate, Arm{Times: -1}) }

// Lock423 locks the server as its initial mode does (F27); Clear("Lock423") ends it.
func (f *Faults) Lock423() { f.arm(faultLock423, Arm{Times: -1}) }

// EmptyPages answers n search and history pages without entries but with a next link (F30).
func (f *Faults) EmptyPages(n int) { f.arm(faultEmptyPages, Arm{Times: n}) }

// ShortPages cuts n search and history pages to half, with a next link (S37).
func (f *Faults) ShortPages(n int) { f.arm(faultShortPages, Arm{Times: n}) }

// CountFails answers n counts (_summary=count) with the status.
func (f *Faults) CountFails(n, status int) { f.arm(faultCountFails, Arm{Times: n, Status: status}) }

// LimitCounts answers every count above the limit 403, in place of those above 2,147,483,647 (contract 7.1), so
// that a small data set has to be counted in parts. Clear("LimitCounts") ends it; by name Count is the limit.
func (f *Faults) LimitCounts(limit int) { f.arm(faultLimitCounts, Arm{Times: -1, Count: limit}) }

// ServerBusy answers n requests 503 before anything happens. Arm's Status and Route change that.
func (f *Faults) ServerBusy(n int, form Form) {
	f.arm(faultServerBusy, Arm{Times: n, Status: 503, Form: form})
}

// DropBefore resets n connections before anything happens; the route narrows it.
func (f *Faults) DropBefore(n int, route string) { f.arm(faultDropBefore, Arm{Times: n, Route: route}) }

// DropAfter resets n connections after the effect; the route narrows it.
func (f *Faults) DropAfter(n int, route string) { f.arm(faultDropAfter, Arm{Times: n, Route: route}) }
