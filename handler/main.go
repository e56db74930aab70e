// Command handler is fhirferry's custom handler for Azure Functions: it moves FHIR data from one service to another by
// chaining their own $export and $import. This file is its table of contents; the rules are in internal/migration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // the binary is static and its host may have no zone files

	"fhirferry/handler/internal/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 { // the host gives no arguments
		os.Exit(command(ctx, os.Args[1:], terminal{os.Getenv, os.Stdin, os.Stdout, os.Stderr, time.Now()}))
	}
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "handler:", err)
		os.Exit(1) // never 0: the host would not start a handler again that ended well (host contract 2.5)
	}
}

// fallbackPort serves runs by hand; the host always names a port.
const fallbackPort = "7878"

// drain is how long requests under way may take to end after a signal.
const drain = 5 * time.Second

// run reads the settings, listens, builds what the settings allow, and serves until the context ends, which is an
// error: the host does not expect its handler to end.
func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	// On stdout, for the host takes stderr lines for errors (host contract 2.7).
	log := slog.New(server.Correlate(slog.NewJSONHandler(stdout, nil)))
	port := getenv("FUNCTIONS_CUSTOMHANDLER_PORT")
	if port == "" {
		port = fallbackPort
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return fmt.Errorf("listen on port %s: %w", port, err)
	}
	c := readConfig(getenv)
	eng, problems := build(c, log)
	for _, p := range problems {
		log.Error("setting", "name", p.Setting, "detail", p.Detail, "remedy", p.Remedy)
	}
	options := server.Options{
		Settings: problems, Log: log,
		VisitTimeout: 2*c.requestTimeout + c.requestTimeout/2, HTTPTimeout: 200 * time.Second,
	}
	if eng != nil {
		options.Verbs = verbs(eng)
	}
	srv := &http.Server{Handler: server.New(options), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	if eng != nil {
		// After listening: the host waits for an answer, not for our storage.
		if err := eng.Prepare(ctx); err != nil {
			log.Error("queue, tables or containers could not be created; they are tried again when needed", "error", err.Error())
		}
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return errors.Join(errors.New("ended by a signal"), srv.Shutdown(closing))
}
