//go:build !noasm

#include "textflag.h"

#define TAILMASK \
	MOVL   $1, AX;  \
	SHLL   CX, AX;  \
	DECL   AX;      \
	KMOVW  AX, K1

#define REDUCE512 \
	VADDPS        Z1, Z0, Z0;    \
	VADDPS        Z3, Z2, Z2;    \
	VADDPS        Z2, Z0, Z0;    \
	VEXTRACTF64X4 $1, Z0, Y1;    \
	VADDPS        Y1, Y0, Y0;    \
	VEXTRACTF128  $1, Y0, X1;    \
	VADDPS        X1, X0, X0;    \
	VPERMILPS     $0x4e, X0, X1; \
	VADDPS        X1, X0, X0;    \
	VPERMILPS     $0xb1, X0, X1; \
	VADDPS        X1, X0, X0

#define CLEARSUMS \
	VPXORD Z0, Z0, Z0; \
	VPXORD Z1, Z1, Z1; \
	VPXORD Z2, Z2, Z2; \
	VPXORD Z3, Z3, Z3

#define BF16(off, z) \
	VPMOVZXWD off(DI), z; \
	VPSLLD    $16, z, z

#define I8(off, z) \
	VPMOVSXBD off(DI), z; \
	VCVTDQ2PS z, z

// func dot512F32(x, w *float32, n int) float32
TEXT ·dot512F32(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ w+8(FP), DI
	MOVQ n+16(FP), CX
	CLEARSUMS
	SUBQ $64, CX
	JLT  f32one

f32loop:
	VMOVUPS     (SI), Z4
	VMOVUPS     64(SI), Z5
	VMOVUPS     128(SI), Z6
	VMOVUPS     192(SI), Z7
	VFMADD231PS (DI), Z4, Z0
	VFMADD231PS 64(DI), Z5, Z1
	VFMADD231PS 128(DI), Z6, Z2
	VFMADD231PS 192(DI), Z7, Z3
	ADDQ        $256, SI
	ADDQ        $256, DI
	SUBQ        $64, CX
	JGE         f32loop

f32one:
	ADDQ $64, CX

f32step:
	CMPQ CX, $16
	JLT  f32tail
	VMOVUPS     (SI), Z4
	VFMADD231PS (DI), Z4, Z0
	ADDQ        $64, SI
	ADDQ        $64, DI
	SUBQ        $16, CX
	JMP         f32step

f32tail:
	TESTQ CX, CX
	JEQ   f32done
	TAILMASK
	VMOVUPS.Z   (SI), K1, Z4
	VMOVUPS.Z   (DI), K1, Z5
	VFMADD231PS Z5, Z4, Z1

f32done:
	REDUCE512
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func dot512BF16(x *float32, w *uint16, n int) float32
TEXT ·dot512BF16(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ w+8(FP), DI
	MOVQ n+16(FP), CX
	CLEARSUMS
	SUBQ $64, CX
	JLT  bf16one

bf16loop:
	BF16(0, Z4)
	BF16(32, Z5)
	BF16(64, Z6)
	BF16(96, Z7)
	VFMADD231PS (SI), Z4, Z0
	VFMADD231PS 64(SI), Z5, Z1
	VFMADD231PS 128(SI), Z6, Z2
	VFMADD231PS 192(SI), Z7, Z3
	ADDQ        $256, SI
	ADDQ        $128, DI
	SUBQ        $64, CX
	JGE         bf16loop

bf16one:
	ADDQ $64, CX

bf16step:
	CMPQ CX, $16
	JLT  bf16tail
	BF16(0, Z4)
	VFMADD231PS (SI), Z4, Z0
	ADDQ        $64, SI
	ADDQ        $32, DI
	SUBQ        $16, CX
	JMP         bf16step

bf16tail:
	TESTQ CX, CX
	JEQ   bf16done
	TAILMASK
	VMOVUPS.Z   (SI), K1, Z4
	VPMOVZXWD.Z (DI), K1, Z5
	VPSLLD      $16, Z5, Z5
	VFMADD231PS Z5, Z4, Z1

bf16done:
	REDUCE512
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func dot512I8(x *float32, w *int8, n int) float32
TEXT ·dot512I8(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ w+8(FP), DI
	MOVQ n+16(FP), CX
	CLEARSUMS
	SUBQ $64, CX
	JLT  i8one

i8loop:
	I8(0, Z4)
	I8(16, Z5)
	I8(32, Z6)
	I8(48, Z7)
	VFMADD231PS (SI), Z4, Z0
	VFMADD231PS 64(SI), Z5, Z1
	VFMADD231PS 128(SI), Z6, Z2
	VFMADD231PS 192(SI), Z7, Z3
	ADDQ        $256, SI
	ADDQ        $64, DI
	SUBQ        $64, CX
	JGE         i8loop

i8one:
	ADDQ $64, CX

i8step:
	CMPQ CX, $16
	JLT  i8tail
	I8(0, Z4)
	VFMADD231PS (SI), Z4, Z0
	ADDQ        $64, SI
	ADDQ        $16, DI
	SUBQ        $16, CX
	JMP         i8step

i8tail:
	TESTQ CX, CX
	JEQ   i8done
	TAILMASK
	VMOVUPS.Z   (SI), K1, Z4
	VPMOVSXBD.Z (DI), K1, Z5
	VCVTDQ2PS   Z5, Z5
	VFMADD231PS Z5, Z4, Z1

i8done:
	REDUCE512
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func axpy512(y, x *float32, n int, a float32)
TEXT ·axpy512(SB), NOSPLIT, $0-28
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS a+24(FP), Z0

axpystep:
	CMPQ CX, $16
	JLT  axpytail
	VMOVUPS     (DI), Z1
	VFMADD231PS (SI), Z0, Z1
	VMOVUPS     Z1, (DI)
	ADDQ        $64, SI
	ADDQ        $64, DI
	SUBQ        $16, CX
	JMP         axpystep

axpytail:
	TESTQ CX, CX
	JEQ   axpydone
	TAILMASK
	VMOVUPS.Z   (SI), K1, Z2
	VMOVUPS.Z   (DI), K1, Z1
	VFMADD231PS Z2, Z0, Z1
	VMOVUPS     Z1, K1, (DI)

axpydone:
	VZEROUPPER
	RET

// func scale512(x *float32, n int, a float32)
TEXT ·scale512(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VBROADCASTSS a+16(FP), Z0

scalestep:
	CMPQ CX, $16
	JLT  scaletail
	VMULPS  (DI), Z0, Z1
	VMOVUPS Z1, (DI)
	ADDQ    $64, DI
	SUBQ    $16, CX
	JMP     scalestep

scaletail:
	TESTQ CX, CX
	JEQ   scaledone
	TAILMASK
	VMOVUPS.Z (DI), K1, Z1
	VMULPS    Z1, Z0, Z1
	VMOVUPS   Z1, K1, (DI)

scaledone:
	VZEROUPPER
	RET
