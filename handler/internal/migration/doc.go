// Package migration holds the rules of a migration and nothing that can block: how time is cut into chunks, what a
// chunk may do next, who may start a job, what an operator is told. Every function takes the present as an argument.
//
// The invariants named in comments and tests are those of the design, section 3.5.
package migration
