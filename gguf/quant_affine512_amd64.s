//go:build !noasm

#include "textflag.h"
#include "quant_affine_amd64.h"

DATA affine512<>+0(SB)/4, $12582912.0
DATA affine512<>+4(SB)/4, $1e-37
DATA affine512<>+8(SB)/4, $0.000030517578125
DATA affine512<>+12(SB)/4, $1.0
GLOBL affine512<>(SB), RODATA|NOPTR, $16

// Constants: Z20 1.5·2^23, Z21 that and top, Z22 zero, Z23 1e-37, Z24 2^-15, Z26 top,
// Z27 one.

// A lane starts: low = min(x) but at most 0, inv = top/(high-low), scale = 1/inv.
// A lane of equal weights is not live (mask K): its inv is infinite, its codes are
// nearest(NaN), which is 0, and no candidate is better. Others are bad (mask B) where
// inv could overflow.
#define START(o, K, B, INVERSE, LOWEST, STEP, SUM) \
	VMOVUPS (at_high+o)(DI), Z12; \
	VMOVUPS (at_least+o)(DI), Z13; \
	VMINPS  Z13, Z22, LOWEST; \
	VCMPPS  $4, LOWEST, Z12, K; \
	VSUBPS  LOWEST, Z12, Z12; \
	VCMPPS  $5, Z12, Z23, K, B; \
	VDIVPS  Z12, Z26, INVERSE; \
	VDIVPS  INVERSE, Z27, STEP; \
	VMOVUPS INVERSE, (at_inv+o)(DI); \
	VMOVUPS LOWEST, (at_low+o)(DI); \
	VMOVUPS LOWEST, (at_base+o)(DI); \
	VMOVUPS STEP, (at_scale+o)(DI); \
	VXORPS  SUM, SUM, SUM

// The next candidate from its numerator: inv = numerator/(high-low) with the
// running low. The lane is bad unless high-low > 1e-37 and > (low-least)/2^15: then
// -2^21 < inv·(x-low) < numerator·(1+2^-22), where rounding by MAGIC is right.
#define GRID(o, K, B, INVERSE, LOWEST) \
	VMOVUPS (at_high+o)(DI), Z12; \
	VSUBPS  LOWEST, Z12, Z12; \
	VSUBPS  (at_least+o)(DI), LOWEST, Z13; \
	VMULPS  Z24, Z13, Z13; \
	VMAXPS  Z23, Z13, Z13; \
	VCMPPS  $5, Z12, Z13, K, K7; \
	KORW    K7, B, B; \
	VDIVPS  Z12, Z28, INVERSE

// Weighted least squares of the candidate: L2 becomes the scale, XL the min, L is
// cleared for the error. Mask F: the determinant is positive.
#define FIT(o, F, L, L2, XL) \
	VMOVUPS (at_sumw+o)(DI), Z15; \
	VMOVUPS (at_sumx+o)(DI), Z13; \
	VMULPS  L2, Z15, Z12; \
	VMULPS  L, L, Z14; \
	VSUBPS  Z14, Z12, Z12; \
	VMULPS  XL, Z15, Z15; \
	VMULPS  L, Z13, Z14; \
	VSUBPS  Z14, Z15, Z15; \
	VDIVPS  Z12, Z15, Z15; \
	VMULPS  L2, Z13, Z13; \
	VMULPS  XL, L, Z14; \
	VSUBPS  Z14, Z13, Z13; \
	VDIVPS  Z12, Z13, Z13; \
	VCMPPS  $1, Z12, Z22, F; \
	VCMPPS  $1, Z13, Z22, K7; \
	VDIVPS  L2, XL, Z14; \
	VBLENDMPS Z14, Z15, K7, L2; \
	VBLENDMPS Z22, Z13, K7, XL; \
	VXORPS  L, L, L

// Keeps the candidate in the lanes where its error E is the least so far. Masked
// stores do not forward to the loads of the next candidate, so these are whole.
#define KEEP(o, F, INVERSE, LOWEST, E, STEP, MIN) \
	VMOVUPS (at_best+o)(DI), Z12; \
	VCMPPS  $1, Z12, E, F, F; \
	VMOVAPS E, F, Z12; \
	VMOVUPS Z12, (at_best+o)(DI); \
	VMOVUPS (at_base+o)(DI), Z13; \
	VMOVAPS LOWEST, F, Z13; \
	VMOVUPS Z13, (at_base+o)(DI); \
	VMOVUPS (at_inv+o)(DI), Z14; \
	VMOVAPS INVERSE, F, Z14; \
	VMOVUPS Z14, (at_inv+o)(DI); \
	VMOVUPS (at_scale+o)(DI), Z15; \
	VMOVAPS STEP, F, Z15; \
	VMOVUPS Z15, (at_scale+o)(DI); \
	VMOVAPS MIN, F, LOWEST; \
	VMOVUPS LOWEST, (at_low+o)(DI)

#define SUMS_FREE(off, X, T, U, INVERSE, LOWEST, L, L2, XL) \
	AFFINE_CODE(off, X, T, INVERSE, LOWEST, Z20); \
	AFFINE_SUMS(off, X, T, U, L, L2, XL, Z20)

#define SUMS_CLAMPED(off, X, T, U, INVERSE, LOWEST, L, L2, XL) \
	AFFINE_CODE(off, X, T, INVERSE, LOWEST, Z20); \
	AFFINE_CLAMP(T, Z21); \
	AFFINE_SUMS(off, X, T, U, L, L2, XL, Z20)

// func affine512(s *affineLanes, numerators *float32, n, free int, top float32)
// (bad uint32)
// The search over n candidates, of which the first free need no clamp above. Of two
// groups of 16 lanes one does its divisions while the other's sums keep the ports
// busy: sums A, sums B, error A, error B.
TEXT ·affine512(SB), NOSPLIT, $0-44
	MOVQ s+0(FP), DI
	MOVQ numerators+8(FP), SI
	MOVQ n+16(FP), DX
	MOVQ free+24(FP), R8
	VBROADCASTSS affine512<>+0(SB), Z20
	VXORPS Z22, Z22, Z22
	VBROADCASTSS affine512<>+4(SB), Z23
	VBROADCASTSS affine512<>+8(SB), Z24
	VBROADCASTSS affine512<>+12(SB), Z27
	VBROADCASTSS top+32(FP), Z26
	VADDPS Z20, Z26, Z21
	START(0, K1, K3, Z0, Z1, Z2, Z3)
	START(64, K2, K4, Z5, Z6, Z7, Z8)
	MOVQ DI, AX
	MOVQ $32, BX

first:
	AFFINE_FIRST(0, Z12, Z13, Z0, Z1, Z2, Z3, Z20)
	AFFINE_FIRST(64, Z14, Z15, Z5, Z6, Z7, Z8, Z20)
	ADDQ $128, AX
	DECQ BX
	JNE  first
	VMOVUPS Z3, at_best(DI)
	VMOVUPS Z8, (at_best+64)(DI)
	VBROADCASTSS (SI), Z28
	GRID(0, K1, K3, Z0, Z1)
	GRID(64, K2, K4, Z5, Z6)

candidate:
	VXORPS Z2, Z2, Z2
	VXORPS Z3, Z3, Z3
	VXORPS Z4, Z4, Z4
	VXORPS Z7, Z7, Z7
	VXORPS Z8, Z8, Z8
	VXORPS Z9, Z9, Z9
	MOVQ   DI, AX
	MOVQ   $8, BX
	DECQ   R8
	JLT    clampedA

freeA:
	SUMS_FREE(0, Z12, Z13, Z14, Z0, Z1, Z2, Z3, Z4)
	SUMS_FREE(128, Z15, Z16, Z17, Z0, Z1, Z2, Z3, Z4)
	SUMS_FREE(256, Z12, Z13, Z14, Z0, Z1, Z2, Z3, Z4)
	SUMS_FREE(384, Z15, Z16, Z17, Z0, Z1, Z2, Z3, Z4)
	ADDQ $512, AX
	DECQ BX
	JNE  freeA
	FIT(0, K5, Z2, Z3, Z4)
	MOVQ DI, AX
	MOVQ $8, BX

freeB:
	SUMS_FREE(64, Z12, Z13, Z14, Z5, Z6, Z7, Z8, Z9)
	SUMS_FREE(192, Z15, Z16, Z17, Z5, Z6, Z7, Z8, Z9)
	SUMS_FREE(320, Z12, Z13, Z14, Z5, Z6, Z7, Z8, Z9)
	SUMS_FREE(448, Z15, Z16, Z17, Z5, Z6, Z7, Z8, Z9)
	ADDQ $512, AX
	DECQ BX
	JNE  freeB
	JMP  fitB

clampedA:
	SUMS_CLAMPED(0, Z12, Z13, Z14, Z0, Z1, Z2, Z3, Z4)
	SUMS_CLAMPED(128, Z15, Z16, Z17, Z0, Z1, Z2, Z3, Z4)
	SUMS_CLAMPED(256, Z12, Z13, Z14, Z0, Z1, Z2, Z3, Z4)
	SUMS_CLAMPED(384, Z15, Z16, Z17, Z0, Z1, Z2, Z3, Z4)
	ADDQ $512, AX
	DECQ BX
	JNE  clampedA
	FIT(0, K5, Z2, Z3, Z4)
	MOVQ DI, AX
	MOVQ $8, BX

clampedB:
	SUMS_CLAMPED(64, Z12, Z13, Z14, Z5, Z6, Z7, Z8, Z9)
	SUMS_CLAMPED(192, Z15, Z16, Z17, Z5, Z6, Z7, Z8, Z9)
	SUMS_CLAMPED(320, Z12, Z13, Z14, Z5, Z6, Z7, Z8, Z9)
	SUMS_CLAMPED(448, Z15, Z16, Z17, Z5, Z6, Z7, Z8, Z9)
	ADDQ $512, AX
	DECQ BX
	JNE  clampedB

fitB:
	FIT(64, K6, Z7, Z8, Z9)
	ADDQ $4, SI
	VBROADCASTSS (SI), Z28
	MOVQ DI, AX
	MOVQ $4, BX

errorA:
	AFFINE_ERROR(0, Z12, Z3, Z4, Z2)
	AFFINE_ERROR(128, Z13, Z3, Z4, Z2)
	AFFINE_ERROR(256, Z14, Z3, Z4, Z2)
	AFFINE_ERROR(384, Z15, Z3, Z4, Z2)
	AFFINE_ERROR(512, Z12, Z3, Z4, Z2)
	AFFINE_ERROR(640, Z13, Z3, Z4, Z2)
	AFFINE_ERROR(768, Z14, Z3, Z4, Z2)
	AFFINE_ERROR(896, Z15, Z3, Z4, Z2)
	ADDQ $1024, AX
	DECQ BX
	JNE  errorA
	KEEP(0, K5, Z0, Z1, Z2, Z3, Z4)
	GRID(0, K1, K3, Z0, Z1)
	MOVQ DI, AX
	MOVQ $4, BX

errorB:
	AFFINE_ERROR(64, Z12, Z8, Z9, Z7)
	AFFINE_ERROR(192, Z13, Z8, Z9, Z7)
	AFFINE_ERROR(320, Z14, Z8, Z9, Z7)
	AFFINE_ERROR(448, Z15, Z8, Z9, Z7)
	AFFINE_ERROR(576, Z12, Z8, Z9, Z7)
	AFFINE_ERROR(704, Z13, Z8, Z9, Z7)
	AFFINE_ERROR(832, Z14, Z8, Z9, Z7)
	AFFINE_ERROR(960, Z15, Z8, Z9, Z7)
	ADDQ $1024, AX
	DECQ BX
	JNE  errorB
	KEEP(64, K6, Z5, Z6, Z7, Z8, Z9)
	GRID(64, K2, K4, Z5, Z6)
	DECQ DX
	JNE  candidate

	KMOVW K3, AX
	KMOVW K4, BX
	SHLL  $16, BX
	ORL   BX, AX
	MOVL  AX, bad+40(FP)
	VZEROUPPER
	RET
