package main

import (
	"fmt"
	"log/slog"
)

// secret is a setting that must never be printed. The text sits behind a pointer because fmt cannot call methods on
// unexported fields: a struct that holds a secret prints an address at worst.
type secret struct{ text *string }

func newSecret(text string) secret {
	if text == "" {
		return secret{}
	}
	return secret{&text}
}

// reveal returns the text; an unset secret is empty.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// redacted is what is shown: whether there is a secret, and nothing of it.
func (s secret) redacted() string {
	if s.text == nil {
		return ""
	}
	return "(redacted)"
}

// Format keeps the text out of every fmt verb.
func (s secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, s.redacted()) }

// LogValue keeps the text out of logs.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.redacted()) }

// MarshalText keeps the text out of JSON.
func (s secret) MarshalText() ([]byte, error) { return []byte(s.redacted()), nil }
