//go:build cuda && cgo && linux && amd64

package driver

// #include <stdlib.h>
// #include "nccl_cuda.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// NCCLFolder is the environment variable that names the folder of libnccl.so.2;
// without it the system's search for libraries finds it.
const NCCLFolder = "BOREA_NCCL_DIR"

// ErrNoNCCL says that the library is not there; it wraps compute.ErrUnsupported.
var ErrNoNCCL = fmt.Errorf("several devices need NCCL: install it, or name the folder of libnccl.so.2 in %s: %w", NCCLFolder, compute.ErrUnsupported)

// NCCLError is a failed call of NCCL.
type NCCLError struct {
	Call string
	Code int // ncclResult_t
	Text string
}

// Error implements error.
func (e *NCCLError) Error() string { return fmt.Sprintf("cuda: %s: %s (%d)", e.Call, e.Text, e.Code) }

// NCCL moves data between the devices of one process through NVIDIA's library,
// on each context's own stream.
type NCCL struct {
	Version int // as NCCL counts: 22809 is 2.28.9

	lib      C.borea_nccl
	contexts []*Context
	streams  []C.CUstream
	mu       sync.Mutex
	comms    []unsafe.Pointer // nil once aborted or closed
}

// OpenNCCL loads the library and joins the contexts, each of another device.
func OpenNCCL(contexts []*Context) (*NCCL, error) {
	n := &NCCL{contexts: contexts}
	if err := n.load(); err != nil {
		return nil, err
	}
	ordinals := make([]C.int, len(contexts))
	for i, c := range contexts {
		ordinals[i] = C.int(c.dev)
		n.streams = append(n.streams, c.stream)
	}
	comms := make([]unsafe.Pointer, len(contexts))
	err := n.check("ncclCommInitAll", C.borea_nccl_init(&n.lib, contexts[0].ctx, &comms[0], C.int(len(comms)), &ordinals[0]))
	if err != nil {
		return nil, err
	}
	n.comms = comms
	return n, nil
}

func (n *NCCL) load() error {
	path := C.CString(filepath.Join(os.Getenv(NCCLFolder), "libnccl.so.2"))
	defer C.free(unsafe.Pointer(path))
	if missing := C.borea_nccl_open(&n.lib, path); missing != nil {
		return fmt.Errorf("cuda: %s is missing: %w", C.GoString(missing), ErrNoNCCL)
	}
	var v C.int
	err := n.check("ncclGetVersion", C.borea_nccl_version(&n.lib, &v))
	n.Version = int(v)
	return err
}

func (n *NCCL) check(call string, r C.int) error {
	if r == 0 {
		return nil
	}
	return &NCCLError{Call: call, Code: int(r), Text: C.GoString(C.borea_nccl_text(&n.lib, r))}
}

// Transfer is float32 values that go from one rank to another.
type Transfer struct {
	From, To uint64 // addresses on the sending and on the receiving device
	N        int
}

// Exchange queues transfers, of rank i to rank j at [i][j], which run together.
func (n *NCCL) Exchange(t [][]Transfer) error {
	var from, to []C.uint64_t
	var count []C.size_t
	for _, row := range t {
		for _, x := range row {
			from, to, count = append(from, C.uint64_t(x.From)), append(to, C.uint64_t(x.To)), append(count, C.size_t(x.N))
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.comms == nil {
		return compute.ErrAborted
	}
	return n.check("ncclSend", C.borea_nccl_exchange(&n.lib, n.contexts[0].ctx, &n.comms[0], C.int(len(n.comms)), &n.streams[0], &from[0], &to[0], &count[0]))
}

// Await, for tests, queues the receiving of values at p by one rank, from one that need
// not send any yet: what a device waits for when another one fails.
func (n *NCCL) Await(rank, from int, p uint64, values int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.comms == nil {
		return compute.ErrAborted
	}
	return n.check("ncclRecv", C.borea_nccl_await(&n.lib, n.contexts[rank].ctx, n.comms[rank], n.streams[rank], C.uint64_t(p), C.size_t(values), C.int(from)))
}

// Abort ends what is queued, with undefined results, and closes.
func (n *NCCL) Abort() error {
	return n.finish("ncclCommAbort", func(i int, comm unsafe.Pointer) C.int {
		return C.borea_nccl_abort(&n.lib, n.contexts[i].ctx, comm)
	})
}

// Close waits for what is queued; it comes before the contexts' Close.
func (n *NCCL) Close() error {
	return n.finish("ncclCommDestroy", func(i int, comm unsafe.Pointer) C.int {
		return C.borea_nccl_destroy(&n.lib, n.contexts[i].ctx, comm)
	})
}

func (n *NCCL) finish(call string, end func(i int, comm unsafe.Pointer) C.int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for i, comm := range n.comms {
		errs = append(errs, n.check(call, end(i, comm)))
	}
	n.comms = nil
	return errors.Join(errs...)
}
