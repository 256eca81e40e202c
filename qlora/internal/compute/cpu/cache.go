package cpu

import "github.com/borea-go/borea/qlora/internal/compute"

// stored is the keys or the values of a cache that are kept smaller than
// float32: half precision, or int8 codes with one scale a token and head.
//
// A code is off by at most half a step, so x by absmax/254, with absmax taken over
// the D numbers of its token and head; a logit q·k/√D is off by at most
// ‖q‖₁ absmax/(254 √D), and a value, an average of rows, by their largest absmax/254.
type stored struct {
	heads compute.Heads
	room  int // tokens
	h     []uint16
	q     []int8
	scale []float32 // [K, room], of q
}

// stored returns the checked content of a cache's keys or values, nil if they are
// float32.
func (c call) stored(name string, b, scale compute.Buffer, room int, h compute.Heads) *stored {
	s, size := &stored{heads: h, room: room}, room*h.K*h.D
	if b == nil {
		return nil
	}
	switch b.Type() {
	case compute.F16:
		s.h = c.f16(name, b, size)
	case compute.I8:
		s.q, s.scale = c.i8(name, b, size), c.f32(name+" scale", scale, room*h.K)
	default:
		return nil
	}
	return s
}

// put writes the heads of token t.
func (s *stored) put(k *kernels, t int, x []float32) {
	if s.h != nil {
		k.narrow(s.h[t*len(x):][:len(x)], x)
		return
	}
	for i := range s.heads.K {
		at := i * s.heads.D
		s.scale[i*s.room+t] = k.quantise(s.q[t*len(x)+at:][:s.heads.D], x[at:at+s.heads.D])
	}
}

// row widens one head of token t: of codes the codes, without their scale.
func (s *stored) row(k *kernels, dst []float32, t, head int) {
	at := (t*s.heads.K + head) * s.heads.D
	if s.h != nil {
		k.widen(dst, s.h[at:at+s.heads.D])
	} else {
		k.widenCodes(dst, s.q[at:at+s.heads.D])
	}
}

// scaled multiplies x, one number a token, by the scales of a head.
func (s *stored) scaled(x []float32, head int) {
	if s.scale == nil {
		return
	}
	for i, f := range s.scale[head*s.room:][:len(x)] {
		x[i] *= f
	}
}

// all writes every head of token t as float32.
func (s *stored) all(k *kernels, dst []float32, t int) {
	for i := range s.heads.K {
		x := dst[i*s.heads.D:][:s.heads.D]
		s.row(k, x, t, i)
		if s.scale != nil {
			k.scale(x, s.scale[i*s.room+t])
		}
	}
}

// wideRows is how many tokens of a head are widened at once: they stay in the
// first cache.
const wideRows = 64

// blocks calls use with tokens [j, j+len/D) of a head, as row gives them.
func (s *stored) blocks(k *kernels, w *worker, head, tokens int, use func(j int, rows []float32)) {
	size := s.heads.D
	buf := w.scratch.floats(slotG, wideRows*size)
	for j := 0; j < tokens; j += wideRows {
		n := min(wideRows, tokens-j)
		for i := range n {
			s.row(k, buf[i*size:(i+1)*size], j+i, head)
		}
		use(j, buf[:n*size])
	}
}

// append adds the rotated keys and the values of f's queries to its cache.
func (d *Device) append(f *flash) {
	d.pool.rows(f.n, 2*f.ldkv, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			src, at := f.q[t*f.ldq+f.heads.H*f.heads.D:], f.past+t
			k, v := src[:f.ldkv], src[f.ldkv:2*f.ldkv]
			if f.keep.k != nil {
				f.keep.k.put(&d.kern, at, k)
				f.keep.v.put(&d.kern, at, v)
				continue
			}
			copy(f.k[at*f.ldkv:], k)
			copy(f.v[at*f.ldkv:], v)
		}
	})
}

// widened returns f with its cache in float32.
func (d *Device) widened(f *flash) *flash {
	if f.keep.k == nil {
		return f
	}
	size, w := f.keys()*f.ldkv, *f
	w.k, w.v = d.scratch.floats(slotKeys, size), d.scratch.floats(slotValues, size)
	d.pool.rows(f.keys(), 2*f.ldkv, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			f.keep.k.all(&d.kern, w.k[t*f.ldkv:], t)
			f.keep.v.all(&d.kern, w.v[t*f.ldkv:], t)
		}
	})
	return &w
}

// keyDots writes q·k for the first len(s) keys of a head.
func (d *Device) keyDots(w *worker, f *flash, s, q []float32, head int) {
	k, size := f.keep.k, f.heads.D
	if k == nil {
		d.kern.dots(s, q, f.k[head*size:], f.ldkv)
		return
	}
	switch at, direct := head*size, d.kern.small; {
	case direct == nil || size%16 != 0 || len(s) < 4:
		k.blocks(&d.kern, w, head, len(s), func(j int, rows []float32) { d.kern.dots(s[j:][:len(rows)/size], q, rows, size) })
	case k.h != nil:
		direct.dotsF16(s, q, k.h[at:], f.ldkv)
	default:
		direct.dotsI8(s, q, k.q[at:], f.ldkv)
	}
	k.scaled(s, head)
}

// mixValues adds p times the values of a head to o; p is overwritten.
func (d *Device) mixValues(w *worker, f *flash, o, p []float32, head int) {
	v, size := f.keep.v, f.heads.D
	if v == nil {
		d.kern.mix(o, p, f.v[head*size:], f.ldkv)
		return
	}
	v.scaled(p, head)
	switch at, direct := head*size, d.kern.small; {
	case direct == nil || size%16 != 0:
		v.blocks(&d.kern, w, head, len(p), func(j int, rows []float32) { d.kern.mix(o, p[j:][:len(rows)/size], rows, size) })
	case v.h != nil:
		direct.mixF16(o, p, v.h[at:], f.ldkv)
	default:
		direct.mixI8(o, p, v.q[at:], f.ldkv)
	}
}
