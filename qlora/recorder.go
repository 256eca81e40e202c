package qlora

import (
	"errors"
	"slices"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// recorder queues work that comes again and again. Where the device can, it
// records work of a shape when that shape comes the second time, and replays the
// recording from then on. Shapes that did not come again among the last few are
// forgotten: with batches of ever-changing size nothing is recorded in vain.
type recorder struct {
	dev   compute.Grapher // nil: everything is queued anew
	last  []*recording    // latest first
	count int             // recordings made
}

// recording is a shape that came; graph is nil until it comes again.
type recording struct {
	shape int
	graph compute.Graph
}

// mostShapes bounds how many shapes are remembered, and with them the recordings.
const mostShapes = 8

func newRecorder(d compute.Device) *recorder {
	g, _ := d.(compute.Grapher)
	return &recorder{dev: g}
}

// run queues what queue does for this shape: equal shapes must mean equal work.
func (r *recorder) run(shape int, queue func()) (err error) {
	if r.dev == nil {
		queue()
		return nil
	}
	at := slices.IndexFunc(r.last, func(x *recording) bool { return x.shape == shape })
	if at < 0 {
		queue()
		return r.remember(shape)
	}
	x := r.last[at]
	r.last = slices.Insert(slices.Delete(r.last, at, at+1), 0, x)
	if x.graph == nil {
		if x.graph, err = r.dev.Capture(queue); err != nil {
			return err
		}
		r.count++
	}
	if x.graph.Replay() {
		return nil
	}
	queue()
	err, x.graph = x.graph.Free(), nil
	return err
}

// remember puts a shape first and forgets the one that is too many.
func (r *recorder) remember(shape int) error {
	r.last = slices.Insert(r.last, 0, &recording{shape: shape})
	if len(r.last) <= mostShapes {
		return nil
	}
	old := r.last[mostShapes]
	r.last = r.last[:mostShapes]
	return old.free()
}

func (x *recording) free() error {
	if x.graph == nil {
		return nil
	}
	return x.graph.Free()
}

// close frees the recordings, none of which may be running.
func (r *recorder) close() error {
	var errs []error
	for _, x := range r.last {
		errs = append(errs, x.free())
	}
	r.last = nil
	return errors.Join(errs...)
}
