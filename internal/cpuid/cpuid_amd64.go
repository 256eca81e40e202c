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
	l := leaves{l1: l1, l7: leaf(7, 0)}
	if l.l7.a >= 1 {
		l.l71 = leaf(7, 1)
	}
	if highest >= 0x1e {
		l.l1d1, l.l1e = leaf(0x1d, 1), leaf(0x1e, 0)
	}
	low, high := xgetbv()
	return decode(l, uint64(high)<<32|uint64(low))
}
