// Package telemetry brings log records to Application Insights. No other package knows of it: the others log, and give a
// record that is more than a line the attribute "event":
//
//	log.InfoContext(ctx, "chunk moved", slog.String("event", "ChunkMoved"), "run", run.ID, "chunk", chunk.ID, …)
//
// The convention, which docs/telemetry.md follows and a test keeps:
//
//   - The value of "event" is a literal at the call, in CamelCase, and never changes: workbooks and alerts stand on it. The
//     other attributes are its dimensions, each given by name at the same call. Numbers are measurements too.
//   - "Metrics" makes a metric of each attribute with a number; the others are the metrics' dimensions. At debug level.
//   - "Dependency" makes a dependency of name, target, status, duration and success; the others are its dimensions. At
//     debug level.
//   - A record at error level without "event" becomes an exception, and stays a line.
//   - Everything else is ignored here: the host makes traces of lines.
//
// Invariants:
//
//   - Handle never waits for the network and never fails. Close ends by its context.
//   - What is held for an endpoint that does not answer is bounded: a minute takes so many items (see budget), the SDK gives
//     a batch up after four tries, and an answer that would lead it astray is mended first (see carrier).
//   - Texts lose query strings and whatever looks like a token or a key. That is a net under the callers, who log ids,
//     states, counts and durations, never what a FHIR service said in words.
package telemetry
