// Package cpuid says which x86 instruction sets the processor has and the
// operating system saves, so that assembly can be chosen at run time. Leaves and
// bits are those of Intel's Software Developer's Manual, volume 2A, CPUID.
//
// What it does not do: it knows no other architecture (everything is false
// there, and under the build tag noasm), and it does not ask Linux for the AMX
// tile state, which a process must do before its first tile instruction.
package cpuid
