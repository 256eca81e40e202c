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

// ordinal returns N of "cuda:N", and 0 for "cuda".
func ordinal(name string) (int, error) {
	kind, number, numbered := strings.Cut(name, ":")
	if kind != "cuda" {
		return 0, &UnknownError{Name: name, Built: Names()}
	}
	if !numbered {
		return 0, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0, errors.Join(&UnknownError{Name: name, Built: Names()}, fmt.Errorf("device number: %w", err))
	}
	return n, nil
}

func other(name string) (compute.Device, error) {
	n, err := ordinal(name)
	if err != nil {
		return nil, err
	}
	o := cuda.DefaultOptions()
	o.Ordinal = n
	return cuda.New(o)
}

// others opens devices of CUDA and joins them. A device twice would share its
// memory and gain nothing, and NCCL refuses it.
func others(names []string) ([]compute.Device, compute.Group, error) {
	seen := map[int]bool{}
	for _, name := range names {
		n, err := ordinal(name)
		if err != nil {
			return nil, nil, err
		}
		if seen[n] {
			return nil, nil, fmt.Errorf("compute device %q is named twice: %w", name, compute.ErrUnsupported)
		}
		seen[n] = true
	}
	devices, err := each(names, other)
	if err != nil {
		return nil, nil, err
	}
	g, err := cuda.NewGroup(devices)
	if err != nil {
		return nil, nil, errors.Join(err, closeAll(devices))
	}
	return devices, g, nil
}
