//go:build !amd64 || noasm

package cpu0

import "github.com/borea-go/borea/internal/cpuid"

// asmKernels has nothing to offer on this build.
func asmKernels(cpuid.Features) (kernels, bool) { return kernels{}, false }
