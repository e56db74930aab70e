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
	"fhirferry/handler/internal/telemetry"
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

// How long requests under way may take to end after a signal, and then the telemetry to arrive.
const (
	drain = 5 * time.Second
	flush = 3 * time.Second
)

// run reads the settings, listens, builds what the settings allow, and serves until the context ends, which is an
// error: the host does not expect its handler to end.
func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	port := getenv("FUNCTIONS_CUSTOMHANDLER_PORT")
	if port == "" {
		port = fallbackPort
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return fmt.Errorf("listen on port %s: %w", port, err)
	}
	c := readConfig(getenv)
	insights, err := newInsights(c)
	log := newLog(stdout, insights)
	if err != nil {
		log.Error("telemetry is off", "error", err.Error()) // a migration does not depend on it
	}
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
	log.InfoContext(ctx, "handler started", slog.String("event", "HandlerStarted"), "problems", len(problems), "engine", eng != nil)
	if eng != nil {
		// After listening: the host waits for an answer, not for our storage.
		if err := eng.Prepare(ctx); err != nil {
			log.Error("queue, tables or containers could not be created; they are tried again when needed", "error", err.Error())
		}
	}
	select {
	case err = <-served:
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		err = errors.New("ended by a signal")
	}
	// The context has ended, and what is begun must be brought to an end.
	return errors.Join(err, end(context.WithoutCancel(ctx), srv, log, insights, err))
}

// end lets the requests under way end, says goodbye, and waits for the telemetry last.
func end(ctx context.Context, srv *http.Server, log *slog.Logger, insights *telemetry.Handler, why error) error {
	draining, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	err := srv.Shutdown(draining)
	log.InfoContext(ctx, "handler stopped", slog.String("event", "HandlerStopped"), "reason", why.Error())
	if insights == nil {
		return err
	}
	flushing, cancel := context.WithTimeout(ctx, flush)
	defer cancel()
	return errors.Join(err, insights.Close(flushing))
}
