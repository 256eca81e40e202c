package checkpoint

import (
	"fmt"
	"log/slog"
	"time"
)

// Options says when to save and how much to keep.
type Options struct {
	// EverySeconds is the interval that Due reports; 0 is never.
	EverySeconds float64 `json:"every_seconds" yaml:"every_seconds"`
	// Keep is how many checkpoints stay, at least 1.
	Keep int `json:"keep" yaml:"keep"`
}

// DefaultOptions saves every five minutes and keeps ten.
func DefaultOptions() Options { return Options{EverySeconds: 300, Keep: 10} }

// OptionError reports an option outside its range.
type OptionError struct {
	Name  string
	Value any
	Want  string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("checkpoint: %s = %v, want %s", e.Name, e.Value, e.Want)
}

// Validate reports the first option outside its range.
func (o Options) Validate() error {
	if !(o.EverySeconds >= 0) {
		return &OptionError{"every_seconds", o.EverySeconds, "at least 0"}
	}
	if o.Keep < 1 {
		return &OptionError{"keep", o.Keep, "at least 1"}
	}
	return nil
}

// Env is what is not data. The zero value is silent and uses the real clocks.
type Env struct {
	Logger *slog.Logger
	// Now dates the session id; nothing depends on it.
	Now func() time.Time
	// Clock is the time since any fixed moment, for Due. It must not jump: the
	// default is the system's monotonic clock.
	Clock func() time.Duration
}

func (e Env) withDefaults() Env {
	if e.Logger == nil {
		e.Logger = slog.New(slog.DiscardHandler)
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Clock == nil {
		start := time.Now()
		e.Clock = func() time.Duration { return time.Since(start) }
	}
	return e
}
