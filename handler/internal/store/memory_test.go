package store

import (
	"testing"
	"time"

	"fhirferry/handler/internal/engine"
	"fhirferry/handler/internal/store/storetest"
)

// The exams ask for exactly what the engine does, and both stores give it.
var (
	_ engine.Ledger         = storetest.ExamLedger(nil)
	_ storetest.ExamLedger  = engine.Ledger(nil)
	_ engine.Queue          = storetest.ExamQueue(nil)
	_ storetest.ExamQueue   = engine.Queue(nil)
	_ engine.Staging        = storetest.ExamStaging(nil)
	_ storetest.ExamStaging = engine.Staging(nil)
	_ engine.Ledger         = (*Ledger)(nil)
	_ engine.Queue          = (*Queue)(nil)
	_ engine.Staging        = (*Staging)(nil)
)

func TestLedgerInMemory(t *testing.T) {
	storetest.ExerciseLedger(t, func(*testing.T) storetest.ExamLedger { return storetest.NewLedger() })
}

func TestQueueInMemory(t *testing.T) {
	storetest.ExerciseQueue(t, func(*testing.T) (storetest.ExamQueue, func(*testing.T) map[string]time.Duration) {
		queue := storetest.NewQueue()
		sent := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		queue.Now = func() time.Time { return sent }
		return queue, func(*testing.T) map[string]time.Duration {
			hidden := map[string]time.Duration{}
			for _, m := range queue.Waiting() {
				hidden[m.ID] = m.At.Sub(sent)
			}
			return hidden
		}
	})
}

func TestStagingInMemory(t *testing.T) {
	storetest.ExerciseStaging(t, func(t *testing.T) (storetest.ExamStaging, func(container, name string, content []byte)) {
		staging := storetest.NewStaging()
		return staging, func(container, name string, content []byte) {
			if err := staging.Put(t.Context(), container, name, content); err != nil {
				t.Fatal(err)
			}
		}
	})
}
