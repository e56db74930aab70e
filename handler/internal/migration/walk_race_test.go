//go:build race

package migration

// schedules are how many the walk takes: few under the race detector, which makes them slow and has nothing to find in
// them, for the core starts no goroutine.
const schedules uint64 = 600
