// Package storetest keeps a ledger, a queue and a staging container in memory for fast tests, and exams that these and
// the ones in Azure Storage must pass alike.
package storetest
