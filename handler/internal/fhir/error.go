package fhir

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// kind is what a request was for; the meaning of a status depends on it.
type kind int

const (
	other kind = iota
	counting
	exportKickOff
	importKickOff
	exportPoll
	importPoll
	reindexPoll
	reading  // of search parameters and what is known of them
	changing // of search parameters, and their reindex
)

func (k kind) kickOff() bool { return k == exportKickOff || k == importKickOff }
func (k kind) poll() bool    { return k == exportPoll || k == importPoll }

// fault is how far the exchange came.
type fault int

const (
	answered  fault = iota // a status that is not the one hoped for
	unusable               // the status would do, the rest of the answer does not
	silent                 // no answer; the request may have arrived
	tokenless              // no token, so nothing was sent
	refused                // we refused to send it
)

// Error is a failed exchange with the server. Its question methods are the only place that knows what a status means.
type Error struct {
	Op         string        // what was tried, "start export"
	Status     int           // HTTP status; 0: there was no answer
	Code       string        // code of the issue that weighs most; empty: no OperationOutcome
	Detail     string        // diagnostics or our own finding; at most 500 characters, without query strings
	RetryAfter time.Duration // wait that the server asked for, at most 1 h; zero: it did not say
	Request    string        // the server's name for the request, for its support

	kind       kind
	fault      fault
	text       string // diagnostics before trimming, lower case
	deprecated bool
	cause      error
}

// failure makes the error of an answer whose status is not the one hoped for.
func (c *Client) failure(q call, a answer) *Error {
	e := &Error{
		Op: q.op, Status: a.status, Code: a.outcome.code, Detail: tidy(a.outcome.text),
		RetryAfter: retryAfter(a.header, c.Now()), Request: requestID(a.header, a.outcome.id),
		kind: q.kind, text: strings.ToLower(a.outcome.text), deprecated: a.outcome.deprecated,
	}
	if a.status < 300 {
		e.fault, e.Detail = unusable, "not an answer to this request"
	} else if a.status < 400 {
		e.Detail = "the server redirects; redirects are not followed, check the base URL"
	}
	return e
}

// unbelievable makes the error of an answer whose status is right and whose content is not.
func unbelievable(q call, a answer, cause error) *Error {
	return &Error{
		Op: q.op, Status: a.status, Detail: tidy(cause.Error()), Request: requestID(a.header, ""),
		kind: q.kind, fault: unusable, cause: cause,
	}
}

func requestID(h http.Header, fallback string) string {
	for _, name := range []string{"X-Request-Id", "X-Correlation-Id"} {
		if id := h.Get(name); id != "" {
			return tidy(id)
		}
	}
	return tidy(fallback)
}

// Error names the request, the status, the server's reason, the remedy where one is known, and the request's id.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if remedy := e.Remedy(); remedy != "" {
		b.WriteString("; " + remedy)
	}
	if e.Request != "" {
		b.WriteString(" [request " + e.Request + "]")
	}
	return b.String()
}

// Unwrap returns what broke the exchange, nil when the server answered.
func (e *Error) Unwrap() error { return e.cause }

// Busy reports that the server asks for patience and has started nothing: 503, or a 429 that is not the end of a job
// (contract 10.1; gateways send it without headers or outcome).
func (e *Error) Busy() bool {
	return (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable) && !e.JobFailed()
}

// JobFailed reports that a poll told the end of the job: it has failed or was cancelled (contract 2.4, 5.4, 5.5). Ask
// TooLarge and JobThrottled for two of the reasons.
func (e *Error) JobFailed() bool {
	if !e.kind.poll() || e.Status < 400 || e.deprecated {
		return false
	}
	if e.kind == importPoll && e.Status == http.StatusBadRequest {
		return true
	}
	if e.Code != "processing" {
		return false
	}
	if strings.HasPrefix(e.text, "export operation failed for reason") || strings.HasPrefix(e.text, "import operation failed for reason") {
		return true
	}
	// A store that gives up on our poll may speak of cancelling too.
	return e.JobThrottled() || e.Status != http.StatusServiceUnavailable && e.Status != http.StatusTooManyRequests && strings.Contains(e.text, "cancel")
}

// JobThrottled reports that the job itself died of throttling, not our poll: 429 with code processing, and either the
// text of a failed job or no wait asked for (contract 2.4).
func (e *Error) JobThrottled() bool {
	return e.kind.poll() && e.Status == http.StatusTooManyRequests && e.Code == "processing" &&
		(e.RetryAfter == 0 || strings.Contains(e.text, "operation failed for reason"))
}

// TooLarge reports that an export holds more than the server can do in one job (contract 2.4).
func (e *Error) TooLarge() bool {
	return e.kind == exportPoll &&
		(e.Status == http.StatusRequestEntityTooLarge || e.JobFailed() && strings.Contains(e.text, "too much data"))
}

// Gone reports that the server does not know the job any more.
func (e *Error) Gone() bool {
	return (e.kind.poll() || e.kind == reindexPoll) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone) && !e.deprecated && !e.JobFailed()
}

// Deprecated reports that the service only serves exports now (contract 0.4).
func (e *Error) Deprecated() bool { return e.Status == http.StatusGone && e.deprecated }

// Unacceptable reports that a write was refused for what it holds: in a batch, one of its entries may be to blame.
func (e *Error) Unacceptable() bool {
	return e.kind == changing && (e.Status == http.StatusBadRequest || e.Status == http.StatusRequestEntityTooLarge ||
		e.Status == http.StatusUnprocessableEntity)
}

// Changing reports that search parameters cannot be changed while a reindex is active (contract 8.2).
func (e *Error) Changing() bool { return e.kind == changing && e.Status == http.StatusConflict }

// Locked reports that the destination is in initial import mode (contract 4.6).
func (e *Error) Locked() bool { return e.Status == http.StatusLocked }

// Permanent reports that the server refuses this kick-off for what it asks.
func (e *Error) Permanent() bool {
	return e.kind.kickOff() && (e.Status == http.StatusBadRequest || e.Status == http.StatusNotFound || e.Status == http.StatusUnprocessableEntity)
}

// Declined reports that the server itself refuses to answer this question, and will refuse it again. What is about us,
// or about now, is none: a token, a role, too much at once, a wait. Without an OperationOutcome it is a gateway that speaks.
func (e *Error) Declined() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusConflict, http.StatusLocked, http.StatusTooManyRequests:
		return false
	}
	return e.Status >= 400 && e.Status < 500 && e.Code != ""
}

// Unauthorized reports that the server does not accept our token, not even a fresh one.
func (e *Error) Unauthorized() bool { return e.Status == http.StatusUnauthorized }

// Forbidden reports that our identity may not do this.
func (e *Error) Forbidden() bool { return e.Status == http.StatusForbidden && !e.TooMany() }

// TooMany reports that a count is above what the server can tell, 2,147,483,647 (contract 7.1).
func (e *Error) TooMany() bool {
	return e.kind == counting && e.Status == http.StatusForbidden &&
		(strings.Contains(e.text, "search count") || strings.Contains(e.text, "maximum defined limit"))
}

// OutcomeUnknown reports that a kick-off may have started a job of which we do not know the status URL.
func (e *Error) OutcomeUnknown() bool {
	if !e.kind.kickOff() {
		return false
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return e.fault == silent || e.fault == unusable
}

// TimedOut reports that the server, or our patience with it, ran out of time: what was asked may be too much at once.
func (e *Error) TimedOut() bool {
	return e.Status == http.StatusRequestTimeout || e.Status == http.StatusGatewayTimeout ||
		e.fault != tokenless && errors.Is(e.cause, errLate)
}

// Transport reports that there was no HTTP answer at all: no connection, no answer in time, or no token to ask with.
func (e *Error) Transport() bool { return e.fault == silent || e.fault == tokenless }

// Foreign reports that we did not send the request, because its URL leads to another server.
func (e *Error) Foreign() bool { return e.fault == refused }

// ETagMismatch reports that an import died because the etag of a file was not the one that we gave. Whether a server
// compares etags with their quotes is unconfirmed (contract 4.2), so the other form is worth a try.
func (e *Error) ETagMismatch() bool {
	return e.JobFailed() && strings.Contains(e.text, "etag not match")
}
