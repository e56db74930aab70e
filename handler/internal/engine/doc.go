// Package engine holds the verbs: the order in which we ask, do, record and schedule. It has no rules (package
// migration) and no protocol (packages fhir and store).
//
// A tick decides what is due and nudges. A visit moves one thing, a round or a chunk, one step. The table is the
// truth, the queue is only a nudge, and nothing sleeps. A FHIR failure is data and becomes an event on the row; a
// storage failure is an error and is returned (design 3.8).
package engine
