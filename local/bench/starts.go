package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// starts measures how long the handler takes from its start to the first answered GET /.
func (b *bench) starts(ctx context.Context) error {
	s, err := openStage(ctx, b.order.seed, "")
	if err != nil {
		return err
	}
	defer s.close()
	var took []time.Duration
	for range b.order.starts {
		p, err := launch(ctx, b.order.dist, s.settings(nil), b.log)
		if err != nil {
			return err
		}
		took = append(took, p.ready)
		p.stop()
	}
	b.add("start of the handler to the first answered GET /",
		fmt.Sprintf("median %s, most %s of %d", millis(median(took)), millis(slices.Max(took)), len(took)), "< 200 ms")
	return nil
}
