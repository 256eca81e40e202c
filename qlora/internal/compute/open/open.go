package open

import (
	"errors"
	"fmt"
	"slices"
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

// Open returns the device of that name with its default options: "cpu" or "cpu:P",
// P one of cpu.Paths or "amx-bf16", and in a program built with the tag cuda "cuda" or
// "cuda:N", after which ":generic" or ":hopper" chooses its kernels and ":f32" float32
// activations, for checks.
func Open(name string) (compute.Device, error) {
	if kind(name) == "cpu" {
		return newCPU(name, 1)
	}
	return other(name)
}

// newCPU opens one of several devices that share the processors.
func newCPU(name string, devices int) (compute.Device, error) {
	o := cpu.DefaultOptions()
	o.Workers = max(1, o.Workers/devices)
	if _, path, given := strings.Cut(name, ":"); given {
		o.Path = path
	}
	return cpu.New(o)
}

// IsCPU reports whether a list of devices begins with the CPU.
func IsCPU(list string) bool { return kind(Split(list)[0]) == "cpu" }

// All opens the devices of a comma-separated list, in order, and for more than
// one the group that joins them. A number alone takes all but the number of the
// name before: "cuda:generic:0,1" is "cuda:generic:0,cuda:generic:1". All are of
// one kind. A device of CUDA is named once; "cpu,cpu" is two devices that share the
// processors, so that what several devices do can be tried anywhere.
func All(list string) ([]compute.Device, compute.Group, error) {
	names := Split(list)
	if len(names) == 1 {
		d, err := Open(list)
		return []compute.Device{d}, nil, err
	}
	for _, n := range names {
		if kind(n) != kind(names[0]) {
			return nil, nil, fmt.Errorf("compute devices %q: all of one kind: %w", list, compute.ErrUnsupported)
		}
	}
	if kind(names[0]) == "cpu" {
		return cpus(names)
	}
	return others(names)
}

// Split returns the names in a list of devices, numbers alone completed.
func Split(list string) []string {
	var names []string
	for _, n := range strings.Split(list, ",") {
		if len(names) > 0 && isNumber(n) {
			like := strings.Split(names[len(names)-1], ":")
			n = strings.Join(append(slices.DeleteFunc(like, isNumber), n), ":")
		}
		names = append(names, n)
	}
	return names
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func kind(name string) string {
	k, _, _ := strings.Cut(name, ":")
	return k
}

func cpus(names []string) ([]compute.Device, compute.Group, error) {
	devices, err := each(names, func(name string) (compute.Device, error) { return newCPU(name, len(names)) })
	return devices, compute.NewHostGroup(devices), err
}

// each opens every name or none.
func each(names []string, one func(string) (compute.Device, error)) ([]compute.Device, error) {
	var devices []compute.Device
	for _, n := range names {
		d, err := one(n)
		if err != nil {
			return nil, errors.Join(err, closeAll(devices))
		}
		devices = append(devices, d)
	}
	return devices, nil
}

func closeAll(devices []compute.Device) error {
	var errs []error
	for _, d := range devices {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
