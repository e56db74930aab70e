// Package fhir talks to one FHIR server over HTTP: export and import jobs, counts, the capability statement.
//
// Invariants:
//
//   - Every request goes through Client.do. It owns the deadline, the body (closed, limited in size), the token and the
//     User-Agent; redirects are refused and nothing is tried twice, but for one repeat with a fresh token after a 401.
//   - A request goes to the scheme and host of the base URL or nowhere (design 3.5, invariant 16). The token travels over
//     HTTPS, or to a loopback address.
//   - A server's failure is an *Error whose question methods say what it means. Other errors are the end of the caller's
//     context or a mistake of the caller, and say which.
//   - Unknown is never zero: a count without a total, a manifest without output and a result without counts are errors.
//   - No status code, header or JSON shape leaves this package.
package fhir
