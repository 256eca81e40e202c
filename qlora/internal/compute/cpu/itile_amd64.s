//go:build !noasm

#include "textflag.h"

// Micro-kernels of the int8 product. A word is four codes of neighbouring depth;
// panels are those of the float32 product with words for numbers, so that one
// step of the loop covers four of depth. VPDPBUSD multiplies unsigned by signed
// bytes: there the left codes come with 128 added, and the epilogue takes 128
// times the sum of the right row away. Sums are exact.

#define ROWI512(off, lo, hi) \
	VPBROADCASTD off(SI), Z30;    \
	VPDPBUSD     Z28, Z30, lo;    \
	VPDPBUSD     Z29, Z30, hi

#define CLEARI512(r) VPXORD r, r, r

#define PUTI512(lo, hi) \
	VMOVDQU32 lo, (DX);   \
	VMOVDQU32 hi, 64(DX); \
	ADDQ      R8, DX

#define ADDI512(lo, hi) \
	VPADDD (DX), lo, lo;   \
	VPADDD 64(DX), hi, hi; \
	PUTI512(lo, hi)

// func itile14x32(c *int32, ldc int, a, b *float32, k int, add bool)
TEXT ·itile14x32(SB), NOSPLIT, $0-41
	MOVQ c+0(FP), DX
	MOVQ ldc+8(FP), R8
	MOVQ a+16(FP), SI
	MOVQ b+24(FP), DI
	MOVQ k+32(FP), CX
	MOVBLZX add+40(FP), AX
	SHLQ $2, R8
	CLEARI512(Z0)
	CLEARI512(Z1)
	CLEARI512(Z2)
	CLEARI512(Z3)
	CLEARI512(Z4)
	CLEARI512(Z5)
	CLEARI512(Z6)
	CLEARI512(Z7)
	CLEARI512(Z8)
	CLEARI512(Z9)
	CLEARI512(Z10)
	CLEARI512(Z11)
	CLEARI512(Z12)
	CLEARI512(Z13)
	CLEARI512(Z14)
	CLEARI512(Z15)
	CLEARI512(Z16)
	CLEARI512(Z17)
	CLEARI512(Z18)
	CLEARI512(Z19)
	CLEARI512(Z20)
	CLEARI512(Z21)
	CLEARI512(Z22)
	CLEARI512(Z23)
	CLEARI512(Z24)
	CLEARI512(Z25)
	CLEARI512(Z26)
	CLEARI512(Z27)

loop512:
	VMOVDQU32 (DI), Z28
	VMOVDQU32 64(DI), Z29
	ROWI512(0, Z0, Z1)
	ROWI512(4, Z2, Z3)
	ROWI512(8, Z4, Z5)
	ROWI512(12, Z6, Z7)
	ROWI512(16, Z8, Z9)
	ROWI512(20, Z10, Z11)
	ROWI512(24, Z12, Z13)
	ROWI512(28, Z14, Z15)
	ROWI512(32, Z16, Z17)
	ROWI512(36, Z18, Z19)
	ROWI512(40, Z20, Z21)
	ROWI512(44, Z22, Z23)
	ROWI512(48, Z24, Z25)
	ROWI512(52, Z26, Z27)
	ADDQ $56, SI
	ADDQ $128, DI
	DECQ CX
	JNE  loop512
	TESTL AX, AX
	JNE   add512
	PUTI512(Z0, Z1)
	PUTI512(Z2, Z3)
	PUTI512(Z4, Z5)
	PUTI512(Z6, Z7)
	PUTI512(Z8, Z9)
	PUTI512(Z10, Z11)
	PUTI512(Z12, Z13)
	PUTI512(Z14, Z15)
	PUTI512(Z16, Z17)
	PUTI512(Z18, Z19)
	PUTI512(Z20, Z21)
	PUTI512(Z22, Z23)
	PUTI512(Z24, Z25)
	PUTI512(Z26, Z27)
	VZEROUPPER
	RET

add512:
	ADDI512(Z0, Z1)
	ADDI512(Z2, Z3)
	ADDI512(Z4, Z5)
	ADDI512(Z6, Z7)
	ADDI512(Z8, Z9)
	ADDI512(Z10, Z11)
	ADDI512(Z12, Z13)
	ADDI512(Z14, Z15)
	ADDI512(Z16, Z17)
	ADDI512(Z18, Z19)
	ADDI512(Z20, Z21)
	ADDI512(Z22, Z23)
	ADDI512(Z24, Z25)
	ADDI512(Z26, Z27)
	VZEROUPPER
	RET

// VPDPBUSD in its VEX encoding, which the assembler lacks: byte p holds the high
// bit of the sum's register, m its low bits and the right operand, Y12 (modrm
// 4) or Y13 (5); the left operand is Y14.
#define DPBUSD(p, m) BYTE $0xc4; BYTE $p; BYTE $0x0d; BYTE $0x50; BYTE $m

#define PUTI256(lo, hi) \
	VMOVDQU lo, (DX);   \
	VMOVDQU hi, 32(DX); \
	ADDQ    R8, DX

#define ADDI256(lo, hi) \
	VPADDD (DX), lo, lo;   \
	VPADDD 32(DX), hi, hi; \
	PUTI256(lo, hi)

// func itile6x16(c *int32, ldc int, a, b *float32, k int, add bool): AVX-VNNI.
TEXT ·itile6x16(SB), NOSPLIT, $0-41
	MOVQ c+0(FP), DX
	MOVQ ldc+8(FP), R8
	MOVQ a+16(FP), SI
	MOVQ b+24(FP), DI
	MOVQ k+32(FP), CX
	MOVBLZX add+40(FP), AX
	SHLQ $2, R8
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	VPXOR Y8, Y8, Y8
	VPXOR Y9, Y9, Y9
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11

loop256:
	VMOVDQU (DI), Y12
	VMOVDQU 32(DI), Y13
	VPBROADCASTD 0(SI), Y14
	DPBUSD(0xc2, 0xc4) // Y0
	DPBUSD(0xc2, 0xcd) // Y1
	VPBROADCASTD 4(SI), Y14
	DPBUSD(0xc2, 0xd4) // Y2
	DPBUSD(0xc2, 0xdd) // Y3
	VPBROADCASTD 8(SI), Y14
	DPBUSD(0xc2, 0xe4) // Y4
	DPBUSD(0xc2, 0xed) // Y5
	VPBROADCASTD 12(SI), Y14
	DPBUSD(0xc2, 0xf4) // Y6
	DPBUSD(0xc2, 0xfd) // Y7
	VPBROADCASTD 16(SI), Y14
	DPBUSD(0x42, 0xc4) // Y8
	DPBUSD(0x42, 0xcd) // Y9
	VPBROADCASTD 20(SI), Y14
	DPBUSD(0x42, 0xd4) // Y10
	DPBUSD(0x42, 0xdd) // Y11
	ADDQ $24, SI
	ADDQ $64, DI
	DECQ CX
	JNE  loop256
	TESTL AX, AX
	JNE   add256
	PUTI256(Y0, Y1)
	PUTI256(Y2, Y3)
	PUTI256(Y4, Y5)
	PUTI256(Y6, Y7)
	PUTI256(Y8, Y9)
	PUTI256(Y10, Y11)
	VZEROUPPER
	RET

add256:
	ADDI256(Y0, Y1)
	ADDI256(Y2, Y3)
	ADDI256(Y4, Y5)
	ADDI256(Y6, Y7)
	ADDI256(Y8, Y9)
	ADDI256(Y10, Y11)
	VZEROUPPER
	RET

// One row against four quarters of the right panel, each 4 lanes of 4 words.
#define ROWMADD(off, s0, s1, s2, s3) \
	VPBROADCASTD off(SI), X12;   \
	VPMOVSXBW    X12, Y12;       \
	VPMADDWD     Y8, Y12, Y13;   \
	VPADDD       Y13, s0, s0;    \
	VPMADDWD     Y9, Y12, Y13;   \
	VPADDD       Y13, s1, s1;    \
	VPMADDWD     Y10, Y12, Y13;  \
	VPADDD       Y13, s2, s2;    \
	VPMADDWD     Y11, Y12, Y13;  \
	VPADDD       Y13, s3, s3

// The pairs of sums of 16 lanes become 16 sums in s0, s2.
#define FOLD(s0, s1, s2, s3) \
	VPHADDD s1, s0, s0;    \
	VPERMQ  $0xd8, s0, s0; \
	VPHADDD s3, s2, s2;    \
	VPERMQ  $0xd8, s2, s2

// func itileMadd(c *int32, ldc int, a, b *float32, k int, add bool): AVX2, two
// rows of 16 from a panel of six on the left.
TEXT ·itileMadd(SB), NOSPLIT, $0-41
	MOVQ c+0(FP), DX
	MOVQ ldc+8(FP), R8
	MOVQ a+16(FP), SI
	MOVQ b+24(FP), DI
	MOVQ k+32(FP), CX
	MOVBLZX add+40(FP), AX
	SHLQ $2, R8
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7

loopmadd:
	VPMOVSXBW (DI), Y8
	VPMOVSXBW 16(DI), Y9
	VPMOVSXBW 32(DI), Y10
	VPMOVSXBW 48(DI), Y11
	ROWMADD(0, Y0, Y1, Y2, Y3)
	ROWMADD(4, Y4, Y5, Y6, Y7)
	ADDQ $24, SI
	ADDQ $64, DI
	DECQ CX
	JNE  loopmadd
	FOLD(Y0, Y1, Y2, Y3)
	FOLD(Y4, Y5, Y6, Y7)
	TESTL AX, AX
	JNE   addmadd
	PUTI256(Y0, Y2)
	PUTI256(Y4, Y6)
	VZEROUPPER
	RET

addmadd:
	ADDI256(Y0, Y2)
	ADDI256(Y4, Y6)
	VZEROUPPER
	RET

// func vnni512(n int): n rounds of 28 independent VPDPBUSD, 28·128 operations.
TEXT ·vnni512(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX
	CLEARI512(Z28)
	CLEARI512(Z30)

vnniloop:
	VPDPBUSD Z28, Z30, Z0
	VPDPBUSD Z28, Z30, Z1
	VPDPBUSD Z28, Z30, Z2
	VPDPBUSD Z28, Z30, Z3
	VPDPBUSD Z28, Z30, Z4
	VPDPBUSD Z28, Z30, Z5
	VPDPBUSD Z28, Z30, Z6
	VPDPBUSD Z28, Z30, Z7
	VPDPBUSD Z28, Z30, Z8
	VPDPBUSD Z28, Z30, Z9
	VPDPBUSD Z28, Z30, Z10
	VPDPBUSD Z28, Z30, Z11
	VPDPBUSD Z28, Z30, Z12
	VPDPBUSD Z28, Z30, Z13
	VPDPBUSD Z28, Z30, Z14
	VPDPBUSD Z28, Z30, Z15
	VPDPBUSD Z28, Z30, Z16
	VPDPBUSD Z28, Z30, Z17
	VPDPBUSD Z28, Z30, Z18
	VPDPBUSD Z28, Z30, Z19
	VPDPBUSD Z28, Z30, Z20
	VPDPBUSD Z28, Z30, Z21
	VPDPBUSD Z28, Z30, Z22
	VPDPBUSD Z28, Z30, Z23
	VPDPBUSD Z28, Z30, Z24
	VPDPBUSD Z28, Z30, Z25
	VPDPBUSD Z28, Z30, Z26
	VPDPBUSD Z28, Z30, Z27
	DECQ CX
	JNE  vnniloop
	VZEROUPPER
	RET
