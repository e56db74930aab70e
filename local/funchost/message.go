package funchost

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
)

// message is a received queue message. Its receipt changes with each renewal.
type message struct {
	id, raw, receipt             string
	popReceipt                   string // as it was when the message was received
	dequeued                     int64
	inserted, expires, invisible time.Time
}

func newMessage(m *azqueue.DequeuedMessage) *message {
	return &message{
		id: value(m.MessageID), raw: value(m.MessageText), receipt: value(m.PopReceipt), popReceipt: value(m.PopReceipt),
		dequeued: value(m.DequeueCount), inserted: value(m.InsertionTime), expires: value(m.ExpirationTime),
		invisible: value(m.TimeNextVisible),
	}
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// decode is the payload that the handler gets.
func (m *message) decode(encoded bool) ([]byte, error) {
	if !encoded {
		return []byte(m.raw), nil
	}
	payload, err := base64.StdEncoding.DecodeString(m.raw)
	if err != nil {
		return nil, fmt.Errorf("decode base64: %w", err)
	}
	return payload, nil
}

// metadata is that of host contract 3.5.
func (m *message) metadata(function, text string, now time.Time) map[string]any {
	all := map[string]any{
		"DequeueCount":    doubled(m.dequeued),
		"ExpirationTime":  seconds(m.expires),
		"Id":              doubled(m.id),
		"InsertionTime":   seconds(m.inserted),
		"NextVisibleTime": seconds(m.invisible),
		"PopReceipt":      doubled(m.popReceipt),
		"sys":             system(function, now),
	}
	merge(all, text)
	return all
}
