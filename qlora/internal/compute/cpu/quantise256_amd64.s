//go:build !noasm

#include "textflag.h"

DATA magnitude256<>+0(SB)/4, $0x7fffffff
GLOBL magnitude256<>(SB), RODATA|NOPTR, $4

// In both n counts groups of eight and is not 0.

// func absmax256(x *float32, n int) uint32: the largest magnitude, as its bits.
TEXT ·absmax256(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VPBROADCASTD magnitude256<>(SB), Y9
	VPXOR Y0, Y0, Y0

absloop:
	VPAND   (SI), Y9, Y1
	VPMAXUD Y1, Y0, Y0
	ADDQ    $32, SI
	DECQ    CX
	JNE     absloop
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VPMAXUD X1, X0, X0
	VMOVD   X0, AX
	MOVL    AX, ret+16(FP)
	VZEROUPPER
	RET

// func round256(q *int8, x *float32, n int, inv float32): q = round(x·inv).
TEXT ·round256(SB), NOSPLIT, $0-28
	MOVQ q+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS inv+24(FP), Y0

roundloop:
	VMULPS       (SI), Y0, Y1
	VCVTPS2DQ    Y1, Y1
	VEXTRACTI128 $1, Y1, X2
	VPACKSSDW    X2, X1, X1
	VPACKSSWB    X1, X1, X1
	VMOVQ        X1, (DI)
	ADDQ         $32, SI
	ADDQ         $8, DI
	DECQ         CX
	JNE          roundloop
	VZEROUPPER
	RET

// func raise256(dst *uint8, q *int8, blocks int, mask uint32): blocks of 32 codes,
// the bits of mask turned.
TEXT ·raise256(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ q+8(FP), SI
	MOVQ blocks+16(FP), CX
	VBROADCASTSS mask+24(FP), Y0

raiseloop:
	VPXOR   (SI), Y0, Y1
	VMOVDQU Y1, (DI)
	ADDQ    $32, SI
	ADDQ    $32, DI
	DECQ    CX
	JNE     raiseloop
	VZEROUPPER
	RET

DATA turn4<>+0(SB)/8, $0x0d0905010c080400
DATA turn4<>+8(SB)/8, $0x0f0b07030e0a0602
GLOBL turn4<>(SB), RODATA|NOPTR, $16

#define TURN4(i) \
	VMOVDQU (16*i)(SI), X1;  \
	VPSHUFB X0, X1, X1;      \
	VMOVDQU X1, (128*i)(DI)

// func turn256(dst, src *int8, words int): words of 32 rows, four rows and four
// columns at a time.
TEXT ·turn256(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ words+16(FP), CX
	VMOVDQU turn4<>(SB), X0

turnloop:
	TURN4(0)
	TURN4(1)
	TURN4(2)
	TURN4(3)
	TURN4(4)
	TURN4(5)
	TURN4(6)
	TURN4(7)
	ADDQ $128, SI
	ADDQ $16, DI
	DECQ CX
	JNE  turnloop
	RET
