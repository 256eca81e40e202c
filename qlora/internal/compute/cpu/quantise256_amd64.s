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

// func dotCodes256(x *uint8, w *int8, blocks int) int32: blocks of 16 codes.
TEXT ·dotCodes256(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ w+8(FP), DI
	MOVQ blocks+16(FP), CX
	VPXOR Y0, Y0, Y0

dotcodes:
	VPMOVZXBW (SI), Y1
	VPMOVSXBW (DI), Y2
	VPMADDWD  Y1, Y2, Y1
	VPADDD    Y1, Y0, Y0
	ADDQ      $16, SI
	ADDQ      $16, DI
	DECQ      CX
	JNE       dotcodes
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0x4e, X0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0xb1, X0, X1
	VPADDD       X1, X0, X0
	VMOVD        X0, AX
	MOVL         AX, ret+24(FP)
	VZEROUPPER
	RET
