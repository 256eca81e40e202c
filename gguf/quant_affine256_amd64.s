//go:build !noasm

#include "textflag.h"
#include "quant_affine_amd64.h"

DATA affine256<>+0(SB)/4, $12582912.0
DATA affine256<>+4(SB)/4, $0x7fffffff
DATA affine256<>+8(SB)/4, $2097152.0
DATA affine256<>+12(SB)/4, $1.0
DATA affine256<>+16(SB)/4, $0.5
DATA affine256<>+20(SB)/4, $0.03125
GLOBL affine256<>(SB), RODATA|NOPTR, $24

// A lane starts: low = min(x) but at most 0, inv = top/(high-low), scale = 1/inv.
// Y11 is top. A lane of equal weights is not live. It is bad where the codes would
// leave 0..top, that is where high-low is so small that inv overflows.
#define START(o, INVERSE, LOWEST, STEP, SUM) \
	VMOVUPS (at_high+o)(DI), Y12; \
	VXORPS  Y14, Y14, Y14; \
	VMOVUPS (at_least+o)(DI), Y13; \
	VMINPS  Y13, Y14, LOWEST; \
	VCMPPS  $4, LOWEST, Y12, Y15; \
	VMOVUPS Y15, (at_live+o)(DI); \
	VSUBPS  LOWEST, Y12, Y12; \
	VDIVPS  Y12, Y11, INVERSE; \
	VBROADCASTSS affine256<>+12(SB), Y14; \
	VDIVPS  INVERSE, Y14, STEP; \
	VMULPS  INVERSE, Y12, Y12; \
	VBROADCASTSS affine256<>+16(SB), Y14; \
	VADDPS  Y14, Y11, Y14; \
	VCMPPS  $5, Y14, Y12, Y12; \
	VANDPS  Y15, Y12, Y12; \
	VMOVUPS Y12, (at_bad+o)(DI); \
	VMOVUPS INVERSE, (at_inv+o)(DI); \
	VMOVUPS LOWEST, (at_low+o)(DI); \
	VMOVUPS LOWEST, (at_base+o)(DI); \
	VMOVUPS STEP, (at_scale+o)(DI); \
	VXORPS  SUM, SUM, SUM

// Candidate CX: inv = numerator/(high-low) with the running low. R as a bit set
// says which lanes have codes above top; lanes with a |v| over 2^21 are bad, since
// the rounding trick fails there (and the reference's number is not a clamped one).
#define GRID(o, INVERSE, LOWEST, L, L2, XL, R) \
	VMOVUPS (at_low+o)(DI), LOWEST; \
	VMOVUPS (at_high+o)(DI), Y12; \
	VMOVUPS (at_least+o)(DI), Y13; \
	VSUBPS  LOWEST, Y12, Y12; \
	VSUBPS  LOWEST, Y13, Y13; \
	VBROADCASTSS (SI)(CX*4), Y14; \
	VDIVPS  Y12, Y14, INVERSE; \
	VBROADCASTSS affine256<>+4(SB), Y14; \
	VMULPS  INVERSE, Y12, Y12; \
	VMULPS  INVERSE, Y13, Y13; \
	VANDPS  Y14, Y12, Y12; \
	VANDPS  Y14, Y13, Y13; \
	VMAXPS  Y12, Y13, Y12; \
	VMOVUPS (at_live+o)(DI), Y15; \
	VBROADCASTSS affine256<>+8(SB), Y14; \
	VCMPPS  $5, Y14, Y12, Y13; \
	VANDPS  Y15, Y13, Y13; \
	VORPS   (at_bad+o)(DI), Y13, Y13; \
	VMOVUPS Y13, (at_bad+o)(DI); \
	VBROADCASTSS top+24(FP), Y13; \
	VBROADCASTSS affine256<>+16(SB), Y14; \
	VADDPS  Y14, Y13, Y13; \
	VCMPPS  $5, Y13, Y12, Y12; \
	VANDPS  Y15, Y12, Y12; \
	VMOVMSKPS Y12, R; \
	VXORPS  L, L, L; \
	VXORPS  L2, L2, L2; \
	VXORPS  XL, XL, XL

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

// A lane of equal weights has codes 0: its inverse is 0.
#define FINISH(o, R) \
	VMOVUPS (at_inv+o)(DI), Y12; \
	VANDPS  (at_live+o)(DI), Y12, Y12; \
	VMOVUPS Y12, (at_inv+o)(DI); \
	VMOVUPS (at_bad+o)(DI), Y12; \
	VMOVMSKPS Y12, R

// func affine256(s *affineLanes, numerators *float32, n int, top float32, lanes int) (bad uint32)
// Two groups of eight lanes at a time, so that the sum of one hides the latency of
// the other's.
TEXT ·affine256(SB), NOSPLIT, $0-44
	MOVQ s+0(FP), DI
	MOVQ numerators+8(FP), SI
	MOVQ n+16(FP), DX
	MOVQ lanes+32(FP), R10
	VBROADCASTSS affine256<>+0(SB), Y10
	XORL R12, R12
	XORL R13, R13

half:
	VBROADCASTSS top+24(FP), Y11
	START(0, Y0, Y1, Y2, Y3)
	START(32, Y4, Y5, Y6, Y7)
	MOVQ DI, AX
	MOVQ $32, BX

first:
	AFFINE_FIRST(0, Y12, Y13, Y0, Y1, Y2, Y3, Y10)
	AFFINE_FIRST(32, Y14, Y15, Y4, Y5, Y6, Y7, Y10)
	ADDQ $128, AX
	DECQ BX
	JNE  first
	VMOVUPS Y3, at_best(DI)
	VMOVUPS Y7, (at_best+32)(DI)
	VADDPS  Y10, Y11, Y11
	XORQ CX, CX

candidate:
	GRID(0, Y0, Y1, Y2, Y3, Y4, R8)
	GRID(32, Y5, Y6, Y7, Y8, Y9, R9)
	MOVQ DI, AX
	MOVQ $16, BX
	ORL  R8, R9
	JNE  clamped

free:
	AFFINE_CODE(0, Y12, Y13, Y0, Y1, Y10)
	AFFINE_SUMS(0, Y12, Y13, Y14, Y2, Y3, Y4, Y10)
	AFFINE_CODE(32, Y12, Y15, Y5, Y6, Y10)
	AFFINE_SUMS(32, Y12, Y15, Y14, Y7, Y8, Y9, Y10)
	AFFINE_CODE(128, Y12, Y13, Y0, Y1, Y10)
	AFFINE_SUMS(128, Y12, Y13, Y14, Y2, Y3, Y4, Y10)
	AFFINE_CODE(160, Y12, Y15, Y5, Y6, Y10)
	AFFINE_SUMS(160, Y12, Y15, Y14, Y7, Y8, Y9, Y10)
	ADDQ $256, AX
	DECQ BX
	JNE  free
	JMP  fit

clamped:
	AFFINE_CODE(0, Y12, Y13, Y0, Y1, Y10)
	AFFINE_CLAMP(Y13, Y11)
	AFFINE_SUMS(0, Y12, Y13, Y14, Y2, Y3, Y4, Y10)
	AFFINE_CODE(32, Y12, Y15, Y5, Y6, Y10)
	AFFINE_CLAMP(Y15, Y11)
	AFFINE_SUMS(32, Y12, Y15, Y14, Y7, Y8, Y9, Y10)
	AFFINE_CODE(128, Y12, Y13, Y0, Y1, Y10)
	AFFINE_CLAMP(Y13, Y11)
	AFFINE_SUMS(128, Y12, Y13, Y14, Y2, Y3, Y4, Y10)
	AFFINE_CODE(160, Y12, Y15, Y5, Y6, Y10)
	AFFINE_CLAMP(Y15, Y11)
	AFFINE_SUMS(160, Y12, Y15, Y14, Y7, Y8, Y9, Y10)
	ADDQ $256, AX
	DECQ BX
	JNE  clamped

fit:
	FIT(0, Y2, Y3, Y4)
	FIT(32, Y7, Y8, Y9)
	MOVQ DI, AX
	MOVQ $8, BX

error:
	AFFINE_ERROR(0, Y12, Y3, Y4, Y2)
	AFFINE_ERROR(32, Y13, Y8, Y9, Y7)
	AFFINE_ERROR(128, Y14, Y3, Y4, Y2)
	AFFINE_ERROR(160, Y15, Y8, Y9, Y7)
	AFFINE_ERROR(256, Y12, Y3, Y4, Y2)
	AFFINE_ERROR(288, Y13, Y8, Y9, Y7)
	AFFINE_ERROR(384, Y14, Y3, Y4, Y2)
	AFFINE_ERROR(416, Y15, Y8, Y9, Y7)
	ADDQ $512, AX
	DECQ BX
	JNE  error
	KEEP(0, Y0, Y1, Y2, Y3, Y4)
	KEEP(32, Y5, Y6, Y7, Y8, Y9)
	INCQ CX
	CMPQ CX, DX
	JNE  candidate

	FINISH(0, R8)
	FINISH(32, R9)
	SHLL $8, R9
	ORL  R9, R8
	MOVL R12, CX
	SHLL CX, R8
	ORL  R8, R13
	ADDQ $64, DI
	ADDL $16, R12
	SUBQ $16, R10
	JGT  half
	MOVL R13, bad+40(FP)
	VZEROUPPER
	RET
