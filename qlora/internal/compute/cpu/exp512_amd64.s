//go:build !noasm

#include "textflag.h"

// Constants of exp.go, one float32 each.
DATA expc<>+0(SB)/4, $1.44269504088896341
DATA expc<>+4(SB)/4, $0.693359375
DATA expc<>+8(SB)/4, $-2.12194440e-4
DATA expc<>+12(SB)/4, $1.9875691500e-4
DATA expc<>+16(SB)/4, $1.3981999507e-3
DATA expc<>+20(SB)/4, $8.3334519073e-3
DATA expc<>+24(SB)/4, $4.1665795894e-2
DATA expc<>+28(SB)/4, $1.6666665459e-1
DATA expc<>+32(SB)/4, $5.0000001201e-1
DATA expc<>+36(SB)/4, $1.0
DATA expc<>+40(SB)/4, $89.0
DATA expc<>+44(SB)/4, $-87.33654
GLOBL expc<>(SB), RODATA|NOPTR, $48

#define CONST512 \
	VBROADCASTSS expc<>+0(SB), Z20;  \
	VBROADCASTSS expc<>+4(SB), Z21;  \
	VBROADCASTSS expc<>+8(SB), Z22;  \
	VBROADCASTSS expc<>+12(SB), Z23; \
	VBROADCASTSS expc<>+16(SB), Z24; \
	VBROADCASTSS expc<>+20(SB), Z25; \
	VBROADCASTSS expc<>+24(SB), Z26; \
	VBROADCASTSS expc<>+28(SB), Z27; \
	VBROADCASTSS expc<>+32(SB), Z28; \
	VBROADCASTSS expc<>+36(SB), Z29; \
	VBROADCASTSS expc<>+40(SB), Z30; \
	VBROADCASTSS expc<>+44(SB), Z31

// y = exp(x); n and x are overwritten. A NaN passes every comparison here.
#define EXP512(x, n, y) \
	VMINPS       x, Z30, x;       \
	VCMPPS       $5, Z31, x, K3;  \
	VMULPS       Z20, x, n;       \
	VRNDSCALEPS  $8, n, n;        \
	VFNMADD231PS Z21, n, x;       \
	VFNMADD231PS Z22, n, x;       \
	VMOVAPS      Z23, y;          \
	VFMADD213PS  Z24, x, y;       \
	VFMADD213PS  Z25, x, y;       \
	VFMADD213PS  Z26, x, y;       \
	VFMADD213PS  Z27, x, y;       \
	VFMADD213PS  Z28, x, y;       \
	VMULPS       x, y, y;         \
	VFMADD213PS  x, x, y;         \
	VADDPS       Z29, y, y;       \
	VSCALEFPS.Z  n, y, K3, y

// K1 keeps the CX elements, fewer than 16, that are left.
#define TAILMASK \
	MOVL   $1, AX;  \
	SHLL   CX, AX;  \
	DECL   AX;      \
	KMOVW  AX, K1

// The sum of the lanes of z, in x, by halving; t is overwritten.
#define REDUCE512(z, y, x, t, ty, tx) \
	VEXTRACTF64X4 $1, z, ty;    \
	VADDPS        ty, y, y;     \
	VEXTRACTF128  $1, y, tx;    \
	VADDPS        tx, x, x;     \
	VPERMILPS     $0x4e, x, tx; \
	VADDPS        tx, x, x;     \
	VPERMILPS     $0xb1, x, tx; \
	VADDPS        tx, x, x

// func expSum512(dst, src *float32, n int, shift float32) float32
TEXT ·expSum512(SB), NOSPLIT, $0-36
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	CONST512
	VBROADCASTSS shift+24(FP), Z19
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	SUBQ $32, CX
	JLT  half

loop:
	VMOVUPS (SI), Z2
	VMOVUPS 64(SI), Z5
	VSUBPS  Z19, Z2, Z2
	VSUBPS  Z19, Z5, Z5
	EXP512(Z2, Z3, Z4)
	EXP512(Z5, Z6, Z7)
	VADDPS  Z4, Z0, Z0
	VADDPS  Z7, Z1, Z1
	VMOVUPS Z4, (DI)
	VMOVUPS Z7, 64(DI)
	ADDQ    $128, SI
	ADDQ    $128, DI
	SUBQ    $32, CX
	JGE     loop

half:
	ADDQ $16, CX
	JLT  tail
	VMOVUPS (SI), Z2
	VSUBPS  Z19, Z2, Z2
	EXP512(Z2, Z3, Z4)
	VADDPS  Z4, Z0, Z0
	VMOVUPS Z4, (DI)
	ADDQ    $64, SI
	ADDQ    $64, DI
	SUBQ    $16, CX

tail:
	ADDQ $16, CX
	JEQ  done
	TAILMASK
	VMOVUPS.Z (SI), K1, Z2
	VSUBPS    Z19, Z2, Z2
	EXP512(Z2, Z3, Z4)
	VADDPS    Z4, Z0, K1, Z0
	VMOVUPS   Z4, K1, (DI)

done:
	VADDPS Z1, Z0, Z0
	REDUCE512(Z0, Y0, X0, Z1, Y1, X1)
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func max512(x *float32, n int) float32: n > 0.
TEXT ·max512(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS (SI), Z0
	VMOVAPS Z0, Z1
	SUBQ $32, CX
	JLT  maxhalf

maxloop:
	VMOVUPS (SI), Z2
	VMOVUPS 64(SI), Z3
	VMAXPS  Z2, Z0, Z0
	VMAXPS  Z3, Z1, Z1
	ADDQ    $128, SI
	SUBQ    $32, CX
	JGE     maxloop

maxhalf:
	ADDQ $16, CX
	JLT  maxtail
	VMOVUPS (SI), Z2
	VMAXPS  Z2, Z0, Z0
	ADDQ    $64, SI
	SUBQ    $16, CX

maxtail:
	ADDQ $16, CX
	JEQ  maxdone
	TAILMASK
	VMOVUPS.Z (SI), K1, Z2
	VMAXPS    Z2, Z0, K1, Z0

maxdone:
	VMAXPS        Z1, Z0, Z0
	VEXTRACTF64X4 $1, Z0, Y1
	VMAXPS        Y1, Y0, Y0
	VEXTRACTF128  $1, Y0, X1
	VMAXPS        X1, X0, X0
	VPERMILPS     $0x4e, X0, X1
	VMAXPS        X1, X0, X0
	VPERMILPS     $0xb1, X0, X1
	VMAXPS        X1, X0, X0
	VMOVSS        X0, ret+16(FP)
	VZEROUPPER
	RET

// s = 1/(1+exp(-g)) in Z4, from g in Z8.
#define SIGMOID512 \
	VPXORD Z18, Z18, Z18;  \
	VSUBPS Z8, Z18, Z2;    \
	EXP512(Z2, Z3, Z4);    \
	VADDPS Z29, Z4, Z4;    \
	VDIVPS Z4, Z29, Z4

// func swiglu512(dst, gate, up *float32, n int)
TEXT ·swiglu512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ gate+8(FP), SI
	MOVQ up+16(FP), DX
	MOVQ n+24(FP), CX
	CONST512
	MOVL $0xffff, AX
	KMOVW AX, K1

swiglu:
	CMPQ CX, $16
	JGE  swigluwhole
	TESTQ CX, CX
	JEQ  swigludone
	TAILMASK

swigluwhole:
	VMOVUPS.Z (SI), K1, Z8
	VMOVUPS.Z (DX), K1, Z9
	SIGMOID512
	VMULPS  Z8, Z4, Z4
	VMULPS  Z9, Z4, Z4
	VMOVUPS Z4, K1, (DI)
	ADDQ    $64, SI
	ADDQ    $64, DX
	ADDQ    $64, DI
	SUBQ    $16, CX
	JGT     swiglu

swigludone:
	VZEROUPPER
	RET

// func swigluBack512(dgate, dup, dm, gate, up *float32, n int)
TEXT ·swigluBack512(SB), NOSPLIT, $0-48
	MOVQ dgate+0(FP), DI
	MOVQ dup+8(FP), R8
	MOVQ dm+16(FP), R9
	MOVQ gate+24(FP), SI
	MOVQ up+32(FP), DX
	MOVQ n+40(FP), CX
	CONST512
	MOVL $0xffff, AX
	KMOVW AX, K1

back:
	CMPQ CX, $16
	JGE  backwhole
	TESTQ CX, CX
	JEQ  backdone
	TAILMASK

backwhole:
	VMOVUPS.Z (SI), K1, Z8
	VMOVUPS.Z (DX), K1, Z9
	VMOVUPS.Z (R9), K1, Z10
	SIGMOID512
	VMULPS      Z10, Z4, Z11 // dm·s
	VMULPS      Z8, Z11, Z12
	VMOVUPS     Z12, K1, (R8)
	VSUBPS      Z4, Z29, Z13 // 1-s
	VFMADD213PS Z29, Z8, Z13 // 1+g(1-s)
	VMULPS      Z9, Z11, Z11
	VMULPS      Z13, Z11, Z11
	VMOVUPS     Z11, K1, (DI)
	ADDQ        $64, SI
	ADDQ        $64, DX
	ADDQ        $64, R9
	ADDQ        $64, R8
	ADDQ        $64, DI
	SUBQ        $16, CX
	JGT         back

backdone:
	VZEROUPPER
	RET
