//go:build !race

package migration

// schedules are how many the walk takes.
const schedules uint64 = 3000
