// Package open chooses a compute device by name.
//
// What it does not do: it knows only the devices built into this binary.
package open

import (
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cpu0"
)

// UnknownError names a device that this binary does not have.
type UnknownError struct{ Name string }

// Error implements error.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("device %q is not in this binary; it has: cpu", e.Name)
}

// Open returns the device called name.
func Open(name string) (compute.Device, error) {
	if name == "cpu" {
		return cpu0.New(), nil
	}
	return nil, &UnknownError{name}
}
