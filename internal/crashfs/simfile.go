package crashfs

import (
	"errors"
	"io"
	"io/fs"
)

// simFile is an open file of a Sim.
type simFile struct {
	s       *Sim
	n       *node
	name    string
	off     int
	writing bool
	closed  bool
}

func (f *simFile) check(writing bool) error {
	switch {
	case f.closed:
		return fs.ErrClosed
	case f.writing != writing:
		return fs.ErrInvalid
	}
	return nil
}

// Write implements File. A fault of type Short takes some of the bytes.
func (f *simFile) Write(p []byte) (n int, err error) {
	if err := f.check(true); err != nil {
		return 0, err
	}
	err = f.s.do(Op{Kind: "write", Name: f.name}, true, func() error {
		f.n.data = append(f.n.data, p...)
		n = len(p)
		return nil
	})
	var short *Short
	if errors.As(err, &short) {
		n = int(short.Part * float64(len(p)))
		f.s.mu.Lock()
		f.n.data = append(f.n.data, p[:n]...)
		f.s.mu.Unlock()
	}
	return n, err
}

// Sync implements File.
func (f *simFile) Sync() error {
	if err := f.check(true); err != nil {
		return err
	}
	return f.s.sync(f.name, f.n)
}

// Close implements File.
func (f *simFile) Close() error {
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}

// Size implements File.
func (f *simFile) Size() (int64, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return int64(len(f.n.data)), nil
}

// Read implements File.
func (f *simFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, int64(f.off))
	f.off += n
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt implements File.
func (f *simFile) ReadAt(p []byte, off int64) (n int, err error) {
	if err := f.check(false); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	end := false
	err = f.s.do(Op{Kind: "read", Name: f.name}, false, func() error {
		if off < int64(len(f.n.data)) {
			n = copy(p, f.n.data[off:])
		}
		end = n < len(p)
		return nil
	})
	if err == nil && end {
		err = io.EOF
	}
	return n, err
}
