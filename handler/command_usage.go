package main

const commandsUsage = `fhirferry's handler. Without arguments it serves the Functions host. With one of these commands it helps a person who
runs $export and $import by hand, and ends:

  handler export-url       prints the kick-off requests of an export
  handler import-payload   makes the bodies of $import requests from the manifest of an export

handler COMMAND -help explains a command. Exit codes: 0 done, 1 it could not be done, 2 wrong command line or setting.
`

const exportURLUsage = `handler export-url [flags]

Prints the kick-off requests for an export: what the handler itself would send to the source. Nothing is sent.

Settings are read from the environment, as the function app reads them. A flag wins over its setting:

  -source URL               FERRY_SOURCE_URL         base URL of the source; required
  -container NAME           FERRY_STAGING_CONTAINER  container that the source writes to (fhirferry)
  -since INSTANT            FERRY_SINCE              last updated at or after; empty: from the beginning
  -till INSTANT             FERRY_UNTIL              last updated up to; empty: up to the kick-off
  -types A,B                FERRY_RESOURCE_TYPES     resource types; empty: all
  -window SPAN              FERRY_WINDOW             cut the span into windows of this length, such as 30d or 12h
  -history=false            FERRY_HISTORY            leave earlier versions out
  -deleted=false            FERRY_DELETED            leave soft deletes out
  -parallel=false           FERRY_PARALLEL           _isParallel=false
  -max-count N              FERRY_MAX_COUNT          _maxCount; 0: not sent
  -anonymization-config F   FERRY_ANONYMIZATION_CONFIG       de-identified export: blob in the container anonymization
  -anonymization-config-etag E  FERRY_ANONYMIZATION_CONFIG_ETAG  the etag that it must have

  -generation gen1|gen2     what the source is: gen1 is Azure API for FHIR (and the open-source server on Cosmos DB), gen2
                            is an AHDS FHIR service (and the open-source server on SQL); gen1
  -each-type                a request for each type of -types
  -format curl|http|urls    curl: lines for a shell. http: requests for an editor. urls: the URLs alone, with GET; curl

Windows share their edges. On gen1, and on gen2 with -parallel=false, both bounds are inclusive: a resource that was last
updated exactly on an edge is exported twice, and importing it twice is harmless. On gen2 with parallel exports the upper
bound is exclusive: the shared edge makes a plain cut, and the last window is sent with a millisecond more, so that -till
itself is in it. Never move an edge by a millisecond to avoid the repetition: older resources of gen1 can carry instants
that are finer, and they would fall between the windows.

Examples:

  handler export-url -source https://old.azurehealthcareapis.com -till 2026-01-31T20:00:00Z
  handler export-url -since 2019-01-01T00:00:00Z -till 2026-01-31T20:00:00Z -window 90d -format urls
  handler export-url -source https://ws-old.fhir.azurehealthcareapis.com -generation gen2 -types Patient,Observation \
    -each-type -till 2026-01-31T20:00:00Z
`

const importPayloadUsage = `handler import-payload [flags] [MANIFEST]

Makes the bodies of $import requests (Parameters resources) from the manifest of an export. Nothing is sent to the
destination. MANIFEST is a file, or the status URL of the export (the Content-Location of its kick-off), which is read
once with the configured credentials and must belong to FERRY_SOURCE_URL; "-" or nothing: standard input.

SearchParameter files are left out, because $import refuses them. The same manifest and flags give the same bytes.

  -out DIR                 write payload-001.json, payload-002.json … into this folder, and the manifest too when it was
                           read from a URL. Nothing is ever written over. Without it a single payload goes to standard output
  -files-per-payload N     files in one payload, 1 to 10000 (FERRY_FILES_PER_IMPORT; 10000)
  -mode MODE               IncrementalLoad, or InitialLoad; IncrementalLoad
  -input-source URI        inputSource, part of the job's identity: give another one to try again after a failure
  -error-container NAME    where the destination writes the files of rejected lines; empty: its own choice
  -slice-bytes N|largest   processingUnitBytesToRead; largest: the largest file of each payload, so that no file is cut
  -etags quoted|plain      name each file's etag, with its quotes or without: the import fails when a file has changed.
                           Services differ in the form; when an import fails with "etag not match", take the other one
  -anonymization-config F  refuse a manifest that does not prove that its export was de-identified by this file
                           (FERRY_ANONYMIZATION_CONFIG)
  -anonymization-config-etag E  likewise with this etag (FERRY_ANONYMIZATION_CONFIG_ETAG)
  -account URL             the files were copied to this account: its blob endpoint replaces the manifest's

-etags and -slice-bytes largest look up each file in the staging account (FERRY_STAGING_URL, and FERRY_STAGING_CONNECTION
or your own sign-in). A status URL needs FERRY_SOURCE_URL and your own sign-in, or FERRY_SOURCE_TENANT_ID,
FERRY_SOURCE_CLIENT_ID and FERRY_SOURCE_CLIENT_SECRET. No other setting is needed.

Standard error says what was made, what was left out, and how to send it.

Examples:

  handler import-payload manifest.json > payload.json
  handler import-payload -out payloads -files-per-payload 2000 -slice-bytes largest -etags quoted manifest.json
  handler import-payload -out payloads https://old.azurehealthcareapis.com/_operations/export/5119283746512934
  curl -sS ... | handler import-payload -account https://new.blob.core.windows.net -out payloads
`
