//go:build !noasm

#include "textflag.h"
#include "go_asm.h"

// Micro-kernels of the int8 product. A word is four codes of neighbouring depth;
// the right panel has the words of 32 lanes side by side, rows of left codes lie
// where they lie. VPDPBUSD multiplies unsigned by signed bytes: there the left
// codes come with 128 added, and sums start from -128 times those of the right
// codes. Sums are exact.

#define ROWI512(addr, lo, hi) \
	VPBROADCASTD addr, Z30;      \
	VPDPBUSD     Z28, Z30, lo;   \
	VPDPBUSD     Z29, Z30, hi

#define CLEARI512(r) VPXORD r, r, r

#define START512(lo, hi) \
	VMOVDQU32 (DX), lo;   \
	VMOVDQU32 64(DX), hi; \
	ADDQ      R8, DX

// CLAIM512 fetches both lines of a row of the result for writing: PREFETCHW (DX)
// and 64(DX), which the assembler lacks.
#define CLAIM512 \
	BYTE $0x0f; BYTE $0x0d; BYTE $0x0a;             \
	BYTE $0x0f; BYTE $0x0d; BYTE $0x4a; BYTE $0x40; \
	ADDQ R8, DX

// KEEP512 stores the sums of a row, the last of CX leaves.
#define KEEP512(lo, hi) \
	VMOVDQU32 lo, (DX);   \
	VMOVDQU32 hi, 64(DX); \
	ADDQ      $128, DX;   \
	DECQ      CX;         \
	JEQ       done

// FINISH512 writes sum·(s·scale), scale in Z28 and Z29, or adds it where K3 and
// K4 are set.
#define FINISH512(lo, hi) \
	VBROADCASTSS (R9), Z30;       \
	VMULPS       Z28, Z30, Z31;   \
	VMULPS       Z29, Z30, Z30;   \
	VCVTDQ2PS    lo, lo;          \
	VCVTDQ2PS    hi, hi;          \
	VMULPS       Z31, lo, lo;     \
	VMULPS       Z30, hi, hi;     \
	VADDPS       (DX), lo, K3, lo;   \
	VADDPS       64(DX), hi, K4, hi; \
	VMOVUPS      lo, K1, (DX);    \
	VMOVUPS      hi, K2, 64(DX);  \
	ADDQ         $4, R9;          \
	ADDQ         R8, DX;          \
	DECQ         CX;              \
	JEQ          done

// What follows the loop: rows to CX, and either the place of the sums to DX, or
// the result's, scales and masks.
#define LOADKEEP512 \
	MOVQ  intTile_rows(BX), CX; \
	MOVQ  intTile_to(BX), DX;   \
	TESTQ DX, DX

#define LOADFINISH512 \
	MOVQ    intTile_lanes(BX), R9;   \
	MOVL    $-1, AX;                 \
	BZHIL   R9, AX, AX;              \
	KMOVW   AX, K1;                  \
	SHRL    $16, AX;                 \
	KMOVW   AX, K2;                  \
	MOVBLZX intTile_add(BX), AX;     \
	NEGL    AX;                      \
	KMOVW   AX, K3;                  \
	KANDW   K3, K2, K4;              \
	KANDW   K3, K1, K3;              \
	MOVQ    intTile_scale(BX), R9;   \
	VMOVUPS.Z (R9), K1, Z28;         \
	VMOVUPS.Z 64(R9), K2, Z29;       \
	MOVQ    intTile_s(BX), R9;       \
	MOVQ    intTile_y(BX), DX;       \
	MOVQ    intTile_ldy(BX), R8

#define LOADSTART \
	MOVQ t+0(FP), BX;              \
	MOVQ intTile_a(BX), SI;        \
	MOVQ intTile_lda(BX), R9;      \
	MOVQ intTile_b(BX), DI;        \
	MOVQ intTile_words(BX), CX;    \
	LEAQ (R9)(R9*2), R10;          \
	MOVQ intTile_y(BX), DX;        \
	MOVQ intTile_ldy(BX), R8

#define LOADFROM \
	MOVQ intTile_from(BX), DX;    \
	MOVQ intTile_fromStep(BX), R8

// The kernels on 256 bits do half a panel; sums go to rows of 32.
#define ARGS256 \
	MOVQ sums+0(FP), BX;     \
	MOVQ from+8(FP), DX;     \
	MOVQ fromStep+16(FP), R8; \
	MOVQ a+24(FP), SI;       \
	MOVQ lda+32(FP), R9;     \
	MOVQ b+40(FP), DI;       \
	MOVQ words+48(FP), CX

// func itile14x32(t *intTile)
TEXT ·itile14x32(SB), NOSPLIT, $0-8
	LOADSTART
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	CLAIM512
	LOADFROM
	START512(Z0, Z1)
	START512(Z2, Z3)
	START512(Z4, Z5)
	START512(Z6, Z7)
	START512(Z8, Z9)
	START512(Z10, Z11)
	START512(Z12, Z13)
	START512(Z14, Z15)
	START512(Z16, Z17)
	START512(Z18, Z19)
	START512(Z20, Z21)
	START512(Z22, Z23)
	START512(Z24, Z25)
	START512(Z26, Z27)
	LEAQ (R9)(R9*4), AX
	LEAQ (SI)(AX*1), R11
	LEAQ (SI)(AX*2), R12

loop:
	VMOVDQU32 (DI), Z28
	VMOVDQU32 64(DI), Z29
	ROWI512((SI), Z0, Z1)
	ROWI512((SI)(R9*1), Z2, Z3)
	ROWI512((SI)(R9*2), Z4, Z5)
	ROWI512((SI)(R10*1), Z6, Z7)
	ROWI512((SI)(R9*4), Z8, Z9)
	ROWI512((R11), Z10, Z11)
	ROWI512((R11)(R9*1), Z12, Z13)
	ROWI512((R11)(R9*2), Z14, Z15)
	ROWI512((R11)(R10*1), Z16, Z17)
	ROWI512((R11)(R9*4), Z18, Z19)
	ROWI512((R12), Z20, Z21)
	ROWI512((R12)(R9*1), Z22, Z23)
	ROWI512((R12)(R9*2), Z24, Z25)
	ROWI512((R12)(R10*1), Z26, Z27)
	ADDQ $4, SI
	ADDQ $4, R11
	ADDQ $4, R12
	ADDQ $128, DI
	DECQ CX
	JNE  loop
	LOADKEEP512
	JEQ  finish
	KEEP512(Z0, Z1)
	KEEP512(Z2, Z3)
	KEEP512(Z4, Z5)
	KEEP512(Z6, Z7)
	KEEP512(Z8, Z9)
	KEEP512(Z10, Z11)
	KEEP512(Z12, Z13)
	KEEP512(Z14, Z15)
	KEEP512(Z16, Z17)
	KEEP512(Z18, Z19)
	KEEP512(Z20, Z21)
	KEEP512(Z22, Z23)
	KEEP512(Z24, Z25)
	KEEP512(Z26, Z27)

finish:
	LOADFINISH512
	FINISH512(Z0, Z1)
	FINISH512(Z2, Z3)
	FINISH512(Z4, Z5)
	FINISH512(Z6, Z7)
	FINISH512(Z8, Z9)
	FINISH512(Z10, Z11)
	FINISH512(Z12, Z13)
	FINISH512(Z14, Z15)
	FINISH512(Z16, Z17)
	FINISH512(Z18, Z19)
	FINISH512(Z20, Z21)
	FINISH512(Z22, Z23)
	FINISH512(Z24, Z25)
	FINISH512(Z26, Z27)

done:
	VZEROUPPER
	RET

// func itile4x32(t *intTile): four rows, of which there may be fewer.
TEXT ·itile4x32(SB), NOSPLIT, $0-8
	LOADSTART
	LOADFROM
	START512(Z0, Z1)
	START512(Z2, Z3)
	START512(Z4, Z5)
	START512(Z6, Z7)

loop:
	VMOVDQU32 (DI), Z28
	VMOVDQU32 64(DI), Z29
	ROWI512((SI), Z0, Z1)
	ROWI512((SI)(R9*1), Z2, Z3)
	ROWI512((SI)(R9*2), Z4, Z5)
	ROWI512((SI)(R10*1), Z6, Z7)
	ADDQ $4, SI
	ADDQ $128, DI
	DECQ CX
	JNE  loop
	LOADKEEP512
	JEQ  finish
	KEEP512(Z0, Z1)
	KEEP512(Z2, Z3)
	KEEP512(Z4, Z5)
	KEEP512(Z6, Z7)

finish:
	LOADFINISH512
	FINISH512(Z0, Z1)
	FINISH512(Z2, Z3)
	FINISH512(Z4, Z5)
	FINISH512(Z6, Z7)

done:
	VZEROUPPER
	RET

// VPDPBUSD in its VEX encoding, which the assembler lacks: byte p holds the high
// bit of the sum's register, m its low bits and the right operand, Y12 (modrm
// 4) or Y13 (5); the left operand is Y14.
#define DPBUSD(p, m) BYTE $0xc4; BYTE $p; BYTE $0x0d; BYTE $0x50; BYTE $m

#define START256(lo, hi) \
	VMOVDQU (DX), lo;   \
	VMOVDQU 32(DX), hi; \
	ADDQ    R8, DX

#define KEEP256(lo, hi) \
	VMOVDQU lo, (BX);   \
	VMOVDQU hi, 32(BX); \
	ADDQ    $128, BX

// func itile6x16(sums, from *int32, fromStep int, a *uint8, lda int, b *int8, words int): AVX-VNNI.
TEXT ·itile6x16(SB), NOSPLIT, $0-56
	ARGS256
	LEAQ (R9)(R9*2), R10
	LEAQ (SI)(R10*1), R11
	START256(Y0, Y1)
	START256(Y2, Y3)
	START256(Y4, Y5)
	START256(Y6, Y7)
	START256(Y8, Y9)
	START256(Y10, Y11)

loop:
	VMOVDQU (DI), Y12
	VMOVDQU 32(DI), Y13
	VPBROADCASTD (SI), Y14
	DPBUSD(0xc2, 0xc4) // Y0
	DPBUSD(0xc2, 0xcd) // Y1
	VPBROADCASTD (SI)(R9*1), Y14
	DPBUSD(0xc2, 0xd4) // Y2
	DPBUSD(0xc2, 0xdd) // Y3
	VPBROADCASTD (SI)(R9*2), Y14
	DPBUSD(0xc2, 0xe4) // Y4
	DPBUSD(0xc2, 0xed) // Y5
	VPBROADCASTD (R11), Y14
	DPBUSD(0xc2, 0xf4) // Y6
	DPBUSD(0xc2, 0xfd) // Y7
	VPBROADCASTD (R11)(R9*1), Y14
	DPBUSD(0x42, 0xc4) // Y8
	DPBUSD(0x42, 0xcd) // Y9
	VPBROADCASTD (R11)(R9*2), Y14
	DPBUSD(0x42, 0xd4) // Y10
	DPBUSD(0x42, 0xdd) // Y11
	ADDQ $4, SI
	ADDQ $4, R11
	ADDQ $128, DI
	DECQ CX
	JNE  loop
	KEEP256(Y0, Y1)
	KEEP256(Y2, Y3)
	KEEP256(Y4, Y5)
	KEEP256(Y6, Y7)
	KEEP256(Y8, Y9)
	KEEP256(Y10, Y11)
	VZEROUPPER
	RET

// One row against four quarters of half a panel, each 4 lanes of 4 words.
#define ROWMADD(addr, s0, s1, s2, s3) \
	VPBROADCASTD addr, X12;      \
	VPMOVSXBW    X12, Y12;       \
	VPMADDWD     Y8, Y12, Y13;   \
	VPADDD       Y13, s0, s0;    \
	VPMADDWD     Y9, Y12, Y13;   \
	VPADDD       Y13, s1, s1;    \
	VPMADDWD     Y10, Y12, Y13;  \
	VPADDD       Y13, s2, s2;    \
	VPMADDWD     Y11, Y12, Y13;  \
	VPADDD       Y13, s3, s3

// The pairs of sums of 16 lanes become 16 sums, to which those from before add.
#define FOLD(s0, s1, s2, s3) \
	VPHADDD s1, s0, s0;    \
	VPERMQ  $0xd8, s0, s0; \
	VPHADDD s3, s2, s2;    \
	VPERMQ  $0xd8, s2, s2; \
	VPADDD  (DX), s0, s0;   \
	VPADDD  32(DX), s2, s2; \
	ADDQ    R8, DX;         \
	KEEP256(s0, s2)

// func itile2x16(sums, from *int32, fromStep int, a *uint8, lda int, b *int8, words int): AVX2.
TEXT ·itile2x16(SB), NOSPLIT, $0-56
	ARGS256
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7

loop:
	VPMOVSXBW (DI), Y8
	VPMOVSXBW 16(DI), Y9
	VPMOVSXBW 32(DI), Y10
	VPMOVSXBW 48(DI), Y11
	ROWMADD((SI), Y0, Y1, Y2, Y3)
	ROWMADD((SI)(R9*1), Y4, Y5, Y6, Y7)
	ADDQ $4, SI
	ADDQ $128, DI
	DECQ CX
	JNE  loop
	FOLD(Y0, Y1, Y2, Y3)
	FOLD(Y4, Y5, Y6, Y7)
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
