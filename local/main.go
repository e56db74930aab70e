// Command local is the demonstration of fhirferry: it starts the storage emulator, a simulated Azure API for FHIR
// and a simulated AHDS FHIR service, runs the packaged app of dist/ in a stand-in of the Functions host, and moves
// real HL7 and invented clinical resources from one service to the other while the source is being written to.
//
// It talks to the app over its HTTP API only. It exits with 0 only when the run completed and every version of
// every resource is the same on both sides.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// errNotEqual says that the demonstration came to its end, but not to the end it must have.
var errNotEqual = errors.New("the migration did not end as it must")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errNotEqual):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, out *os.File) error {
	order, err := readOrder(args, os.Stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, order.limit, fmt.Errorf("not done within %s (-limit)", order.limit))
	defer cancel()
	stage := newScreen(out, getenv)

	stage.Say("starting the storage emulator and two FHIR services")
	pair, err := startPair(ctx, order)
	if err != nil {
		return err
	}
	defer pair.Close()
	if err := pair.load(order, stage.Say); err != nil {
		return err
	}
	stage.Say("starting the app of %s in %d host(s), log in %s", order.dist, order.hosts, order.log)
	app, err := startApp(ctx, order, pair)
	if err != nil {
		return err
	}
	defer app.stop()

	tale := tale{order: order, pair: pair, app: app, screen: stage}
	if err := tale.tell(ctx); err != nil {
		return err
	}
	return tale.conclude(ctx, io.Writer(out))
}
