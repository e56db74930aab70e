// Package store keeps a migration in Azure Storage: rows in one table, documents in one container, nudges in one queue,
// and a look into the staging container. It is the only importer of the Azure storage clients and holds no rules.
//
// All rows of a run lie in one partition, so that what must change together changes in one entity-group transaction:
// the run, its round, a row per chunk, a marker row per unfinished chunk, the totals, and the slots of each job kind.
// One more row, in a partition of its own, names the current run.
//
// A version is a random text that every save writes into its row. It tells who wrote what stands there: a save whose
// answer was lost, and whose repetition is refused, finds its own text and knows that it succeeded. The entity tag of the
// row guards the moment between our reading and our writing.
package store
