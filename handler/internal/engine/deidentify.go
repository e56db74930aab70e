package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// anonymizationContainer is where a source looks for the configuration of a de-identified export: the container of this
// name in the account that it exports to.
const anonymizationContainer = "anonymization"

// DeIdentification tells an operator how the current run's exports are de-identified, and how many have proven it.
type DeIdentification struct {
	Config        string
	ETag          string // of the configuration when the run was started
	ExportsProven int
}

// sameETag compares etags with or without their quotes: a person leaves them out, and a source takes both.
func sameETag(a, b string) bool { return strings.Trim(a, `"`) == strings.Trim(b, `"`) }

// configuration looks for the configuration that new exports are to be de-identified by, and returns its etag; empty
// where none is asked for. Whatever keeps an export from being de-identified is a refusal that names the remedy.
func (e *Engine) configuration(ctx context.Context, s migration.Settings) (etag string, err error) {
	if !s.DeIdentified() {
		return "", nil
	}
	if !e.limits.Parallel {
		return "", &Refusal{BadValue, "FERRY_ANONYMIZATION_CONFIG: exports are de-identified in parallel exports only, and FERRY_PARALLEL is false; set it to true"}
	}
	etag, err = e.staging.ETag(ctx, anonymizationContainer, s.AnonymizationConfig)
	switch {
	case errors.Is(err, migration.ErrNotFound):
		return "", &Refusal{BadValue, fmt.Sprintf("FERRY_ANONYMIZATION_CONFIG: there is no blob %s in the container %s of the staging account; "+
			"put the configuration there, or name another", s.AnonymizationConfig, anonymizationContainer)}
	case err != nil:
		return "", &Refusal{Unavailable, fmt.Sprintf("FERRY_ANONYMIZATION_CONFIG: the blob %s in the container %s could not be looked at: %v; "+
			"give the app the role Storage Blob Data Contributor on the account of FERRY_STAGING_URL", s.AnonymizationConfig, anonymizationContainer, err)}
	case s.AnonymizationETag != "" && !sameETag(s.AnonymizationETag, etag):
		return "", &Refusal{BadValue, fmt.Sprintf("FERRY_ANONYMIZATION_CONFIG_ETAG: the blob %s in the container %s has the etag %s and not %s: "+
			"it was changed; look it through again, then set its etag", s.AnonymizationConfig, anonymizationContainer, etag, s.AnonymizationETag)}
	}
	return etag, nil
}

// changed names the app settings that are not what the run was started with. One that would let exports leave as they
// are is among them although it may change otherwise.
func (e *Engine) changed(run migration.Run) []string {
	names := run.AppSettings.Differences(e.settings)
	if run.Settings.DeIdentified() && !e.limits.Parallel {
		names = append(names, "FERRY_PARALLEL")
	}
	return names
}

// unproven says what is missing in the proof that the export was de-identified as the run asks; empty: nothing is. The
// manifest tells the request that the source has worked on (contract 2.2).
func unproven(run migration.Run, m fhir.Manifest) string {
	if !run.Settings.DeIdentified() {
		return ""
	}
	config, etag := m.DeIdentifiedBy()
	if config == run.Settings.AnonymizationConfig && run.AnonymizationETag != "" && sameETag(etag, run.AnonymizationETag) {
		return ""
	}
	return fmt.Sprintf("the manifest does not prove that the export was de-identified by %.60s, etag %s: nothing of it is imported; "+
		"delete its files from the staging container, find out why the source left it out, then retry",
		run.Settings.AnonymizationConfig, run.AnonymizationETag)
}

// rejectExport fails the chunk for what its export has shown; the files are never read.
func (v *visit) rejectExport(ctx context.Context, reason string) error {
	from := v.chunk.State
	if err := v.chunk.Rejected(reason, v.Now()); err != nil {
		return err
	}
	return v.moved(ctx, from, migration.Save{Problems: v.problem(reason)})
}

// deIdentifiedLost gives up a de-identified export that has failed. When its configuration is not the one of the start
// any more, no other attempt can succeed: a blob that is put back has a new etag.
func (v *visit) deIdentifiedLost(ctx context.Context, fault *fhir.Error) error {
	config, start := v.run.Settings.AnonymizationConfig, v.run.AnonymizationETag
	etag, err := v.staging.ETag(ctx, anonymizationContainer, config)
	now := "etag " + etag + " now"
	switch {
	case errors.Is(err, migration.ErrNotFound):
		now = "gone now"
	case err != nil:
		return fmt.Errorf("look for the de-identification configuration: %v", err)
	case sameETag(etag, start):
		return v.lost(ctx, fault.Error(), explain(fault))
	}
	return v.rejectExport(ctx, fmt.Sprintf("the de-identification configuration %.60s was changed under the run (etag %s at its start, %s), "+
		"so the source exports no more; stop the run and start a new one with since = its migratedTill", config, start, now))
}

func (a *access) deIdentification(ctx context.Context) Check {
	if !a.settings.DeIdentified() {
		return passed("not asked for: resources are exported as they are")
	}
	etag, err := a.configuration(ctx, a.settings)
	switch {
	case err != nil:
		return Check{Detail: err.Error(), Remedy: "no run is started before this is mended"}
	case a.source != nil && !a.source.Offers("anonymized-export"):
		return Check{Detail: "the source does not offer the operation anonymized-export", Remedy: "de-identified export cannot be had from this source"}
	}
	run, _, err := a.ledger.Current(ctx)
	if err == nil && !run.Ended() && run.Settings.DeIdentified() && !sameETag(run.AnonymizationETag, etag) {
		return Check{Detail: fmt.Sprintf("the configuration was changed under the run (etag %s at its start, %s now)", run.AnonymizationETag, etag),
			Remedy: "stop the run and start a new one with since = its migratedTill"}
	}
	return passed("exports are de-identified by %s, etag %s, and each has to prove it; not checked: the rules themselves, which must keep "+
		"Resource.meta and the ids, and with them versions and the marks of soft deletes", a.settings.AnonymizationConfig, etag)
}
