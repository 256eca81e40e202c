package gguf

// The searches for the best scale of a run of weights, as make_qkx2_quants,
// make_qkx3_quants, make_qx_quants, make_q3_quants and make_qp_quants of
// ggml-quants.c find it. Sums run in element order, since float32 addition is not
// associative and the choice between two candidates can hang on the last bit.

// epsilon is the magnitude below which the reference treats a run as zero.
const epsilon = 1e-15

// affine is a grid of candidates for x ≈ scale·l + min, l in 0..top.
type affine struct {
	top         int
	start, step float32 // candidate k uses (top + start + step·k)/(max - min)
	steps       int     // last k
	absolute    bool    // weigh |error| instead of its square
	// quiet is what the reference does differently with importance: rows where max
	// falls below min are taken as constant too.
	quiet bool
}

// importance is the grid used with an importance matrix.
func importance(top int) affine { return affine{top, -0.9, 0.05, 36, false, true} }

// fitSums are the weighted sums of one candidate's codes.
type fitSums struct{ l, l2, xl float32 }

// searchAffine returns scale and -min and sets codes. Weighted least squares for
// each candidate's codes, kept if the error falls. The running best min moves the
// grid of the candidates that follow, as in the reference.
func searchAffine(g affine, x, w []float32, codes []uint8) (scale, negMin float32) {
	w = w[:len(x)]
	lo, hi := minMax(x)
	sumW, sumX := w[0], float32(w[0]*x[0])
	for i := 1; i < len(x); i++ {
		sumW += w[i]
		sumX += float32(w[i] * x[i])
	}
	if lo > 0 {
		lo = 0
	}
	if hi == lo || g.quiet && hi <= lo {
		clear(codes)
		return 0, -lo
	}
	top := float32(g.top)
	inv := top / (hi - lo)
	scale = 1 / inv
	low := lo
	quantizeCodes(codes, x, inv, low, g.top)
	best := fitError(g.absolute, codes, x, w, scale, low)
	var buf [32]uint8
	trial := buf[:len(x)]
	for k := range g.steps + 1 {
		inv = (g.start + float32(g.step*float32(k)) + top) / (hi - low)
		s := quantizeSums(trial, x, w, inv, low, g.top)
		d := float32(sumW*s.l2) - float32(s.l*s.l)
		if !(d > 0) {
			continue
		}
		newScale := (float32(sumW*s.xl) - float32(sumX*s.l)) / d
		newMin := (float32(s.l2*sumX) - float32(s.l*s.xl)) / d
		if newMin > 0 {
			newMin, newScale = 0, s.xl/s.l2
		}
		if e := fitError(g.absolute, trial, x, w, newScale, newMin); e < best {
			copy(codes, trial)
			best, scale, low = e, newScale, newMin
		}
	}
	return scale, -low
}

func quantizeCodes(codes []uint8, x []float32, inv, low float32, top int) {
	codes = codes[:len(x)]
	for i, v := range x {
		codes[i] = uint8(max(0, min(top, nearest(float32(inv*(v-low))))))
	}
}

func quantizeSums(codes []uint8, x, w []float32, inv, low float32, top int) (s fitSums) {
	codes, w = codes[:len(x)], w[:len(x)]
	for i, v := range x {
		l := max(0, min(top, nearest(float32(inv*(v-low)))))
		codes[i] = uint8(l)
		wl := float32(w[i] * float32(l))
		s.l += wl
		s.l2 += float32(wl * float32(l))
		s.xl += float32(wl * v)
	}
	return s
}

func fitError(absolute bool, codes []uint8, x, w []float32, scale, low float32) (sum float32) {
	codes, w = codes[:len(x)], w[:len(x)]
	if absolute {
		for i, v := range x {
			e := float32(scale*float32(codes[i])) + low - v
			sum += float32(w[i] * abs32(e))
		}
		return sum
	}
	for i, v := range x {
		e := float32(scale*float32(codes[i])) + low - v
		sum += float32(w[i] * float32(e*e))
	}
	return sum
}

// searchSymmetric returns the scale of x ≈ scale·(code - half), codes in
// 0..2·half-1. w is nil for weights x².
func searchSymmetric(half int, x, w []float32, codes []uint8) float32 {
	top := signedAbsMax(x)
	if abs32(top) < epsilon {
		clear(codes)
		return 0
	}
	sumLX, sumL2 := symmetricSums(half, x, w, float32(-half)/top)
	setSymmetric(half, x, codes, float32(-half)/top)
	scale := float32(0)
	if sumL2 != 0 {
		scale = sumLX / sumL2
	}
	best := float32(scale * sumLX)
	for k := -9; k <= 9; k++ {
		if k == 0 {
			continue
		}
		inv := -(float32(half) + float32(0.1*float32(k))) / top
		sumLX, sumL2 = symmetricSums(half, x, w, inv)
		if sumL2 > 0 && float32(sumLX*sumLX) > float32(best*sumL2) {
			setSymmetric(half, x, codes, inv)
			scale = sumLX / sumL2
			best = float32(scale * sumLX)
		}
	}
	return scale
}

func clampSymmetric(half int, v float32) int { return max(-half, min(half-1, nearest(v))) }

func symmetricSums(half int, x, w []float32, inv float32) (sumLX, sumL2 float32) {
	for i, v := range x {
		l := float32(clampSymmetric(half, float32(inv*v)))
		u := float32(v * v)
		if w != nil {
			u = w[i]
		}
		sumLX += float32(float32(u*v) * l)
		sumL2 += float32(float32(u*l) * l)
	}
	return sumLX, sumL2
}

func setSymmetric(half int, x []float32, codes []uint8, inv float32) {
	for i, v := range x {
		codes[i] = uint8(clampSymmetric(half, float32(inv*v)) + half)
	}
}

// searchRefined is searchSymmetric's sibling for Q3_K without importance: one
// grid, then codes are moved one at a time while the fit improves.
func searchRefined(half int, x []float32, codes []uint8) float32 {
	top := signedAbsMax(x)
	if abs32(top) < epsilon {
		clear(codes)
		return 0
	}
	var l [16]int
	inv := float32(-half) / top
	var sumLX, sumL2 float32
	for i, v := range x {
		l[i] = clampSymmetric(half, float32(inv*v))
		a, b := refineTerms(v, l[i])
		sumLX += a
		sumL2 += b
	}
	for pass, changed := 0, true; changed && pass < 5; pass++ {
		changed = false
		for i, v := range x {
			a, b := refineTerms(v, l[i])
			restLX, restL2 := sumLX-a, sumL2-b
			if !(restLX > 0) {
				continue
			}
			n := clampSymmetric(half, float32(v*restL2)/restLX)
			if n == l[i] {
				continue
			}
			a, b = refineTerms(v, n)
			restLX, restL2 = restLX+a, restL2+b
			if restL2 > 0 && improves(restLX, restL2, sumLX, sumL2) {
				l[i], sumLX, sumL2, changed = n, restLX, restL2, true
			}
		}
	}
	for i := range x {
		codes[i] = uint8(l[i] + half)
	}
	return ratio(sumLX, sumL2)
}

func refineTerms(v float32, code int) (lx, l2 float32) {
	w, l := float32(v*v), float32(code)
	return float32(float32(w*v) * l), float32(float32(w*l) * l)
}

// improves reports whether a²/b > a0²/b0, multiplied out.
func improves(a, b, a0, b0 float32) bool {
	return float32(float32(a*a)*b0) > float32(float32(a0*a0)*b)
}

func ratio(a, b float32) float32 {
	if !(b > 0) {
		return 0
	}
	return a / b
}

// searchPositive returns the scale of s ≈ scale·code for non-negative s, codes in
// 0..top, weighted by u. It codes the scales of sub-blocks under an importance
// matrix.
func searchPositive(top int, s, u []float32, codes []uint8) float32 {
	high := float32(0)
	for _, v := range s {
		high = max(high, v)
	}
	if high < epsilon {
		clear(codes)
		return 0
	}
	inv := bestInverse(top, s, u, high)
	var a, b float32
	for i, v := range s {
		l := min(top, nearest(float32(inv*v)))
		codes[i] = uint8(l)
		a += float32(float32(u[i]*v) * float32(l))
		b += float32(float32(u[i]*float32(l)) * float32(l))
	}
	for pass, changed := 0, true; changed && pass < 5; pass++ {
		changed = false
		for i, v := range s {
			old := float32(codes[i])
			ra := a - float32(float32(u[i]*v)*old)
			rb := b - float32(float32(u[i]*old)*old)
			if !(ra > 0 && rb > 0) {
				continue
			}
			n := min(top, nearest(float32(v*rb)/ra))
			if n == int(codes[i]) {
				continue
			}
			l := float32(n)
			ra += float32(float32(u[i]*v) * l)
			rb += float32(float32(u[i]*l) * l)
			if improves(ra, rb, a, b) {
				codes[i], a, b, changed = uint8(n), ra, rb, true
			}
		}
	}
	return ratio(a, b)
}

func bestInverse(top int, s, u []float32, high float32) float32 {
	inv := float32(top) / high
	best := positiveError(1<<30, s, u, inv)
	for k := -4; k <= 4; k++ {
		if k == 0 {
			continue
		}
		try := (float32(0.1*float32(k)) + float32(top)) / high
		if e := positiveError(top, s, u, try); e < best {
			best, inv = e, try
		}
	}
	return inv
}

func positiveError(top int, s, u []float32, inv float32) (sum float32) {
	scale := 1 / inv
	for i, v := range s {
		e := v - float32(scale*float32(min(top, nearest(float32(inv*v)))))
		sum += float32(float32(u[i]*e) * e)
	}
	return sum
}
