// Package fhirsim simulates the two FHIR services a migration lies between: Azure API for FHIR (gen1, the
// source) and the AHDS FHIR service (gen2, the destination, also usable as a source), over real HTTP. It
// follows the project's contract on $export and $import ("contract" in the comments) and not any client.
// Faults make it misbehave on request.
//
// A Server starts no goroutines: jobs are a function of its clock and move on at each request and at Step. With
// a manual clock everything is deterministic for one client at a time.
//
// Not simulated:
//   - Search parameters other than _id, _lastUpdated and url; includes, _elements, partial _summary forms.
//   - Validation of resources, references, profiles; If-Match, conditional writes, patches, bundles (POST /).
//   - Custom search parameters as such (they are stored like any resource), $reindex, $bulk-delete,
//     $purge-history, $status of search parameters (S40).
//   - Roles: one bearer token opens everything (S42).
//   - De-identified export, which is answered as not enabled, and _format names.
//   - Compartments: a Patient or Group export takes what holds a reference to the patients.
//   - Throughput that jobs take from each other, request units, and the limits of contract 4.7: 10,000 lines of
//     one millisecond (S32), request body size. A job runs out of memory only as a fault.
//   - Which numbers are indexed: any number with more than 18 integer digits ends an import (S31).
//   - The infinite lease a running import unit holds; only the one a crash leaves behind, as a fault.
//   - A versioning policy other than as a word in /metadata.
//   - Search total overflow, over-long next links, time-outs of large gen1 counts except as faults.
package fhirsim
