//go:build cuda && cgo && linux && amd64

package driver

import (
	"bytes"
	"testing"
	"unsafe"
)

// open skips where there is no device.
func open(t *testing.T) *Context {
	t.Helper()
	n, err := Count()
	if n == 0 {
		t.Skipf("no CUDA device here: %v", err)
	}
	c, err := Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestCopies(t *testing.T) {
	c := open(t)
	t.Logf("%s, compute capability %d.%d, %d multiprocessors, %d bytes shared", c.Name, c.Major, c.Minor, c.SMs, c.Shared)
	p, err := c.Alloc(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := c.Pinned(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 1<<16)
	for i := range want {
		want[i] = byte(i * 7)
	}
	for _, err := range []error{
		c.Set(p, 9, 1<<16), c.ToDevice(p, unsafe.Pointer(&want[0]), len(want)),
		c.ToHost(unsafe.Pointer(&pin.Bytes()[0]), p, len(want)), c.Sync(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(pin.Bytes(), want) {
		t.Error("what came back differs")
	}
	g, err := c.Capture(func() error { return c.Set(p, 5, 1<<16) })
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{g.Launch(), c.ToHost(unsafe.Pointer(&pin.Bytes()[0]), p, len(want)), c.Sync(), g.Free()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if pin.Bytes()[77] != 5 {
		t.Error("the graph did nothing")
	}
	for _, err := range []error{pin.Free(), c.Free(p)} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestNoSuchDevice(t *testing.T) {
	if n, _ := Count(); n == 0 {
		if _, err := Open(0); err == nil {
			t.Error("opened a device where there is none")
		}
		t.Skip("no CUDA device here")
	}
	if _, err := Open(99); err == nil {
		t.Error("opened device 99")
	}
}
