package e2e

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"fhirferry/local/azurite"
	"fhirferry/local/rig"
)

// TestStorageFaults lets storage answer busy, drop the answer of what it has done, and refuse connections.
func TestStorageFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 41})
	w.start(1)
	w.Proxies.Inject(azurite.Fault{Effect: azurite.Busy, Probability: 0.02})
	w.Proxies.Inject(azurite.Fault{Effect: azurite.Drop, Probability: 0.02})
	w.Proxies.Inject(azurite.Fault{Effect: azurite.Refuse, Probability: 0.01})
	stop := w.write(10)
	w.verb("start", nil)
	w.untilMigrated(lastInstant())
	stop()
	w.finish()
	w.withinLimits(4, 2)
	met := 0
	for _, n := range w.Proxies.Table.Struck() {
		met += n
	}
	if met < 5 {
		t.Errorf("only %d table requests met a fault: the test shows too little", met)
	}
}

// TestQueueMessages loses messages, doubles them, and adds ones that nobody can read.
func TestQueueMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{seed: 42})
	w.start(1)
	queue, err := azqueue.NewQueueClientFromConnectionString(w.Azurite.ConnectionString(), rig.QueueName, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.verb("start", nil)
	for _, text := range []string{"not base64!", encoded(`{"chunk":`), encoded(`{"id":"x"}`), "", encoded(""), encoded("no-such-chunk"),
		encoded("20240101T000000.000Z_20240201T000000.000Z_00000000"), encoded("../../run"), encoded("\xff\x00' or '1' eq '1")} {
		if _, err := queue.EnqueueMessage(t.Context(), text, nil); err != nil {
			t.Fatal(err)
		}
	}
	lost, doubled := 0, 0
	stop := rig.During(func(ctx context.Context) {
		draw := rand.New(rand.NewPCG(42, 0))
		rig.Every(ctx, 50*time.Millisecond, func() {
			got, err := queue.DequeueMessages(ctx, nil)
			if err != nil || len(got.Messages) == 0 {
				return
			}
			m := got.Messages[0]
			if _, err := queue.DeleteMessage(ctx, *m.MessageID, *m.PopReceipt, nil); err != nil {
				return
			}
			if draw.IntN(3) == 0 {
				lost++
				return
			}
			for range 2 {
				if _, err := queue.EnqueueMessage(ctx, *m.MessageText, nil); err != nil {
					return
				}
			}
			doubled++
		})
	})
	w.Cleanup(stop)
	w.untilMigrated(lastInstant())
	w.finish()
	stop()
	w.withinLimits(4, 2)
	if lost == 0 || doubled == 0 {
		t.Errorf("%d messages were lost and %d doubled: the test shows too little", lost, doubled)
	}
	if w.hosts[0].Restarts() != 0 {
		t.Errorf("the handler died %d times", w.hosts[0].Restarts())
	}
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
