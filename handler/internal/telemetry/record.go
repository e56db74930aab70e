package telemetry

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/microsoft/ApplicationInsights-Go/appinsights"
	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"
)

// The two events that are no custom events.
const (
	metrics    = "Metrics"
	dependency = "Dependency"
)

// record is a log record taken apart.
type record struct {
	at      time.Time
	level   slog.Level
	message string
	event   string
	texts   map[string]string
	numbers map[string]float64 // those of the attributes that are numbers; durations in seconds
	tags    map[string]string
}

// read takes a record apart. An empty text is no dimension.
func (h *Handler) read(r slog.Record) record {
	d := record{
		at: r.Time, level: r.Level, message: clean(r.Message),
		texts: map[string]string{}, numbers: map[string]float64{}, tags: map[string]string{},
	}
	for _, a := range h.attrs {
		d.add(a)
	}
	r.Attrs(func(a slog.Attr) bool {
		for _, flat := range flatten(h.prefix, a) {
			d.add(flat)
		}
		return true
	})
	d.correlate()
	return d
}

// flatten resolves an attribute; those of a group get its name before theirs.
func flatten(prefix string, a slog.Attr) []slog.Attr {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() != slog.KindGroup {
		a.Key = prefix + a.Key
		return []slog.Attr{a}
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	var flat []slog.Attr
	for _, inner := range a.Value.Group() {
		flat = append(flat, flatten(prefix, inner)...)
	}
	return flat
}

func (d *record) add(a slog.Attr) {
	switch v := a.Value; v.Kind() {
	case slog.KindInt64:
		setNumber(d.texts, d.numbers, a.Key, float64(v.Int64()))
		d.texts[a.Key] = v.String()
	case slog.KindUint64:
		setNumber(d.texts, d.numbers, a.Key, float64(v.Uint64()))
		d.texts[a.Key] = v.String()
	case slog.KindFloat64:
		setNumber(d.texts, d.numbers, a.Key, v.Float64())
	case slog.KindDuration:
		setNumber(d.texts, d.numbers, a.Key, v.Duration().Seconds())
	case slog.KindBool:
		d.texts[a.Key] = strconv.FormatBool(v.Bool())
	case slog.KindTime:
		if !v.Time().IsZero() {
			d.texts[a.Key] = v.Time().UTC().Format(time.RFC3339Nano)
		}
	case slog.KindString:
		if a.Key == "event" {
			d.event = v.String()
			return
		}
		d.text(a.Key, v.String())
	default:
		d.text(a.Key, fmt.Sprint(v.Any()))
	}
}

func (d *record) text(key, value string) {
	if value = clean(value); value != "" {
		d.texts[key] = value
	}
}

// setNumber adds a number as dimension and as measurement. What JSON cannot say would cost the whole item.
func setNumber(texts map[string]string, numbers map[string]float64, key string, n float64) {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return
	}
	texts[key], numbers[key] = strconv.FormatFloat(n, 'f', -1, 64), n
}

// correlate joins the item with the host's own records (host contract 8.3): by the trace of the invocation where the host
// tells it, and by the invocation's id, under the host's name for it.
func (d *record) correlate() {
	invocation, trace, span := d.texts["invocation"], d.texts["trace"], d.texts["span"]
	for _, key := range []string{"invocation", "trace", "span"} {
		delete(d.texts, key)
	}
	if operation := cmp.Or(trace, invocation); operation != "" {
		d.tags[contracts.OperationId] = operation
	}
	if span != "" {
		d.tags[contracts.OperationParentId] = span
	}
	if invocation != "" {
		d.texts["InvocationId"] = invocation
	}
}

// items are what the record becomes.
func (d record) items() []appinsights.Telemetry {
	switch {
	case d.event == metrics:
		return d.metrics()
	case d.event == dependency:
		return []appinsights.Telemetry{d.dependency()}
	case d.event != "":
		e := appinsights.NewEventTelemetry(d.event)
		e.Timestamp, e.Properties, e.Measurements = d.at, d.texts, d.numbers
		maps.Copy(e.Tags, d.tags)
		return []appinsights.Telemetry{e}
	case d.level >= slog.LevelError:
		return []appinsights.Telemetry{d.exception()}
	}
	return nil
}

func (d record) metrics() []appinsights.Telemetry {
	for key := range d.numbers {
		delete(d.texts, key)
	}
	var all []appinsights.Telemetry
	for _, name := range slices.Sorted(maps.Keys(d.numbers)) {
		m := appinsights.NewMetricTelemetry(name, d.numbers[name])
		m.Timestamp, m.Properties = d.at, maps.Clone(d.texts)
		maps.Copy(m.Tags, d.tags)
		all = append(all, m)
	}
	return all
}

func (d record) dependency() appinsights.Telemetry {
	t := appinsights.NewRemoteDependencyTelemetry(d.texts["name"], "FHIR", d.texts["target"], d.texts["success"] == "true")
	t.ResultCode, t.Duration = d.texts["status"], time.Duration(d.numbers["duration"]*float64(time.Second))
	t.Timestamp = d.at.Add(-t.Duration)
	for _, key := range []string{"name", "target", "success", "status", "duration"} {
		delete(d.texts, key)
		delete(d.numbers, key)
	}
	t.Properties, t.Measurements = d.texts, d.numbers
	maps.Copy(t.Tags, d.tags)
	return t
}

// exception is an error that was logged: its type is the line's constant text, for errors are grouped by type.
type exception struct {
	*appinsights.ExceptionTelemetry
	kind string
}

// TelemetryData implements appinsights.Telemetry.
func (e exception) TelemetryData() appinsights.TelemetryData {
	data := e.ExceptionTelemetry.TelemetryData()
	if x, ok := data.(*contracts.ExceptionData); ok {
		x.ProblemId = e.kind
		for _, details := range x.Exceptions {
			details.TypeName = e.kind
		}
	}
	return data
}

func (d record) exception() appinsights.Telemetry {
	text := d.message
	if cause := d.texts["error"]; cause != "" {
		text += ": " + cause
	}
	delete(d.texts, "error")
	e := &appinsights.ExceptionTelemetry{Error: text, SeverityLevel: appinsights.Error}
	e.Timestamp, e.Properties, e.Measurements, e.Tags = d.at, d.texts, d.numbers, d.tags
	return exception{e, d.message}
}
