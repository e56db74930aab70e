package fhirsim

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Serve answers HTTP for s on addr ("127.0.0.1:0" for a free port) and sets its base URL. stop closes the
// listener and all connections and returns when the serving goroutine has ended.
func Serve(addr string, s *Server) (baseURL string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("serve simulated FHIR service: %w", err)
	}
	baseURL = "http://" + listener.Addr().String()
	s.SetBaseURL(baseURL)
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // always ends with http.ErrServerClosed
	}()
	return baseURL, func() {
		_ = server.Close()
		<-ended
	}, nil
}
