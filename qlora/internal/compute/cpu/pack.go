package cpu

// operand is one side of a product, seen as lanes × depth: lanes are rows of the
// left or columns of the right matrix, depth is the summed index. One of f, h, q,
// n, c is set; c only on the right.
type operand struct {
	f     []float32
	h     []uint16
	q     []int8
	scale []float32 // of q, one a stored row
	n     *nf4
	c     *codes
	ld    int  // distance of stored rows
	deep  bool // stored rows run along depth's index: element (lane, k) at k·ld+lane
}

// byLane is a matrix whose stored rows are lanes: element (lane, k) at lane·ld+k.
func byLane(f []float32, ld int) operand { return operand{f: f, ld: ld} }

// byDepth is a matrix whose stored rows are steps of depth.
func byDepth(f []float32, ld int) operand { return operand{f: f, ld: ld, deep: true} }

// lanes is the weight with its rows as lanes (forward), depth the same with its
// rows as depth (gradient with respect to the input).
func (w *weight) lanes() operand {
	return operand{f: w.f, h: w.h, q: w.q, scale: w.scale, n: w.n, c: w.codes, ld: w.cols}
}

func (w *weight) depth() operand {
	o := w.lanes()
	o.deep = true
	return o
}

// packGo writes lanes [l0, l0+lanes) and depth [k0, k0+k) as a panel
// dst[k][width]; lanes beyond the last are zero.
func packGo(o operand, dst []float32, width, l0, lanes, k0, k int) {
	if lanes < width {
		clear(dst[:k*width])
	}
	o.fill(dst, width, l0, lanes, k0, k)
}

// fill is packGo without the zeros.
func (o operand) fill(dst []float32, width, l0, lanes, k0, k int) {
	switch {
	case o.f != nil && o.deep:
		for p := range k {
			copy(dst[p*width:p*width+lanes], o.f[(k0+p)*o.ld+l0:])
		}
	case o.f != nil:
		for l := range lanes {
			src := o.f[(l0+l)*o.ld+k0:]
			for p, v := range src[:k] {
				dst[p*width+l] = v
			}
		}
	case o.h != nil:
		o.packBF16(dst, width, l0, lanes, k0, k)
	case o.n != nil:
		o.n.pack(dst, width, l0, lanes, k0, k, o.deep)
	default:
		o.packInt8(dst, width, l0, lanes, k0, k)
	}
}

func (o operand) packBF16(dst []float32, width, l0, lanes, k0, k int) {
	if o.deep {
		for p := range k {
			for l, v := range o.h[(k0+p)*o.ld+l0:][:lanes] {
				dst[p*width+l] = fromBF16(v)
			}
		}
		return
	}
	for l := range lanes {
		for p, v := range o.h[(l0+l)*o.ld+k0:][:k] {
			dst[p*width+l] = fromBF16(v)
		}
	}
}

func (o operand) packInt8(dst []float32, width, l0, lanes, k0, k int) {
	if o.deep {
		for p := range k {
			s := o.scale[k0+p]
			for l, v := range o.q[(k0+p)*o.ld+l0:][:lanes] {
				dst[p*width+l] = float32(v) * s
			}
		}
		return
	}
	for l := range lanes {
		s := o.scale[l0+l]
		for p, v := range o.q[(l0+l)*o.ld+k0:][:k] {
			dst[p*width+l] = float32(v) * s
		}
	}
}
