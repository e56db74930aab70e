package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
)

// longestDelay is how long a nudge is delayed at most (design 3.11).
const longestDelay = 6 * time.Hour

// Queue carries nudges. Their texts are ids in base64, as the host expects (host contract 5.5).
type Queue struct {
	client *azqueue.QueueClient
}

// NewQueue is the queue that the client names.
func NewQueue(client *azqueue.QueueClient) *Queue { return &Queue{client} }

// Prepare creates the queue where it is missing.
func (q *Queue) Prepare(ctx context.Context) error {
	if _, err := q.client.Create(ctx, nil); err != nil && !thereAlready(err) {
		return fmt.Errorf("create the queue: %w", err)
	}
	return nil
}

// Nudge makes the id visible after the delay, rounded up to a whole second and at most six hours. A nudge that nobody
// took within an hour after that is dropped: ticks nudge again.
func (q *Queue) Nudge(ctx context.Context, id string, delay time.Duration) error {
	delay = min(max(delay, 0), longestDelay)
	seconds := int32(math.Ceil(delay.Seconds()))
	life := seconds + int32(time.Hour/time.Second)
	text := base64.StdEncoding.EncodeToString([]byte(id))
	send := func() error {
		_, err := q.client.EnqueueMessage(ctx, text, &azqueue.EnqueueMessageOptions{VisibilityTimeout: &seconds, TimeToLive: &life})
		return err
	}
	err := send()
	if refusedWith(err, http.StatusNotFound) {
		if err := q.Prepare(ctx); err != nil {
			return err
		}
		err = send()
	}
	if err != nil {
		return fmt.Errorf("send nudge %s: %w", id, err)
	}
	return nil
}
