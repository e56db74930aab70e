package funchost

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// functionName and bindingName are what the host accepts (host contract 1.1, 1.9).
var (
	functionName = regexp.MustCompile(`(?i)^[a-z][a-z0-9_\-]{0,127}$`)
	bindingName  = regexp.MustCompile(`^(\$return|[a-zA-Z][a-zA-Z0-9]{0,127})$`)
	queueName    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// errNotSimulated is not a fault of the app: the real host would run it.
var errNotSimulated = errors.New("not simulated by this host")

// binding is one element of bindings in function.json.
type binding struct {
	Type, Direction, Name           string
	DataType, Connection, AuthLevel string
	Schedule, QueueName             string
	Route                           *string
	Methods                         []string
	RunOnStartup                    bool
	UseMonitor                      *bool
}

// function is one folder with a function.json, resolved. The fields below trigger
// belong to its kind.
type function struct {
	name     string
	disabled bool
	trigger  binding

	schedule schedule
	monitor  bool // the timer keeps a status

	queue, connection string // the connection string, not its name

	route   route
	methods []string // upper case; empty: all
}

func (f function) isTimer() bool { return strings.EqualFold(f.trigger.Type, "timerTrigger") }

// loadFunctions reads the direct child folders that hold a function.json. A function
// with an error is left out and named in broken; the others still run (H1).
func loadFunctions(root string, c config, s settings, now time.Time) (functions []function, broken []error, err error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, nil, fmt.Errorf("list the app root: %w", err)
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(root, entry.Name(), "function.json"))
		if err != nil || !allowed(c.only, entry.Name()) {
			continue
		}
		f, err := newFunction(entry.Name(), text, c, s, now)
		switch {
		case errors.Is(err, errNotSimulated):
			return nil, nil, fmt.Errorf("function %s: %w", entry.Name(), err)
		case err != nil:
			broken = append(broken, fmt.Errorf("function %s: %w", entry.Name(), err))
		default:
			functions = append(functions, f)
		}
	}
	return functions, broken, nil
}

func allowed(only []string, name string) bool {
	return len(only) == 0 || slices.ContainsFunc(only, func(o string) bool { return strings.EqualFold(o, name) })
}

func newFunction(name string, text []byte, c config, s settings, now time.Time) (function, error) {
	if !functionName.MatchString(name) || strings.EqualFold(name, "host") {
		return function{}, errors.New("the folder's name is not a function's name")
	}
	var file struct {
		Disabled any
		Bindings []binding
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return function{}, fmt.Errorf("read function.json: %w", err)
	}
	f := function{name: name, disabled: isDisabled(name, file.Disabled, s)}
	var others []binding
	for i, b := range file.Bindings {
		if !bindingName.MatchString(b.Name) {
			return function{}, fmt.Errorf("binding %d: %q is not a binding's name", i, b.Name)
		}
		if !strings.HasSuffix(strings.ToLower(b.Type), "trigger") {
			others = append(others, b)
			continue
		}
		if f.trigger.Type != "" {
			return function{}, errors.New("it has two triggers")
		}
		f.trigger = b
	}
	if f.trigger.Type == "" {
		return function{}, errors.New("it has no trigger")
	}
	return f, f.resolve(others, c, s, now)
}

// resolve reads what the kind of trigger needs.
func (f *function) resolve(others []binding, c config, s settings, now time.Time) error {
	switch strings.ToLower(f.trigger.Type) {
	case "timertrigger":
		if len(others) > 0 {
			return fmt.Errorf("bindings beside a timer: %w", errNotSimulated)
		}
		return f.resolveTimer(s, now)
	case "queuetrigger":
		if len(others) > 0 {
			return fmt.Errorf("bindings beside a queue: %w", errNotSimulated)
		}
		return f.resolveQueue(s)
	case "httptrigger":
		if len(others) != 1 || !strings.EqualFold(others[0].Type, "http") || !c.forwards {
			return fmt.Errorf("an HTTP function that is not forwarded: %w", errNotSimulated)
		}
		return f.resolveHTTP(s)
	}
	return fmt.Errorf("trigger type %s: %w", f.trigger.Type, errNotSimulated)
}

func (f *function) resolveTimer(s settings, now time.Time) error {
	text, err := s.resolve(f.trigger.Schedule)
	if err != nil {
		return err
	}
	location, err := s.location()
	if err != nil {
		return err
	}
	if f.schedule, err = parseSchedule(text, location); err != nil {
		return err
	}
	f.monitor = (f.trigger.UseMonitor == nil || *f.trigger.UseMonitor) && !f.schedule.frequent(now)
	return nil
}

func (f *function) resolveQueue(s settings) error {
	name, err := s.resolve(f.trigger.QueueName)
	if err != nil {
		return err
	}
	f.queue = strings.ToLower(name)
	if len(f.queue) < 3 || len(f.queue) > 63 || !queueName.MatchString(f.queue) {
		return fmt.Errorf("%q is not a queue's name", f.queue)
	}
	setting := f.trigger.Connection
	if setting == "" {
		setting = "AzureWebJobsStorage"
	}
	if f.connection = s.connection(setting); f.connection == "" {
		return fmt.Errorf("the app setting %s holds no connection string", setting)
	}
	return nil
}

func (f *function) resolveHTTP(s settings) error {
	template := f.name
	if f.trigger.Route != nil && *f.trigger.Route != "" {
		resolved, err := s.resolve(*f.trigger.Route)
		if err != nil {
			return err
		}
		template = resolved
	}
	for _, m := range f.trigger.Methods {
		f.methods = append(f.methods, strings.ToUpper(m))
	}
	switch f.trigger.AuthLevel = strings.ToLower(f.trigger.AuthLevel); f.trigger.AuthLevel {
	case "":
		f.trigger.AuthLevel = "function"
	case "anonymous", "function", "admin":
	default:
		return fmt.Errorf("%q is not an authLevel", f.trigger.AuthLevel)
	}
	var err error
	f.route, err = parseRoute(template)
	return err
}

// isDisabled reads the three ways to switch a function off (host contract 1.9).
func isDisabled(name string, inFile any, s settings) bool {
	on := func(setting string) bool {
		v := s.get(setting)
		return v == "1" || strings.EqualFold(v, "true")
	}
	switch v := inFile.(type) {
	case bool:
		if v {
			return true
		}
	case string:
		if on(strings.Trim(v, "%")) || strings.EqualFold(v, "true") {
			return true
		}
	}
	return on("AzureWebJobs."+name+".Disabled") || on("AzureWebJobs__"+name+"__Disabled")
}

// location is the time zone of the schedules: an app setting, or UTC.
func (s settings) location() (*time.Location, error) {
	for _, name := range []string{"WEBSITE_TIME_ZONE", "TZ"} {
		if zone := s.get(name); zone != "" {
			location, err := time.LoadLocation(zone)
			if err != nil {
				return nil, fmt.Errorf("app setting %s: %w", name, err)
			}
			return location, nil
		}
	}
	return time.UTC, nil
}
