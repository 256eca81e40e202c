// Package cpu0 implements compute.Device in Go and Go assembly.
//
// What it does not do: FormatNF4 is refused.
package cpu0
