//go:build !noasm

#include "textflag.h"
#include "quant_affine_amd64.h"

DATA affine256<>+0(SB)/4, $12582912.0
DATA affine256<>+4(SB)/4, $1e-37
DATA affine256<>+8(SB)/4, $0.000030517578125
DATA affine256<>+12(SB)/4, $1.0
GLOBL affine256<>(SB), RODATA|NOPTR, $16

// A lane starts: low = min(x) but at most 0, inv = top/(high-low), scale = 1/inv.
// Y11 is top. A lane of equal weights is not live: its inv is infinite, its codes are
// nearest(NaN), which is 0, and no candidate is better. Others are bad where inv could
// overflow.
#define START(o, INVERSE, LOWEST, STEP, SUM) \
	VMOVUPS (at_high+o)(DI), Y12; \
	VXORPS  Y14, Y14, Y14; \
	VMOVUPS (at_least+o)(DI), Y13; \
	VMINPS  Y13, Y14, LOWEST; \
	VCMPPS  $4, LOWEST, Y12, Y15; \
	VMOVUPS Y15, (at_live+o)(DI); \
	VSUBPS  LOWEST, Y12, Y12; \
	VBROADCASTSS affine256<>+4(SB), Y14; \
	VCMPPS  $5, Y12, Y14, Y14; \
	VANDPS  Y15, Y14, Y14; \
	VMOVUPS Y14, (at_bad+o)(DI); \
	VDIVPS  Y12, Y11, INVERSE; \
	VBROADCASTSS affine256<>+12(SB), Y14; \
	VDIVPS  INVERSE, Y14, STEP; \
	VMOVUPS INVERSE, (at_inv+o)(DI); \
	VMOVUPS LOWEST, (at_low+o)(DI); \
	VMOVUPS LOWEST, (at_base+o)(DI); \
	VMOVUPS STEP, (at_scale+o)(DI); \
	VXORPS  SUM, SUM, SUM

// The next candidate from its numerator: inv = numerator/(high-low) with the
// running low. The lane is bad unless high-low > 1e-37 and > (low-least)/2^15: then
// -2^21 < inv·(x-low) < numerator·(1+2^-22), where rounding by MAGIC is right.
#define GRID(o, INVERSE, LOWEST) \
	VMOVUPS (at_low+o)(DI), LOWEST; \
	VMOVUPS (at_high+o)(DI), Y12; \
	VSUBPS  LOWEST, Y12, Y12; \
	VSUBPS  (at_least+o)(DI), LOWEST, Y13; \
	VBROADCASTSS affine256<>+8(SB), Y14; \
	VMULPS  Y14, Y13, Y13; \
	VBROADCASTSS affine256<>+4(SB), Y14; \
	VMAXPS  Y14, Y13, Y13; \
	VCMPPS  $5, Y12, Y13, Y13; \
	VANDPS  (at_live+o)(DI), Y13, Y13; \
	VORPS   (at_bad+o)(DI), Y13, Y13; \
	VMOVUPS Y13, (at_bad+o)(DI); \
	VBROADCASTSS (SI), Y14; \
	VDIVPS  Y12, Y14, INVERSE

// Weighted least squares of the candidate: L2 becomes the scale, XL the min, L is
// cleared for the error.
#define FIT(o, L, L2, XL) \
	VMOVUPS (at_sumw+o)(DI), Y15; \
	VMOVUPS (at_sumx+o)(DI), Y13; \
	VMULPS  L2, Y15, Y12; \
	VMULPS  L, L, Y14; \
	VSUBPS  Y14, Y12, Y12; \
	VMULPS  XL, Y15, Y15; \
	VMULPS  L, Y13, Y14; \
	VSUBPS  Y14, Y15, Y15; \
	VDIVPS  Y12, Y15, Y15; \
	VMULPS  L2, Y13, Y13; \
	VMULPS  XL, L, Y14; \
	VSUBPS  Y14, Y13, Y13; \
	VDIVPS  Y12, Y13, Y13; \
	VXORPS  Y14, Y14, Y14; \
	VCMPPS  $1, Y12, Y14, Y12; \
	VMOVUPS Y12, (at_fits+o)(DI); \
	VDIVPS  L2, XL, L2; \
	VCMPPS  $1, Y13, Y14, Y12; \
	VBLENDVPS Y12, L2, Y15, L2; \
	VANDNPS Y13, Y12, XL; \
	VXORPS  L, L, L

// Keeps the candidate in the lanes where its error E is the least so far.
#define KEEP(o, INVERSE, LOWEST, E, STEP, MIN) \
	VMOVUPS (at_best+o)(DI), Y12; \
	VCMPPS  $1, Y12, E, Y13; \
	VANDPS  (at_fits+o)(DI), Y13, Y13; \
	VBLENDVPS Y13, E, Y12, Y12; \
	VMOVUPS Y12, (at_best+o)(DI); \
	VMOVUPS (at_base+o)(DI), Y12; \
	VBLENDVPS Y13, LOWEST, Y12, Y12; \
	VMOVUPS Y12, (at_base+o)(DI); \
	VMOVUPS (at_inv+o)(DI), Y12; \
	VBLENDVPS Y13, INVERSE, Y12, Y12; \
	VMOVUPS Y12, (at_inv+o)(DI); \
	VBLENDVPS Y13, MIN, LOWEST, Y12; \
	VMOVUPS Y12, (at_low+o)(DI); \
	VMOVUPS (at_scale+o)(DI), Y12; \
	VBLENDVPS Y13, STEP, Y12, Y12; \
	VMOVUPS Y12, (at_scale+o)(DI)

#define SUMS_FREE(off, X, T, U, INVERSE, LOWEST, L, L2, XL) \
	AFFINE_CODE(off, X, T, INVERSE, LOWEST, Y10); \
	AFFINE_SUMS(off, X, T, U, L, L2, XL, Y10)

#define SUMS_CLAMPED(off, X, T, U, INVERSE, LOWEST, L, L2, XL) \
	AFFINE_CODE(off, X, T, INVERSE, LOWEST, Y10); \
	AFFINE_CLAMP(T, Y11); \
	AFFINE_SUMS(off, X, T, U, L, L2, XL, Y10)

// func affine256(s *affineLanes, numerators *float32, n, free int, top float32, lanes int)
// (bad uint32)
// The search over n candidates, of which the first free need no clamp above. Of two
// groups of eight lanes one does its divisions while the other's sums keep the ports
// busy: sums A, sums B, error A, error B.
TEXT ·affine256(SB), NOSPLIT, $0-52
	MOVQ s+0(FP), DI
	MOVQ lanes+40(FP), R10
	XORL R12, R12
	XORL R13, R13
	VBROADCASTSS affine256<>+0(SB), Y10

half:
	MOVQ numerators+8(FP), SI
	MOVQ n+16(FP), DX
	MOVQ free+24(FP), R8
	VBROADCASTSS top+32(FP), Y11
	START(0, Y0, Y1, Y2, Y3)
	START(32, Y5, Y6, Y7, Y8)
	MOVQ DI, AX
	MOVQ $32, BX

first:
	AFFINE_FIRST(0, Y12, Y13, Y0, Y1, Y2, Y3, Y10)
	AFFINE_FIRST(32, Y14, Y15, Y5, Y6, Y7, Y8, Y10)
	ADDQ $128, AX
	DECQ BX
	JNE  first
	VMOVUPS Y3, at_best(DI)
	VMOVUPS Y8, (at_best+32)(DI)
	VADDPS  Y10, Y11, Y11
	GRID(0, Y0, Y1)
	GRID(32, Y5, Y6)

candidate:
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	MOVQ   DI, AX
	MOVQ   $8, BX
	DECQ   R8
	JLT    clampedA

freeA:
	SUMS_FREE(0, Y12, Y13, Y14, Y0, Y1, Y2, Y3, Y4)
	SUMS_FREE(128, Y15, Y12, Y14, Y0, Y1, Y2, Y3, Y4)
	SUMS_FREE(256, Y12, Y13, Y14, Y0, Y1, Y2, Y3, Y4)
	SUMS_FREE(384, Y15, Y12, Y14, Y0, Y1, Y2, Y3, Y4)
	ADDQ $512, AX
	DECQ BX
	JNE  freeA
	FIT(0, Y2, Y3, Y4)
	MOVQ DI, AX
	MOVQ $8, BX

freeB:
	SUMS_FREE(32, Y12, Y13, Y14, Y5, Y6, Y7, Y8, Y9)
	SUMS_FREE(160, Y15, Y12, Y14, Y5, Y6, Y7, Y8, Y9)
	SUMS_FREE(288, Y12, Y13, Y14, Y5, Y6, Y7, Y8, Y9)
	SUMS_FREE(416, Y15, Y12, Y14, Y5, Y6, Y7, Y8, Y9)
	ADDQ $512, AX
	DECQ BX
	JNE  freeB
	JMP  fitB

clampedA:
	SUMS_CLAMPED(0, Y12, Y13, Y14, Y0, Y1, Y2, Y3, Y4)
	SUMS_CLAMPED(128, Y15, Y12, Y14, Y0, Y1, Y2, Y3, Y4)
	SUMS_CLAMPED(256, Y12, Y13, Y14, Y0, Y1, Y2, Y3, Y4)
	SUMS_CLAMPED(384, Y15, Y12, Y14, Y0, Y1, Y2, Y3, Y4)
	ADDQ $512, AX
	DECQ BX
	JNE  clampedA
	FIT(0, Y2, Y3, Y4)
	MOVQ DI, AX
	MOVQ $8, BX

clampedB:
	SUMS_CLAMPED(32, Y12, Y13, Y14, Y5, Y6, Y7, Y8, Y9)
	SUMS_CLAMPED(160, Y15, Y12, Y14, Y5, Y6, Y7, Y8, Y9)
	SUMS_CLAMPED(288, Y12, Y13, Y14, Y5, Y6, Y7, Y8, Y9)
	SUMS_CLAMPED(416, Y15, Y12, Y14, Y5, Y6, Y7, Y8, Y9)
	ADDQ $512, AX
	DECQ BX
	JNE  clampedB

fitB:
	FIT(32, Y7, Y8, Y9)
	ADDQ $4, SI
	MOVQ DI, AX
	MOVQ $4, BX

errorA:
	AFFINE_ERROR(0, Y12, Y3, Y4, Y2)
	AFFINE_ERROR(128, Y13, Y3, Y4, Y2)
	AFFINE_ERROR(256, Y14, Y3, Y4, Y2)
	AFFINE_ERROR(384, Y15, Y3, Y4, Y2)
	AFFINE_ERROR(512, Y12, Y3, Y4, Y2)
	AFFINE_ERROR(640, Y13, Y3, Y4, Y2)
	AFFINE_ERROR(768, Y14, Y3, Y4, Y2)
	AFFINE_ERROR(896, Y15, Y3, Y4, Y2)
	ADDQ $1024, AX
	DECQ BX
	JNE  errorA
	KEEP(0, Y0, Y1, Y2, Y3, Y4)
	GRID(0, Y0, Y1)
	MOVQ DI, AX
	MOVQ $4, BX

errorB:
	AFFINE_ERROR(32, Y12, Y8, Y9, Y7)
	AFFINE_ERROR(160, Y13, Y8, Y9, Y7)
	AFFINE_ERROR(288, Y14, Y8, Y9, Y7)
	AFFINE_ERROR(416, Y15, Y8, Y9, Y7)
	AFFINE_ERROR(544, Y12, Y8, Y9, Y7)
	AFFINE_ERROR(672, Y13, Y8, Y9, Y7)
	AFFINE_ERROR(800, Y14, Y8, Y9, Y7)
	AFFINE_ERROR(928, Y15, Y8, Y9, Y7)
	ADDQ $1024, AX
	DECQ BX
	JNE  errorB
	KEEP(32, Y5, Y6, Y7, Y8, Y9)
	GRID(32, Y5, Y6)
	DECQ DX
	JNE  candidate

	VMOVUPS at_bad(DI), Y12
	VMOVUPS (at_bad+32)(DI), Y13
	VMOVMSKPS Y12, R8
	VMOVMSKPS Y13, R9
	SHLL $8, R9
	ORL  R9, R8
	MOVL R12, CX
	SHLL CX, R8
	ORL  R8, R13
	ADDQ $64, DI
	ADDL $16, R12
	SUBQ $16, R10
	JGT  half
	MOVL R13, bad+48(FP)
	VZEROUPPER
	RET
