// Package fhirsim simulates the two FHIR services a migration lies between: Azure API for FHIR (gen1, the
// source) and the AHDS FHIR service (gen2, the destination, also usable as a source), over real HTTP. It
// follows the project's contract on $export and $import ("contract" in the comments) and not any client.
// Faults make it misbehave on request.
//
// A Server starts no goroutines: jobs are a function of its clock and move on at each request and at Step. With
// a manual clock everything is deterministic for one client at a time.
//
// Not simulated:
//   - More than a handful of built-in search parameters per type. Expressions other than Type.member.member with
//     where(url='…'), as(…) and ofType(…) in between, joined by "|": they are stored and enabled like any other, but
//     a search by one is 501. Of the values: tokens by equality, strings by their beginning, dates by the beginning
//     of their text, no prefixes and no modifiers; composite and quantity parameters are 501. Chains, includes,
//     _elements, partial _summary forms.
//   - Validation of resources, references, profiles; If-Match, conditional writes, patches, transactions; the order
//     in which a batch works off its entries.
//   - Which expressions the service cannot index (contract 8.2): any expression is taken. $bulk-delete,
//     $purge-history, $status of search parameters; a reindex that competes with an import.
//   - Roles other than those of contract 10.3, scopes and audiences of tokens (S42); without Options.Roles one
//     bearer token opens everything.
//   - Of a de-identified export (Options.AnonymizedExport) all rules but "keep" and "redact" of Type.member.member or
//     Resource.member.member: a configuration with another rule fails the job. Redacted members are gone from the
//     lines, whose members then come in another order, and meta.security gets the label REDACTED. Configurations of
//     a registry; _format names.
//   - Compartments: a Patient or Group export takes what holds a reference to the patients.
//   - Throughput that jobs take from each other, request units, and the limits of contract 4.7: request body
//     size, and lines of one millisecond (S32) except as a fault, which counts the lines of one job.
//     A job runs out of memory only as a fault.
//   - Which numbers are indexed: any number with more than 18 integer digits ends an import (S31).
//   - The infinite lease a running import unit holds, unless Options.LeaseInputs is set.
//   - A versioning policy other than as a word in /metadata.
//   - Over-long next links, time-outs of large gen1 counts except as faults.
package fhirsim
