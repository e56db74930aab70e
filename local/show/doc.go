// Package show tells a person in a terminal what a migration does and what came of it: live progress, a
// comparison of both sides and the closing table.
//
// Rendering is pure: the same values give the same lines. Only [Display] writes, and only to the writer it got.
package show
