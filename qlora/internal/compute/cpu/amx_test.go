package cpu

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// tileModel does what the assembly does, one instruction after another, in the
// words of Intel's manual, with dot for the product.
func tileModel(dot func(c *uint32, a, b []uint32)) func(*sweep) {
	return func(s *sweep) {
		shape := func(tile int) (rows, words int) {
			return int(s.config[48+tile]), int(binary.LittleEndian.Uint16(s.config[16+2*tile:])) / 4
		}
		rows, lanes := shape(0)
		depthRows, _ := shape(6)
		for i := range s.blocks {
			var tile [8][16][16]uint32
			corner := func(p *uint32, ld, lower, next int, f func(tile, row, word int, at *uint32)) {
				for t := range 4 {
					for r := range rows {
						for w := range lanes {
							f(t, r, w, past(p, (i*next+t/2*lower+t%2*s.rightC+r*ld)/4+w))
						}
					}
				}
			}
			corner(s.from, s.ldFrom, s.lowerFrom, s.nextFrom, func(t, r, w int, at *uint32) { tile[t][r][w] = *at })
			for k := range s.steps {
				for t := range 2 {
					for r := range rows {
						for w := range depthRows {
							tile[4+t][r][w] = binary.LittleEndian.Uint32(view(past(s.a, i*s.nextA+t*s.lowerA+r*s.lda+64*k+4*w), 4))
						}
					}
					for r := range depthRows {
						for w := range lanes {
							at := view(past(s.b, t*s.rightC+2048*k+128*r+4*w), 4)
							tile[6+t][r][w] = uint32(uint8(at[0])) | uint32(uint8(at[1]))<<8 | uint32(uint8(at[2]))<<16 | uint32(uint8(at[3]))<<24
						}
					}
				}
				for t := range 4 {
					for r := range rows {
						for w := range lanes {
							var column [16]uint32
							for d := range depthRows {
								column[d] = tile[6+t%2][d][w]
							}
							dot(&tile[t][r][w], tile[4+t/2][r][:depthRows], column[:depthRows])
						}
					}
				}
			}
			corner(s.to, s.ldTo, s.lowerTo, s.nextTo, func(t, r, w int, at *uint32) { *at = tile[t][r][w] })
		}
	}
}

// modelInt8 is TDPBUSD.
func modelInt8(c *uint32, a, b []uint32) {
	for i := range a {
		for shift := 0; shift < 32; shift += 8 {
			*c += uint32(int32(uint8(a[i]>>shift)) * int32(int8(b[i]>>shift)))
		}
	}
}

// modelBF16 is TDPBF16PS: the products of even and of odd places are summed
// apart. A product is exact, so that a fused addition changes nothing.
func modelBF16(c *uint32, a, b []uint32) {
	var sum [2]float32
	for i := range a {
		sum[0] += float32(math.Float32frombits(a[i]<<16) * math.Float32frombits(b[i]<<16))
		sum[1] += float32(math.Float32frombits(a[i]&^0xffff) * math.Float32frombits(b[i]&^0xffff))
	}
	*c = math.Float32bits(math.Float32frombits(*c) + float32(sum[0]+sum[1]))
}

// finishModel is the epilogue in Go.
func finishModel(t *intTile, sums []int32) {
	t.to = nil
	t.finish(scaleSumsGo, sums)
}

var tileShapes = []struct{ rows, lanes, words int }{
	{1, 1, 1}, {16, 16, 16}, {32, 32, 16}, {33, 32, 48}, {5, 32, 17}, {17, 31, 15}, {47, 20, 33}, {64, 15, 64}, {100, 32, 7}, {96, 17, 256},
}

// randomRun is a product of random words and sums; even says that the sums of a
// row start from their own.
func randomRun(rng *rand.Rand, rows, lanes, words int, even bool, word func() uint32) (r tileRun, to []uint32) {
	lda, ldTo := oddLines(4*words), 4*lanes+8
	a, b := make([]uint8, rows*lda), make([]int8, words*panelBytes)
	for i := 0; i+4 <= len(a); i += 4 {
		binary.LittleEndian.PutUint32(a[i:], word())
	}
	for i := 0; i < len(b); i += 4 {
		v := word()
		for j := range 4 {
			b[i+j] = int8(v >> (8 * j))
		}
	}
	to = make([]uint32, rows*ldTo/4+8)
	for i := range to {
		to[i] = word() & 0x3fffffff
	}
	from := make([]uint32, panelLanes)
	r = tileRun{a: &a[0], lda: lda, b: &b[0], words: words, from: &from[0], to: &to[0], ldTo: ldTo, rows: rows, lanes: lanes}
	if even {
		r.from, r.ldFrom = r.to, r.ldTo
	}
	return r, to
}

// TestTilesCoverEverySum compares the splitting into sweeps, on the model of the
// instructions, with the sum itself.
func TestTilesCoverEverySum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range tileShapes {
		for _, even := range []bool{false, true} {
			r, got := randomRun(rng, s.rows, s.lanes, s.words, even, rng.Uint32)
			want := slices.Clone(got)
			for i := range s.rows {
				for j := range s.lanes {
					at := &want[i*r.ldTo/4+j]
					if !even {
						*at = 0
					}
					for k := range s.words {
						v := view(past(r.b, k*panelBytes+4*j), 4)
						for l, x := range view(past(r.a, i*r.lda+4*k), 4) {
							*at += uint32(int32(x) * int32(v[l]))
						}
					}
				}
			}
			r.do(tileModel(modelInt8), &sweep{})
			if !slices.Equal(got, want) {
				t.Errorf("%+v even %v: differs", s, even)
			}
		}
	}
}

// onModel gives a device tiles that the model computes.
func onModel(t *testing.T) *Device {
	d := pathDevice(t, "auto", 2)
	ints := *d.kern.ints
	ints.name, ints.mr, ints.sweep, ints.finish = "model", max(ints.mr, panelLanes), tileModel(modelInt8), finishModel
	if !ints.offset {
		t.Skip("no kernel here takes unsigned codes")
	}
	d.kern.ints = &ints
	d.kern.sweepBF16 = tileModel(modelBF16)
	d.kern.roundBF16 = func(dst []uint16, src []float32) {
		for i, v := range src {
			dst[i] = toBF16(v)
		}
	}
	return d
}

// TestInt8ProductOnModelledTiles demands the bits of the portable path.
func TestInt8ProductOnModelledTiles(t *testing.T) {
	for _, s := range []struct{ n, in, out int }{{5, 64, 33}, {70, 1100, 65}, {40, 100, 100}, {9, 30, 7}, {33, 131, 6}} {
		d := pathDevice(t, "go", 2)
		want := int8Product(t, d, s.n, s.in, s.out)
		if got := int8Product(t, onModel(t), s.n, s.in, s.out); !slices.Equal(got, want) {
			t.Errorf("%+v: differs", s)
		}
	}
}

// bf16Product is y = x Wᵀ, twice, the second time added, and the same with x
// rounded first on the portable path.
func bf16Product(t *testing.T, d *Device, n, in, out int) (got, want []float32) {
	x, w := ramp(n*in, 9), ramp(out*in, 5)
	product := func(d *Device, x []float32) []float32 {
		weight, err := d.Weight(compute.FormatBF16, out, in, func(first int, dst []float32) error {
			copy(dst, w[first*in:])
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		left, y, res := d.Alloc(compute.F32, n*in), d.Alloc(compute.F32, n*out), make([]float32, n*out)
		d.Upload(left, x)
		d.Linear(y, nil, compute.Activation{X: left}, weight, nil, nil, n, compute.Random{})
		d.Linear(y, y, compute.Activation{X: left}, weight, nil, nil, n, compute.Random{})
		if err := d.Download(res, y); err != nil {
			t.Fatal(err)
		}
		return res
	}
	got = product(d, x)
	rounded := slices.Clone(x)
	for i, v := range x {
		rounded[i] = fromBF16(toBF16(v))
	}
	return got, product(pathDevice(t, "go", 1), rounded)
}

var bf16Shapes = []struct{ n, in, out int }{{5, 64, 33}, {70, 1700, 65}, {40, 100, 100}, {9, 30, 7}, {33, 130, 6}}

// TestBF16ProductOnModelledTiles: but for the rounding of x, sums are float32.
func TestBF16ProductOnModelledTiles(t *testing.T) {
	for _, s := range bf16Shapes {
		d := onModel(t)
		got, want := bf16Product(t, d, s.n, s.in, s.out)
		nearSums(t, s.in, got, want)
	}
}

// nearSums allows sums of n products of numbers up to 4 the rounding of float32.
func nearSums(t *testing.T, n int, got, want []float32) {
	t.Helper()
	for i, v := range got {
		if math.Abs(float64(v-want[i])) > 1e-6*16*float64(n) {
			t.Fatalf("element %d is %v, want %v", i, v, want[i])
		}
	}
}

func int8Product(t *testing.T, d *Device, n, in, out int) []float32 {
	w, err := d.Weight(compute.FormatInt8, out, in, func(first int, dst []float32) error {
		copy(dst, ramp(len(dst), first+5))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	x, y := d.Alloc(compute.F32, n*in), d.Alloc(compute.F32, n*out)
	d.Upload(x, ramp(n*in, 9))
	d.Linear(y, nil, compute.Activation{X: x}, w, nil, nil, n, compute.Random{})
	d.Linear(y, y, compute.Activation{X: x}, w, nil, nil, n, compute.Random{})
	live := d.Alloc(compute.I32, 4)
	d.Upload(live, []int32{1, 2, 3, 4})
	got := make([]float32, n*out+2*n*in)
	for i, random := range []compute.Random{{}, {State: live}} {
		d.LinearBackward(x, y, compute.Activation{}, w, nil, compute.AdapterGrad{}, nil, n, random)
		if err := d.Download(got[n*out+i*n*in:][:n*in], x); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Download(got[:n*out], y); err != nil {
		t.Fatal(err)
	}
	return got
}

func pathDevice(t *testing.T, path string, workers int) *Device {
	d, err := New(Options{Workers: workers, Path: path, InputGrad: "int8"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
