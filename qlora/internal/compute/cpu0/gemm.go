package cpu0

import (
	"sync"

	"github.com/borea-go/borea/internal/cpuid"
)

// kernels are the routines chosen for the processor. tile computes
// c[mr][nr] (+)= a·b over kc steps from packed panels a [kc][mr], b [kc][nr].
type kernels struct {
	name   string
	mr, nr int
	tile   func(kc int, a, b, c *float32, ldc int, add bool)
	dot    func(x, y []float32) float32
	// expSum writes exp(x-shift) to dst and returns the sum; relative error of
	// each term at most 2e-7, terms below e^-87 are 0.
	expSum func(dst, x []float32, shift float32) float32
}

func chooseKernels(f cpuid.Features) kernels {
	if k, ok := asmKernels(f); ok {
		return k
	}
	return kernels{name: "portable", mr: 4, nr: 8, tile: tileGo, dot: dotGo, expSum: expSumGo}
}

// operand is one side of a product, seen as lines (rows of C for the left side,
// columns of C for the right one) by depth.
type operand interface {
	// pack writes depth [p0, p0+kc) of lines [r0, r0+n) to dst as [kc][w], zero
	// beyond n.
	pack(dst []float32, r0, n, p0, kc, w int)
}

// byLine is float32 data whose lines are contiguous in depth.
type byLine struct {
	x  []float32
	ld int
}

func (o byLine) pack(dst []float32, r0, n, p0, kc, w int) {
	for r := range n {
		src := o.x[(r0+r)*o.ld+p0:][:kc]
		for p, v := range src {
			dst[p*w+r] = v
		}
	}
	padLines(dst, n, kc, w)
}

func padLines(dst []float32, n, kc, w int) {
	if n == w {
		return
	}
	for p := range kc {
		clear(dst[p*w+n : (p+1)*w])
	}
}

// byDepth is float32 data whose depth steps are contiguous in lines.
type byDepth struct {
	x  []float32
	ld int
}

func (o byDepth) pack(dst []float32, r0, n, p0, kc, w int) {
	for p := range kc {
		m := copy(dst[p*w:p*w+n], o.x[(p0+p)*o.ld+r0:])
		clear(dst[p*w+m : (p+1)*w])
	}
}

// weightLines is a weight as the right side of x·Wᵀ.
type weightLines struct{ *weight }

func (o weightLines) pack(dst []float32, r0, n, p0, kc, w int) {
	if o.f != nil {
		byLine{o.f, o.cols}.pack(dst, r0, n, p0, kc, w)
		return
	}
	for r := range n {
		off := (r0+r)*o.cols + p0
		if o.h != nil {
			for p, v := range o.h[off : off+kc] {
				dst[p*w+r] = fromBF16(v)
			}
			continue
		}
		s := o.scale[r0+r]
		for p, v := range o.q[off : off+kc] {
			dst[p*w+r] = float32(v) * s
		}
	}
	padLines(dst, n, kc, w)
}

// weightDepth is a weight as the right side of dy·W.
type weightDepth struct{ *weight }

func (o weightDepth) pack(dst []float32, r0, n, p0, kc, w int) {
	if o.f != nil {
		byDepth{o.f, o.cols}.pack(dst, r0, n, p0, kc, w)
		return
	}
	for p := range kc {
		off, line := (p0+p)*o.cols+r0, dst[p*w:(p+1)*w]
		if o.h != nil {
			for r, v := range o.h[off : off+n] {
				line[r] = fromBF16(v)
			}
		} else {
			s := o.scale[p0+p]
			for r, v := range o.q[off : off+n] {
				line[r] = float32(v) * s
			}
		}
		clear(line[n:])
	}
}

// codeLines is int8 codes, unscaled.
type codeLines struct {
	q  []int8
	ld int
}

func (o codeLines) pack(dst []float32, r0, n, p0, kc, w int) {
	for r := range n {
		off := (r0+r)*o.ld + p0
		for p, v := range o.q[off : off+kc] {
			dst[p*w+r] = float32(v)
		}
	}
	padLines(dst, n, kc, w)
}

// Tile sizes. A task covers taskM×taskN of C over all of the depth in steps of
// depthBlock; 512 codes of at most 127² sum below 2^24.
const (
	taskM      = 384
	taskN      = 512
	depthBlock = 512
)

// scratch is a worker's packing space.
type scratch struct{ a, b, c, t []float32 }

var scratchPool = sync.Pool{New: func() any { return new(scratch) }}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// gemm computes c[m,n] = a·b, or adds with add, over depth k; ldc is the row
// stride of c.
func (k kernels) gemm(c []float32, ldc int, a, b operand, m, n, depth int, add bool) {
	tm, tn := (m+taskM-1)/taskM, (n+taskN-1)/taskN
	parallel(tm*tn, func(t int) {
		i, j := t%tm*taskM, t/tm*taskN
		k.block(c[i*ldc+j:], ldc, a, b, i, min(taskM, m-i), j, min(taskN, n-j), depth, add)
	})
}

// block is one task of gemm, in the calling goroutine.
func (k kernels) block(c []float32, ldc int, a, b operand, i0, m, j0, n, depth int, add bool) {
	s := scratchPool.Get().(*scratch)
	defer scratchPool.Put(s)
	for p := 0; p < depth; p += depthBlock {
		kc := min(depthBlock, depth-p)
		k.packAll(s, a, b, i0, m, j0, n, p, kc)
		k.sweep(c, ldc, s, m, n, kc, add || p > 0)
	}
	if depth == 0 && !add {
		for i := range m {
			clear(c[i*ldc : i*ldc+n])
		}
	}
}

func (k kernels) packAll(s *scratch, a, b operand, i0, m, j0, n, p, kc int) {
	pm, pn := (m+k.mr-1)/k.mr, (n+k.nr-1)/k.nr
	s.a, s.b = grow(s.a, pm*k.mr*kc), grow(s.b, pn*k.nr*kc)
	for i := range pm {
		a.pack(s.a[i*k.mr*kc:(i+1)*k.mr*kc], i0+i*k.mr, min(k.mr, m-i*k.mr), p, kc, k.mr)
	}
	for j := range pn {
		b.pack(s.b[j*k.nr*kc:(j+1)*k.nr*kc], j0+j*k.nr, min(k.nr, n-j*k.nr), p, kc, k.nr)
	}
}

// sweep runs the micro-kernel over all tiles; ragged ones go through a whole
// tile on the side.
func (k kernels) sweep(c []float32, ldc int, s *scratch, m, n, kc int, add bool) {
	s.t = grow(s.t, k.mr*k.nr)
	for j := 0; j < n; j += k.nr {
		pb := &s.b[j*kc]
		for i := 0; i < m; i += k.mr {
			pa := &s.a[i*kc]
			if i+k.mr <= m && j+k.nr <= n {
				k.tile(kc, pa, pb, &c[i*ldc+j], ldc, add)
				continue
			}
			k.tile(kc, pa, pb, &s.t[0], k.nr, false)
			for r := range min(k.mr, m-i) {
				mergeRow(c[(i+r)*ldc+j:], s.t[r*k.nr:][:min(k.nr, n-j)], add)
			}
		}
	}
}

func mergeRow(dst, src []float32, add bool) {
	if !add {
		copy(dst, src)
		return
	}
	for i, v := range src {
		dst[i] += v
	}
}
