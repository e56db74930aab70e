package fhir

import "strings"

// Remedy says what a person can do about the error; empty where the server's own words must do.
func (e *Error) Remedy() string {
	switch {
	case e.fault == tokenless:
		return "check the identity or the client credentials of the function app"
	case e.fault == silent:
		return "check the URL, the network and the service's health"
	case e.Unauthorized():
		return "check that the identity belongs to the service's tenant and that the service accepts tokens for its own URL"
	case e.TooMany():
		return "count shorter windows or fewer types"
	case e.Forbidden():
		return e.role()
	case e.Locked():
		return "turn initial import mode off in the import settings of the FHIR service"
	case e.Deprecated():
		return "the service only serves exports now; counts and cancelling are no longer possible"
	case strings.Contains(e.text, "operation is not enabled"):
		return "enable the operation in the settings of the FHIR service"
	case strings.Contains(e.text, "import storage account is not configured"):
		return "set the integration storage account in the import settings of the FHIR service"
	case strings.Contains(e.text, "must match the configured integration storage account"):
		return "make the staging account the integration storage account of the destination"
	}
	return ""
}

func (e *Error) role() string {
	switch e.kind {
	case exportKickOff, exportPoll:
		return "grant the identity the role FHIR Data Exporter on the source"
	case importKickOff, importPoll:
		return "grant the identity the role FHIR Data Importer on the destination"
	case changing, reindexPoll:
		return "grant the identity the role FHIR Data Writer, or FHIR Data Contributor, on the destination"
	case counting, reading:
		return "grant the identity the role FHIR Data Reader on the service"
	}
	return "grant the identity a role on the FHIR service that permits this"
}
