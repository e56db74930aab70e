package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/go-chi/chi/v5"

	"fhirferry/handler/internal/engine"
)

// problem is an error as RFC 9457 writes it. Detail names the thing, the cause and the remedy.
type problem struct {
	Title    string        `json:"title"`
	Status   int           `json:"status"`
	Detail   string        `json:"detail"`
	Settings []settingJSON `json:"settings,omitempty"` // extension: what is wrong with the app settings, one by one
}

type settingJSON struct {
	Setting string `json:"setting"`
	Detail  string `json:"detail"`
	Remedy  string `json:"remedy"`
}

func (p *problem) Error() string { return p.Detail }

func refuse(status int, title, format string, args ...any) *problem {
	return &problem{Title: title, Status: status, Detail: fmt.Sprintf(format, args...)}
}

// problemOf says what a caller is told about an error. Whatever is not a refusal is a failure of ours, or of the
// storage, and its text is for the log alone.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var refusal *engine.Refusal
	if errors.As(err, &refusal) {
		switch refusal.Reason {
		case engine.WrongState:
			return refuse(http.StatusConflict, "Not possible in this state", "%s", refusal.Detail)
		case engine.BadValue:
			return refuse(http.StatusUnprocessableEntity, "Value not accepted", "%s", refusal.Detail)
		case engine.Unavailable:
			return refuse(http.StatusServiceUnavailable, "Service does not answer", "%s", refusal.Detail)
		case engine.NotThere:
			return refuse(http.StatusNotFound, "Not found", "%s", refusal.Detail)
		}
	}
	what := "The request could not be carried out: the storage of the progress tables, the queue or the documents did not do its part."
	if errors.Is(err, context.DeadlineExceeded) {
		what = "The request ran out of time."
	}
	return refuse(http.StatusInternalServerError, "Request failed",
		"%s Nothing is lost, and the request may be repeated. The cause is in the log; GET /api/migration/access checks every part.", what)
}

// fail answers with the error and logs it: here, and only here.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	attrs := requestAttrs(r, p.Status)
	switch {
	case p.Status == http.StatusServiceUnavailable:
		s.Log.LogAttrs(r.Context(), slog.LevelWarn, "request refused", append(attrs, slog.String("error", cause(p.Detail)))...)
	case p.Status >= 500:
		s.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", append(attrs, slog.String("error", cause(err.Error())))...)
	default:
		// The detail may quote the request.
		s.Log.LogAttrs(r.Context(), slog.LevelInfo, "request refused", attrs...)
	}
	writeJSON(w, p.Status, "application/problem+json", p)
}

// requestAttrs names a request by its route, never by its path: a mistyped "&" puts a key into it.
func requestAttrs(r *http.Request, status int) []slog.Attr {
	route := chi.RouteContext(r.Context()).RoutePattern()
	if route == "" {
		route = "unknown"
	}
	return []slog.Attr{slog.String("method", r.Method), slog.String("route", route), slog.Int("status", status)}
}

// recoverPanics turns a panic into a 500: the process serves other visits at the same time (host contract C3).
func (s *server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				s.fail(w, r, fmt.Errorf("panic: %v at %s", v, debug.Stack()))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, refuse(http.StatusNotFound, "No such path",
		"Nothing answers at this path. GET /api/migration tells where the migration stands, GET /api/migration/openapi.json describes every call."))
}

// methodNotAllowed is also what chi calls for methods it does not know, on any path.
func (s *server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	routes := chi.RouteContext(r.Context()).Routes
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.notFound(w, r)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.fail(w, r, refuse(http.StatusMethodNotAllowed, "Method not allowed", "This path takes %s only.", strings.Join(allowed, ", ")))
}
