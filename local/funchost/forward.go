package funchost

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// bodyLimit is the longest request body in bytes, unless the app setting
// FUNCTIONS_REQUEST_BODY_SIZE_LIMIT says otherwise.
const bodyLimit = 104_857_600

// lostHeaders are the content headers that do not reach the handler; of their kind only
// Content-Type and Content-Length do (H20).
var lostHeaders = []string{"Allow", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Location",
	"Content-Md5", "Content-Range", "Expires", "Last-Modified"}

// errChunked is what the host's HTTP client says to a Transfer-Encoding header without
// content: the handler is not called.
var errChunked = errors.New("a chunked request body cannot be forwarded")

// readBody takes the whole request body; it has answered when ok is false.
func (g *generation) readBody(w http.ResponseWriter, r *http.Request, f function, limit int64) (body []byte, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case err != nil: // the caller is gone
	case r.ContentLength < 0:
		g.refuse(w, f, errChunked)
	default:
		return body, true
	}
	return nil, false
}

// forward sends the caller's request to the handler under its own path and returns the
// answer, whatever its status. Both bodies are held in memory.
func (g *generation) forward(r *http.Request, body []byte) (resp *http.Response, text []byte, err error) {
	out, err := outbound(r, g.dispatcher.url(""), body)
	if err != nil {
		return nil, nil, err
	}
	type result struct {
		resp *http.Response
		text []byte
	}
	answered := make(chan result, 1)
	err = g.limited(g.life, func() error {
		resp, text, err := exchange(g.client, out)
		if err == nil {
			answered <- result{resp, text}
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	got := <-answered
	return got.resp, got.text, nil
}

// pass hands the handler's answer to the caller.
func pass(w http.ResponseWriter, resp *http.Response, text []byte) {
	for _, hop := range []string{"Connection", "Keep-Alive", "Transfer-Encoding"} {
		resp.Header.Del(hop)
	}
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(text)
}

// refuse is the answer to a failed function: 500 without a body.
func (g *generation) refuse(w http.ResponseWriter, f function, err error) {
	g.log.Error("function failed", "function", f.name, "error", err)
	w.WriteHeader(http.StatusInternalServerError)
}

func exchange(client *http.Client, out *http.Request) (*http.Response, []byte, error) {
	resp, err := client.Do(out)
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(resp.Body)
	return resp, text, errors.Join(err, resp.Body.Close())
}

// outbound is the request as the handler gets it. Its context is not the caller's: a
// caller that goes away cancels nothing (H18).
func outbound(r *http.Request, base string, body []byte) (*http.Request, error) {
	target := base + (&url.URL{Path: r.URL.Path}).EscapedPath()
	if q := joined(r.URL.RawQuery); q != "" {
		target += "?" + q
	}
	out, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, target, nil)
	if err != nil {
		return nil, err
	}
	out.Header = r.Header.Clone()
	for _, name := range lostHeaders {
		out.Header.Del(name)
	}
	out.Host = r.Host
	if len(body) > 0 {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	agent := "Azure-Functions-Host/" + hostVersion
	if callers := r.UserAgent(); callers != "" {
		agent = callers + " " + agent
	}
	out.Header.Set("User-Agent", agent)
	mark(out.Header, guid())
	return out, nil
}

// joined rebuilds a query: keys that differ by case only are one, and the values of a
// repeated key are joined by commas (H20).
func joined(raw string) string {
	var order []string
	values := map[string][]string{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, val, _ := strings.Cut(pair, "=")
		name, val = unescaped(name), unescaped(val)
		folded := strings.ToLower(name)
		if values[folded] == nil {
			order = append(order, name)
		}
		values[folded] = append(values[folded], val)
	}
	var parts []string
	for _, name := range order {
		parts = append(parts, escaped(name)+"="+escaped(strings.Join(values[strings.ToLower(name)], ",")))
	}
	return strings.Join(parts, "&")
}

// unescaped keeps what is no valid escape as it is.
func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

func escaped(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// requestLimit is the longest body that the host takes, in bytes.
func (s settings) requestLimit() int64 {
	if n, err := strconv.ParseInt(s.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"), 10, 64); err == nil {
		return n
	}
	return bodyLimit
}
