//go:build !(cuda && cgo && linux && amd64)

package open

import "github.com/borea-go/borea/qlora/internal/compute"

// Names lists the devices that are built in.
func Names() []string { return []string{"cpu"} }

func other(name string) (compute.Device, error) {
	return nil, &UnknownError{Name: name, Built: Names()}
}

func others(names []string) ([]compute.Device, compute.Group, error) {
	_, err := other(names[0])
	return nil, nil, err
}
