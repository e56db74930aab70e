package main

import "strings"

// setting describes one app setting to operators. The README's table is made from these.
type setting struct {
	name     string
	fallback string // the default; empty: none
	note     string // stands in the table's default column in place of the default
	meaning  string
}

// shownDefault is the default as the README shows it.
func (s setting) shownDefault() string {
	switch {
	case s.note != "":
		return s.note
	case s.fallback != "":
		return "`" + s.fallback + "`"
	}
	return "empty"
}

// row is the setting's line in the README.
func (s setting) row() string {
	return "| `" + s.name + "` | " + s.shownDefault() + " | " + strings.ReplaceAll(s.meaning, "|", `\|`) + " |"
}

const required = "required"

// settingsTable lists every setting (operator contract 2) and is where defaults are written down.
func settingsTable() []setting {
	return []setting{
		{"FERRY_SOURCE_URL", "", required, "base URL of the source FHIR service; https, or http on a loopback address"},
		{"FERRY_DESTINATION_URL", "", required, "base URL of the destination FHIR service, likewise"},
		{"FERRY_STAGING_URL", "", required, "blob endpoint of the storage account that the source exports to and the destination imports from"},
		{"FERRY_STAGING_CONTAINER", "fhirferry", "", "container for exported files; the handler creates it"},
		{"FERRY_STAGING_CONNECTION", "", "", "connection string of that account; empty: the managed identity"},
		{"AzureWebJobsStorage", "", "required, this or the identity form", "connection string, with account key, of the account for the progress tables, the documents and the queue"},
		{"AzureWebJobsStorage__accountName", "", "", "identity form: name of that account in the public cloud"},
		{"AzureWebJobsStorage__tableServiceUri", "", "", "identity form: table endpoint, where the name does not lead to it"},
		{"AzureWebJobsStorage__queueServiceUri", "", "", "identity form: queue endpoint, likewise"},
		{"AzureWebJobsStorage__blobServiceUri", "", "", "identity form: blob endpoint, likewise"},
		{"AzureWebJobsStorage__credential", "", "", "identity form: `managedidentity`, or empty"},
		{"AzureWebJobsStorage__clientId", "", "", "identity form: client id of the user-assigned identity for this account; empty: that of `AZURE_CLIENT_ID`"},
		{"AZURE_CLIENT_ID", "", "", "client id of the user-assigned identity for the FHIR services and storage; empty: the system-assigned one"},
		{"FERRY_AUTH", string(authAzure), "", "`azure`: tokens of the app's identity. `none`: no tokens; refused unless both FHIR URLs are loopback addresses"},
		{"FERRY_SOURCE_TENANT_ID", "", "", "tenant of a source that needs client credentials; all three or none"},
		{"FERRY_SOURCE_CLIENT_ID", "", "", "client id for that source"},
		{"FERRY_SOURCE_CLIENT_SECRET", "", "", "client secret for that source"},
		{"FERRY_SCHEDULE", "", "required; `0 * * * * *` in the sample settings", "NCRONTAB of the timer, read by the host too"},
		{"FERRY_QUEUE", "", "required; `fhirferry-work` in the sample settings", "queue of the workers, read by the host too"},
		{"FERRY_MODE", "continuous", "", "`continuous`: keeps copying new data until cut over or stopped. `once`: ends when everything up to the start has been moved. `export` and `import` are not supported yet"},
		{"FERRY_SINCE", "", "", "moves what was last updated at or after this RFC 3339 instant; empty: from the oldest resource"},
		{"FERRY_UNTIL", "", "", "moves what was last updated up to this instant, then completes; empty: without end"},
		{"FERRY_RESOURCE_TYPES", "", "", "resource types to move, separated by commas; empty: every type that the source knows"},
		{"FERRY_WINDOW", "", "", "longest time span of one chunk; empty: chunks are cut by their number of resources alone. Where the source refuses counts, empty means one window up to 2018-01-01 and then `30d`"},
		{"FERRY_CHUNK_LIMIT", "5000000", "", "most resources in one chunk; a window that holds more is cut, types with fewer share a chunk"},
		{"FERRY_HISTORY", "true", "", "also move earlier versions"},
		{"FERRY_DELETED", "true", "", "also move soft deletes"},
		{"FERRY_SEARCH_PARAMETERS", "true", "", "also move custom search parameters, of every type, before the first resources and those changed since at the end, and then reindex the destination. A change takes effect at once"},
		{"FERRY_PARALLEL", "true", "", "`_isParallel` on exports of every type"},
		{"FERRY_MAX_COUNT", "0", "", "`_maxCount` on exports, up to 10000; 0: not sent"},
		{"FERRY_ANONYMIZATION_CONFIG", "", "", "de-identified export: name of the configuration's blob in the container `anonymization` of the staging account; needs `FERRY_PARALLEL`. Nothing is started without it, and nothing imported from an export that does not prove to have used it"},
		{"FERRY_ANONYMIZATION_CONFIG_ETAG", "", "", "etag that this blob must have when a run is started; empty: any. Whichever it has then, no export of the run uses another"},
		{"FERRY_MAX_EXPORTS", "4", "", "export jobs in flight, at most (1 to 100)"},
		{"FERRY_MAX_IMPORTS", "2", "", "import jobs in flight, at most (1 to 5)"},
		{"FERRY_FILES_PER_IMPORT", "10000", "", "files in one `$import`, at most (1 to 10000)"},
		{"FERRY_SETTLE", "5m", "", "no window ends later than this before now, by the handler's clock and by the source's"},
		{"FERRY_INTERVAL", "15m", "", "shortest span of a window at the moving edge; not applied to a cutover or to `once`"},
		{"FERRY_POLL", "30s", "", "shortest wait between two polls of one job; waits grow up to ten times it"},
		{"FERRY_CONFIRMATIONS", "3", "", "equal answers needed before an export counts as complete, at least 2"},
		{"FERRY_CONFIRM_INTERVAL", "30s", "", "wait between those answers"},
		{"FERRY_STALL", "24h", "", "a job that shows neither progress nor an end for so long is cancelled and tried again"},
		{"FERRY_REQUEST_TIMEOUT", "100s", "", "longest wait for one answer of a FHIR service, up to `200s`; a visit ends within twice this, its claim lapses after three times"},
		{"FERRY_MAX_FAILURES", "5", "", "consecutive failures of one chunk before it counts as failed and the migration halts"},
		{"FERRY_QUIET_HOURS", "", "", "when no new job is started, such as `Mon-Fri 08:00-17:00 Europe/London; Sat 10:00-12:00 UTC`: days, times and a time zone, of which days (every day) and zone (`UTC`) may be left out. Jobs in flight land; a change takes effect at once"},
		{"FERRY_QUIET_IMPORTS", "false", "", "during quiet hours still import what has been exported"},
		{"APPLICATIONINSIGHTS_CONNECTION_STRING", "", "", "connection string of Application Insights, for the handler and the host: events, metrics, dependencies and exceptions (`docs/telemetry.md`); empty: none"},
	}
}
