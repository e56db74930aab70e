// Package e2e holds black-box tests of the packaged app: a copy of dist/ runs under the host stand-in, between two
// simulated FHIR services and the storage emulator, and is spoken to over HTTP alone, as an operator does (operator
// contract 3). Each migration ends with a comparison of every version on both sides.
//
// The app is built anew by make dist unless E2E_DIST names a packaged app to test in its place.
package e2e
