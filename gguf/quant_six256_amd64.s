//go:build !noasm

#include "textflag.h"

// What goes after the search of a block of Q6_K, in AVX2.

DATA six256<>+0(SB)/4, $12582912.0
DATA six256<>+4(SB)/4, $0x007fffff
DATA six256<>+8(SB)/4, $0x00400000
DATA six256<>+12(SB)/4, $0x7fffffff
DATA six256<>+16(SB)/4, $-128.0
DATA six256<>+20(SB)/4, $127
DATA six256<>+24(SB)/4, $1.0
DATA six256<>+28(SB)/4, $0x001f001f
DATA six256<>+32(SB)/4, $0xffe0ffe0
DATA six256<>+36(SB)/4, $0x00200020
DATA six256<>+40(SB)/4, $0x0f0f0f0f
DATA six256<>+44(SB)/4, $0x30303030
DATA six256<>+48(SB)/4, $1e-15
GLOBL six256<>(SB), RODATA|NOPTR, $52

DATA dwords6<>+0(SB)/8, $0x0000000400000000
DATA dwords6<>+8(SB)/8, $0x0000000500000001
DATA dwords6<>+16(SB)/8, $0x0000000600000002
DATA dwords6<>+24(SB)/8, $0x0000000700000003
GLOBL dwords6<>(SB), RODATA|NOPTR, $32

#define NEAREST(V) \
	VADDPS Y10, V, V; \
	VPAND  Y11, V, V; \
	VPSUBD Y12, V, V

#define CONSTANTS \
	VBROADCASTSS six256<>+0(SB), Y10; \
	VBROADCASTSS six256<>+4(SB), Y11; \
	VBROADCASTSS six256<>+8(SB), Y12

// func codeScalesSix256(out *[18]byte, scales, products *[16]float32) bool
// Signed 8-bit codes of 16 scales and d as float16; products are of the rounded d and
// the codes. False if all scales are below the reference's epsilon: the block is 0.
TEXT ·codeScalesSix256(SB), NOSPLIT, $0-25
	MOVQ out+0(FP), DI
	MOVQ scales+8(FP), SI
	MOVQ products+16(FP), R8
	CONSTANTS
	VBROADCASTSS six256<>+12(SB), Y15
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VANDPS  Y15, Y0, Y2
	VANDPS  Y15, Y1, Y3

	// The largest magnitude, and the first scale that has it.
	VMAXPS Y3, Y2, Y4
	VEXTRACTF128 $1, Y4, X5
	VMAXPS  X5, X4, X4
	VPSHUFD $0x4e, X4, X5
	VMAXPS  X5, X4, X4
	VPSHUFD $0xb1, X4, X5
	VMAXPS  X5, X4, X4
	VBROADCASTSS X4, Y4
	VCMPPS  $0, Y4, Y2, Y2
	VCMPPS  $0, Y4, Y3, Y3
	VMOVMSKPS Y2, AX
	VMOVMSKPS Y3, BX
	SHLL $8, BX
	ORL  BX, AX
	JEQ  zero
	VUCOMISS six256<>+48(SB), X4
	JCS  zero
	BSFL AX, AX
	VMOVSS six256<>+16(SB), X5
	VDIVSS (SI)(AX*4), X5, X5
	VMOVSS six256<>+24(SB), X6
	VDIVSS X5, X6, X6
	VCVTPS2PH $0, X6, X6
	VPEXTRW $0, X6, AX
	MOVW AX, 16(DI)
	VCVTPH2PS X6, X6
	VBROADCASTSS X6, Y6
	VBROADCASTSS X5, Y5
	VMULPS Y5, Y0, Y0
	VMULPS Y5, Y1, Y1
	NEAREST(Y0)
	NEAREST(Y1)
	VPBROADCASTD six256<>+20(SB), Y7
	VPMINSD Y7, Y0, Y0
	VPMINSD Y7, Y1, Y1
	VCVTDQ2PS Y0, Y2
	VCVTDQ2PS Y1, Y3
	VMULPS Y6, Y2, Y2
	VMULPS Y6, Y3, Y3
	VMOVUPS Y2, (R8)
	VMOVUPS Y3, 32(R8)
	VPACKSSDW Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPACKSSWB X1, X0, X0
	VPSHUFD $0xd8, X0, X0
	VMOVDQU X0, (DI)
	MOVB $1, ret+24(FP)
	VZEROUPPER
	RET

zero:
	MOVB $0, ret+24(FP)
	VZEROUPPER
	RET

// func recodeSix256(codes *[256]uint8, x *float32, scales *[16]float32)
// codes = nearest(x/scale) in -32..31, plus 32, for 16 sub-blocks of 16. Packing with
// saturation keeps order.
TEXT ·recodeSix256(SB), NOSPLIT, $0-24
	MOVQ codes+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ scales+16(FP), R8
	MOVQ $8, BX
	CONSTANTS
	VPBROADCASTD six256<>+28(SB), Y13
	VPBROADCASTD six256<>+32(SB), Y14
	VPBROADCASTD six256<>+36(SB), Y15
	VMOVDQU dwords6<>(SB), Y7

subblocks:
	VBROADCASTSS (R8), Y8
	VBROADCASTSS 4(R8), Y9
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS 64(SI), Y2
	VMOVUPS 96(SI), Y3
	VDIVPS Y8, Y0, Y0
	VDIVPS Y8, Y1, Y1
	VDIVPS Y9, Y2, Y2
	VDIVPS Y9, Y3, Y3
	NEAREST(Y0)
	NEAREST(Y1)
	NEAREST(Y2)
	NEAREST(Y3)
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPMINSW Y13, Y0, Y0
	VPMINSW Y13, Y2, Y2
	VPMAXSW Y14, Y0, Y0
	VPMAXSW Y14, Y2, Y2
	VPADDW  Y15, Y0, Y0
	VPADDW  Y15, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMD  Y0, Y7, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	ADDQ $128, SI
	ADDQ $8, R8
	DECQ BX
	JNE  subblocks
	VZEROUPPER
	RET

// 128 codes: nibbles of the first and third 32, of the second and fourth, and 32
// bytes of the four's upper bits.
#define SIX(off, low, high) \
	VMOVDQU (off)(SI), Y0; \
	VMOVDQU (off+32)(SI), Y1; \
	VMOVDQU (off+64)(SI), Y2; \
	VMOVDQU (off+96)(SI), Y3; \
	VPAND   Y15, Y0, Y4; \
	VPAND   Y15, Y1, Y5; \
	VPAND   Y15, Y2, Y6; \
	VPAND   Y15, Y3, Y7; \
	VPSLLW  $4, Y6, Y6; \
	VPSLLW  $4, Y7, Y7; \
	VPOR    Y6, Y4, Y4; \
	VPOR    Y7, Y5, Y5; \
	VMOVDQU Y4, low(DI); \
	VMOVDQU Y5, (low+32)(DI); \
	VPAND   Y14, Y0, Y0; \
	VPAND   Y14, Y1, Y1; \
	VPAND   Y14, Y2, Y2; \
	VPAND   Y14, Y3, Y3; \
	VPSRLW  $4, Y0, Y0; \
	VPSRLW  $2, Y1, Y1; \
	VPSLLW  $2, Y3, Y3; \
	VPOR    Y1, Y0, Y0; \
	VPOR    Y3, Y2, Y2; \
	VPOR    Y2, Y0, Y0; \
	VMOVDQU Y0, high(DI)

// func packSix256(dst *byte, codes *[256]uint8): 128 bytes of nibbles, 64 of upper bits.
TEXT ·packSix256(SB), NOSPLIT, $0-16
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	VPBROADCASTD six256<>+40(SB), Y15
	VPBROADCASTD six256<>+44(SB), Y14
	SIX(0, 0, 128)
	SIX(128, 64, 160)
	VZEROUPPER
	RET
