//go:build !noasm

#include "textflag.h"

DATA magnitude256<>+0(SB)/4, $0x7fffffff
GLOBL magnitude256<>(SB), RODATA|NOPTR, $4

// LARGEST leaves the largest lane of Y0 in AX.
#define LARGEST \
	VEXTRACTI128 $1, Y0, X1; \
	VPMAXUD X1, X0, X0;      \
	VPSHUFD $0x4e, X0, X1;   \
	VPMAXUD X1, X0, X0;      \
	VPSHUFD $0xb1, X0, X1;   \
	VPMAXUD X1, X0, X0;      \
	VMOVD   X0, AX

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
	LARGEST
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

// func foldMax256(x, scale *float32, n int) uint32: that of x·scale.
TEXT ·foldMax256(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ scale+8(FP), R8
	MOVQ n+16(FP), CX
	VPBROADCASTD magnitude256<>(SB), Y9
	VPXOR Y0, Y0, Y0

foldmaxloop:
	VMOVUPS (SI), Y1
	VMULPS  (R8), Y1, Y1
	VPAND   Y1, Y9, Y1
	VPMAXUD Y1, Y0, Y0
	ADDQ    $32, SI
	ADDQ    $32, R8
	DECQ    CX
	JNE     foldmaxloop
	LARGEST
	MOVL    AX, ret+24(FP)
	VZEROUPPER
	RET

DATA fraction256<>+0(SB)/4, $0x3f000000 // 0.5
DATA fraction256<>+4(SB)/4, $0x37800000 // 2^-16
GLOBL fraction256<>(SB), RODATA|NOPTR, $8

// func foldRound256(q *int8, x, scale *float32, n int, inv float32, random *uint16):
// q = x·scale·inv, rounded to nearest, or with random up where the fraction
// reaches 1 with (random+0.5)/65536 added.
TEXT ·foldRound256(SB), NOSPLIT, $0-48
	MOVQ q+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ scale+16(FP), R8
	MOVQ n+24(FP), CX
	VBROADCASTSS inv+32(FP), Y0
	MOVQ random+40(FP), DX
	VBROADCASTSS fraction256<>+0(SB), Y8
	VBROADCASTSS fraction256<>+4(SB), Y9

foldloop:
	VMOVUPS (SI), Y1
	VMULPS  (R8), Y1, Y1
	VMULPS  Y0, Y1, Y1
	TESTQ   DX, DX
	JEQ     foldnear
	VPMOVZXWD (DX), Y2
	VCVTDQ2PS Y2, Y2
	VADDPS    Y8, Y2, Y2
	VMULPS    Y9, Y2, Y2
	VADDPS    Y2, Y1, Y1
	VROUNDPS  $9, Y1, Y1
	ADDQ      $16, DX

foldnear:
	VCVTPS2DQ    Y1, Y1
	VEXTRACTI128 $1, Y1, X2
	VPACKSSDW    X2, X1, X1
	VPACKSSWB    X1, X1, X1
	VMOVQ        X1, (DI)
	ADDQ         $32, SI
	ADDQ         $32, R8
	ADDQ         $8, DI
	DECQ         CX
	JNE          foldloop
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
