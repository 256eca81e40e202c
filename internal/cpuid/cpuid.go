package cpuid

// Features are the instruction sets that code in this module asks for. A field
// is true when both the processor and the operating system support the set.
type Features struct {
	AVX2       bool // 256-bit integer vectors
	FMA        bool // fused multiply-add on 256 bits
	F16C       bool // half-precision conversion
	AVX512F    bool // 512-bit vectors
	AVX512BW   bool // bytes and words
	AVX512VL   bool // the same on 128 and 256 bits
	AVX512DQ   bool // double and quad words
	AVX512VNNI bool // int8 dot product, EVEX encoding
	AVX512BF16 bool // bfloat16 dot product
	AVXVNNI    bool // int8 dot product, VEX encoding
	AMXTile    bool // tile registers
	AMXInt8    bool // int8 tile product
	AMXBF16    bool // bfloat16 tile product
}

// X86 holds the features of this machine.
var X86 = detect()

// registers of one CPUID leaf.
type registers struct{ a, b, c, d uint32 }

// leaves are the answers of CPUID that features are in: leaf 1, leaf 7 subleaves
// 0 and 1, and what tile registers are like, leaf 1d subleaf 1 and leaf 1e.
type leaves struct{ l1, l7, l71, l1d1, l1e registers }

// decode reads the features from leaves and XCR0. Tiles are those of palette 1, 8
// of 16 rows of 64 bytes, with products over as much.
func decode(l leaves, xcr0 uint64) Features {
	l1, l7, l71 := l.l1, l.l7, l.l71
	bit := func(v uint32, n int) bool { return v>>n&1 == 1 }
	saved := func(mask uint64) bool { return xcr0&mask == mask }
	avx := bit(l1.c, 28) && saved(0x6)       // XMM and YMM state
	z := avx && saved(0xe6) && bit(l7.b, 16) // and opmask, ZMM
	tile := saved(0x60000) && bit(l7.d, 24)  // TILECFG and TILEDATA
	tile = tile && l.l1d1.a>>16 >= 1024 && l.l1d1.b>>16 >= 8 && l.l1d1.b&0xffff >= 64 && l.l1d1.c&0xffff >= 16
	tile = tile && l.l1e.b&0xff >= 16 && l.l1e.b>>8&0xffff >= 64
	return Features{
		AVX2: avx && bit(l7.b, 5), FMA: avx && bit(l1.c, 12), F16C: avx && bit(l1.c, 29),
		AVX512F: z, AVX512BW: z && bit(l7.b, 30), AVX512VL: z && bit(l7.b, 31), AVX512DQ: z && bit(l7.b, 17),
		AVX512VNNI: z && bit(l7.c, 11), AVX512BF16: z && bit(l71.a, 5), AVXVNNI: avx && bit(l71.a, 4),
		AMXTile: tile, AMXInt8: tile && bit(l7.d, 25), AMXBF16: tile && bit(l7.d, 22),
	}
}
