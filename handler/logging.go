package main

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/server"
	"fhirferry/handler/internal/telemetry"
)

// role is the app's name in Application Insights.
const role = "fhirferry"

// newInsights makes the way to Application Insights; nil when none is set.
func newInsights(c config) (*telemetry.Handler, error) {
	if c.insights.reveal() == "" {
		return nil, nil
	}
	return telemetry.New(c.insights.reveal(), telemetry.Source{Role: role, Instance: c.instance, Version: version()})
}

// version is what the go command wrote into the binary: the module's version, which names the commit it was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// newLog makes the one logger of the handler.
func newLog(stdout io.Writer, insights *telemetry.Handler) *slog.Logger {
	// On stdout, for the host takes stderr lines for errors (host contract 2.7).
	f := fanOut{lines: slog.NewJSONHandler(stdout, nil)}
	if insights != nil {
		f.insights = insights
	}
	return slog.New(server.Correlate(f))
}

// fanOut sends each record to where it belongs: one with an event to Application Insights and not to the lines, of which
// the host would make traces, so that nothing is told twice. An error is both, a line and an exception. Without
// Application Insights events are lines, for an operator to see; metrics and dependencies, at debug level, are nothing.
type fanOut struct {
	lines    slog.Handler
	insights slog.Handler // nil: none
}

func (f fanOut) Enabled(ctx context.Context, level slog.Level) bool {
	return f.lines.Enabled(ctx, level) || f.insights != nil && f.insights.Enabled(ctx, level)
}

func (f fanOut) Handle(ctx context.Context, r slog.Record) error {
	event := false
	r.Attrs(func(a slog.Attr) bool {
		event = a.Key == "event"
		return !event
	})
	if f.insights != nil && (event || r.Level >= slog.LevelError) {
		if err := f.insights.Handle(ctx, r); err != nil || event {
			return err
		}
	}
	if !f.lines.Enabled(ctx, r.Level) {
		return nil
	}
	return f.lines.Handle(ctx, r)
}

func (f fanOut) WithAttrs(attrs []slog.Attr) slog.Handler {
	f.lines = f.lines.WithAttrs(attrs)
	if f.insights != nil {
		f.insights = f.insights.WithAttrs(attrs)
	}
	return f
}

func (f fanOut) WithGroup(name string) slog.Handler {
	f.lines = f.lines.WithGroup(name)
	if f.insights != nil {
		f.insights = f.insights.WithGroup(name)
	}
	return f
}

// observe makes a dependency of each exchange with a FHIR service; nil when nobody listens.
func observe(log *slog.Logger) func(context.Context, fhir.Call) {
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	return func(ctx context.Context, c fhir.Call) {
		log.DebugContext(ctx, "FHIR call", slog.String("event", "Dependency"), "name", c.Method+" "+c.Route, "target", c.Host,
			"status", c.Status, "duration", c.Duration, "success", c.Success, "operation", c.Operation)
	}
}
