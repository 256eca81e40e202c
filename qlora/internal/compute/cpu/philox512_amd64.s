//go:build !noasm

#include "textflag.h"

// Lane p of 16 works on counter 4·(p%4) + p/4, so that unpacking the four words
// of each leaves them in the order of the elements.
DATA order<>+0(SB)/4, $0
DATA order<>+4(SB)/4, $4
DATA order<>+8(SB)/4, $8
DATA order<>+12(SB)/4, $12
DATA order<>+16(SB)/4, $1
DATA order<>+20(SB)/4, $5
DATA order<>+24(SB)/4, $9
DATA order<>+28(SB)/4, $13
DATA order<>+32(SB)/4, $2
DATA order<>+36(SB)/4, $6
DATA order<>+40(SB)/4, $10
DATA order<>+44(SB)/4, $14
DATA order<>+48(SB)/4, $3
DATA order<>+52(SB)/4, $7
DATA order<>+56(SB)/4, $11
DATA order<>+60(SB)/4, $15
GLOBL order<>(SB), RODATA|NOPTR, $64

DATA philoxc<>+0(SB)/4, $0xD2511F53
DATA philoxc<>+4(SB)/4, $0xCD9E8D57
DATA philoxc<>+8(SB)/4, $0x33800000 // 2^-24
DATA philoxc<>+12(SB)/4, $16
GLOBL philoxc<>(SB), RODATA|NOPTR, $16

// lo and hi of x·m, lane by lane; K1 has the odd lanes.
#define MULHILO(x, m, lo, hi, t) \
	VPMULLD  m, x, lo;      \
	VPMULUDQ m, x, hi;      \
	VPSRLQ   $32, hi, hi;   \
	VPSRLQ   $32, x, t;     \
	VPMULUDQ m, t, t;       \
	VMOVDQA32 t, K1, hi

// One round on Z0..Z3 with the key words at off(R8).
#define ROUND(off) \
	MULHILO(Z0, Z20, Z4, Z5, Z8);  \
	MULHILO(Z2, Z21, Z6, Z7, Z9);  \
	VPTERNLOGD.BCST $0x96, off(R8), Z7, Z1;   \
	VPTERNLOGD.BCST $0x96, (off+4)(R8), Z5, Z3; \
	VMOVDQA32 Z1, Z0;  \
	VMOVDQA32 Z6, Z1;  \
	VMOVDQA32 Z3, Z2;  \
	VMOVDQA32 Z4, Z3

#define UNIFORM(z) \
	VPSRLD    $8, z, z; \
	VCVTDQ2PS z, z;     \
	VMULPS    Z22, z, z

// func philox512(dst unsafe.Pointer, groups int, keys *[20]uint32, counter, step0, step1, site uint32, raw bool)
// dst gets uniform numbers, or with raw the words themselves.
TEXT ·philox512(SB), NOSPLIT, $0-41
	MOVBLZX raw+40(FP), R9
	MOVQ dst+0(FP), DI
	MOVQ groups+8(FP), CX
	MOVQ keys+16(FP), R8
	VBROADCASTSS counter+24(FP), Z10
	VPADDD       order<>(SB), Z10, Z10
	VBROADCASTSS step0+28(FP), Z11
	VBROADCASTSS step1+32(FP), Z12
	VBROADCASTSS site+36(FP), Z13
	VPBROADCASTD philoxc<>+0(SB), Z20
	VPBROADCASTD philoxc<>+4(SB), Z21
	VPBROADCASTD philoxc<>+8(SB), Z22
	VPBROADCASTD philoxc<>+12(SB), Z23
	MOVL  $0xaaaa, AX
	KMOVW AX, K1

loop:
	VMOVDQA32 Z10, Z0
	VMOVDQA32 Z11, Z1
	VMOVDQA32 Z12, Z2
	VMOVDQA32 Z13, Z3
	ROUND(0)
	ROUND(8)
	ROUND(16)
	ROUND(24)
	ROUND(32)
	ROUND(40)
	ROUND(48)
	ROUND(56)
	ROUND(64)
	ROUND(72)
	VPUNPCKLDQ  Z1, Z0, Z4
	VPUNPCKHDQ  Z1, Z0, Z5
	VPUNPCKLDQ  Z3, Z2, Z6
	VPUNPCKHDQ  Z3, Z2, Z7
	VPUNPCKLQDQ Z6, Z4, Z0
	VPUNPCKHQDQ Z6, Z4, Z1
	VPUNPCKLQDQ Z7, Z5, Z2
	VPUNPCKHQDQ Z7, Z5, Z3
	TESTL R9, R9
	JNE   raw
	UNIFORM(Z0)
	UNIFORM(Z1)
	UNIFORM(Z2)
	UNIFORM(Z3)

raw:
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	VPADDD Z23, Z10, Z10
	ADDQ   $256, DI
	DECQ   CX
	JNE    loop
	VZEROUPPER
	RET

// func keep512(dst, src, u *float32, n int, p, factor float32, add bool)
TEXT ·keep512(SB), NOSPLIT, $0-41
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ u+16(FP), DX
	MOVQ n+24(FP), CX
	VBROADCASTSS p+32(FP), Z0
	VBROADCASTSS factor+36(FP), Z1
	MOVBLZX add+40(FP), R8
	MOVL  $0xffff, AX
	KMOVW AX, K1
	KXORW K2, K2, K2
	TESTL R8, R8
	JEQ   keeploop
	KMOVW AX, K2

keeploop:
	CMPQ CX, $16
	JGE  keepwhole
	MOVL  $1, AX
	SHLL  CX, AX
	DECL  AX
	KMOVW AX, K1

keepwhole:
	VMOVUPS.Z (DX), K1, Z2
	VMOVUPS.Z (SI), K1, Z3
	VCMPPS    $13, Z0, Z2, K3
	VMULPS.Z  Z1, Z3, K3, Z3
	KANDW     K1, K2, K4
	VMOVUPS.Z (DI), K4, Z4
	VADDPS    Z4, Z3, K4, Z3
	VMOVUPS   Z3, K1, (DI)
	ADDQ      $64, DI
	ADDQ      $64, SI
	ADDQ      $64, DX
	SUBQ      $16, CX
	JGT       keeploop
	VZEROUPPER
	RET
