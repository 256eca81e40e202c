//go:build !noasm

#include "textflag.h"
#include "quant_affine_amd64.h"

// What goes before and after a search, in AVX2: transposing blocks into lanes,
// weighing, coding again with rounded scales, packing.

DATA lanes256<>+0(SB)/4, $12582912.0
DATA lanes256<>+4(SB)/4, $0x007fffff
DATA lanes256<>+8(SB)/4, $0x00400000
DATA lanes256<>+12(SB)/4, $0x7fffffff
DATA lanes256<>+16(SB)/4, $0x80000000
DATA lanes256<>+20(SB)/4, $0.03125
DATA lanes256<>+24(SB)/4, $0x0f0f0f0f
DATA lanes256<>+28(SB)/4, $0x10101010
GLOBL lanes256<>(SB), RODATA|NOPTR, $32

DATA dwords256<>+0(SB)/8, $0x0000000400000000
DATA dwords256<>+8(SB)/8, $0x0000000500000001
DATA dwords256<>+16(SB)/8, $0x0000000600000002
DATA dwords256<>+24(SB)/8, $0x0000000700000003
GLOBL dwords256<>(SB), RODATA|NOPTR, $32

// Rows 0-3 and 4-7 of four columns at off become four rows of eight, DX apart.
#define TRANSPOSE4(off) \
	VMOVUPS off(SI), X0; \
	VMOVUPS off(SI)(CX*1), X1; \
	VMOVUPS off(SI)(CX*2), X2; \
	VMOVUPS off(R8), X3; \
	VINSERTF128 $1, off(R9), Y0, Y0; \
	VINSERTF128 $1, off(R9)(CX*1), Y1, Y1; \
	VINSERTF128 $1, off(R9)(CX*2), Y2, Y2; \
	VINSERTF128 $1, off(R10), Y3, Y3; \
	VUNPCKLPS Y1, Y0, Y4; \
	VUNPCKHPS Y1, Y0, Y5; \
	VUNPCKLPS Y3, Y2, Y6; \
	VUNPCKHPS Y3, Y2, Y7; \
	VUNPCKLPD Y6, Y4, Y0; \
	VUNPCKHPD Y6, Y4, Y1; \
	VUNPCKLPD Y7, Y5, Y2; \
	VUNPCKHPD Y7, Y5, Y3; \
	VMOVUPS Y0, (DI); \
	VMOVUPS Y1, (DI)(DX*1); \
	VMOVUPS Y2, (DI)(DX*2); \
	VMOVUPS Y3, (DI)(R11*1); \
	LEAQ (DI)(DX*4), DI

// func transpose256(dst, src *float32, to, from, n int)
// Eight rows of n elements (a multiple of 8), from bytes apart, become n rows of
// eight, to bytes apart.
TEXT ·transpose256(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ to+16(FP), DX
	MOVQ from+24(FP), CX
	MOVQ n+32(FP), BX
	LEAQ (DX)(DX*2), R11
	LEAQ (CX)(CX*2), R8
	ADDQ SI, R8
	LEAQ (SI)(CX*4), R9
	LEAQ (R8)(CX*4), R10

columns:
	TRANSPOSE4(0)
	TRANSPOSE4(16)
	ADDQ $32, SI
	ADDQ $32, R8
	ADDQ $32, R9
	ADDQ $32, R10
	SUBQ $8, BX
	JNE  columns
	VZEROUPPER
	RET

#define BOUNDS(off, X, T, LO, HI, SQUARES) \
	VMOVUPS off(AX), X; \
	VMINPS  LO, X, LO; \
	VMAXPS  HI, X, HI; \
	VMULPS  X, X, T; \
	VADDPS  T, SQUARES, SQUARES

// From the weight T of x come the sums of w and w·x.
#define WEIGHED(off, T, W, WX) \
	VMOVUPS T, (off+4096)(AX); \
	VADDPS  T, W, W; \
	VMULPS  off(AX), T, T; \
	VADDPS  T, WX, WX

// func weighMagnitude256(s *affineLanes, lanes int)
// Extremes, w = sqrt(Σx²/32) + |x|, and the sums of w and w·x.
TEXT ·weighMagnitude256(SB), NOSPLIT, $0-16
	MOVQ s+0(FP), DI
	MOVQ lanes+8(FP), R10
	VBROADCASTSS lanes256<>+12(SB), Y10
	VBROADCASTSS lanes256<>+20(SB), Y11

magnitudes:
	MOVQ DI, AX
	MOVQ $32, BX
	VMOVUPS (AX), Y0
	VMOVUPS 32(AX), Y1
	VMOVAPS Y0, Y2
	VMOVAPS Y1, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5

squares:
	BOUNDS(0, Y12, Y13, Y0, Y2, Y4)
	BOUNDS(32, Y14, Y15, Y1, Y3, Y5)
	ADDQ $128, AX
	DECQ BX
	JNE  squares
	VMOVUPS Y0, at_least(DI)
	VMOVUPS Y1, (at_least+32)(DI)
	VMOVUPS Y2, at_high(DI)
	VMOVUPS Y3, (at_high+32)(DI)
	VMULPS  Y11, Y4, Y4
	VMULPS  Y11, Y5, Y5
	VSQRTPS Y4, Y4
	VSQRTPS Y5, Y5
	VBROADCASTSS lanes256<>+16(SB), Y0
	VMOVAPS Y0, Y1
	VMOVAPS Y0, Y2
	VMOVAPS Y0, Y3
	MOVQ DI, AX
	MOVQ $32, BX

weights:
	VANDPS (AX), Y10, Y12
	VANDPS 32(AX), Y10, Y13
	VADDPS Y4, Y12, Y12
	VADDPS Y5, Y13, Y13
	WEIGHED(0, Y12, Y0, Y2)
	WEIGHED(32, Y13, Y1, Y3)
	ADDQ $128, AX
	DECQ BX
	JNE  weights
	VMOVUPS Y0, at_sumw(DI)
	VMOVUPS Y1, (at_sumw+32)(DI)
	VMOVUPS Y2, at_sumx(DI)
	VMOVUPS Y3, (at_sumx+32)(DI)
	ADDQ $64, DI
	SUBQ $16, R10
	JGT  magnitudes
	VZEROUPPER
	RET

// func weighed256(s *affineLanes, lanes int)
// Extremes, and the sums of w and w·x, of lanes that have weights.
TEXT ·weighed256(SB), NOSPLIT, $0-16
	MOVQ s+0(FP), DI
	MOVQ lanes+8(FP), R10

pairs:
	MOVQ DI, AX
	MOVQ $32, BX
	VMOVUPS (AX), Y0
	VMOVUPS 32(AX), Y1
	VMOVAPS Y0, Y2
	VMOVAPS Y1, Y3
	VBROADCASTSS lanes256<>+16(SB), Y6
	VMOVAPS Y6, Y7
	VMOVAPS Y6, Y8
	VMOVAPS Y6, Y9

terms:
	VMOVUPS (AX), Y12
	VMOVUPS 32(AX), Y13
	VMOVUPS 4096(AX), Y14
	VMOVUPS 4128(AX), Y15
	VMINPS  Y0, Y12, Y0
	VMAXPS  Y2, Y12, Y2
	VMINPS  Y1, Y13, Y1
	VMAXPS  Y3, Y13, Y3
	VADDPS  Y14, Y6, Y6
	VADDPS  Y15, Y7, Y7
	VMULPS  Y12, Y14, Y14
	VMULPS  Y13, Y15, Y15
	VADDPS  Y14, Y8, Y8
	VADDPS  Y15, Y9, Y9
	ADDQ $128, AX
	DECQ BX
	JNE  terms
	VMOVUPS Y0, at_least(DI)
	VMOVUPS Y1, (at_least+32)(DI)
	VMOVUPS Y2, at_high(DI)
	VMOVUPS Y3, (at_high+32)(DI)
	VMOVUPS Y6, at_sumw(DI)
	VMOVUPS Y7, (at_sumw+32)(DI)
	VMOVUPS Y8, at_sumx(DI)
	VMOVUPS Y9, (at_sumx+32)(DI)
	ADDQ $64, DI
	SUBQ $16, R10
	JGT  pairs
	VZEROUPPER
	RET

// func sumSquares256(sums *[4]float32, x *float32, n int)
// The sums of x² over four runs of n elements that follow each other, each in
// element order; side by side they hide the additions' latency.
TEXT ·sumSquares256(SB), NOSPLIT, $0-24
	MOVQ sums+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), BX
	LEAQ (SI)(BX*4), R8
	LEAQ (R8)(BX*4), R9
	LEAQ (R9)(BX*4), R10
	XORQ CX, CX
	VXORPS X0, X0, X0
	VXORPS X1, X1, X1
	VXORPS X2, X2, X2
	VXORPS X3, X3, X3

runs:
	VMOVSS (SI)(CX*4), X4
	VMOVSS (R8)(CX*4), X5
	VMOVSS (R9)(CX*4), X6
	VMOVSS (R10)(CX*4), X7
	VMULSS X4, X4, X4
	VMULSS X5, X5, X5
	VMULSS X6, X6, X6
	VMULSS X7, X7, X7
	VADDSS X4, X0, X0
	VADDSS X5, X1, X1
	VADDSS X6, X2, X2
	VADDSS X7, X3, X3
	INCQ CX
	CMPQ CX, BX
	JNE  runs
	VMOVSS X0, (DI)
	VMOVSS X1, 4(DI)
	VMOVSS X2, 8(DI)
	VMOVSS X3, 12(DI)
	RET

// The nearest integer as the reference's nearest_int makes it of any float: the low
// 23 bits of the sum, less 2^22.
#define NEAREST(V) \
	VADDPS Y10, V, V; \
	VPAND  Y11, V, V; \
	VPSUBD Y12, V, V

#define RECODE(off, V) \
	VADDPS off(SI), Y8, V; \
	VDIVPS Y9, V, V; \
	NEAREST(V)

// func recodeAffine256(codes *[256]uint8, x *float32, scale, low *float32, top uint8)
// codes = nearest((x+low)/scale) in 0..top for eight sub-blocks of 32, whose scales
// and lows are 32 bytes apart. Packing with
// saturation clamps below, and keeps order above.
TEXT ·recodeAffine256(SB), NOSPLIT, $0-33
	MOVQ codes+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ scale+16(FP), R8
	MOVQ low+24(FP), R9
	MOVQ $8, BX
	VBROADCASTSS lanes256<>+0(SB), Y10
	VBROADCASTSS lanes256<>+4(SB), Y11
	VBROADCASTSS lanes256<>+8(SB), Y12
	VPBROADCASTB top+32(FP), Y13
	VMOVDQU dwords256<>(SB), Y14

subblock:
	VBROADCASTSS (R9), Y8
	VBROADCASTSS (R8), Y9
	RECODE(0, Y0)
	RECODE(32, Y1)
	RECODE(64, Y2)
	RECODE(96, Y3)
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPMINUB Y13, Y0, Y0
	VPERMD Y0, Y14, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	ADDQ $128, SI
	ADDQ $32, R8
	ADDQ $32, R9
	DECQ BX
	JNE  subblock
	VZEROUPPER
	RET

// Two runs of 32 codes as the low and high nibbles of 32 bytes.
#define NIBBLES(off, LO, HI) \
	VMOVDQU (2*off)(SI), LO; \
	VMOVDQU (2*off+32)(SI), HI; \
	VPAND   Y15, LO, Y8; \
	VPAND   Y15, HI, Y9; \
	VPSLLW  $4, Y9, Y9; \
	VPOR    Y9, Y8, Y8; \
	VMOVDQU Y8, off(DI)

// func packFour256(dst *byte, codes *[256]uint8): 128 bytes of nibbles.
TEXT ·packFour256(SB), NOSPLIT, $0-16
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	VPBROADCASTD lanes256<>+24(SB), Y15
	NIBBLES(0, Y0, Y1)
	NIBBLES(32, Y2, Y3)
	NIBBLES(64, Y4, Y5)
	NIBBLES(96, Y6, Y7)
	VZEROUPPER
	RET

// func packFive256(dst *byte, codes *[256]uint8): 32 bytes of fifth bits, bit j of
// byte i that of code 32j+i, then 128 bytes of nibbles.
TEXT ·packFive256(SB), NOSPLIT, $0-16
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	VPBROADCASTD lanes256<>+24(SB), Y15
	VPBROADCASTD lanes256<>+28(SB), Y14
	LEAQ 32(DI), DI
	NIBBLES(0, Y0, Y1)
	NIBBLES(32, Y2, Y3)
	NIBBLES(64, Y4, Y5)
	NIBBLES(96, Y6, Y7)
	VPAND  Y14, Y0, Y0
	VPAND  Y14, Y1, Y1
	VPAND  Y14, Y2, Y2
	VPAND  Y14, Y3, Y3
	VPAND  Y14, Y4, Y4
	VPAND  Y14, Y5, Y5
	VPAND  Y14, Y6, Y6
	VPAND  Y14, Y7, Y7
	VPSRLW $4, Y0, Y0
	VPSRLW $3, Y1, Y1
	VPSRLW $2, Y2, Y2
	VPSRLW $1, Y3, Y3
	VPSLLW $1, Y5, Y5
	VPSLLW $2, Y6, Y6
	VPSLLW $3, Y7, Y7
	VPOR   Y1, Y0, Y0
	VPOR   Y3, Y2, Y2
	VPOR   Y5, Y4, Y4
	VPOR   Y7, Y6, Y6
	VPOR   Y2, Y0, Y0
	VPOR   Y6, Y4, Y4
	VPOR   Y4, Y0, Y0
	VMOVDQU Y0, -32(DI)
	VZEROUPPER
	RET

// func maxMagnitude256(x *float32, n int) (bits uint32)
// The largest magnitude of n elements (a positive multiple of 32), as its bits.
TEXT ·maxMagnitude256(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), BX
	VPBROADCASTD lanes256<>+12(SB), Y10
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1

magnitude:
	VPAND   (SI), Y10, Y2
	VPAND   32(SI), Y10, Y3
	VPAND   64(SI), Y10, Y4
	VPAND   96(SI), Y10, Y5
	VPMAXUD Y2, Y0, Y0
	VPMAXUD Y3, Y1, Y1
	VPMAXUD Y4, Y0, Y0
	VPMAXUD Y5, Y1, Y1
	ADDQ $128, SI
	SUBQ $32, BX
	JNE  magnitude
	VPMAXUD Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VPMAXUD X1, X0, X0
	VMOVD X0, AX
	MOVL AX, bits+16(FP)
	VZEROUPPER
	RET
