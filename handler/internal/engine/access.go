package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
)

// checkTime is how long one check may take (operator contract 3).
const checkTime = 10 * time.Second

// Access checks everything that a migration needs and that can be checked from here, and says how to mend what is
// wrong. It starts no job.
func (e *Engine) Access(ctx context.Context) []Check {
	a := &access{Engine: e}
	for _, c := range []struct {
		name string
		run  func(context.Context) Check
	}{
		{"source metadata", a.sourceMetadata},
		{"destination metadata", a.destinationMetadata},
		{"source counts", a.counts},
		{"source export", a.export},
		{"destination import", a.importing},
		{"destination content", a.content},
		{"search parameters", a.parameters},
		{"staging container", a.stagingAccount},
		{"tables and documents", a.storage("reach the tables and the container of documents",
			"give the app the roles Storage Table Data Contributor and Storage Blob Data Contributor on the account of AzureWebJobsStorage", e.ledger.Prepare)},
		{"queue", a.storage("reach the queue",
			"give the app the role Storage Queue Data Contributor on the account of AzureWebJobsStorage", e.queue.Prepare)},
		{"de-identification", a.deIdentification},
		{"quiet hours", a.quiet},
		{"run settings", a.frozen},
	} {
		a.checks = append(a.checks, within(ctx, c.name, c.run))
	}
	return a.checks
}

type access struct {
	*Engine
	source, destination *fhir.Capabilities
	deprecated          bool
	checks              []Check
}

func within(ctx context.Context, name string, run func(context.Context) Check) Check {
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	c := run(limited)
	c.Name = name
	if !c.OK && limited.Err() != nil {
		c.Detail, c.Remedy = "no answer", "the service did not answer within 10 s; check its URL, firewall and private endpoints"
	}
	return c
}

func failed(err error, remedy string) Check {
	var fault *fhir.Error
	if errors.As(err, &fault) {
		if own := fault.Remedy(); own != "" {
			remedy = own
		}
	}
	return Check{Detail: explain(err), Remedy: remedy}
}

func passed(format string, args ...any) Check {
	return Check{OK: true, Detail: fmt.Sprintf(format, args...)}
}

func (a *access) sourceMetadata(ctx context.Context) Check {
	c, err := a.Engine.source.Capabilities(ctx)
	if err != nil {
		return failed(err, "check FERRY_SOURCE_URL")
	}
	a.source = &c
	if c.Date.IsZero() {
		return Check{Detail: "the answer has no Date header", Remedy: "planning needs the source's clock; remove the proxy that drops the header"}
	}
	kind := migration.KindOf(c.Transaction, c.Operations)
	checked := passed("FHIR %s, %d resource types, %s; it is %s", c.FHIRVersion, len(c.Types), software(c), kind.Describe(a.limits.Parallel))
	if kind == migration.UnknownSource {
		checked.Detail, checked.Remedy = "warning: "+checked.Detail, "make sure that FERRY_SOURCE_URL is the server you mean, and that it "+
			"exports as one of Microsoft's does"
	}
	return checked
}

// software is what the server calls itself. Hosted services may say nothing (contract 7.6).
func software(c fhir.Capabilities) string {
	name := strings.TrimSpace(c.Software + " " + c.SoftwareVersion)
	if name == "" {
		return "software not named"
	}
	return fmt.Sprintf("software %.100q", name)
}

func (a *access) destinationMetadata(ctx context.Context) Check {
	c, err := a.Engine.destination.Capabilities(ctx)
	if err != nil {
		return failed(err, "check FERRY_DESTINATION_URL")
	}
	a.destination = &c
	if a.source == nil {
		return passed("FHIR %s; could not be compared, for the source's metadata is not known", c.FHIRVersion)
	}
	if c.FHIRVersion != a.source.FHIRVersion {
		return Check{Detail: fmt.Sprintf("the destination speaks FHIR %s, the source %s", c.FHIRVersion, a.source.FHIRVersion),
			Remedy: "create the destination with the source's FHIR version; a migration does not convert"}
	}
	types, _ := migration.PlanTypes(a.settings.Types, typeNames(*a.source))
	var unversioned, noUpdateCreate, unknown []string
	for _, t := range types {
		i := slices.IndexFunc(c.Types, func(d fhir.TypeCapability) bool { return d.Name == t })
		if i < 0 {
			unknown = append(unknown, t)
			continue
		}
		if c.Types[i].Versioning == "no-version" && a.settings.History {
			unversioned = append(unversioned, t)
		}
		if !c.Types[i].UpdateCreate {
			noUpdateCreate = append(noUpdateCreate, t)
		}
	}
	switch {
	case len(unknown) > 0:
		return Check{Detail: "the destination does not know " + some(unknown), Remedy: "leave these types out with FERRY_RESOURCE_TYPES, or mend the destination"}
	case len(unversioned) > 0:
		return Check{Detail: "the destination keeps no versions of " + some(unversioned), Remedy: "set their versioning policy to versioned, or set FERRY_HISTORY to false"}
	case len(noUpdateCreate) > 0:
		return Check{Detail: "the destination does not create on update (updateCreate) for " + some(noUpdateCreate), Remedy: "allow it: imported resources keep their ids"}
	}
	return passed("FHIR %s, versions kept, updateCreate allowed", c.FHIRVersion)
}

// some names a few and counts the rest.
func some(names []string) string {
	if len(names) <= 5 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
}

func (a *access) counts(ctx context.Context) Check {
	till := a.Now().Add(-a.limits.Settle - time.Minute).Truncate(migration.Instant)
	q := fhir.CountQuery{Since: till.Add(-time.Minute), Before: till, History: a.settings.AllVersions()}
	_, err := a.Engine.source.Count(ctx, q)
	if deprecated(err) {
		a.deprecated = true
		return passed("the source is deprecated and only exports: windows are cut by time, an empty window is proven by a second " +
			"export, and what was written after the cutover cannot be counted")
	}
	if err != nil {
		return failed(err, "give the app's identity the role FHIR Data Reader, or FHIR Data Exporter, on the source")
	}
	return passed("counting is allowed")
}

func (a *access) export(ctx context.Context) Check {
	if err := a.Engine.source.ProbeExport(ctx); err != nil {
		return failed(err, "give the app's identity the role FHIR Data Exporter on the source and enable export there")
	}
	return passed("export is allowed; not checked, for only an export shows it: that the source writes to %s", a.staging.Endpoint())
}

func (a *access) importing(ctx context.Context) Check {
	probe := strings.TrimSuffix(a.staging.Endpoint(), "/") + "/" + a.staging.Container() + "/fhirferry-probe.ndjson"
	if err := a.Engine.destination.ProbeImport(ctx, probe); err != nil {
		return failed(err, "enable $import on the destination with the storage account of FERRY_STAGING_URL, and give the app's "+
			"identity the role FHIR Data Importer there")
	}
	return passed("import is allowed from the staging account, and initial import mode is off; not checked, for only an import " +
		"shows it: that the destination's identity may read and write there")
}

// content warns of a destination that holds something already: writes to migrated ids before the cutover become
// conflicts (contract 12.3, C20).
func (a *access) content(ctx context.Context) Check {
	n, err := a.Engine.destination.Count(ctx, fhir.CountQuery{})
	var fault *fhir.Error
	switch {
	case errors.As(err, &fault) && fault.TooMany():
		return warning("more than 2,147,483,647 resources")
	case err != nil:
		return failed(err, "give the app's identity the role FHIR Data Reader, or FHIR Data Importer, on the destination")
	case n > 0:
		return warning(fmt.Sprintf("%d resources", n))
	}
	return passed("the destination is empty")
}

func warning(what string) Check {
	c := passed("warning: the destination already holds %s", what)
	c.Remedy = "fine if an earlier run brought them; otherwise empty it, for its own writes to ids that are migrated end as version conflicts"
	return c
}

func (a *access) storage(what, remedy string, steps ...func(context.Context) error) func(context.Context) Check {
	return func(ctx context.Context) Check {
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return Check{Detail: fmt.Sprintf("could not %s: %v", what, err), Remedy: remedy}
			}
		}
		return passed("could %s", what)
	}
}

// errorContainer is where imports write which lines they rejected (contract 5.3), beside the staging container.
const errorContainer = "fhirlogs"

// stagingAccount checks the staging container, and that what imports write beside it can be read: a role on the one
// container alone would make itself felt only after the first rejected line. Without permission even a file that is not
// there is refused.
func (a *access) stagingAccount(ctx context.Context) Check {
	written := a.storage("create, write and delete in the staging container",
		"give the app the role Storage Blob Data Contributor on the account of FERRY_STAGING_URL", a.staging.Prepare, a.staging.Probe)(ctx)
	if !written.OK {
		return written
	}
	file, err := a.staging.Open(ctx, errorContainer, "fhirferry-probe", 0)
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, migration.ErrNotFound) {
		return Check{Detail: fmt.Sprintf("could not read the container %s, in which imports tell of rejected lines: %s", errorContainer, plainCause(err)),
			Remedy: "give the app the role Storage Blob Data Contributor, or Reader, on the whole account of FERRY_STAGING_URL, not on one container alone"}
	}
	return passed("%s, and read the container %s", written.Detail, errorContainer)
}

func (a *access) frozen(ctx context.Context) Check {
	run, _, err := a.ledger.Current(ctx)
	switch {
	case errors.Is(err, migration.ErrNotFound) || err == nil && run.Ended():
		return passed("no run is under way")
	case err != nil:
		return Check{Detail: fmt.Sprintf("the current run cannot be read: %v", err), Remedy: "see the check of tables and documents"}
	}
	if names := a.changed(run); len(names) > 0 {
		p := changedProblem(names, a.Engine)
		return Check{Detail: p.Detail, Remedy: "set the settings back, or stop the run"}
	}
	return passed("the run under way has the settings it was started with")
}
