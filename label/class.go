package label

import "fmt"

// Class is one of the four answers a judge gives to a request. The zero value
// is Unlabelled, so a record without a label needs no pointer.
type Class uint8

// The four classes, in the fixed order every report, matrix and head uses.
const (
	Unlabelled Class = iota
	Allow            // answer the request
	Escalation       // hand it to a person
	Deny             // decline: the answer must not be given
	Refuse           // refuse: the request itself is out of bounds
)

// Count is the number of classes; Index runs from 0 to Count-1.
const Count = 4

// Classes lists the four classes in index order.
func Classes() [Count]Class { return [Count]Class{Allow, Escalation, Deny, Refuse} }

var classNames = [...]string{"", "ALLOW", "ESCALATION", "DENY", "REFUSE"}

// ClassError reports a class name or index that is none of the four.
type ClassError struct{ Value string }

// Error implements error.
func (e *ClassError) Error() string {
	return fmt.Sprintf("label: unknown class %q (want ALLOW, ESCALATION, DENY or REFUSE)", e.Value)
}

// String returns the upper-case name, or "" for Unlabelled.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// Valid reports whether c is one of the four classes.
func (c Class) Valid() bool { return c >= Allow && c <= Refuse }

// Unsafe reports whether a request of this class must never be allowed.
func (c Class) Unsafe() bool { return c == Deny || c == Refuse }

// Index returns 0 for Allow up to 3 for Refuse, and -1 for Unlabelled.
func (c Class) Index() int { return int(c) - 1 }

// FromIndex returns the class at index i of Classes.
func FromIndex(i int) (Class, error) {
	if i < 0 || i >= Count {
		return Unlabelled, &ClassError{Value: fmt.Sprint(i)}
	}
	return Class(i + 1), nil
}

// ParseClass returns the class with that exact upper-case name; "" is Unlabelled.
func ParseClass(s string) (Class, error) {
	for i, n := range classNames {
		if s == n {
			return Class(i), nil
		}
	}
	return Unlabelled, &ClassError{Value: s}
}

// MarshalText writes the upper-case name; an invalid value is an error.
func (c Class) MarshalText() ([]byte, error) {
	if int(c) >= len(classNames) {
		return nil, &ClassError{Value: c.String()}
	}
	return []byte(classNames[c]), nil
}

// UnmarshalText reads an upper-case name.
func (c *Class) UnmarshalText(b []byte) (err error) {
	*c, err = ParseClass(string(b))
	return err
}
