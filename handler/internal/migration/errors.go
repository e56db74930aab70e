package migration

import (
	"errors"
	"fmt"
)

// ErrNotFound says that a row or a document does not exist.
var ErrNotFound = errors.New("not found")

// ErrExists says that a row that may be inserted once is already there with other contents.
var ErrExists = errors.New("exists already")

// ErrConflict says that a row has moved since it was read: another visit or another instance owns it now.
var ErrConflict = errors.New("changed by someone else")

// ErrNotDue says that a row may not be visited yet: it waits, or another visit holds its claim.
var ErrNotDue = errors.New("not due yet")

// ErrNoSlot says that every slot of a job kind is taken, or that the server asked for a pause.
var ErrNoSlot = errors.New("no free slot")

// IllegalTransition says that an event does not fit the state of a chunk; the chunk is left as it was.
type IllegalTransition struct {
	Chunk string
	State State
	Event string
}

func (e *IllegalTransition) Error() string {
	return fmt.Sprintf("chunk %s: %s is not possible while %s", e.Chunk, e.Event, e.State)
}
