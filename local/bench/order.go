package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// order is what the command line asks for, and the sizes that follow from it.
type order struct {
	dist     string
	log      string
	seed     uint64
	timeline bool
	limit    time.Duration
	only     string            // part to measure; empty: all
	settings map[string]string // of the app, over the bench's own

	years   int // of the backfill
	windows int // that the years are cut into
	starts  int // of the handler
	calls   int // of status and tick, each
	crowd   int // finished chunks
	idle    int // intervals of an idle source
}

func readOrder(args []string, out io.Writer) (order, error) {
	o := order{years: 12, windows: 8, starts: 15, calls: 21, crowd: 50_000, idle: 5}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.dist, "dist", "dist", "the packaged app")
	flags.StringVar(&o.log, "log", "build/bench.log", "file for what hosts and handlers write")
	flags.Uint64Var(&o.seed, "seed", 1, "decides the order of the services' work")
	flags.BoolVar(&o.timeline, "timeline", false, "print every job of the backfill and the times without one")
	flags.DurationVar(&o.limit, "limit", 10*time.Minute, "give up after this")
	flags.StringVar(&o.only, "only", "", "measure one part only: starts, backfill or quiet")
	o.settings = map[string]string{}
	flags.Func("set", "an app setting of the backfill as NAME=value, to see what it changes; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("want NAME=value, got %q", text)
		}
		o.settings[name] = value
		return nil
	})
	short := flags.Bool("short", false, "fewer windows, chunks and repetitions")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, errors.New("flags only, no arguments: see -help")
	}
	if *short {
		o.years, o.windows, o.starts, o.calls, o.crowd, o.idle = 3, 3, 5, 7, 5_000, 3
	}
	if _, err := os.Stat(filepath.Join(o.dist, "host.json")); err != nil {
		return o, fmt.Errorf("find the packaged app: %w; run make dist", err)
	}
	return o, nil
}

func openLog(name string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, fmt.Errorf("make the log's folder: %w", err)
	}
	log, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return log, nil
}
