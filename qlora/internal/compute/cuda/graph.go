//go:build cuda && cgo && linux && amd64

package cuda

import (
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

var _ compute.Grapher = (*Device)(nil)

// graph implements compute.Graph.
type graph struct {
	d     *Device
	g     *driver.Graph
	moved int // of scratch memory when it was captured
}

// Capture implements compute.Grapher.
func (d *Device) Capture(f func()) (compute.Graph, error) {
	d.run(d.scratch.reset())
	if d.err != nil {
		return nil, d.Sync()
	}
	g, err := d.ctx.Capture(func() error {
		d.scratch.frozen = true
		f()
		d.scratch.frozen = false
		return d.err
	})
	if err != nil {
		if !driver.Fatal(err) {
			d.err = nil
		}
		return nil, err
	}
	return &graph{d, g, d.scratch.moved}, nil
}

// Replay implements compute.Graph.
func (g *graph) Replay() bool {
	if g.moved != g.d.scratch.moved {
		return false
	}
	if g.d.err == nil {
		g.d.run(g.g.Launch())
	}
	return true
}

// Free implements compute.Graph.
func (g *graph) Free() error { return g.g.Free() }
