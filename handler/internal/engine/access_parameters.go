package engine

import (
	"context"
	"errors"
	"net/http"

	"fhirferry/handler/internal/fhir"
)

// parameters checks what moving search parameters needs, as far as that can be asked without changing anything.
func (a *access) parameters(ctx context.Context) Check {
	if !a.limits.SearchParameters {
		return passed("custom search parameters are not moved (FERRY_SEARCH_PARAMETERS)")
	}
	const remedy = "give the app's identity the role FHIR Data Writer, or FHIR Data Contributor, on the destination, or set FERRY_SEARCH_PARAMETERS to false"
	from := "read by search"
	switch _, _, err := a.Engine.source.SearchParameters(ctx, ""); {
	case deprecated(err) || a.deprecated:
		from = "exported, for the source is deprecated"
	case err != nil:
		return failed(err, "give the app's identity the role FHIR Data Reader, or FHIR Data Exporter, on the source")
	}
	if _, _, err := a.Engine.destination.SearchParameters(ctx, ""); err != nil {
		return failed(err, remedy)
	}
	active, err := a.Engine.destination.ActiveReindex(ctx)
	var fault *fhir.Error
	switch {
	case errors.As(err, &fault) && (fault.Status == http.StatusNotFound || fault.Status == http.StatusBadRequest):
		return Check{Detail: "the destination offers no $reindex: " + explain(err), Remedy: "without it nothing can be searched by a custom " +
			"search parameter; set FERRY_SEARCH_PARAMETERS to false, or ask the owner of the service"}
	case err != nil:
		return failed(err, remedy)
	case active != "":
		return passed("warning: the destination reindexes now, and takes no search parameters until that has ended; custom ones are %s", from)
	}
	return passed("custom search parameters are %s; not checked, for only a change shows it: that the app's identity may write them at "+
		"the destination and reindex it (role FHIR Data Writer or FHIR Data Contributor)", from)
}
