package fhir

import (
	"context"
	"errors"
	"net/http"
)

// TimedOut reports that the server, or our patience, ran out of time: what was asked may be too much at once.
func (e *Error) TimedOut() bool {
	return e.Status == http.StatusRequestTimeout || e.Status == http.StatusGatewayTimeout ||
		e.fault == silent && errors.Is(e.cause, context.DeadlineExceeded)
}
