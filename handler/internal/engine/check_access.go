package engine

import (
	"context"
	"time"
)

// lookAtAccess makes the preflight, one visit for all of it. It may take longer than a visit with a short request
// timeout, so it has a time and a claim of its own.
func (v *errandVisit) lookAtAccess(ctx context.Context) error {
	const patience = 12 * checkTime
	v.errand.NotBefore = v.Now().Add(patience + time.Minute)
	if err := v.save(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	v.found.Access = v.Access(limited)
	e := &v.errand
	for _, c := range v.found.Access {
		if c.OK {
			e.Same++
		} else {
			e.Different++
		}
	}
	e.Done, e.Total = len(v.found.Access), len(v.found.Access)
	return v.conclude(ctx)
}
