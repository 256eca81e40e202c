package eval

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Measure is a figure that may not exist. The zero value does not.
type Measure struct {
	value  float64
	ok     bool
	reason string
}

// Defined returns a figure; one that is not finite becomes undefined.
func Defined(v float64) Measure {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Undefined(fmt.Sprintf("the result is %v", v))
	}
	return Measure{value: v, ok: true}
}

// Undefined returns a figure that does not exist, with the reason.
func Undefined(reason string) Measure { return Measure{reason: reason} }

// Value returns the figure and whether it exists; NaN if it does not.
func (m Measure) Value() (float64, bool) {
	if !m.ok {
		return math.NaN(), false
	}
	return m.value, true
}

// Reason says why there is no figure; "" if there is one.
func (m Measure) Reason() string {
	if !m.ok && m.reason == "" {
		return "not computed"
	}
	return m.reason
}

// String is the figure with six digits, or "n/a (reason)".
func (m Measure) String() string {
	if !m.ok {
		return "n/a (" + m.Reason() + ")"
	}
	return fmt.Sprintf("%.6g", m.value)
}

type measureJSON struct {
	Value  *float64 `json:"value"`
	Reason string   `json:"reason,omitempty"`
}

// MarshalJSON writes {"value": 0.5} or {"value": null, "reason": "…"}.
func (m Measure) MarshalJSON() ([]byte, error) {
	if !m.ok {
		return json.Marshal(measureJSON{nil, m.Reason()})
	}
	return json.Marshal(measureJSON{Value: &m.value})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Measure) UnmarshalJSON(b []byte) error {
	var j measureJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.Value == nil {
		*m = Undefined(j.Reason)
		return nil
	}
	*m = Defined(*j.Value)
	return nil
}

// ratio is a/b, undefined for b = 0.
func ratio(a, b float64, reason string) Measure {
	if b == 0 {
		return Undefined(reason)
	}
	return Defined(a / b)
}

// ErrShape says that slices do not fit together.
var ErrShape = errors.New("eval: slices do not fit together")

// ValueError reports one sample that cannot be used.
type ValueError struct {
	// Index is the sample's position.
	Index int
	// Reason says what is wrong.
	Reason string
}

// Error implements error.
func (e *ValueError) Error() string { return fmt.Sprintf("eval: sample %d: %s", e.Index, e.Reason) }

// OptionError reports an option outside its range.
type OptionError struct {
	// Name is the option's JSON key.
	Name string
	// Value is what was given.
	Value any
	// Want says what is accepted.
	Want string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("eval: option %s = %v; want %s", e.Name, e.Value, e.Want)
}
