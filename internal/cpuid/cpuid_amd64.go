//go:build !noasm

package cpuid

// cpuid executes CPUID with EAX = leaf and ECX = sub.
//
//go:noescape
func cpuid(leaf, sub uint32) (a, b, c, d uint32)

// xgetbv reads XCR0; the processor must have OSXSAVE.
//
//go:noescape
func xgetbv() (low, high uint32)

func leaf(n, sub uint32) (r registers) {
	r.a, r.b, r.c, r.d = cpuid(n, sub)
	return r
}

func detect() Features {
	highest := leaf(0, 0).a
	l1 := leaf(1, 0)
	if highest < 7 || l1.c>>27&1 == 0 { // no OSXSAVE: vector state is not saved
		return Features{}
	}
	l7 := leaf(7, 0)
	var l71 registers
	if l7.a >= 1 {
		l71 = leaf(7, 1)
	}
	low, high := xgetbv()
	return decode(l1, l7, l71, uint64(high)<<32|uint64(low))
}
