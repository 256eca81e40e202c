package cpu

// kernels is one path: the micro-kernel of the matrix products and the loops
// that assembly makes faster. Every function of a path has the same meaning as
// the Go function it replaces.
type kernels struct {
	name   string
	mr, nr int // micro-tile of the float32 product

	// tile computes alpha·A·B for mr rows of a, laid out as at says, and a packed
	// panel b [k][nr], and writes it to c, rows ldc apart, or adds it where add is
	// set.
	tile func(c []float32, ldc int, a []float32, at strides, b []float32, k int, alpha float32, add bool)

	pack func(o operand, dst []float32, width, l0, lanes, k0, k int)

	expSum     func(dst, src []float32, shift float32) float32
	max        func(x []float32) float32
	swiglu     func(dst, g, u []float32)
	swigluBack func(dg, du, dm, g, u []float32)
	dot        func(a, b []float32) float32
	dotBF16    func(x []float32, w []uint16) float32
	dotI8      func(x []float32, w []int8) float32
	dots       func(y, x, w []float32, ld int)  // y[r] = Σ x·w of row r, rows ld apart
	dotsBF16   func(y, x []float32, w []uint16) // the same, rows one after another
	mix        func(y, p, v []float32, ld int)  // y += Σ p[r]·row r of v, rows ld apart
	axpy       func(y, x []float32, a float32)  // y += a·x
	scale      func(x []float32, a float32)     // x *= a

	widen  func(dst []float32, src []uint16) // from half precision, exactly
	narrow func(dst []uint16, src []float32) // to half precision, nearest even

	widenCodes func(dst []float32, src []int8)

	small *smallCaches // nil: a few rows of a cache are widened, then used

	philox func(dst []float32, s *stream, site, first uint32)
	words  func(dst []uint32, s *stream, site, first uint32) // as they are
	keep   func(dst, src, u []float32, p, factor float32, add bool)

	quantise  func(q []int8, x []float32) (scale float32)
	scaleSums func(y []float32, acc []int32, s float32, scale []float32, add bool)
	raise     func(dst []uint8, q []int8, mask byte)
	turn      func(dst, src []int8)
	foldMax   func(x, scale []float32) uint32
	foldRound func(q []int8, x, scale []float32, inv float32, random []uint32, skip int)
	ints      *intKernels

	// sweepBF16, where not nil, multiplies activations rounded to bfloat16 by
	// weights that are, on tiles.
	sweepBF16   func(s *sweep)
	roundBF16   func(dst []uint16, src []float32)
	ceilingBF16 func(rounds int) int

	// ceiling runs independent multiply-adds in registers and returns how many
	// floating-point operations that were; nil where there is no such loop.
	ceiling func(rounds int) int
}

// smallCaches are dots and mix over rows of a cache, widened in registers; the
// columns are a multiple of 16.
type smallCaches struct {
	dotsF16 func(y, x []float32, w []uint16, ld int)
	dotsI8  func(y, x []float32, w []int8, ld int)
	mixF16  func(y, p []float32, v []uint16, ld int)
	mixI8   func(y, p []float32, v []int8, ld int)
}

// strides says where the elements of a left operand lie: rows row floats apart,
// steps of depth step.
type strides struct{ row, step int }

// span is the floats from the first to the last element of rows × depth.
func (s strides) span(rows, depth int) int {
	if depth == 0 {
		return 0
	}
	return (rows-1)*s.row + (depth-1)*s.step + 1
}

// goKernels is the portable path.
func goKernels() kernels {
	k := kernels{
		name: "go", mr: 4, nr: 4, tile: tileGo, pack: packGo,
		expSum: expSumGo, max: maxGo, swiglu: swigluGo, swigluBack: swigluBackGo,
		dot: dot32Go, dotBF16: dotBF16Go, dotI8: dotI8Go, axpy: axpyGo, scale: scaleGo,
		widen: widenGo, narrow: narrowGo, widenCodes: widenCodesGo, philox: philoxGo, keep: keepGo, quantise: quantiseGo, scaleSums: scaleSumsGo,
		raise: raiseGo, turn: turnGo, words: wordsGo, foldMax: foldMaxGo, foldRound: foldRoundGo,
		ints: &intKernels{name: "go", mr: 4, tile: tileInt8Go},
	}
	byRow(&k)
	return k
}

// tileGo is a 4x4 micro-kernel whose sums stay in registers.
func tileGo(c []float32, ldc int, a []float32, at strides, b []float32, k int, alpha float32, add bool) {
	var s [16]float32
	for half := range 2 { // two rows at a time: 8 sums, 2 left, 4 right values
		var s0, s1, s2, s3, t0, t1, t2, t3 float32
		i := 2 * half * at.row
		for p := range k {
			x, y := a[i], a[i+at.row]
			i += at.step
			r := b[4*p : 4*p+4 : 4*p+4]
			s0 += x * r[0]
			s1 += x * r[1]
			s2 += x * r[2]
			s3 += x * r[3]
			t0 += y * r[0]
			t1 += y * r[1]
			t2 += y * r[2]
			t3 += y * r[3]
		}
		copy(s[8*half:], []float32{s0, s1, s2, s3, t0, t1, t2, t3})
	}
	for i := range 4 {
		row := c[i*ldc : i*ldc+4]
		for j := range row {
			if add {
				row[j] += alpha * s[4*i+j]
			} else {
				row[j] = alpha * s[4*i+j]
			}
		}
	}
}
