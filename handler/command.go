package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"fhirferry/handler/internal/fhir"
)

// terminal is all that a command touches of its surroundings.
type terminal struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	now            time.Time
}

// What a command ends with, for scripts.
const (
	exitDone  = 0
	exitFail  = 1 // the errand could not be done; stderr says why
	exitUsage = 2 // the command line or a setting is wrong; nothing was tried
)

// usageError is a mistake of the person at the keyboard.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func misused(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// command does one errand for people who run $export and $import by hand, and returns the exit code. The host starts
// the binary without arguments and never comes here.
func command(ctx context.Context, args []string, t terminal) int {
	commands := map[string]struct {
		usage string
		run   func(context.Context, []string, terminal) error
	}{
		"import-payload": {importPayloadUsage, importPayload},
		"export-url":     {exportURLUsage, exportURL},
	}
	name := args[0]
	chosen, known := commands[name]
	switch {
	case slices.Contains([]string{"help", "-help", "--help", "-h"}, name):
		_, _ = io.WriteString(t.stdout, commandsUsage)
		return exitDone
	case !known:
		_, _ = fmt.Fprintf(t.stderr, "handler: there is no command %s\n\n%s", quote(name), commandsUsage)
		return exitUsage
	}
	err := chosen.run(ctx, args[1:], t)
	wrong, misuse := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(t.stdout, chosen.usage)
		return exitDone
	case misuse:
		_, _ = fmt.Fprintf(t.stderr, "handler %s: %s\nhandler %s -help explains the command\n", name, wrong.text, name)
		return exitUsage
	}
	_, _ = fmt.Fprintf(t.stderr, "handler %s: %v\n", name, err)
	return exitFail
}

// switches are a command's flags. Some stand in for settings: what is given there wins over the environment and is
// judged by the same rules.
type switches struct {
	*flag.FlagSet
	given map[string]string // values of settings, by setting
	names map[string]string // flags, by setting
}

func newSwitches(command string) *switches {
	s := &switches{flag.NewFlagSet(command, flag.ContinueOnError), map[string]string{}, map[string]string{}}
	s.SetOutput(io.Discard)
	return s
}

// setting lets a flag stand in for a setting.
func (s *switches) setting(name, setting string) {
	s.names[setting] = name
	s.Func(name, "", func(value string) error { s.given[setting] = value; return nil })
}

// boolean is setting, for one that needs no value to be on.
func (s *switches) boolean(name, setting string) {
	s.names[setting] = name
	s.BoolFunc(name, "", func(value string) error { s.given[setting] = value; return nil })
}

// parse reads the command line; at most so many arguments may follow the flags.
func (s *switches) parse(args []string, most int) error {
	err := s.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return misused("%v", err)
	case s.NArg() > most:
		return misused("%s is one argument too many; flags go before it", quote(s.Arg(most)))
	}
	return nil
}

// config reads the settings. Only what is wrong with those that the command needs is an error; the others may be
// missing, for a person's machine is not the function app.
func (s *switches) config(t terminal, needed ...string) (config, error) {
	c := readConfig(func(name string) string {
		if value, given := s.given[name]; given {
			return value
		}
		return t.getenv(name)
	})
	var wrong []string
	for _, p := range c.problems {
		if slices.Contains(needed, p.setting) {
			wrong = append(wrong, s.called(p.setting)+": "+p.detail+"; "+p.remedy)
		}
	}
	if len(wrong) > 0 {
		return config{}, usageError{strings.Join(wrong, "\n  ")}
	}
	return c, nil
}

// called is how a person may give a setting.
func (s *switches) called(setting string) string {
	if name := s.names[setting]; name != "" {
		return "-" + name + " (" + setting + ")"
	}
	return setting
}

// plural writes a count with its noun.
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shell quotes a word for a POSIX shell.
func shell(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// tokenLine tells how to get a token for a request that is sent by hand.
func tokenLine(scope string) string {
	return "TOKEN=$(az account get-access-token --scope " + shell(scope) + " --query accessToken --output tsv)\n"
}

// curl writes a request for a POSIX shell that holds a token in TOKEN; body is a file, empty for none.
func curl(r fhir.ByHand, body string) string {
	line := "curl -sS -i -X " + r.Method
	for _, header := range r.Headers {
		line += " -H " + shell(header)
	}
	line += ` -H "Authorization: Bearer $TOKEN" `
	if body != "" {
		line += "--data-binary @" + shell(body) + " "
	}
	return line + shell(r.URL)
}
