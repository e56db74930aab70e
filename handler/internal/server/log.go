package server

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
)

const invocationHeader = "X-Azure-Functions-InvocationId"

// The header is not trusted (host contract C16): what does not look like an id is not logged.
var invocationForm = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// A trace's name of a request (W3C Trace Context): version, trace, span and flags. A trace or span of zeros is none.
var traceForm = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$`)

// invocation is how the host names a request; what it did not say is empty.
type invocation struct{ id, trace, span string }

type invocationKey struct{}

// invocationID keeps the host's names of the request, so that every line logged on its behalf can be joined with the
// host's own records (host contract 8.3).
func (s *server) invocationID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var i invocation
		if id := r.Header.Get(invocationHeader); invocationForm.MatchString(id) {
			i.id = id
		}
		parts := traceForm.FindStringSubmatch(r.Header.Get("Traceparent"))
		if parts != nil && strings.Trim(parts[1], "0") != "" && strings.Trim(parts[2], "0") != "" {
			i.trace, i.span = parts[1], parts[2]
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), invocationKey{}, i)))
	})
}

// Correlate returns a handler that adds the invocation id of the request being served, as "invocation", and its "trace"
// and "span" where the host named them, to every record logged with its context. Put it outermost, so that the engine's lines carry the id too; New wraps its own
// logger unless that has been done.
func Correlate(h slog.Handler) slog.Handler {
	if _, done := h.(correlated); done {
		return h
	}
	return correlated{h}
}

type correlated struct{ slog.Handler }

func (h correlated) Handle(ctx context.Context, r slog.Record) error {
	i, _ := ctx.Value(invocationKey{}).(invocation)
	for _, a := range []slog.Attr{slog.String("invocation", i.id), slog.String("trace", i.trace), slog.String("span", i.span)} {
		if a.Value.String() != "" {
			r = r.Clone()
			r.AddAttrs(a)
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h correlated) WithAttrs(attrs []slog.Attr) slog.Handler {
	return correlated{h.Handler.WithAttrs(attrs)}
}

func (h correlated) WithGroup(name string) slog.Handler {
	return correlated{h.Handler.WithGroup(name)}
}

// Transport errors spell out the whole URL, and its query may hold a signature. A table's URL holds apostrophes.
var urlQuery = regexp.MustCompile(`(https?://[^\s"?]*)\?[^\s"]*`)

// cause makes an error fit for one log line: no URL queries, one line, at most 4,000 bytes.
func cause(text string) string {
	text = strings.Join(strings.Fields(urlQuery.ReplaceAllString(text, "$1")), " ")
	if len(text) > 4000 {
		text = strings.ToValidUTF8(text[:4000], "") + "…"
	}
	return text
}
