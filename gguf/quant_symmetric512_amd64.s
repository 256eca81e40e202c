//go:build !noasm

#include "textflag.h"
#include "quant_symmetric_amd64.h"

DATA symmetric512<>+0(SB)/4, $12582912.0
DATA symmetric512<>+4(SB)/4, $0x7fffffff
DATA symmetric512<>+8(SB)/4, $1e-15
GLOBL symmetric512<>(SB), RODATA|NOPTR, $12

// The steps of quant_symmetric256_amd64.s with masks in place of blends.
#define LARGEST(X) \
	VANDPS Z15, X, Z14; \
	VCMPPS $1, Z14, Z1, K1; \
	VMOVAPS Z14, K1, Z1; \
	VMOVAPS X, K1, Z0

#define KEEP(INVERSE, LX, L2) \
	VMULPS LX, LX, Z14; \
	VMULPS L2, Z18, Z15; \
	VCMPPS $1, Z14, Z15, K1; \
	VCMPPS $1, L2, Z16, K1, K1; \
	VDIVPS L2, LX, Z15; \
	VMULPS LX, Z15, K1, Z18; \
	VMOVAPS Z15, K1, Z17; \
	VMOVAPS INVERSE, K1, Z19

#define INVERSES \
	VMOVUPS at_top(DI), Z15; \
	VBROADCASTSS 0(SI), Z0; \
	VBROADCASTSS 4(SI), Z1; \
	VBROADCASTSS 8(SI), Z2; \
	VDIVPS Z15, Z0, Z0; \
	VDIVPS Z15, Z1, Z1; \
	VDIVPS Z15, Z2, Z2; \
	VXORPS Z3, Z3, Z3; \
	VXORPS Z4, Z4, Z4; \
	VXORPS Z5, Z5, Z5; \
	VXORPS Z6, Z6, Z6; \
	VXORPS Z7, Z7, Z7; \
	VXORPS Z8, Z8, Z8; \
	MOVQ DI, AX; \
	MOVQ R9, BX

#define FREE3(off) \
	VMOVUPS off(AX), Z9; \
	SYMMETRIC_FREE(off, Z9, Z13, Z14, Z0, Z3, Z6, Z10); \
	SYMMETRIC_FREE(off, Z9, Z15, Z14, Z1, Z4, Z7, Z10); \
	SYMMETRIC_FREE(off, Z9, Z13, Z14, Z2, Z5, Z8, Z10)

#define BELOW3(off) \
	VMOVUPS off(AX), Z9; \
	SYMMETRIC_BELOW(off, Z9, Z13, Z14, Z0, Z3, Z6, Z10, Z11); \
	SYMMETRIC_BELOW(off, Z9, Z15, Z14, Z1, Z4, Z7, Z10, Z11); \
	SYMMETRIC_BELOW(off, Z9, Z13, Z14, Z2, Z5, Z8, Z10, Z11)

#define BOTH3(off) \
	VMOVUPS off(AX), Z9; \
	SYMMETRIC_BOTH(off, Z9, Z13, Z14, Z0, Z3, Z6, Z10, Z11, Z12); \
	SYMMETRIC_BOTH(off, Z9, Z15, Z14, Z1, Z4, Z7, Z10, Z11, Z12); \
	SYMMETRIC_BOTH(off, Z9, Z13, Z14, Z2, Z5, Z8, Z10, Z11, Z12)

// func symmetric512(s *symmetricLanes, numerators *float32, n int, half float32, squares bool, lanes int)
// As symmetric256. Z17 is the scale, Z18 the best, Z19 its inverse, Z16 zero.
TEXT ·symmetric512(SB), NOSPLIT, $0-40
	MOVQ s+0(FP), DI
	MOVQ n+16(FP), R9
	MOVQ lanes+32(FP), R10
	VBROADCASTSS symmetric512<>+0(SB), Z10
	VBROADCASTSS half+24(FP), Z11
	VSUBPS Z11, Z10, Z12
	VADDPS Z11, Z10, Z11
	VPTERNLOGD $255, Z0, Z0, Z0
	VXORPS Z16, Z16, Z16
	VPADDD Z0, Z11, Z11 // one unit in the last place is 1

group:
	MOVQ numerators+8(FP), SI
	VBROADCASTSS symmetric512<>+4(SB), Z15
	VXORPS Z0, Z0, Z0
	VXORPS Z1, Z1, Z1
	MOVQ DI, AX
	MOVQ R9, BX
	MOVBLZX squares+28(FP), R8
	TESTL R8, R8
	JEQ  weighed

squared:
	VMOVUPS (AX), Z2
	LARGEST(Z2)
	VMULPS Z2, Z2, Z3
	VMULPS Z2, Z3, Z4
	VMOVUPS Z3, 4096(AX)
	VMOVUPS Z4, 8192(AX)
	ADDQ $128, AX
	DECQ BX
	JNE  squared
	JMP  start

weighed:
	VMOVUPS (AX), Z2
	LARGEST(Z2)
	VMULPS 4096(AX), Z2, Z4
	VMOVUPS Z4, 8192(AX)
	ADDQ $128, AX
	DECQ BX
	JNE  weighed

start:
	VMOVUPS Z0, at_top(DI)
	VBROADCASTSS (SI), Z1
	VDIVPS Z0, Z1, Z0
	VMOVAPS Z0, Z19
	VXORPS Z3, Z3, Z3
	VXORPS Z6, Z6, Z6
	MOVQ DI, AX
	MOVQ R9, BX
	ADDQ $4, SI

first:
	VMOVUPS (AX), Z9
	SYMMETRIC_BELOW(0, Z9, Z13, Z14, Z0, Z3, Z6, Z10, Z11)
	ADDQ $128, AX
	DECQ BX
	JNE  first
	VCMPPS $4, Z16, Z6, K1
	VDIVPS.Z Z6, Z3, K1, Z17
	VMULPS Z3, Z17, Z18

	INVERSES

free:
	FREE3(0)
	FREE3(128)
	ADDQ $256, AX
	SUBQ $2, BX
	JNE  free
	KEEP(Z0, Z3, Z6)
	KEEP(Z1, Z4, Z7)
	KEEP(Z2, Z5, Z8)
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
	KEEP(Z0, Z3, Z6)
	KEEP(Z1, Z4, Z7)
	KEEP(Z2, Z5, Z8)
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
	KEEP(Z0, Z3, Z6)
	KEEP(Z1, Z4, Z7)
	KEEP(Z2, Z5, Z8)
	ADDQ $12, SI
	DECQ CX
	JNE  nextboth

	// Below the reference's epsilon the scale is 0.
	VBROADCASTSS symmetric512<>+4(SB), Z15
	VANDPS at_top(DI), Z15, Z0
	VBROADCASTSS symmetric512<>+8(SB), Z1
	VCMPPS $5, Z1, Z0, K1
	VMOVAPS.Z Z17, K1, Z17
	VMOVUPS Z17, at_scale(DI)
	VMOVUPS Z19, at_inv(DI)
	ADDQ $64, DI
	SUBQ $16, R10
	JGT  group
	VZEROUPPER
	RET
