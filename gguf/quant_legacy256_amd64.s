//go:build !noasm

#include "textflag.h"

// The types of 32 weights a block, in AVX2, whole blocks at a time.

DATA legacy256<>+0(SB)/4, $0x7fffffff
DATA legacy256<>+4(SB)/4, $127.0
DATA legacy256<>+8(SB)/4, $1.0
DATA legacy256<>+12(SB)/4, $0.5
DATA legacy256<>+16(SB)/4, $-0.5
DATA legacy256<>+20(SB)/4, $0x7f800000
DATA legacy256<>+24(SB)/4, $12582912.0
DATA legacy256<>+28(SB)/4, $0x007fffff
DATA legacy256<>+32(SB)/4, $0x00400000
DATA legacy256<>+36(SB)/4, $0x0f0f0f0f
GLOBL legacy256<>(SB), RODATA|NOPTR, $40

DATA dwordsOld<>+0(SB)/8, $0x0000000400000000
DATA dwordsOld<>+8(SB)/8, $0x0000000500000001
DATA dwordsOld<>+16(SB)/8, $0x0000000600000002
DATA dwordsOld<>+24(SB)/8, $0x0000000700000003
GLOBL dwordsOld<>(SB), RODATA|NOPTR, $32

#define LOAD32 \
	VMOVUPS (SI), Y0; \
	VMOVUPS 32(SI), Y1; \
	VMOVUPS 64(SI), Y2; \
	VMOVUPS 96(SI), Y3

// The largest of Y4 in all of X4.
#define ACROSS(OP) \
	VEXTRACTF128 $1, Y4, X5; \
	OP X5, X4, X4; \
	VPSHUFD $0x4e, X4, X5; \
	OP X5, X4, X4; \
	VPSHUFD $0xb1, X4, X5; \
	OP X5, X4, X4

#define AMAX \
	VANDPS Y15, Y0, Y4; \
	VANDPS Y15, Y1, Y5; \
	VANDPS Y15, Y2, Y6; \
	VANDPS Y15, Y3, Y7; \
	VMAXPS Y5, Y4, Y4; \
	VMAXPS Y7, Y6, Y6; \
	VMAXPS Y6, Y4, Y4; \
	ACROSS(VMAXPS)

// X5 = 1/X4, but 0 where X4 is 0.
#define INVERSE \
	VMOVSS legacy256<>+8(SB), X5; \
	VDIVSS X4, X5, X5; \
	VXORPS X6, X6, X6; \
	VCMPSS $4, X6, X4, X6; \
	VANDPS X6, X5, X5

// v rounded half away from zero to an integer: truncated, and one more where what is
// left is a half or more. Y11 is 1/2, Y12 -1/2.
#define AWAY(V) \
	VMULPS Y5, V, V; \
	VROUNDPS $3, V, Y6; \
	VSUBPS Y6, V, V; \
	VCVTTPS2DQ Y6, Y6; \
	VCMPPS $2, V, Y11, Y7; \
	VCMPPS $2, Y12, V, V; \
	VPSUBD Y7, Y6, Y6; \
	VPADDD V, Y6, V

// func encodeEight256(dst *byte, x *float32, blocks int): Q8_0.
TEXT ·encodeEight256(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ blocks+16(FP), CX
	VBROADCASTSS legacy256<>+0(SB), Y15
	VBROADCASTSS legacy256<>+12(SB), Y11
	VBROADCASTSS legacy256<>+16(SB), Y12
	VMOVDQU dwordsOld<>(SB), Y14

eight:
	LOAD32
	AMAX
	VDIVSS legacy256<>+4(SB), X4, X4
	VCVTPS2PH $0, X4, X5
	VPEXTRW $0, X5, AX
	MOVW AX, (DI)
	INVERSE
	VUCOMISS legacy256<>+20(SB), X5 // the inverse overflowed: all codes are 0
	JNE  finite
	VXORPS X5, X5, X5

finite:
	VBROADCASTSS X5, Y5
	AWAY(Y0)
	AWAY(Y1)
	AWAY(Y2)
	AWAY(Y3)
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKSSWB Y2, Y0, Y0
	VPERMD  Y0, Y14, Y0
	VMOVDQU Y0, 2(DI)
	ADDQ $34, DI
	ADDQ $128, SI
	DECQ CX
	JNE  eight
	VZEROUPPER
	RET

// Y0 holds 32 codes; with R9 set the fifth bits go first. Advances DI.
#define PACK(done) \
	TESTL R9, R9; \
	JEQ  done; \
	VPSLLW $3, Y0, Y1; \
	VPMOVMSKB Y1, AX; \
	MOVL AX, (DI); \
	ADDQ $4, DI; \
done: \
	VPAND Y13, Y0, Y0; \
	VEXTRACTI128 $1, Y0, X1; \
	VPSLLW $4, X1, X1; \
	VPOR X1, X0, X0; \
	VMOVDQU X0, (DI); \
	ADDQ $16, DI

// Codes of truncated numbers. Where the inverse scale overflowed they are NaN or
// infinite: the conversion gives the least integer and the packing 0.
#define TRUNCATE \
	VCVTTPS2DQ Y0, Y0; \
	VCVTTPS2DQ Y1, Y1; \
	VCVTTPS2DQ Y2, Y2; \
	VCVTTPS2DQ Y3, Y3; \
	VPACKSSDW Y1, Y0, Y0; \
	VPACKSSDW Y3, Y2, Y2; \
	VPACKUSWB Y2, Y0, Y0; \
	VPERMD  Y0, Y14, Y0; \
	VPMINUB Y12, Y0, Y0

// The bit set of elements that equal Y4's, in AX.
#define WHERE(A, B, C, D) \
	VCMPPS $0, A, Y4, Y5; \
	VCMPPS $0, B, Y4, Y6; \
	VCMPPS $0, C, Y4, Y7; \
	VCMPPS $0, D, Y4, Y8; \
	VMOVMSKPS Y5, AX; \
	VMOVMSKPS Y6, BX; \
	VMOVMSKPS Y7, DX; \
	VMOVMSKPS Y8, R8; \
	SHLL $8, BX; \
	SHLL $16, DX; \
	SHLL $24, R8; \
	ORL BX, AX; \
	ORL DX, AX; \
	ORL R8, AX

// func encodeSymmetric256(dst *byte, x *float32, blocks int, half float32)
// Q4_0 (half 8) and Q5_0 (16): d = the element of the largest magnitude, the first of
// equals, by -half; codes trunc(x/d + half + 0.5).
TEXT ·encodeSymmetric256(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ blocks+16(FP), CX
	VBROADCASTSS legacy256<>+0(SB), Y15
	VPBROADCASTD legacy256<>+36(SB), Y13
	VMOVDQU dwordsOld<>(SB), Y14
	VBROADCASTSS half+24(FP), Y10
	VCVTTSS2SI X10, R9
	LEAL -1(R9)(R9*1), AX
	VMOVD AX, X12
	VPBROADCASTB X12, Y12
	ANDL $16, R9
	VBROADCASTSS legacy256<>+12(SB), Y11
	VADDPS Y11, Y10, Y11
	VXORPS Y9, Y9, Y9
	VSUBPS Y10, Y9, Y10

symmetric:
	LOAD32
	AMAX
	VBROADCASTSS X4, Y4
	VANDPS Y15, Y0, Y5
	VANDPS Y15, Y1, Y6
	VANDPS Y15, Y2, Y7
	VANDPS Y15, Y3, Y8
	WHERE(Y5, Y6, Y7, Y8)
	BSFL AX, AX
	VMOVSS (SI)(AX*4), X4
	VCMPSS $4, X9, X4, X5 // signedAbsMax starts from +0
	VANDPS X5, X4, X4
	VDIVSS X10, X4, X4
	VCVTPS2PH $0, X4, X5
	VPEXTRW $0, X5, AX
	MOVW AX, (DI)
	ADDQ $2, DI
	INVERSE
	VBROADCASTSS X5, Y5
	VMULPS Y5, Y0, Y0
	VMULPS Y5, Y1, Y1
	VMULPS Y5, Y2, Y2
	VMULPS Y5, Y3, Y3
	VADDPS Y11, Y0, Y0
	VADDPS Y11, Y1, Y1
	VADDPS Y11, Y2, Y2
	VADDPS Y11, Y3, Y3
	TRUNCATE
	PACK(symmetriclow)
	ADDQ $128, SI
	DECQ CX
	JNE  symmetric
	VZEROUPPER
	RET

// func encodeAffine256(dst *byte, x *float32, blocks int, top float32)
// Q4_1 (top 15) and Q5_1 (31): d = (max-min)/top, m = min, the first of equals; codes
// trunc((x-m)/d + 0.5).
TEXT ·encodeAffine256(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ blocks+16(FP), CX
	VPBROADCASTD legacy256<>+36(SB), Y13
	VMOVDQU dwordsOld<>(SB), Y14
	VMOVSS top+24(FP), X10
	VCVTTSS2SI X10, R9
	VMOVD R9, X12
	VPBROADCASTB X12, Y12
	ANDL $16, R9
	VBROADCASTSS legacy256<>+12(SB), Y11

affine:
	LOAD32
	VMAXPS Y1, Y0, Y4
	VMAXPS Y3, Y2, Y6
	VMAXPS Y6, Y4, Y4
	ACROSS(VMAXPS)
	VMOVAPS X4, X9
	VMINPS Y1, Y0, Y4
	VMINPS Y3, Y2, Y6
	VMINPS Y6, Y4, Y4
	ACROSS(VMINPS)
	VBROADCASTSS X4, Y4
	WHERE(Y0, Y1, Y2, Y3)
	BSFL AX, AX
	VBROADCASTSS (SI)(AX*4), Y8
	VCMPSS $4, X8, X9, X5 // equal extremes differ by +0
	VSUBSS X8, X9, X4
	VANDPS X5, X4, X4
	VDIVSS X10, X4, X4
	VUNPCKLPS X8, X4, X5
	VCVTPS2PH $0, X5, X5
	VMOVD X5, (DI)
	ADDQ $4, DI
	INVERSE
	VBROADCASTSS X5, Y5
	VSUBPS Y8, Y0, Y0
	VSUBPS Y8, Y1, Y1
	VSUBPS Y8, Y2, Y2
	VSUBPS Y8, Y3, Y3
	VMULPS Y5, Y0, Y0
	VMULPS Y5, Y1, Y1
	VMULPS Y5, Y2, Y2
	VMULPS Y5, Y3, Y3
	VADDPS Y11, Y0, Y0
	VADDPS Y11, Y1, Y1
	VADDPS Y11, Y2, Y2
	VADDPS Y11, Y3, Y3
	TRUNCATE
	PACK(affinelow)
	ADDQ $128, SI
	DECQ CX
	JNE  affine
	VZEROUPPER
	RET

#define NEAREST(off, V) \
	VMOVUPS off(SI), V; \
	VSUBPS Y8, V, V; \
	VMULPS Y9, V, V; \
	VADDPS Y5, V, V; \
	VPAND  Y6, V, V; \
	VPSUBD Y7, V, V; \
	VPADDD Y10, V, V

// func packRun256(dst *byte, x *float32, inv, base float32, half, top int32)
// The 32 codes nearest(inv·(x-base)) + half, clamped to 0..top, as packLegacy stores
// them.
TEXT ·packRun256(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	VBROADCASTSS inv+16(FP), Y9
	VBROADCASTSS base+20(FP), Y8
	VBROADCASTSS half+24(FP), Y10
	MOVL top+28(FP), R9
	VMOVD R9, X12
	VPBROADCASTB X12, Y12
	ANDL $16, R9
	VBROADCASTSS legacy256<>+24(SB), Y5
	VBROADCASTSS legacy256<>+28(SB), Y6
	VBROADCASTSS legacy256<>+32(SB), Y7
	VPBROADCASTD legacy256<>+36(SB), Y13
	VMOVDQU dwordsOld<>(SB), Y14
	NEAREST(0, Y0)
	NEAREST(32, Y1)
	NEAREST(64, Y2)
	NEAREST(96, Y3)
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMD  Y0, Y14, Y0
	VPMINUB Y12, Y0, Y0
	PACK(runlow)
	VZEROUPPER
	RET

// func weights256(w, x, v *float32, sigma float32)
// w = v·sqrt(sigma + x²) for 32 elements.
TEXT ·weights256(SB), NOSPLIT, $0-28
	MOVQ w+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ v+16(FP), DX
	VBROADCASTSS sigma+24(FP), Y4
	LOAD32
	VMULPS Y0, Y0, Y0
	VMULPS Y1, Y1, Y1
	VMULPS Y2, Y2, Y2
	VMULPS Y3, Y3, Y3
	VADDPS Y4, Y0, Y0
	VADDPS Y4, Y1, Y1
	VADDPS Y4, Y2, Y2
	VADDPS Y4, Y3, Y3
	VSQRTPS Y0, Y0
	VSQRTPS Y1, Y1
	VSQRTPS Y2, Y2
	VSQRTPS Y3, Y3
	VMULPS (DX), Y0, Y0
	VMULPS 32(DX), Y1, Y1
	VMULPS 64(DX), Y2, Y2
	VMULPS 96(DX), Y3, Y3
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VZEROUPPER
	RET
