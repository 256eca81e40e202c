//go:build cuda && cgo && linux && amd64

package driver

// #include "shim_cuda.h"
import "C"

import (
	"errors"
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Errors of Count and Open; both wrap compute.ErrUnsupported.
var (
	ErrNoDriver = fmt.Errorf("no driver: %w", compute.ErrUnsupported)
	ErrNoDevice = fmt.Errorf("no such device: %w", compute.ErrUnsupported)
)

// Error is a failed driver call.
type Error struct {
	Call string
	Code int    // CUresult
	Name string // its name
	Text string // the driver's words
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("cuda: %s: %s (%s)", e.Call, e.Text, e.Name) }

// Is matches the sentinels of package compute.
func (e *Error) Is(target error) bool {
	switch {
	case target == compute.ErrOutOfMemory:
		return e.Code == C.CUDA_ERROR_OUT_OF_MEMORY
	case target == compute.ErrUnsupported:
		return e.Code == C.CUDA_ERROR_NO_DEVICE || e.Code == C.CUDA_ERROR_NO_BINARY_FOR_GPU ||
			e.Code == C.CUDA_ERROR_UNSUPPORTED_PTX_VERSION || e.Code == C.CUDA_ERROR_INVALID_PTX
	case target == compute.ErrDeviceLost:
		return lost[e.Code]
	}
	return false
}

// lost are the codes after which a context does no more work.
var lost = map[int]bool{
	C.CUDA_ERROR_ECC_UNCORRECTABLE: true, C.CUDA_ERROR_DEVICE_UNAVAILABLE: true,
	C.CUDA_ERROR_ILLEGAL_ADDRESS: true, C.CUDA_ERROR_LAUNCH_TIMEOUT: true, C.CUDA_ERROR_ASSERT: true,
	C.CUDA_ERROR_HARDWARE_STACK_ERROR: true, C.CUDA_ERROR_ILLEGAL_INSTRUCTION: true,
	C.CUDA_ERROR_MISALIGNED_ADDRESS: true, C.CUDA_ERROR_INVALID_ADDRESS_SPACE: true,
	C.CUDA_ERROR_INVALID_PC: true, C.CUDA_ERROR_LAUNCH_FAILED: true, C.CUDA_ERROR_UNKNOWN: true,
}

func check(call string, r C.CUresult) error {
	if r == C.CUDA_SUCCESS {
		return nil
	}
	return &Error{Call: call, Code: int(r), Name: C.GoString(C.borea_error_name(r)), Text: C.GoString(C.borea_error_text(r))}
}

// Fatal reports whether err ends the context.
func Fatal(err error) bool { return errors.Is(err, compute.ErrDeviceLost) }
