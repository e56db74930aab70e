// Command bench prints figures of the packaged app of dist/ as a table: what a chunk costs in requests and storage
// operations, how long the servers stand idle in a backfill, memory, start-up time, and what a status and a tick cost
// with many finished chunks. Each figure has its aim beside it; a figure is never a reason to fail.
//
// It talks to the app and its storage over the wire only. The services are simulated and faster than real ones; the
// foot of the table says by how much, and what of the figures that touches.
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := readOrder(args, os.Stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done within %s (-limit)", o.limit))
	defer cancel()
	log, err := openLog(o.log)
	if err != nil {
		return err
	}
	defer log.Close()
	b := &bench{order: o, log: log, out: out, began: time.Now()}
	for _, part := range []struct {
		name, text string
		run        func(context.Context) error
	}{
		{"starts", "start-up of the handler", b.starts},
		{"backfill", "a backfill", b.backfill},
		{"quiet", "an idle source, status and tick", b.quiet},
	} {
		if o.only != "" && o.only != part.name {
			continue
		}
		b.say("measuring: %s", part.text)
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("measure %s: %w", part.text, err)
		}
	}
	b.conclude()
	return nil
}

// bench collects figures.
type bench struct {
	order   order
	log     *os.File
	out     io.Writer
	began   time.Time
	figures []figure
	notes   []string
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, "%6.1f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

func (b *bench) add(name, measured, aim string) {
	b.figures = append(b.figures, figure{name, measured, aim})
}

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}
