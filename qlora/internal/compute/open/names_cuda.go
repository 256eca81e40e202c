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

// options reads "cuda" and what follows it after colons: a number, a path
// ("generic", "hopper"), a type of activations ("f32", "bf16").
func options(name string) (cuda.Options, error) {
	o, parts := cuda.DefaultOptions(), strings.Split(name, ":")
	if parts[0] != "cuda" {
		return o, &UnknownError{Name: name, Built: Names()}
	}
	for _, p := range parts[1:] {
		switch p {
		case "generic", "hopper":
			o.Path = p
		case "f32", "bf16":
			o.Real = p
		default:
			n, err := strconv.Atoi(p)
			if err != nil {
				return o, errors.Join(&UnknownError{Name: name, Built: Names()}, fmt.Errorf("device number: %w", err))
			}
			o.Ordinal = n
		}
	}
	return o, nil
}

func other(name string) (compute.Device, error) {
	o, err := options(name)
	if err != nil {
		return nil, err
	}
	return cuda.New(o)
}

// others opens devices of CUDA and joins them. A device twice would share its
// memory and gain nothing, and NCCL refuses it.
func others(names []string) ([]compute.Device, compute.Group, error) {
	seen := map[int]bool{}
	for _, name := range names {
		o, err := options(name)
		if err != nil {
			return nil, nil, err
		}
		if seen[o.Ordinal] {
			return nil, nil, fmt.Errorf("compute device %q is named twice: %w", name, compute.ErrUnsupported)
		}
		seen[o.Ordinal] = true
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
