//go:build !noasm

package cpu

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/borea-go/borea/internal/cpuid"
	"github.com/borea-go/borea/qlora/internal/compute"
)

// needTiles skips where there are no tile registers, unless BOREA_AMX says that they
// are emulated; "require" makes it a failure.
func needTiles(t testing.TB) {
	if cpuid.X86.AVX512VNNI && (tileState() || os.Getenv("BOREA_AMX") == "emulated") {
		return
	}
	if os.Getenv("BOREA_AMX") == "require" {
		t.Fatalf("no tile registers: %+v", cpuid.X86)
	}
	t.Skip("no AMX here")
}

// TestTilesMatchTheModel demands equal bits.
func TestTilesMatchTheModel(t *testing.T) {
	needTiles(t)
	rng := rand.New(rand.NewPCG(3, 4))
	tame := func() uint32 { // two bfloat16 of moderate size
		half := func() uint32 { return rng.Uint32()&0x807f | uint32(120+rng.IntN(14))<<7 }
		return half()<<16 | half()
	}
	for name, c := range map[string]struct {
		run   func(*sweep)
		model func(c *uint32, a, b []uint32)
		word  func() uint32
	}{
		"int8": {tilesInt8, modelInt8, rng.Uint32},
		"bf16": {tilesBF16, modelBF16, tame},
	} {
		for _, s := range tileShapes {
			for _, even := range []bool{false, true} {
				r, got := randomRun(rng, s.rows, s.lanes, s.words, even, c.word)
				before := slices.Clone(got)
				r.do(tileModel(c.model), &sweep{})
				want := slices.Clone(got)
				copy(got, before)
				r.do(c.run, &sweep{})
				if !slices.Equal(got, want) {
					t.Errorf("%s %+v even %v: differs", name, s, even)
				}
			}
		}
	}
}

// TestTilesBelongToTheirThread runs sweeps on more goroutines than there are
// processors, so that the system takes threads off in the middle of some.
func TestTilesBelongToTheirThread(t *testing.T) {
	needTiles(t)
	const rows, words, rounds = 128, 256, 800
	many := 4 * runtime.NumCPU()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(many))
	rng := rand.New(rand.NewPCG(5, 6))
	r, once := randomRun(rng, rows+many, panelLanes, words, false, rng.Uint32)
	r.do(tileModel(modelInt8), &sweep{})
	var all sync.WaitGroup
	for g := range many { // each has rows of its own, and adds them up many times
		part, sums := r, make([]uint32, len(once))
		part.a, part.rows = past(r.a, g*r.lda), rows
		part.from, part.to, part.ldFrom = &sums[0], &sums[0], r.ldTo
		all.Go(func() {
			for range rounds {
				part.do(tilesInt8, &sweep{})
			}
			for i := range rows * panelLanes {
				row, lane := i/panelLanes, i%panelLanes
				if got, want := sums[row*r.ldTo/4+lane], rounds*once[(g+row)*r.ldTo/4+lane]; got != want {
					t.Errorf("goroutine %d, row %d, lane %d: %d, want %d", g, row, lane, got, want)
					return
				}
			}
		})
	}
	all.Wait()
}

func tileDevice(t *testing.T, k kernels, workers int) *Device {
	d := pathDevice(t, "auto", workers)
	d.kern = k
	return d
}

// TestInt8ProductOnTiles demands the bits of the portable path, of many workers.
func TestInt8ProductOnTiles(t *testing.T) {
	needTiles(t)
	for _, s := range []struct{ n, in, out int }{{5, 64, 33}, {70, 1100, 65}, {40, 100, 300}, {9, 30, 7}, {33, 131, 6}, {600, 192, 70}} {
		want := int8Product(t, pathDevice(t, "go", 1), s.n, s.in, s.out)
		if got := int8Product(t, tileDevice(t, amxKernels(), 4), s.n, s.in, s.out); !slices.Equal(got, want) {
			t.Errorf("%+v: differs", s)
		}
	}
}

// TestBF16ProductOnTiles: but for the rounding of x, sums are float32.
func TestBF16ProductOnTiles(t *testing.T) {
	needTiles(t)
	for _, s := range bf16Shapes {
		d := tileDevice(t, amxBF16Kernels(), 2)
		got, want := bf16Product(t, d, s.n, s.in, s.out)
		nearSums(t, s.in, got, want)
	}
}

// TestTileInstructions compares the bytes in this program with those that a
// disassembler read, in testdata/amx.txt, which amx.sh beside it writes.
func TestTileInstructions(t *testing.T) {
	want := map[string][]byte{}
	f, err := os.Open("testdata/amx.txt")
	if err != nil {
		t.Skip("the listing is not here")
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, code, _ := strings.Cut(s.Text(), "\t")
		code, _, _ = strings.Cut(code, "\t")
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(code), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		want[name] = append(want[name], b...)
	}
	for name, f := range map[string]any{"tilesInt8": tilesInt8, "tilesBF16": tilesBF16, "loopInt8": loopInt8, "loopBF16": loopBF16} {
		if got := tileCode(t, name, reflect.ValueOf(f).Pointer()); !bytes.Equal(got, want[name]) {
			t.Errorf("%s has % x, the listing % x", name, got, want[name])
		}
	}
}

// tileCode returns the tile instructions of the assembly that a wrapper of Go's
// calls.
func tileCode(t *testing.T, name string, wrapper uintptr) (code []byte) {
	text := func(pc uintptr) []byte {
		n := 0
		for f := runtime.FuncForPC(pc); runtime.FuncForPC(pc+uintptr(n)) != nil && runtime.FuncForPC(pc+uintptr(n)).Entry() == f.Entry(); n++ {
		}
		return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), pc)), n)
	}
	for i, b := range text(wrapper) {
		if b != 0xe8 {
			continue
		}
		at := wrapper + uintptr(i)
		to := at + 5 + uintptr(*(*int32)(unsafe.Add(unsafe.Pointer(nil), at+1)))
		if f := runtime.FuncForPC(to); f == nil || f.Entry() != to || !strings.HasSuffix(f.Name(), "."+name) {
			continue
		}
		body := text(to)
		for i := 0; i+6 <= len(body); i++ {
			if b := body[i:]; b[0] == 0xc4 && (b[1] == 0xe2 || b[1] == 0xc2) {
				n := map[byte]int{0x49: 5, 0x4b: 6, 0x5c: 5, 0x5e: 5}[b[3]]
				code = append(code, b[:n]...)
			}
		}
		return code
	}
	t.Fatalf("%s: no call in its wrapper", name)
	return nil
}

// TestTileEpilogue compares with the Go functions; it needs AVX-512 alone.
func TestTileEpilogue(t *testing.T) {
	if !cpuid.X86.AVX512F || !cpuid.X86.AVX512BW {
		t.Skip("no AVX-512 here")
	}
	for lanes := 1; lanes <= panelLanes; lanes++ {
		for _, add := range []bool{false, true} {
			const rows = 5
			ld := lanes + 3
			sums := make([]int32, rows*panelLanes)
			for i := range sums {
				sums[i] = int32(i*7919%100003) - 50000
			}
			s, scale := ramp(rows, 1), ramp(lanes, 2)
			got, want := ramp(rows*ld, 3), ramp(rows*ld, 3)
			tile := func(y []float32) *intTile {
				return &intTile{y: &y[0], ldy: 4 * ld, s: &s[0], scale: &scale[0], rows: rows, lanes: lanes, add: add}
			}
			finishTile(tile(got), sums)
			finishModel(tile(want), sums)
			if !slices.Equal(got, want) {
				t.Fatalf("%d lanes, add %v: %v, want %v", lanes, add, got, want)
			}
		}
	}
	nan := float32(math.NaN())
	for n := range 40 {
		x := append(ramp(n, 1), 1+1.0/256, 1+3.0/256, nan, float32(math.Inf(1)), math.Float32frombits(0x7f800001), math.MaxFloat32)
		got, want := make([]uint16, len(x)+1), make([]uint16, len(x)+1)
		roundBF16(&got[0], &x[0], len(x))
		for i, v := range x {
			want[i] = toBF16(v)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d numbers: %x, want %x", n, got, want)
		}
	}
}

// BenchmarkTiles is y = x Wᵀ on one worker beside the loop in registers.
func BenchmarkTiles(b *testing.B) {
	needTiles(b)
	for _, f := range []compute.Format{compute.FormatInt8, compute.FormatBF16} {
		for _, s := range []struct{ n, in, out int }{{512, 192, 1536}, {512, 768, 192}, {512, 3072, 9216}, {256, 8192, 3072}} {
			b.Run(fmt.Sprintf("%s/%dx%d-%d", f, s.n, s.in, s.out), func(b *testing.B) {
				d := benchDevice(b, "amx-bf16", 1)
				w, x, y := benchWeight(b, d, f, s.out, s.in), d.Activation(f, s.n, s.in), d.Alloc(compute.F32, s.n*s.out)
				rate := measure(b, d, 2*float64(s.n)*float64(s.in)*float64(s.out), func() {
					d.Linear(y, nil, x, w, nil, nil, s.n, compute.Random{})
				})
				b.ReportMetric(100*rate/ceiling(d.kern.ceilingBF16), "%bf16-ceiling")
			})
		}
	}
}
