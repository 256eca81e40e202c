package cpu

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// pages is the large memory of a device: weights, arena and scratch. It lies
// outside the heap where the system lets it, because the garbage collector lets
// a heap grow to twice what lives in it, and weights would count.
type pages struct {
	mu    sync.Mutex
	taken map[*byte][]byte
	bytes int64
}

func newPages() *pages { return &pages{taken: map[*byte][]byte{}} }

// take returns n zeroed bytes that start on a page.
func (p *pages) take(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	b, err := mapPages(n)
	if err != nil {
		return nil, fmt.Errorf("cpu: %d bytes: %w: %w", n, compute.ErrOutOfMemory, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[&b[0]], p.bytes = b, p.bytes+int64(n)
	return b, nil
}

// drop gives back what take returned, found by its first byte.
func (p *pages) drop(first *byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, ok := p.taken[first]; ok {
		delete(p.taken, first)
		p.bytes -= int64(len(b))
		unmapPages(b)
	}
}

// close gives everything back.
func (p *pages) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.taken {
		unmapPages(b)
	}
	p.taken, p.bytes = map[*byte][]byte{}, 0
}

// taken returns n elements of T from p.
func taken[T any](p *pages, n int) ([]T, error) {
	var t T
	b, err := p.take(n * int(unsafe.Sizeof(t)))
	if err != nil || b == nil {
		return nil, err
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n), nil
}

// dropped gives back a slice that taken returned.
func dropped[T any](p *pages, s []T) {
	if cap(s) > 0 {
		p.drop((*byte)(unsafe.Pointer(unsafe.SliceData(s))))
	}
}

// watch gives the pages back when a device that nobody closed is collected.
func (p *pages) watch(d *Device) { runtime.AddCleanup(d, (*pages).close, p) }
