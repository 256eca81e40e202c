//go:build !noasm

package cpu

import "unsafe"

// transposer turns groups of stored rows into columns of a panel; copier widens
// pieces of stored rows into rows of a panel.
type (
	transposer = func(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)
	copier     = func(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)
)

// packer is the assembly that packs; lanes is how many at a time.
type packer struct {
	lanes            int
	partial          bool // BF16 and I8 copiers honour the mask
	f32, bf16, i8    transposer
	cf32, cbf16, ci8 copier
}

var (
	packAVX512 = packer{16, true, transpose512F32, transpose512BF16, transpose512I8, copy512F32, copy512BF16, copy512I8}
	packAVX2   = packer{8, false, transpose256F32, transpose256BF16, transpose256I8, copy256F32, copy256BF16, copy256I8}
)

// pack is packGo with assembly for whole blocks.
func (p *packer) pack(o operand, dst []float32, width, l0, lanes, k0, k int) {
	if k == 0 || lanes == 0 {
		return
	}
	_ = dst[width*k-1]
	if lanes < width {
		clear(dst[:k*width])
	}
	if o.n != nil {
		o.fill(dst, width, l0, lanes, k0, k)
		return
	}
	for g := 0; g < lanes; g += p.lanes {
		n := min(p.lanes, lanes-g)
		if o.deep {
			p.copyGroup(o, dst[g:], width, l0+g, n, k0, k)
			continue
		}
		whole := k / p.lanes * p.lanes
		if whole > 0 {
			p.turnGroup(o, dst[g:], width, l0+g, n, k0, whole)
		}
		if whole < k {
			o.fill(dst[whole*width+g:], width, l0+g, n, k0+whole, k-whole)
		}
	}
}

func (p *packer) turnGroup(o operand, dst []float32, width, l0, lanes, k0, k int) {
	var rows [16]unsafe.Pointer
	var scale [16]float32
	f := p.f32
	for i := range p.lanes {
		l := l0 + min(i, lanes-1)
		at := l*o.ld + k0
		switch {
		case o.f != nil:
			rows[i] = unsafe.Pointer(&o.f[at : at+k][0])
		case o.h != nil:
			f, rows[i] = p.bf16, unsafe.Pointer(&o.h[at : at+k][0])
		default:
			f, rows[i], scale[i] = p.i8, unsafe.Pointer(&o.q[at : at+k][0]), o.scale[l]
		}
	}
	f(&dst[0], width, &rows, k/p.lanes, 1<<lanes-1, &scale)
}

func (p *packer) copyGroup(o operand, dst []float32, width, l0, lanes, k0, k int) {
	at, last, mask := k0*o.ld+l0, (k0+k-1)*o.ld+l0+lanes, 1<<lanes-1
	switch {
	case o.f != nil:
		p.cf32(&dst[0], width, unsafe.Pointer(&o.f[at:last][0]), o.ld, k, mask, nil)
	case lanes < p.lanes && !p.partial:
		o.fill(dst, width, l0, lanes, k0, k)
	case o.h != nil:
		p.cbf16(&dst[0], width, unsafe.Pointer(&o.h[at:last][0]), o.ld, k, mask, nil)
	default:
		p.ci8(&dst[0], width, unsafe.Pointer(&o.q[at:last][0]), o.ld, k, mask, &o.scale[k0 : k0+k][0])
	}
}

//go:noescape
func transpose512F32(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)

//go:noescape
func transpose512BF16(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)

//go:noescape
func transpose512I8(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)

//go:noescape
func copy512F32(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)

//go:noescape
func copy512BF16(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)

//go:noescape
func copy512I8(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)

//go:noescape
func transpose256F32(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)

//go:noescape
func transpose256BF16(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)

//go:noescape
func transpose256I8(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)

//go:noescape
func copy256F32(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)

//go:noescape
func copy256BF16(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)

//go:noescape
func copy256I8(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)
