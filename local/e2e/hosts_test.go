package e2e

import "testing"

// TestTwoHosts runs two instances over one storage; the limits hold for both together. Jobs take seconds, so that one
// too many would be seen beside the others.
func TestTwoHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 31, resources: 900, scale: 0.08, settings: map[string]string{
		"FERRY_MAX_EXPORTS": "2", "FERRY_MAX_IMPORTS": "1", "FERRY_WINDOW": "120d", "FERRY_CHUNK_LIMIT": "200"}})
	w.start(2)
	stop := w.write(10)
	w.verb("start", nil)
	w.untilMigrated(lastInstant())
	stop()
	w.finish()
	w.withinLimits(2, 1)
	if n := w.Source.MaxConcurrent("export"); n < 2 {
		t.Errorf("no two exports were ever open at one time: the limit was not put to the test")
	}
}
