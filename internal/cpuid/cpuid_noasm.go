//go:build !amd64 || noasm

package cpuid

func detect() Features { return Features{} }
