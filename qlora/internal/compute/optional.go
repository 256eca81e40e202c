package compute

// Grapher is a device that can record operations and queue them all at once, which
// spares the host thousands of launches a step.
type Grapher interface {
	// Capture records the operations that f calls, without running them. They must
	// have run once before with the same shapes, and f must neither Upload,
	// Download, Alloc nor Sync.
	Capture(f func()) (Graph, error)
}

// Graph is a recorded sequence of operations.
type Graph interface {
	// Replay queues the operations. It reports false, and queues nothing, if the
	// device's own memory has moved since they were recorded.
	Replay() bool
	// Free frees the recording; it must not be running.
	Free() error
}

// Snapshotter is a device that copies buffers to host memory while it works on.
type Snapshotter interface {
	// Snapshot begins a copy of the buffers as the operations queued so far leave
	// them. A device has room for one: its contents end with the next Snapshot.
	Snapshot(buffers []Buffer) (Snapshot, error)
}

// Snapshot is a copy under way.
type Snapshot interface {
	// Protect makes operations queued from now on wait until the copy is made. It
	// comes before the first that changes a copied buffer.
	Protect()
	// Contents waits for the copy and returns the bytes of each buffer, in the
	// host's byte order. Any goroutine may call it.
	Contents() ([][]byte, error)
}

// Limiter is a device whose memory can be limited.
type Limiter interface {
	// Limit is the most memory, in bytes, to take from now on for buffers, weights
	// and scratch; 0 is no limit. What would exceed it fails with ErrOutOfMemory.
	Limit(bytes int64)
}

// Tabler is a device that can keep a weight in host memory and read it from there:
// right for an embedding, of which a step wants few rows.
type Tabler interface {
	Table(f Format, rows, cols int, src RowSource) (Weight, error)
}

// Mapper is a Device that can use a matrix where it lies.
type Mapper interface {
	// MappedWeight returns a weight of FormatF32 or FormatBF16 whose numbers are raw,
	// little-endian and row after row. raw must stay readable and unchanged until the
	// device is closed. What cannot be used where it lies, for its format, its
	// alignment or the processor's byte order, is refused with ErrUnsupported: read it
	// into a Weight.
	MappedWeight(f Format, rows, cols int, raw []byte) (Weight, error)
}
