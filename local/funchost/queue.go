package funchost

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/queueerror"
)

// shortestWait is the first wait of an idle listener (host contract 5.6).
const shortestWait = 100 * time.Millisecond

// queueListener reads the queue of one function.
type queueListener struct {
	g       *generation
	f       function
	queue   *azqueue.QueueClient
	poison  *azqueue.QueueClient // nil when its name would not do (host contract 5.4)
	running chan struct{}        // one element per invocation in flight
	ended   chan struct{}        // told when an invocation ends
	idle    int                  // receives in a row that found nothing
}

func newQueueListener(g *generation, f function) (*queueListener, error) {
	queue, err := azqueue.NewQueueClientFromConnectionString(f.connection, f.queue, nil)
	if err != nil {
		return nil, fmt.Errorf("function %s: read its connection: %w", f.name, err)
	}
	q := g.config.queues
	l := &queueListener{g: g, f: f, queue: queue,
		running: make(chan struct{}, q.batch+q.threshold), ended: make(chan struct{}, 1)}
	const suffix = "-poison"
	ours := len(f.queue) >= len(suffix) && f.queue[len(f.queue)-len(suffix):] == suffix
	if name := f.queue + suffix; len(name) <= 63 && !ours {
		l.poison, err = azqueue.NewQueueClientFromConnectionString(f.connection, name, nil)
	}
	return l, err
}

// run receives until ctx ends; what has been received is finished under the life of
// the generation (host contract 5.8).
func (l *queueListener) run(ctx context.Context) {
	for ctx.Err() == nil {
		if len(l.running) > l.g.config.queues.threshold {
			select {
			case <-l.ended:
			case <-ctx.Done():
			}
			continue
		}
		if l.receive(ctx) {
			l.idle = 0
			continue
		}
		l.idle++
		pause(ctx, l.wait())
	}
}

// receive takes one batch and starts it; false when there was nothing.
func (l *queueListener) receive(ctx context.Context) bool {
	number := int32(l.g.config.queues.batch)
	visibility := int32(l.g.messageLease / time.Second)
	// Not under ctx: an answer that nobody reads would leave its messages invisible.
	resp, err := l.queue.DequeueMessages(l.g.life, &azqueue.DequeueMessagesOptions{
		NumberOfMessages: &number, VisibilityTimeout: &visibility})
	if err != nil {
		// A queue that does not exist is not created, only asked for again (H27).
		if ctx.Err() == nil && !queueerror.HasCode(err, queueerror.QueueNotFound) {
			l.g.log.Error("receive messages", "queue", l.f.queue, "error", err)
		}
		return false
	}
	for _, m := range resp.Messages {
		l.running <- struct{}{}
		tracked := l.g.track(func() {
			defer l.done()
			l.process(newMessage(m))
		})
		if !tracked {
			l.done()
		}
	}
	return len(resp.Messages) > 0
}

func (l *queueListener) done() {
	<-l.running
	select {
	case l.ended <- struct{}{}:
	default:
	}
}

// wait grows at random and exponentially up to maxPollingInterval.
func (l *queueListener) wait() time.Duration {
	longest := l.g.config.queues.longestWait
	if l.idle <= 1 {
		return min(shortestWait, longest)
	}
	factor := 0.8 + 0.4*rand.Float64()
	grown := shortestWait + time.Duration(factor*float64(shortestWait)*float64(int64(1)<<min(l.idle-2, 20)))
	return min(grown, longest)
}

// process takes one message from its receipt to its end.
func (l *queueListener) process(m *message) {
	ctx := l.g.life
	text, err := m.decode(l.g.config.queues.base64)
	if err != nil {
		l.g.log.Error("a message is not in the queue's encoding", "queue", l.f.queue, "message", m.id, "error", err)
		l.bury(ctx, m)
		return
	}
	if m.dequeued > int64(l.g.config.queues.maxDequeue) {
		l.bury(ctx, m)
		return
	}
	renewing, stop := context.WithCancel(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		l.renew(renewing, m)
	}()
	err = l.invoke(ctx, m, text)
	stop()
	<-renewed
	if ctx.Err() != nil {
		return // the host is gone: the message stays invisible for the rest of its lease
	}
	if err == nil {
		l.remove(ctx, m)
		return
	}
	l.g.log.Error("function failed", "function", l.f.name, "message", m.id, "dequeued", m.dequeued, "error", err)
	if m.dequeued >= int64(l.g.config.queues.maxDequeue) {
		l.bury(ctx, m)
		return
	}
	if err := l.setVisible(ctx, m, l.g.config.queues.retryDelay); err != nil {
		l.g.log.Error("release a message", "queue", l.f.queue, "message", m.id, "error", err)
	}
}

func (l *queueListener) invoke(ctx context.Context, m *message, text []byte) error {
	if l.f.trigger.DataType != "binary" && !utf8.Valid(text) {
		return errors.New("the message is not UTF-8, which a text binding needs")
	}
	in := invocation{id: guid(), function: l.f.name,
		data: map[string]any{l.f.trigger.Name: l.f.payload(text)}}
	in.metadata = m.metadata(l.f.name, string(text), l.g.now())
	return l.g.invoke(ctx, in)
}

// payload is the message as Data holds it.
func (f function) payload(text []byte) string {
	if f.trigger.DataType == "binary" {
		return base64.StdEncoding.EncodeToString(text)
	}
	return doubled(string(text))
}

// renew extends the lease at half of its length until ctx ends or the message is no
// longer ours (H24).
func (l *queueListener) renew(ctx context.Context, m *message) {
	wait := l.g.messageLease / 2
	for {
		pause(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		// Not under ctx: a half-done update would leave us with a stale receipt.
		err := l.setVisible(l.g.life, m, l.g.messageLease)
		var answer *azcore.ResponseError
		switch {
		case err == nil:
			wait = l.g.messageLease / 2
		case errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError:
			l.g.log.Error("a message's lease is lost", "queue", l.f.queue, "message", m.id, "error", err)
			return
		default:
			wait = l.g.messageLease / 10
		}
	}
}

func (l *queueListener) setVisible(ctx context.Context, m *message, after time.Duration) error {
	visibility := int32(after / time.Second)
	resp, err := l.queue.UpdateMessage(ctx, m.id, m.receipt, m.raw, &azqueue.UpdateMessageOptions{VisibilityTimeout: &visibility})
	if err == nil {
		m.receipt = *resp.PopReceipt
	}
	return err
}

func (l *queueListener) remove(ctx context.Context, m *message) {
	if _, err := l.queue.DeleteMessage(ctx, m.id, m.receipt, nil); err != nil {
		l.g.log.Error("delete a message", "queue", l.f.queue, "message", m.id, "error", err)
	}
}

// bury copies the message to the poison queue, as it was stored, and deletes it; the
// two are not one step (host contract 5.4).
func (l *queueListener) bury(ctx context.Context, m *message) {
	if l.poison == nil {
		return
	}
	_, err := l.poison.EnqueueMessage(ctx, m.raw, nil)
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		if _, err = l.poison.Create(ctx, nil); err == nil || queueerror.HasCode(err, queueerror.QueueAlreadyExists) {
			_, err = l.poison.EnqueueMessage(ctx, m.raw, nil)
		}
	}
	if err != nil {
		l.g.log.Error("copy a message to the poison queue", "queue", l.f.queue, "message", m.id, "error", err)
		return
	}
	l.remove(ctx, m)
}
