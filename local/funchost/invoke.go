package funchost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// hostVersion is what the host says of itself; handlers treat it as opaque.
const hostVersion = "4.1037.0.0"

// timeoutGrace is how long an invocation past its time may still go on before the
// handler is killed (H16).
const timeoutGrace = 2 * time.Second

// errNoResult is a 2xx answer without an object: the real host never learns a result
// from it and waits on (H15).
var errNoResult = errors.New("the handler answered without a result")

// errTimedOut is an invocation that took longer than functionTimeout.
var errTimedOut = errors.New("the function timed out, its handler was killed")

// invocation is what a trigger has for the handler.
type invocation struct {
	id       string
	function string
	data     map[string]any // by binding name, encoded by rules of payload.go
	metadata map[string]any
}

// invoke posts the invocation and returns nil when the handler succeeded. It ends when
// the handler has answered or was killed; ctx ends only the wait of a host that has no
// use for the answer any more, and never reaches the handler (H18).
func (g *generation) invoke(ctx context.Context, in invocation) error {
	body, err := in.encode()
	if err != nil {
		return err
	}
	return g.limited(ctx, func() error { return g.post(in, body) })
}

// limited runs one call of the ready handler under functionTimeout. The clock covers
// the wait for the handler too, and goes on when an answer holds no result.
func (g *generation) limited(ctx context.Context, call func() error) error {
	limit := ctx
	if g.config.timeout > 0 {
		timed, cancel := context.WithTimeout(ctx, g.config.timeout)
		defer cancel()
		limit = timed
	}
	err := g.dispatcher.await(limit)
	if err == nil {
		result := make(chan error, 1)
		go func() { result <- call() }()
		select {
		case err = <-result:
		case <-limit.Done():
			err = limit.Err()
		}
	}
	if errors.Is(err, errNoResult) {
		g.log.Error("an answer without a result: the invocation hangs until functionTimeout")
		<-limit.Done()
	}
	if limit.Err() == nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	g.log.Error("function timeout", "limit", g.config.timeout)
	pause(ctx, timeoutGrace)
	if p := g.dispatcher.handler(); p != nil {
		g.dispatcher.sample()
		p.kill()
	}
	return errTimedOut
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// post sends the body of an invocation to /<FunctionName> and judges the answer.
func (g *generation) post(in invocation, body []byte) error {
	var content io.Reader = bytes.NewReader(body)
	if g.chunked {
		content = io.MultiReader(content) // of unknown length, hence chunked (H11)
	}
	req, err := http.NewRequest(http.MethodPost, g.dispatcher.url("/"+in.function), content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Azure-Functions-Host/"+hostVersion)
	mark(req.Header, in.id)
	resp, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("call the handler: %w", err)
	}
	answer, err := io.ReadAll(resp.Body)
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("read the handler's answer: %w", err)
	}
	logs, err := judge(resp.StatusCode, resp.Header.Get("Content-Type"), answer)
	for _, line := range logs {
		g.log.Info(line, "function", in.function, "invocation", in.id)
	}
	return err
}

// mark adds the headers that every call of the handler carries.
func mark(h http.Header, id string) {
	h.Set("X-Azure-Functions-HostVersion", hostVersion)
	h.Set("X-Azure-Functions-InvocationId", id)
}

// judge says whether an answer is a success (host contract 3.7, H14) and returns its
// log lines.
func judge(status int, contentType string, body []byte) ([]string, error) {
	if status < 200 || status > 299 {
		return nil, fmt.Errorf("the handler answered status %d", status)
	}
	text := strings.TrimSpace(string(body))
	if text == "" {
		return nil, errNoResult
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" && media != "text/json" {
		return nil, fmt.Errorf("the handler answered content type %q, want application/json", contentType)
	}
	if text == "null" {
		return nil, errNoResult
	}
	var answer struct {
		Outputs     map[string]any
		Logs        []string
		ReturnValue any
	}
	if !strings.HasPrefix(text, "{") {
		return nil, errors.New("the handler's answer is not a JSON object")
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the handler's answer: %w", err)
	}
	return answer.Logs, nil
}
