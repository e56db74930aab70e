// Package server is HTTP in: what the Functions host sends (custom-handler invocations) and what operators send (the
// API of operator contract 3, forwarded by the host). It decodes, calls one verb of the engine and encodes the answer;
// it holds no state and no rule of the migration.
//
// It is the one place that logs errors, one line per failed request. A line never holds a header, a body or a query
// of a request, and no query of a URL that a cause mentions: any of them may carry a key.
package server
