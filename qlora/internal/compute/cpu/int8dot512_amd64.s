//go:build !noasm

#include "textflag.h"

#define TAIL16 \
	MOVL  $1, AX;  \
	SHLL  CX, AX;  \
	DECL  AX;      \
	KMOVW AX, K1

// func epilogue512(y *float32, acc *int32, n int, s float32, scale *float32, add bool)
TEXT ·epilogue512(SB), NOSPLIT, $0-41
	MOVQ y+0(FP), DI
	MOVQ acc+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS s+24(FP), Z0
	MOVQ scale+32(FP), R8
	MOVBLZX add+40(FP), R10
	MOVL  $0xffff, AX
	KMOVW AX, K1
	NEGL  R10
	KMOVW R10, K2

eploop:
	CMPQ CX, $16
	JGE  epwhole
	TAIL16

epwhole:
	VMOVDQU32.Z (SI), K1, Z2
	VCVTDQ2PS   Z2, Z2
	VMULPS.Z    (R8), Z0, K1, Z3
	VMULPS      Z3, Z2, Z2
	KANDW       K1, K2, K3
	VADDPS      (DI), Z2, K3, Z2
	VMOVUPS     Z2, K1, (DI)
	ADDQ        $64, DI
	ADDQ        $64, SI
	ADDQ        $64, R8
	SUBQ        $16, CX
	JGT         eploop
	VZEROUPPER
	RET

DATA magnitude<>+0(SB)/4, $0x7fffffff
GLOBL magnitude<>(SB), RODATA|NOPTR, $4

// func absmax512(x *float32, n int) uint32: the largest magnitude, as its bits.
TEXT ·absmax512(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VPBROADCASTD magnitude<>(SB), Z9
	VPXORD Z0, Z0, Z0
	MOVL  $0xffff, AX
	KMOVW AX, K1

absloop:
	CMPQ CX, $16
	JGE  abswhole
	TAIL16

abswhole:
	VMOVUPS.Z (SI), K1, Z1
	VPANDD    Z9, Z1, Z1
	VPMAXUD   Z1, Z0, Z0
	ADDQ      $64, SI
	SUBQ      $16, CX
	JGT       absloop
	VEXTRACTI64X4 $1, Z0, Y1
	VPMAXUD   Y1, Y0, Y0
	VEXTRACTI128  $1, Y0, X1
	VPMAXUD   X1, X0, X0
	VPSHUFD   $0x4e, X0, X1
	VPMAXUD   X1, X0, X0
	VPSHUFD   $0xb1, X0, X1
	VPMAXUD   X1, X0, X0
	VMOVD     X0, AX
	MOVL      AX, ret+16(FP)
	VZEROUPPER
	RET

// func round512(q *int8, x *float32, n int, inv float32): q = round(x·inv).
TEXT ·round512(SB), NOSPLIT, $0-28
	MOVQ q+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS inv+24(FP), Z0
	MOVL  $0xffff, AX
	KMOVW AX, K1

roundloop:
	CMPQ CX, $16
	JGE  roundwhole
	TAIL16

roundwhole:
	VMOVUPS.Z (SI), K1, Z1
	VMULPS    Z0, Z1, Z1
	VCVTPS2DQ Z1, Z1
	VPMOVSDB  Z1, K1, (DI)
	ADDQ      $64, SI
	ADDQ      $16, DI
	SUBQ      $16, CX
	JGT       roundloop
	VZEROUPPER
	RET
