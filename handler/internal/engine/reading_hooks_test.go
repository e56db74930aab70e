package engine

import "context"

// ReadSlowly makes a visit that reads rejected lines keep few of them at once, and stop whenever over says so.
func (e *Engine) ReadSlowly(perPage, atOnce int, over func() bool) {
	e.rejectsPerPage, e.rejectsAtOnce = perPage, atOnce
	e.overtime = func(context.Context) bool { return over() }
}
