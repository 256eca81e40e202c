package cpuid

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestAgreesWithLinux compares with the kernel's own reading.
func TestAgreesWithLinux(t *testing.T) {
	if X86 == (Features{}) {
		t.Skip("no x86 features here")
	}
	flags := kernelFlags(t)
	for flag, got := range map[string]bool{
		"avx2": X86.AVX2, "fma": X86.FMA, "f16c": X86.F16C, "avx512f": X86.AVX512F, "avx512bw": X86.AVX512BW,
		"avx512vl": X86.AVX512VL, "avx512dq": X86.AVX512DQ, "avx512_vnni": X86.AVX512VNNI,
		"avx512_bf16": X86.AVX512BF16, "avx_vnni": X86.AVXVNNI, "amx_tile": X86.AMXTile,
		"amx_int8": X86.AMXInt8, "amx_bf16": X86.AMXBF16,
	} {
		if got != flags[flag] {
			t.Errorf("%s: %v, the kernel says %v", flag, got, flags[flag])
		}
	}
}

func kernelFlags(t *testing.T) map[string]bool {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		t.Skipf("no cpuinfo on %s", runtime.GOOS)
	}
	defer f.Close()
	flags := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, list, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "flags" {
			for _, v := range strings.Fields(list) {
				flags[v] = true
			}
			return flags
		}
	}
	return flags
}

func TestStateThatIsNotSavedHidesTheSet(t *testing.T) {
	all := registers{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}
	for xcr0, want := range map[uint64][3]bool{ // AVX2, AVX512F, AMXInt8
		0: {}, 0x6: {true}, 0xe6: {true, true}, 0x600e6: {true, true, true},
	} {
		f := decode(leaves{all, all, all, all, all}, xcr0)
		if got := [3]bool{f.AVX2, f.AVX512F, f.AMXInt8}; got != want {
			t.Errorf("xcr0 %#x: %v, want %v", xcr0, got, want)
		}
	}
}

// Each feature hangs on its own bit: with that bit alone missing it is false,
// and what does not build on it stays.
func TestEachFeatureReadsItsBit(t *testing.T) {
	ones := ^uint32(0)
	const saved = 0x600e6
	for name, c := range map[string]struct {
		leaf, register, bit int
		get                 func(Features) bool
	}{
		"AVX2":       {7, 1, 5, func(f Features) bool { return f.AVX2 }},
		"FMA":        {1, 2, 12, func(f Features) bool { return f.FMA }},
		"F16C":       {1, 2, 29, func(f Features) bool { return f.F16C }},
		"AVX512F":    {7, 1, 16, func(f Features) bool { return f.AVX512F }},
		"AVX512BW":   {7, 1, 30, func(f Features) bool { return f.AVX512BW }},
		"AVX512VL":   {7, 1, 31, func(f Features) bool { return f.AVX512VL }},
		"AVX512DQ":   {7, 1, 17, func(f Features) bool { return f.AVX512DQ }},
		"AVX512VNNI": {7, 2, 11, func(f Features) bool { return f.AVX512VNNI }},
		"AVX512BF16": {71, 0, 5, func(f Features) bool { return f.AVX512BF16 }},
		"AVXVNNI":    {71, 0, 4, func(f Features) bool { return f.AVXVNNI }},
		"AMXTile":    {7, 3, 24, func(f Features) bool { return f.AMXTile }},
		"AMXInt8":    {7, 3, 25, func(f Features) bool { return f.AMXInt8 }},
		"AMXBF16":    {7, 3, 22, func(f Features) bool { return f.AMXBF16 }},
	} {
		r := map[int][4]uint32{}
		for _, n := range []int{1, 7, 71, 0x1d, 0x1e} {
			r[n] = [4]uint32{ones, ones, ones, ones}
		}
		read := func() Features {
			l := func(n int) registers { v := r[n]; return registers{v[0], v[1], v[2], v[3]} }
			return decode(leaves{l(1), l(7), l(71), l(0x1d), l(0x1e)}, saved)
		}
		if !c.get(read()) {
			t.Errorf("%s is false with all bits set", name)
		}
		v := r[c.leaf]
		v[c.register] &^= 1 << c.bit
		r[c.leaf] = v
		if c.get(read()) {
			t.Errorf("%s does not hang on its bit", name)
		}
		f := read()
		if name != "AVX2" && !f.AVX2 || name != "FMA" && !f.FMA {
			t.Errorf("without %s: %+v", name, f)
		}
	}
}

// Tiles that are smaller than palette 1 are none.
func TestTilesHaveTheirSize(t *testing.T) {
	all := registers{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}
	// Sapphire Rapids: 8192 bytes in 8 tiles of 1024, rows of 64 bytes, 16 of them.
	palette, product := registers{a: 0x04002000, b: 0x00080040, c: 0x10}, registers{b: 0x4010}
	tile := func(palette, product registers) bool {
		f := decode(leaves{all, all, all, palette, product}, 0x600e6)
		return f.AMXTile && f.AMXInt8 && f.AMXBF16
	}
	if !tile(palette, product) {
		t.Error("no tiles of palette 1")
	}
	for name, c := range map[string][2]registers{
		"bytes":       {{a: 0x02002000, b: palette.b, c: palette.c}, product},
		"tiles":       {{a: palette.a, b: 0x00070040, c: palette.c}, product},
		"row":         {{a: palette.a, b: 0x00090020, c: palette.c}, product},
		"rows":        {{a: palette.a, b: palette.b, c: 8}, product},
		"product's k": {palette, {b: 0x4008}}, "product's n": {palette, {b: 0x2010}},
		"none": {},
	} {
		if tile(c[0], c[1]) {
			t.Errorf("%s too small, yet tiles", name)
		}
	}
}

// Without AVX's own bit nothing of vectors is left.
func TestNothingWithoutAVX(t *testing.T) {
	all := registers{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}
	noAVX := all
	noAVX.c &^= 1 << 28
	if f := decode(leaves{noAVX, all, all, all, all}, 0x6e6); f != (Features{}) {
		t.Errorf("%+v", f)
	}
}

// Choose a kernel once, when a device is opened.
func Example() {
	path := "portable"
	if f := X86; f.AVX2 && f.FMA {
		path = "assembly"
	}
	fmt.Println(path != "")
	// Output: true
}
