package storetest

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Queue keeps nudges in memory, by a clock that a test can turn.
type Queue struct {
	mu       sync.Mutex
	messages []Message
	Now      func() time.Time // time.Now unless set
}

// Message is one nudge and the instant at which it becomes visible.
type Message struct {
	ID string
	At time.Time
}

// NewQueue is an empty queue.
func NewQueue() *Queue { return &Queue{Now: time.Now} }

// Prepare does nothing: memory is there.
func (q *Queue) Prepare(context.Context) error { return nil }

// Nudge makes the id visible after the delay, rounded up to a whole second and at most six hours.
func (q *Queue) Nudge(_ context.Context, id string, delay time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	delay = (min(max(delay, 0), 6*time.Hour) + time.Second - 1).Truncate(time.Second)
	q.messages = append(q.messages, Message{id, q.Now().Add(delay)})
	return nil
}

// Due takes the messages that are visible, in the order in which they were sent.
func (q *Queue) Due() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var due []string
	q.messages = slices.DeleteFunc(q.messages, func(m Message) bool {
		visible := !q.Now().Before(m.At)
		if visible {
			due = append(due, m.ID)
		}
		return visible
	})
	return due
}

// Waiting lists all messages, visible or not.
func (q *Queue) Waiting() []Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.messages)
}

// Lose drops the messages for which lost is true.
func (q *Queue) Lose(lost func(Message) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = slices.DeleteFunc(q.messages, lost)
}
