//go:build cuda && cgo && linux && amd64

package open

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda"
)

// Names lists the devices that are built in.
func Names() []string { return []string{"cpu", "cuda"} }

// other opens "cuda" or "cuda:N".
func other(name string) (compute.Device, error) {
	kind, number, numbered := strings.Cut(name, ":")
	if kind != "cuda" {
		return nil, &UnknownError{Name: name, Built: Names()}
	}
	o := cuda.DefaultOptions()
	if numbered {
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, errors.Join(&UnknownError{Name: name, Built: Names()}, fmt.Errorf("device number: %w", err))
		}
		o.Ordinal = n
	}
	return cuda.New(o)
}
