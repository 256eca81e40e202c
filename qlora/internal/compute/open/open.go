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

// Names lists the devices that are built in.
func Names() []string { return []string{"cpu"} }

// Open returns the device of that name with its default options.
func Open(name string) (compute.Device, error) {
	if name != "cpu" {
		return nil, &UnknownError{Name: name, Built: Names()}
	}
	return cpu.New(cpu.DefaultOptions())
}
