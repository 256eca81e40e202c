package open

import (
	"fmt"
	"strings"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cpu"
)

// UnknownError says that no device of that name is built in.
type UnknownError struct {
	Name  string
	Built []string // the names that Open takes
}

// Error implements error.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("compute device %q is not in this program, which has: %s", e.Name, strings.Join(e.Built, ", "))
}

// Unwrap makes errors.Is(err, compute.ErrUnsupported) true.
func (e *UnknownError) Unwrap() error { return compute.ErrUnsupported }

// Open returns the device of that name with its default options: "cpu", and in a
// program built with the tag cuda "cuda" or "cuda:N".
func Open(name string) (compute.Device, error) {
	if name == "cpu" {
		return cpu.New(cpu.DefaultOptions())
	}
	return other(name)
}
