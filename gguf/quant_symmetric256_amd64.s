//go:build !noasm

#include "textflag.h"
#include "quant_symmetric_amd64.h"

DATA symmetric256<>+0(SB)/4, $12582912.0
DATA symmetric256<>+4(SB)/4, $0x7fffffff
DATA symmetric256<>+8(SB)/4, $1e-15
GLOBL symmetric256<>(SB), RODATA|NOPTR, $12

// The element of the largest magnitude so far, the first of equals: Y0, its
// magnitude Y1.
#define LARGEST(X) \
	VANDPS Y15, X, Y14; \
	VCMPPS $1, Y14, Y1, Y13; \
	VBLENDVPS Y13, Y14, Y1, Y1; \
	VBLENDVPS Y13, X, Y0, Y0

// Keeps a candidate where l2 > 0 and lx² > best·l2.
#define KEEP(INVERSE, LX, L2) \
	VMOVUPS at_best(DI), Y13; \
	VMULPS LX, LX, Y14; \
	VMULPS L2, Y13, Y15; \
	VCMPPS $1, Y14, Y15, Y14; \
	VXORPS Y15, Y15, Y15; \
	VCMPPS $1, L2, Y15, Y15; \
	VANDPS Y15, Y14, Y14; \
	VDIVPS L2, LX, Y15; \
	VMULPS LX, Y15, LX; \
	VBLENDVPS Y14, LX, Y13, Y13; \
	VMOVUPS Y13, at_best(DI); \
	VMOVUPS at_scale(DI), L2; \
	VBLENDVPS Y14, Y15, L2, L2; \
	VMOVUPS L2, at_scale(DI); \
	VMOVUPS at_inv(DI), LX; \
	VBLENDVPS Y14, INVERSE, LX, LX; \
	VMOVUPS LX, at_inv(DI)

#define INVERSES \
	VMOVUPS at_top(DI), Y15; \
	VBROADCASTSS 0(SI), Y0; \
	VBROADCASTSS 4(SI), Y1; \
	VBROADCASTSS 8(SI), Y2; \
	VDIVPS Y15, Y0, Y0; \
	VDIVPS Y15, Y1, Y1; \
	VDIVPS Y15, Y2, Y2; \
	VXORPS Y3, Y3, Y3; \
	VXORPS Y4, Y4, Y4; \
	VXORPS Y5, Y5, Y5; \
	VXORPS Y6, Y6, Y6; \
	VXORPS Y7, Y7, Y7; \
	VXORPS Y8, Y8, Y8; \
	MOVQ DI, AX; \
	MOVQ R9, BX

#define FREE3(off) \
	VMOVUPS off(AX), Y9; \
	SYMMETRIC_FREE(off, Y9, Y13, Y14, Y0, Y3, Y6, Y10); \
	SYMMETRIC_FREE(off, Y9, Y15, Y14, Y1, Y4, Y7, Y10); \
	SYMMETRIC_FREE(off, Y9, Y13, Y14, Y2, Y5, Y8, Y10)

#define BELOW3(off) \
	VMOVUPS off(AX), Y9; \
	SYMMETRIC_BELOW(off, Y9, Y13, Y14, Y0, Y3, Y6, Y10, Y11); \
	SYMMETRIC_BELOW(off, Y9, Y15, Y14, Y1, Y4, Y7, Y10, Y11); \
	SYMMETRIC_BELOW(off, Y9, Y13, Y14, Y2, Y5, Y8, Y10, Y11)

#define BOTH3(off) \
	VMOVUPS off(AX), Y9; \
	SYMMETRIC_BOTH(off, Y9, Y13, Y14, Y0, Y3, Y6, Y10, Y11, Y12); \
	SYMMETRIC_BOTH(off, Y9, Y15, Y14, Y1, Y4, Y7, Y10, Y11, Y12); \
	SYMMETRIC_BOTH(off, Y9, Y13, Y14, Y2, Y5, Y8, Y10, Y11, Y12)

// func symmetric256(s *symmetricLanes, numerators *float32, n int, half float32, squares bool, lanes int)
// The numerators are those of candidate 0 and, in threes, of -9 to 9 without 0. A
// candidate's codes stay within ±(half+0.1k): below -5 they need no clamp, below 5
// none at the lower end. With squares the weights are x², else they are in s.w.
TEXT ·symmetric256(SB), NOSPLIT, $0-40
	MOVQ s+0(FP), DI
	MOVQ n+16(FP), R9
	MOVQ lanes+32(FP), R10
	VBROADCASTSS symmetric256<>+0(SB), Y10
	VBROADCASTSS half+24(FP), Y11
	VSUBPS Y11, Y10, Y12
	VADDPS Y11, Y10, Y11
	VPCMPEQD Y0, Y0, Y0
	VPADDD Y0, Y11, Y11 // one unit in the last place is 1

group:
	MOVQ numerators+8(FP), SI
	VBROADCASTSS symmetric256<>+4(SB), Y15
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	MOVQ DI, AX
	MOVQ R9, BX
	MOVBLZX squares+28(FP), R8
	TESTL R8, R8
	JEQ  weighed

squared:
	VMOVUPS (AX), Y2
	LARGEST(Y2)
	VMULPS Y2, Y2, Y3
	VMULPS Y2, Y3, Y4
	VMOVUPS Y3, 4096(AX)
	VMOVUPS Y4, 8192(AX)
	ADDQ $128, AX
	DECQ BX
	JNE  squared
	JMP  start

weighed:
	VMOVUPS (AX), Y2
	LARGEST(Y2)
	VMULPS 4096(AX), Y2, Y4
	VMOVUPS Y4, 8192(AX)
	ADDQ $128, AX
	DECQ BX
	JNE  weighed

start:
	VMOVUPS Y0, at_top(DI)
	VBROADCASTSS (SI), Y1
	VDIVPS Y0, Y1, Y0
	VMOVUPS Y0, at_inv(DI)
	VXORPS Y3, Y3, Y3
	VXORPS Y6, Y6, Y6
	MOVQ DI, AX
	MOVQ R9, BX
	ADDQ $4, SI

first:
	VMOVUPS (AX), Y9
	SYMMETRIC_BELOW(0, Y9, Y13, Y14, Y0, Y3, Y6, Y10, Y11)
	ADDQ $128, AX
	DECQ BX
	JNE  first
	VXORPS Y15, Y15, Y15
	VCMPPS $4, Y15, Y6, Y14
	VDIVPS Y6, Y3, Y13
	VANDPS Y14, Y13, Y13
	VMOVUPS Y13, at_scale(DI)
	VMULPS Y3, Y13, Y13
	VMOVUPS Y13, at_best(DI)

	INVERSES

free:
	FREE3(0)
	FREE3(128)
	ADDQ $256, AX
	SUBQ $2, BX
	JNE  free
	KEEP(Y0, Y3, Y6)
	KEEP(Y1, Y4, Y7)
	KEEP(Y2, Y5, Y8)
	ADDQ $12, SI
	MOVQ $3, CX

nextbelow:
	INVERSES

below:
	BELOW3(0)
	BELOW3(128)
	ADDQ $256, AX
	SUBQ $2, BX
	JNE  below
	KEEP(Y0, Y3, Y6)
	KEEP(Y1, Y4, Y7)
	KEEP(Y2, Y5, Y8)
	ADDQ $12, SI
	DECQ CX
	JNE  nextbelow
	MOVQ $2, CX

nextboth:
	INVERSES

both:
	BOTH3(0)
	BOTH3(128)
	ADDQ $256, AX
	SUBQ $2, BX
	JNE  both
	KEEP(Y0, Y3, Y6)
	KEEP(Y1, Y4, Y7)
	KEEP(Y2, Y5, Y8)
	ADDQ $12, SI
	DECQ CX
	JNE  nextboth

	// Below the reference's epsilon the scale is 0.
	VBROADCASTSS symmetric256<>+4(SB), Y15
	VANDPS at_top(DI), Y15, Y0
	VBROADCASTSS symmetric256<>+8(SB), Y1
	VCMPPS $1, Y1, Y0, Y0
	VANDNPS at_scale(DI), Y0, Y0
	VMOVUPS Y0, at_scale(DI)
	ADDQ $32, DI
	SUBQ $8, R10
	JGT  group
	VZEROUPPER
	RET
