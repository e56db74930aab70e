package migration

import (
	"errors"
	"fmt"
)

// batch is the next body: the one that was saved and got no answer, or a new one of the next files.
func (x *visitor) batch() (b body, name string, err error) {
	if name := x.chunk.Import.Body; name != "" {
		kept, err := x.document(x.pt, name)
		if err != nil {
			return b, "", err
		}
		return kept.(body), name, nil
	}
	m, err := x.document(x.pt, x.chunk.Manifest)
	if err != nil {
		return b, "", err
	}
	files := toImport(m.(manifest))
	b.files = files[x.chunk.FilesDone:min(x.chunk.FilesDone+x.rules.filesPerImport, len(files))]
	if err := x.read(); err != nil { // the staging container
		return b, "", err
	}
	for _, f := range b.files {
		if f.gone {
			return b, "", x.instead(x.chunk.FilesLost("file gone", x.clock(), x.backOff(), x.rules.limits))
		}
		b.text += f.url + " "
	}
	b.text = fmt.Sprintf("%s %s %d %d %s", x.run.ID, x.chunk.ID, x.chunk.Import.Attempt, x.chunk.Imbalance, b.text)
	name = "imports/" + b.text
	_, err = x.putDocument(x.pt, name, b)
	return b, name, err
}

func (x *visitor) goImport() error {
	if may, err := x.gate(ImportJob); err != nil || !may {
		if err != nil || !x.saved {
			return err
		}
		return x.release()
	}
	if err := x.claim(); err != nil {
		return err
	}
	b, name, err := x.batch()
	if err != nil {
		return err
	}
	may, err := x.gate(ImportJob)
	if err != nil {
		return err
	}
	if !may {
		return x.release()
	}
	if err := x.chunk.ImportIntended(name, len(b.files)); err != nil {
		return err
	}
	if err := x.save(Save{Slot: SlotTake, Kind: ImportJob, Limit: x.rules.limits.MaxImports}); err != nil {
		if errors.Is(err, ErrNoSlot) {
			return x.release()
		}
		return err
	}
	url, err := x.startImport(x.pt, x.chunk, b)
	if err != nil {
		return x.refused(ImportJob, err)
	}
	attempt := x.chunk.Import.Attempt
	if err := x.chunk.ImportAccepted(url, x.clock(), x.clock().Add(x.rules.limits.Poll)); err != nil {
		return err
	}
	if err := x.save(Save{}); err != nil {
		return errors.Join(err, x.dropImport(url, attempt))
	}
	return nil
}

// release gives the claim back, and the slot unless an import of unknown outcome needs it.
func (x *visitor) release() error {
	x.holding = false
	if err := x.chunk.Postpone("", x.clock(), x.clock()); err != nil {
		return err
	}
	return x.save(Save{Slot: x.keepSlot()})
}

// dropImport cancels a job that nobody follows; the same body is the same job (design 3.8, "ETag moved").
func (x *visitor) dropImport(url string, attempt int) error {
	now, _, err := x.readChunk(x.pt, x.chunk.ID)
	if err != nil || now.State != Cancelled && now.Import.Attempt == attempt {
		return err
	}
	_ = x.cancelImport(url) // best effort
	return nil
}

func (x *visitor) checkImport() error {
	if err := x.claim(); err != nil {
		return err
	}
	job, done, size, err := x.importStatus(x.chunk.Import.StatusURL)
	now, current := x.clock(), x.chunk.Import
	stalled := !current.CancelAt.IsZero()
	switch {
	case err == nil && done:
		return x.balance(job)
	case errors.Is(err, errJobFailed), errors.Is(err, errGone):
		err = x.chunk.JobLost(err.Error(), now, x.backOff(), x.rules.limits)
	case stalled && now.Sub(current.CancelAt) >= x.rules.stall:
		err = x.chunk.JobLost("stalled", now, x.backOff(), x.rules.limits)
	case !stalled && now.Sub(current.ProgressAt) >= x.rules.stall:
		if err := x.cancelImport(current.StatusURL); err != nil {
			x.trace("cancel: %v", err)
		}
		err = x.chunk.ImportStalled("stalled", x.clock(), x.clock().Add(x.rules.limits.Poll))
	case err != nil:
		err = x.chunk.Postpone(err.Error(), now, x.nextPoll(current))
	default:
		err = x.chunk.Progressed(size, now, x.nextPoll(current))
	}
	if err != nil {
		return err
	}
	return x.save(Save{})
}

// balance compares, file by file, what was exported with what the import tells (invariant 12).
func (x *visitor) balance(job *importJob) error {
	m, err := x.document(x.pt, x.chunk.Manifest)
	if err != nil {
		return err
	}
	files := toImport(m.(manifest))
	var accepted, rejected int64
	for _, f := range files[x.chunk.FilesDone:min(x.chunk.FilesDone+x.chunk.FilesNow, len(files))] {
		a, r := x.destination.result(job, f)
		if a+r != f.lines {
			if err := x.chunk.OffBalance(f.url, x.clock(), x.clock().Add(x.rules.limits.Poll)); err != nil {
				return err
			}
			return x.save(Save{})
		}
		accepted, rejected = accepted+a, rejected+r
	}
	result := fmt.Sprintf("results/%s", job.url)
	if _, err := x.putDocument(x.pt, result, job); err != nil {
		return err
	}
	if err := x.chunk.ResultKept(result, x.clock()); err != nil {
		return err
	}
	if rejected == 0 {
		return x.complete(accepted, rejected)
	}
	if err := x.save(Save{}); err != nil {
		return err
	}
	return x.readRejects(job, accepted, rejected)
}

// goOnReading takes up what a visit before has begun.
func (x *visitor) goOnReading() error {
	if err := x.claim(); err != nil {
		return err
	}
	kept, err := x.document(x.pt, x.chunk.Import.Result)
	if err != nil {
		return err
	}
	job := kept.(*importJob)
	x.met("reading of rejects taken up again")
	accepted, rejected := x.destination.total(job)
	return x.readRejects(job, accepted, rejected)
}

// readRejects classifies the rejected lines, a few at a time; the visit's time may be over after each.
func (x *visitor) readRejects(job *importJob, accepted, rejected int64) error {
	harmful := x.destination.harmful(job)
	for {
		r := x.chunk.Reading
		left := Rejects{Benign: rejected - harmful, Conflict: harmful}.Minus(r.Rejects)
		if left == (Rejects{}) {
			return x.complete(accepted, rejected)
		}
		if err := x.read(); err != nil { // the error file
			return err
		}
		r.Rejects = r.Rejects.Plus(Rejects{Benign: min(left.Benign, 2), Conflict: min(left.Conflict, 2)})
		r.Pages++
		over := x.chance(0.3)
		next := x.chunk.NotBefore
		if over {
			next = x.clock()
		}
		if err := x.chunk.RejectsRead(r, x.clock(), next); err != nil {
			return err
		}
		if err := x.save(Save{}); err != nil || over {
			return err
		}
	}
}

func (x *visitor) complete(accepted, rejected int64) error {
	if err := x.chunk.ImportCompleted(accepted, rejected, x.clock()); err != nil {
		return err
	}
	if x.chunk.State == Failed {
		x.met("many rejects")
	}
	if x.chunk.State != Exported || x.chance(0.05) {
		return x.save(Save{})
	}
	if err := x.save(Save{Slot: SlotKeep}); err != nil {
		return err
	}
	x.holding = true
	return x.goImport()
}

// cancel ends a chunk of a stopped run, and its job.
func (x *visitor) cancel() error {
	if err := x.claimBy(x.chunk.ClaimToCancel); err != nil {
		return err
	}
	err := x.cancelJob()
	if errors.Is(err, errStorage) {
		return err
	}
	if err != nil && x.chunk.State.Open() && x.chunk.CancelFaults+1 < 3 {
		if err := x.chunk.CancelFaulted(err.Error(), x.clock(), x.backOff()); err != nil {
			return err
		}
		return x.save(Save{Slot: x.keepSlot()})
	}
	if err := x.chunk.Cancel(x.clock()); err != nil {
		return err
	}
	return x.save(Save{})
}

func (x *visitor) cancelJob() error {
	switch {
	case x.chunk.State == Exporting:
		return x.cancelExport(x.chunk.Export.StatusURL)
	case x.chunk.State == Importing:
		return x.cancelImport(x.chunk.Import.StatusURL)
	case x.chunk.Import.Body != "" && x.chunk.Import.StatusURL == "":
		b, err := x.document(x.pt, x.chunk.Import.Body)
		if err != nil {
			return err
		}
		url, err := x.startImport(x.pt, x.chunk, b.(body))
		if err != nil {
			return err
		}
		return x.cancelImport(url)
	}
	return nil
}
