//go:build !(cuda && cgo && linux && amd64)

package open

import "github.com/borea-go/borea/qlora/internal/compute"

// Names lists the devices that are built in.
func Names() []string { return []string{"cpu"} }

func other(name string) (compute.Device, error) {
	return nil, &UnknownError{Name: name, Built: Names()}
}
