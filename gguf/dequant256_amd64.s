//go:build !noasm

#include "textflag.h"

// Dequantizers in AVX2 and F16C. Each product and difference is rounded by itself.

DATA decode256<>+0(SB)/4, $15
DATA decode256<>+4(SB)/4, $16
DATA decode256<>+8(SB)/4, $0x7c007c00
DATA decode256<>+12(SB)/4, $32
DATA decode256<>+16(SB)/4, $3
DATA decode256<>+20(SB)/4, $48
GLOBL decode256<>(SB), RODATA|NOPTR, $24

DATA counts256<>+0(SB)/8, $0x0000000100000000
DATA counts256<>+8(SB)/8, $0x0000000300000002
DATA counts256<>+16(SB)/8, $0x0000000500000004
DATA counts256<>+24(SB)/8, $0x0000000700000006
GLOBL counts256<>(SB), RODATA|NOPTR, $32

// func decodeHalf256(dst *float32, src *byte, n int) int
// Widens n float16, a multiple of 32, and returns how many it did: it stops at 32 that
// hold infinities or NaN, whose payloads the instruction changes.
TEXT ·decodeHalf256(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	XORQ DX, DX
	VPBROADCASTD decode256<>+8(SB), Y15

half:
	CMPQ DX, CX
	JGE  halfdone
	VMOVDQU (SI)(DX*2), Y0
	VMOVDQU 32(SI)(DX*2), Y1
	VPAND Y15, Y0, Y4
	VPAND Y15, Y1, Y5
	VPCMPEQW Y15, Y4, Y4
	VPCMPEQW Y15, Y5, Y5
	VPOR Y5, Y4, Y4
	VPTEST Y4, Y4
	JNE  halfdone
	VCVTPH2PS (SI)(DX*2), Y0
	VCVTPH2PS 16(SI)(DX*2), Y1
	VCVTPH2PS 32(SI)(DX*2), Y2
	VCVTPH2PS 48(SI)(DX*2), Y3
	VMOVUPS Y0, (DI)(DX*4)
	VMOVUPS Y1, 32(DI)(DX*4)
	VMOVUPS Y2, 64(DI)(DX*4)
	VMOVUPS Y3, 96(DI)(DX*4)
	ADDQ $32, DX
	JMP  half

halfdone:
	MOVQ DX, ret+24(FP)
	VZEROUPPER
	RET

// func decodeBrain256(dst *float32, src *byte, n int): n bfloat16, a positive multiple of 32.
TEXT ·decodeBrain256(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX

brain:
	VPMOVZXWD (SI), Y0
	VPMOVZXWD 16(SI), Y1
	VPMOVZXWD 32(SI), Y2
	VPMOVZXWD 48(SI), Y3
	VPSLLD $16, Y0, Y0
	VPSLLD $16, Y1, Y1
	VPSLLD $16, Y2, Y2
	VPSLLD $16, Y3, Y3
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	ADDQ $64, SI
	ADDQ $128, DI
	SUBQ $32, CX
	JNE  brain
	VZEROUPPER
	RET

// func encodeHalf256(dst *byte, src *float32, n int): finite numbers, n a positive multiple of 32.
TEXT ·encodeHalf256(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX

tohalf:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS 64(SI), Y2
	VMOVUPS 96(SI), Y3
	VCVTPS2PH $0, Y0, (DI)
	VCVTPS2PH $0, Y1, 16(DI)
	VCVTPS2PH $0, Y2, 32(DI)
	VCVTPS2PH $0, Y3, 48(DI)
	ADDQ $128, SI
	ADDQ $64, DI
	SUBQ $32, CX
	JNE  tohalf
	VZEROUPPER
	RET

DATA brain256<>+0(SB)/4, $0x7fff
DATA brain256<>+4(SB)/4, $1
GLOBL brain256<>(SB), RODATA|NOPTR, $8

// The upper half of V, to nearest, ties to even.
#define ROUNDBRAIN(V, T) \
	VPSRLD $16, V, T; \
	VPAND  Y15, T, T; \
	VPADDD Y14, V, V; \
	VPADDD T, V, V; \
	VPSRLD $16, V, V

// func encodeBrain256(dst *byte, src *float32, n int): finite numbers, n a positive multiple of 32.
TEXT ·encodeBrain256(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VPBROADCASTD brain256<>+0(SB), Y14
	VPBROADCASTD brain256<>+4(SB), Y15

tobrain:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VMOVDQU 64(SI), Y2
	VMOVDQU 96(SI), Y3
	ROUNDBRAIN(Y0, Y4)
	ROUNDBRAIN(Y1, Y5)
	ROUNDBRAIN(Y2, Y6)
	ROUNDBRAIN(Y3, Y7)
	VPACKUSDW Y1, Y0, Y0
	VPACKUSDW Y3, Y2, Y2
	VPERMQ $0xd8, Y0, Y0
	VPERMQ $0xd8, Y2, Y2
	VMOVDQU Y0, (DI)
	VMOVDQU Y2, 32(DI)
	ADDQ $128, SI
	ADDQ $64, DI
	SUBQ $32, CX
	JNE  tobrain
	VZEROUPPER
	RET

// A float16 in memory, widened into all of Y.
#define WIDEN(from, X, Y) \
	VPBROADCASTW from, X; \
	VCVTPH2PS X, Y

#define EIGHT(off) \
	VPMOVSXBD (2+off)(SI), Y1; \
	VCVTDQ2PS Y1, Y1; \
	VMULPS Y0, Y1, Y1; \
	VMOVUPS Y1, (4*off)(DI)

// func decodeEight256(dst *float32, src *byte, blocks int): Q8_0.
TEXT ·decodeEight256(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX

eight:
	WIDEN((SI), X0, Y0)
	EIGHT(0)
	EIGHT(8)
	EIGHT(16)
	EIGHT(24)
	ADDQ $34, SI
	ADDQ $128, DI
	DECQ CX
	JNE  eight
	VZEROUPPER
	RET

// Eight low and eight high nibbles, at off, into A and B.
#define NIBBLES(from, A, B) \
	VPMOVZXBD from, A; \
	VPSRLD $4, A, B; \
	VPAND Y15, A, A

// The fifth bit of each element: bits i..i+7 of Y11, sent to bit 4.
#define FIFTH(shift, V) \
	VPSRLVD shift, Y11, Y8; \
	VPSLLD $4, Y8, Y8; \
	VPAND Y14, Y8, Y8; \
	VPOR Y8, V, V

#define SYMMETRIC(V, at) \
	VPADDD Y10, V, V; \
	VCVTDQ2PS V, V; \
	VMULPS Y0, V, V; \
	VMOVUPS V, at(DI)

#define AFFINE(V, at) \
	VCVTDQ2PS V, V; \
	VMULPS Y0, V, V; \
	VADDPS Y1, V, V; \
	VMOVUPS V, at(DI)

// func decodeOld256(dst *float32, src *byte, blocks, bytes, half int)
// Q4_0 and Q5_0 (half 8, 16), Q4_1 and Q5_1 (half 0), told apart by their bytes.
TEXT ·decodeOld256(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX
	MOVQ bytes+24(FP), R9
	MOVQ half+32(FP), R8
	NEGQ R8
	VMOVD R8, X10
	VPBROADCASTD X10, Y10
	VPBROADCASTD decode256<>+0(SB), Y15
	VPBROADCASTD decode256<>+4(SB), Y14
	VMOVDQU counts256<>(SB), Y4
	VPSRLD $1, Y14, Y5
	VPADDD Y5, Y4, Y5
	VPADDD Y14, Y4, Y6
	VPADDD Y14, Y5, Y7
	LEAQ -16(R9), R10 // of the nibbles

old:
	WIDEN((SI), X0, Y0)
	NIBBLES((SI)(R10*1), Y12, Y13)
	NIBBLES(8(SI)(R10*1), Y2, Y3)
	CMPQ R9, $22
	JLT  four
	VPBROADCASTD -4(SI)(R10*1), Y11
	FIFTH(Y4, Y12)
	FIFTH(Y5, Y2)
	FIFTH(Y6, Y13)
	FIFTH(Y7, Y3)

four:
	TESTQ R8, R8
	JEQ  offset
	SYMMETRIC(Y12, 0)
	SYMMETRIC(Y2, 32)
	SYMMETRIC(Y13, 64)
	SYMMETRIC(Y3, 96)
	JMP next

offset:
	WIDEN(2(SI), X1, Y1)
	AFFINE(Y12, 0)
	AFFINE(Y2, 32)
	AFFINE(Y13, 64)
	AFFINE(Y3, 96)

next:
	ADDQ R9, SI
	ADDQ $128, DI
	DECQ CX
	JNE  old
	VZEROUPPER
	RET

// The scales and mins of a block of Q4_K or Q5_K, by d and dmin, to the frame: 32
// bytes of scales, 32 of mins.
#define SCALES \
	MOVL 4(SI), AX; \
	MOVL 8(SI), BX; \
	MOVL 12(SI), DX; \
	MOVL AX, R8; \
	MOVL BX, R9; \
	ANDL $0x3f3f3f3f, AX; \
	ANDL $0x3f3f3f3f, BX; \
	SHRL $2, R8; \
	SHRL $2, R9; \
	ANDL $0x30303030, R8; \
	ANDL $0x30303030, R9; \
	MOVL DX, R10; \
	ANDL $0x0f0f0f0f, DX; \
	SHRL $4, R10; \
	ANDL $0x0f0f0f0f, R10; \
	ORL  DX, R8; \
	ORL  R10, R9; \
	SHLQ $32, R8; \
	SHLQ $32, R9; \
	ORQ  R8, AX; \
	ORQ  R9, BX; \
	VMOVQ AX, X2; \
	VMOVQ BX, X3; \
	VPMOVZXBD X2, Y2; \
	VPMOVZXBD X3, Y3; \
	VCVTDQ2PS Y2, Y2; \
	VCVTDQ2PS Y3, Y3; \
	WIDEN((SI), X0, Y0); \
	WIDEN(2(SI), X1, Y1); \
	VMULPS Y2, Y0, Y2; \
	VMULPS Y3, Y1, Y3; \
	VMOVUPS Y2, s-64(SP); \
	VMOVUPS Y3, m-32(SP)

#define SCALED(V, SCALE, LEAST, at) \
	VCVTDQ2PS V, V; \
	VMULPS V, SCALE, V; \
	VSUBPS LEAST, V, V; \
	VMOVUPS V, (at)(DI)

// Codes j to j+7 of sub-blocks 2n and 2n+1.
#define FOUR(n, j) \
	NIBBLES((16+32*n+j)(SI), Y4, Y5); \
	SCALED(Y4, Y0, Y1, 256*n+4*j); \
	SCALED(Y5, Y2, Y3, 256*n+128+4*j)

#define PAIR(n) \
	VBROADCASTSS s-64+8*n(SP), Y0; \
	VBROADCASTSS m-32+8*n(SP), Y1; \
	VBROADCASTSS s-60+8*n(SP), Y2; \
	VBROADCASTSS m-28+8*n(SP), Y3

#define FOURS(n) \
	PAIR(n); \
	FOUR(n, 0); \
	FOUR(n, 8); \
	FOUR(n, 16); \
	FOUR(n, 24)

// func decodeFour256(dst *float32, src *byte, blocks int): Q4_K.
TEXT ·decodeFour256(SB), NOSPLIT, $64-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX
	VPBROADCASTD decode256<>+0(SB), Y15

fourk:
	SCALES
	FOURS(0)
	FOURS(1)
	FOURS(2)
	FOURS(3)
	ADDQ $144, SI
	ADDQ $1024, DI
	DECQ CX
	JNE  fourk
	VZEROUPPER
	RET

// As FOUR, with fifth bits 2n and 2n+1 of the bytes from 16+j.
#define FIVE(n, j, LOWSHIFT, HIGHSHIFT) \
	NIBBLES((48+32*n+j)(SI), Y4, Y5); \
	VPMOVZXBD (16+j)(SI), Y6; \
	LOWSHIFT(Y6, Y7); \
	HIGHSHIFT(Y6, Y6); \
	VPAND Y14, Y7, Y7; \
	VPAND Y14, Y6, Y6; \
	VPOR Y7, Y4, Y4; \
	VPOR Y6, Y5, Y5; \
	SCALED(Y4, Y0, Y1, 256*n+4*j); \
	SCALED(Y5, Y2, Y3, 256*n+128+4*j)

#define LEFT4(A, B) VPSLLD $4, A, B
#define LEFT3(A, B) VPSLLD $3, A, B
#define LEFT2(A, B) VPSLLD $2, A, B
#define LEFT1(A, B) VPSLLD $1, A, B
#define STAY(A, B) VMOVDQA A, B
#define RIGHT1(A, B) VPSRLD $1, A, B
#define RIGHT2(A, B) VPSRLD $2, A, B
#define RIGHT3(A, B) VPSRLD $3, A, B

#define FIVES(n, LOWSHIFT, HIGHSHIFT) \
	PAIR(n); \
	FIVE(n, 0, LOWSHIFT, HIGHSHIFT); \
	FIVE(n, 8, LOWSHIFT, HIGHSHIFT); \
	FIVE(n, 16, LOWSHIFT, HIGHSHIFT); \
	FIVE(n, 24, LOWSHIFT, HIGHSHIFT)

// func decodeFive256(dst *float32, src *byte, blocks int): Q5_K.
TEXT ·decodeFive256(SB), NOSPLIT, $64-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX
	VPBROADCASTD decode256<>+0(SB), Y15
	VPBROADCASTD decode256<>+4(SB), Y14

fivek:
	SCALES
	FIVES(0, LEFT4, LEFT3)
	FIVES(1, LEFT2, LEFT1)
	FIVES(2, STAY, RIGHT1)
	FIVES(3, RIGHT2, RIGHT3)
	ADDQ $176, SI
	ADDQ $1024, DI
	DECQ CX
	JNE  fivek
	VZEROUPPER
	RET

#define SIXTH(V, SCALE, at) \
	VPSUBD Y13, V, V; \
	VCVTDQ2PS V, V; \
	VMULPS V, SCALE, V; \
	VMOVUPS V, (at)(DI)

// Codes l to l+7 of the four runs of 32 in half h, with the scales in Y0 to Y3.
#define SIX(h, l) \
	NIBBLES((64*h+l)(SI), Y4, Y6); \
	NIBBLES((64*h+32+l)(SI), Y5, Y7); \
	VPMOVZXBD (128+32*h+l)(SI), Y8; \
	VPSLLD $4, Y8, Y9; \
	VPSLLD $2, Y8, Y10; \
	VPSRLD $2, Y8, Y11; \
	VPAND Y14, Y9, Y9; \
	VPAND Y14, Y10, Y10; \
	VPAND Y14, Y8, Y8; \
	VPAND Y14, Y11, Y11; \
	VPOR Y9, Y4, Y4; \
	VPOR Y10, Y5, Y5; \
	VPOR Y8, Y6, Y6; \
	VPOR Y11, Y7, Y7; \
	SIXTH(Y4, Y0, 512*h+4*l); \
	SIXTH(Y5, Y1, 512*h+128+4*l); \
	SIXTH(Y6, Y2, 512*h+256+4*l); \
	SIXTH(Y7, Y3, 512*h+384+4*l)

#define SIXSCALES(o) \
	VBROADCASTSS s-64+o(SP), Y0; \
	VBROADCASTSS s-56+o(SP), Y1; \
	VBROADCASTSS s-48+o(SP), Y2; \
	VBROADCASTSS s-40+o(SP), Y3

// func decodeSix256(dst *float32, src *byte, blocks int): Q6_K.
TEXT ·decodeSix256(SB), NOSPLIT, $64-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX
	VPBROADCASTD decode256<>+0(SB), Y15
	VPBROADCASTD decode256<>+20(SB), Y14
	VPBROADCASTD decode256<>+12(SB), Y13

sixk:
	WIDEN(208(SI), X0, Y0)
	VPMOVSXBD 192(SI), Y1
	VPMOVSXBD 200(SI), Y2
	VCVTDQ2PS Y1, Y1
	VCVTDQ2PS Y2, Y2
	VMULPS Y1, Y0, Y1
	VMULPS Y2, Y0, Y2
	VMOVUPS Y1, s-64(SP)
	VMOVUPS Y2, s-32(SP)
	SIXSCALES(0)
	SIX(0, 0)
	SIX(0, 8)
	SIXSCALES(4)
	SIX(0, 16)
	SIX(0, 24)
	SIXSCALES(32)
	SIX(1, 0)
	SIX(1, 8)
	SIXSCALES(36)
	SIX(1, 16)
	SIX(1, 24)
	ADDQ $210, SI
	ADDQ $1024, DI
	DECQ CX
	JNE  sixk
	VZEROUPPER
	RET

// Two bits of the bytes in Y1 as V, by part p of four.
#define PART(p, V) \
	VPSRLD $(2*p), Y1, V; \
	VPAND  Y15, V, V

#define TWO(h, p, l) \
	PART(p, Y3); \
	VCVTDQ2PS Y3, Y3; \
	VBROADCASTSS s-128+(4*(8*h+2*p+l/16))(SP), Y4; \
	VBROADCASTSS m-64+(4*(8*h+2*p+l/16))(SP), Y5; \
	VMULPS Y3, Y4, Y3; \
	VSUBPS Y5, Y3, Y3; \
	VMOVUPS Y3, (4*(128*h+32*p+l))(DI)

#define TWOS(h, l) \
	VPMOVZXBD (16+32*h+l)(SI), Y1; \
	TWO(h, 0, l); \
	TWO(h, 1, l); \
	TWO(h, 2, l); \
	TWO(h, 3, l)

// Scales and mins of sub-blocks i to i+7, by d in Y0 and dmin in Y2.
#define TWOSCALES(i) \
	VPMOVZXBD (i)(SI), Y1; \
	VPSRLD $4, Y1, Y3; \
	VPAND  Y14, Y1, Y1; \
	VCVTDQ2PS Y1, Y1; \
	VCVTDQ2PS Y3, Y3; \
	VMULPS Y1, Y0, Y1; \
	VMULPS Y3, Y2, Y3; \
	VMOVUPS Y1, s-128+(4*i)(SP); \
	VMOVUPS Y3, m-64+(4*i)(SP)

// func decodeTwo256(dst *float32, src *byte, blocks int): Q2_K.
TEXT ·decodeTwo256(SB), NOSPLIT, $128-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX
	VPBROADCASTD decode256<>+16(SB), Y15
	VPBROADCASTD decode256<>+0(SB), Y14

twok:
	WIDEN(80(SI), X0, Y0)
	WIDEN(82(SI), X2, Y2)
	TWOSCALES(0)
	TWOSCALES(8)
	TWOS(0, 0)
	TWOS(0, 8)
	TWOS(0, 16)
	TWOS(0, 24)
	TWOS(1, 0)
	TWOS(1, 8)
	TWOS(1, 16)
	TWOS(1, 24)
	ADDQ $84, SI
	ADDQ $1024, DI
	DECQ CX
	JNE  twok
	VZEROUPPER
	RET

// The third bit, clear, takes 4 off.
#define THREE(h, p, l) \
	PART(p, Y3); \
	VPSRLD $(4*h+p), Y2, Y4; \
	VPSLLD $2, Y4, Y4; \
	VPAND  Y14, Y4, Y4; \
	VPOR   Y4, Y3, Y3; \
	VPSUBD Y14, Y3, Y3; \
	VCVTDQ2PS Y3, Y3; \
	VBROADCASTSS s-64+(4*(8*h+2*p+l/16))(SP), Y4; \
	VMULPS Y3, Y4, Y3; \
	VMOVUPS Y3, (4*(128*h+32*p+l))(DI)

#define THREES(h, l) \
	VPMOVZXBD (32+32*h+l)(SI), Y1; \
	VPMOVZXBD (l)(SI), Y2; \
	THREE(h, 0, l); \
	THREE(h, 1, l); \
	THREE(h, 2, l); \
	THREE(h, 3, l)

// Scales of sub-blocks i to i+7: low nibbles in AX, the bits above them in R8; less
// 32, by d in Y0.
#define THREESCALES(i) \
	ANDQ  R9, AX; \
	ORQ   R8, AX; \
	VMOVQ AX, X1; \
	VPMOVZXBD X1, Y1; \
	VPSUBD Y13, Y1, Y1; \
	VCVTDQ2PS Y1, Y1; \
	VMULPS Y1, Y0, Y1; \
	VMOVUPS Y1, s-64+(4*i)(SP)

// func decodeThree256(dst *float32, src *byte, blocks int): Q3_K.
TEXT ·decodeThree256(SB), NOSPLIT, $64-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX
	VPBROADCASTD decode256<>+16(SB), Y15
	VPBROADCASTD decode256<>+4(SB), Y14
	VPSRLD $2, Y14, Y14
	VPBROADCASTD decode256<>+12(SB), Y13
	MOVQ $0x0f0f0f0f0f0f0f0f, R9

threek:
	WIDEN(108(SI), X0, Y0)
	MOVL 104(SI), BX
	MOVL BX, R8
	MOVL BX, DX
	SHLL $4, R8
	SHLL $2, DX
	ANDL $0x30303030, R8
	ANDL $0x30303030, DX
	SHLQ $32, DX
	ORQ  DX, R8
	MOVQ 96(SI), AX
	THREESCALES(0)
	MOVL BX, R8
	MOVL BX, DX
	SHRL $2, DX
	ANDL $0x30303030, R8
	ANDL $0x30303030, DX
	SHLQ $32, DX
	ORQ  DX, R8
	MOVQ 96(SI), AX
	SHRQ $4, AX
	THREESCALES(8)
	THREES(0, 0)
	THREES(0, 8)
	THREES(0, 16)
	THREES(0, 24)
	THREES(1, 0)
	THREES(1, 8)
	THREES(1, 16)
	THREES(1, 24)
	ADDQ $110, SI
	ADDQ $1024, DI
	DECQ CX
	JNE  threek
	VZEROUPPER
	RET
