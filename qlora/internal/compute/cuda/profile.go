//go:build cuda && cgo && linux && amd64

package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// KernelTime is what one kernel, at one grid, took in a Profile.
type KernelTime struct {
	Name         string
	Grid         [3]int
	Count        int
	Milliseconds float64 // sum
}

// profile times launches one by one.
type profile struct {
	first, last *driver.Event
	times       map[string]*KernelTime
}

func (d *Device) newProfile() (*profile, error) {
	p := &profile{times: map[string]*KernelTime{}}
	var errs [2]error
	p.first, errs[0] = d.ctx.NewEvent()
	p.last, errs[1] = d.ctx.NewEvent()
	return p, errors.Join(errs[:]...)
}

// Profile runs f with a wait after every kernel, and returns their times,
// longest first. Launches do not overlap then, so the sum exceeds what f takes
// when nobody looks only by the gaps that are not counted.
func (d *Device) Profile(f func()) (list []KernelTime, err error) {
	if d.profile, err = d.newProfile(); err != nil {
		return nil, err
	}
	p := d.profile
	f()
	d.profile = nil
	for _, t := range p.times {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b KernelTime) int {
		return cmp.Or(cmp.Compare(b.Milliseconds, a.Milliseconds), strings.Compare(a.Name, b.Name))
	})
	return list, errors.Join(p.first.Free(), p.last.Free(), d.Sync())
}

// timed launches between two events.
func (p *profile) timed(name string, g driver.Grid, launch func() error) error {
	err := errors.Join(p.first.Record(), launch(), p.last.Record(), p.last.Wait())
	if err != nil {
		return err
	}
	ms, err := p.last.Since(p.first)
	if err != nil {
		return err
	}
	key := fmt.Sprint(name, g)
	if p.times[key] == nil {
		p.times[key] = &KernelTime{Name: name, Grid: [3]int{g.X, g.Y, g.Z}}
	}
	p.times[key].Count++
	p.times[key].Milliseconds += ms
	return nil
}
