//go:build !noasm

#include "textflag.h"

// Micro-kernels of the float32 product. The sums of a whole tile stay in
// registers: each step of k loads one row of B and broadcasts the elements of
// one column of A, so that loads stay below one an FMA.

// One row of a 14x32 tile: two registers of sums. The rows of A are addressed
// from every fifth of them: base, base+ra, base+2ra, base+3ra, base+4ra, with ra
// in R9 and 3ra in R10.
#define ROW512(addr, lo, hi) \
	VBROADCASTSS addr, Z30; \
	VFMADD231PS  Z28, Z30, lo; \
	VFMADD231PS  Z29, Z30, hi

#define STEP512(b) \
	VMOVUPS (b)(DI), Z28;          \
	VMOVUPS (b+64)(DI), Z29;       \
	ROW512((SI), Z0, Z1);          \
	ROW512((SI)(R9*1), Z2, Z3);    \
	ROW512((SI)(R9*2), Z4, Z5);    \
	ROW512((SI)(R10*1), Z6, Z7);   \
	ROW512((SI)(R9*4), Z8, Z9);    \
	ADDQ R13, SI;                  \
	ROW512((R11), Z10, Z11);       \
	ROW512((R11)(R9*1), Z12, Z13); \
	ROW512((R11)(R9*2), Z14, Z15); \
	ROW512((R11)(R10*1), Z16, Z17); \
	ROW512((R11)(R9*4), Z18, Z19); \
	ADDQ R13, R11;                 \
	ROW512((R12), Z20, Z21);       \
	ROW512((R12)(R9*1), Z22, Z23); \
	ROW512((R12)(R9*2), Z24, Z25); \
	ROW512((R12)(R10*1), Z26, Z27); \
	ADDQ R13, R12

#define CLEAR512(r) VPXORD r, r, r

// CLAIM512 fetches both lines of a row of C, at AX, for writing: PREFETCHW (AX)
// and 64(AX), which the assembler lacks.
#define CLAIM512 \
	BYTE $0x0f; BYTE $0x0d; BYTE $0x08;             \
	BYTE $0x0f; BYTE $0x0d; BYTE $0x48; BYTE $0x40; \
	ADDQ R8, AX

#define PUT512(lo, hi) \
	VMULPS  lo, Z31, lo;  \
	VMULPS  hi, Z31, hi;  \
	VMOVUPS lo, (DX);     \
	VMOVUPS hi, 64(DX);   \
	ADDQ    R8, DX

#define ADD512(lo, hi) \
	VMOVUPS     (DX), Z28;     \
	VMOVUPS     64(DX), Z29;   \
	VFMADD231PS lo, Z31, Z28;  \
	VFMADD231PS hi, Z31, Z29;  \
	VMOVUPS     Z28, (DX);     \
	VMOVUPS     Z29, 64(DX);   \
	ADDQ        R8, DX

// ADDRESS loads the arguments: rows of A are ra apart, steps of its depth ka.
#define ADDRESS \
	MOVQ c+0(FP), DX;    \
	MOVQ ldc+8(FP), R8;  \
	MOVQ a+16(FP), SI;   \
	MOVQ ra+24(FP), R9;  \
	MOVQ ka+32(FP), R13; \
	MOVQ b+40(FP), DI;   \
	MOVQ k+48(FP), CX;   \
	SHLQ $2, R8;         \
	SHLQ $2, R9;         \
	SHLQ $2, R13;        \
	LEAQ (R9)(R9*2), R10

// func tile14x32(c *float32, ldc int, a *float32, ra, ka int, b *float32, k int, alpha float32, add bool)
TEXT ·tile14x32(SB), NOSPLIT, $0-61
	ADDRESS
	MOVQ DX, AX
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
	LEAQ (R9)(R9*4), AX
	LEAQ (SI)(AX*1), R11
	LEAQ (SI)(AX*2), R12
	CLEAR512(Z0)
	CLEAR512(Z1)
	CLEAR512(Z2)
	CLEAR512(Z3)
	CLEAR512(Z4)
	CLEAR512(Z5)
	CLEAR512(Z6)
	CLEAR512(Z7)
	CLEAR512(Z8)
	CLEAR512(Z9)
	CLEAR512(Z10)
	CLEAR512(Z11)
	CLEAR512(Z12)
	CLEAR512(Z13)
	CLEAR512(Z14)
	CLEAR512(Z15)
	CLEAR512(Z16)
	CLEAR512(Z17)
	CLEAR512(Z18)
	CLEAR512(Z19)
	CLEAR512(Z20)
	CLEAR512(Z21)
	CLEAR512(Z22)
	CLEAR512(Z23)
	CLEAR512(Z24)
	CLEAR512(Z25)
	CLEAR512(Z26)
	CLEAR512(Z27)
	SUBQ $2, CX
	JLT  last512

pair512:
	STEP512(0)
	STEP512(128)
	ADDQ $256, DI
	SUBQ $2, CX
	JGE  pair512

last512:
	ADDQ $2, CX
	JEQ  done512
	STEP512(0)

done512:
	VBROADCASTSS alpha+56(FP), Z31
	MOVBLZX add+60(FP), AX
	TESTL AX, AX
	JNE   add512
	PUT512(Z0, Z1)
	PUT512(Z2, Z3)
	PUT512(Z4, Z5)
	PUT512(Z6, Z7)
	PUT512(Z8, Z9)
	PUT512(Z10, Z11)
	PUT512(Z12, Z13)
	PUT512(Z14, Z15)
	PUT512(Z16, Z17)
	PUT512(Z18, Z19)
	PUT512(Z20, Z21)
	PUT512(Z22, Z23)
	PUT512(Z24, Z25)
	PUT512(Z26, Z27)
	VZEROUPPER
	RET

add512:
	ADD512(Z0, Z1)
	ADD512(Z2, Z3)
	ADD512(Z4, Z5)
	ADD512(Z6, Z7)
	ADD512(Z8, Z9)
	ADD512(Z10, Z11)
	ADD512(Z12, Z13)
	ADD512(Z14, Z15)
	ADD512(Z16, Z17)
	ADD512(Z18, Z19)
	ADD512(Z20, Z21)
	ADD512(Z22, Z23)
	ADD512(Z24, Z25)
	ADD512(Z26, Z27)
	VZEROUPPER
	RET

// One row of a 6x16 tile: rows 0 to 2 from SI, 3 to 5 from R11.
#define ROW256(addr, lo, hi) \
	VBROADCASTSS addr, Y14; \
	VFMADD231PS  Y12, Y14, lo; \
	VFMADD231PS  Y13, Y14, hi

#define STEP256(b) \
	VMOVUPS (b)(DI), Y12;        \
	VMOVUPS (b+32)(DI), Y13;     \
	ROW256((SI), Y0, Y1);        \
	ROW256((SI)(R9*1), Y2, Y3);  \
	ROW256((SI)(R9*2), Y4, Y5);  \
	ADDQ R13, SI;                \
	ROW256((R11), Y6, Y7);       \
	ROW256((R11)(R9*1), Y8, Y9); \
	ROW256((R11)(R9*2), Y10, Y11); \
	ADDQ R13, R11

#define PUT256(lo, hi) \
	VMULPS  lo, Y15, lo;  \
	VMULPS  hi, Y15, hi;  \
	VMOVUPS lo, (DX);     \
	VMOVUPS hi, 32(DX);   \
	ADDQ    R8, DX

#define ADD256(lo, hi) \
	VMOVUPS     (DX), Y12;     \
	VMOVUPS     32(DX), Y13;   \
	VFMADD231PS lo, Y15, Y12;  \
	VFMADD231PS hi, Y15, Y13;  \
	VMOVUPS     Y12, (DX);     \
	VMOVUPS     Y13, 32(DX);   \
	ADDQ        R8, DX

// func tile6x16(c *float32, ldc int, a *float32, ra, ka int, b *float32, k int, alpha float32, add bool)
TEXT ·tile6x16(SB), NOSPLIT, $0-61
	ADDRESS
	LEAQ (SI)(R10*1), R11
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	SUBQ $2, CX
	JLT  last256

pair256:
	STEP256(0)
	STEP256(64)
	ADDQ $128, DI
	SUBQ $2, CX
	JGE  pair256

last256:
	ADDQ $2, CX
	JEQ  done256
	STEP256(0)

done256:
	VBROADCASTSS alpha+56(FP), Y15
	MOVBLZX add+60(FP), AX
	TESTL AX, AX
	JNE   add256
	PUT256(Y0, Y1)
	PUT256(Y2, Y3)
	PUT256(Y4, Y5)
	PUT256(Y6, Y7)
	PUT256(Y8, Y9)
	PUT256(Y10, Y11)
	VZEROUPPER
	RET

add256:
	ADD256(Y0, Y1)
	ADD256(Y2, Y3)
	ADD256(Y4, Y5)
	ADD256(Y6, Y7)
	ADD256(Y8, Y9)
	ADD256(Y10, Y11)
	VZEROUPPER
	RET

// func fma512(n int): n rounds of 28 independent FMAs, the ceiling that
// benchmarks compare with: 28·32 floating-point operations a round.
TEXT ·fma512(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX
	CLEAR512(Z28)
	CLEAR512(Z30)

fma512loop:
#define FMA512(r) VFMADD231PS Z28, Z30, r
	FMA512(Z0); FMA512(Z1); FMA512(Z2); FMA512(Z3); FMA512(Z4); FMA512(Z5); FMA512(Z6)
	FMA512(Z7); FMA512(Z8); FMA512(Z9); FMA512(Z10); FMA512(Z11); FMA512(Z12); FMA512(Z13)
	FMA512(Z14); FMA512(Z15); FMA512(Z16); FMA512(Z17); FMA512(Z18); FMA512(Z19); FMA512(Z20)
	FMA512(Z21); FMA512(Z22); FMA512(Z23); FMA512(Z24); FMA512(Z25); FMA512(Z26); FMA512(Z27)
	DECQ CX
	JNE  fma512loop
	VZEROUPPER
	RET

// func fma256(n int): the same with 12 FMAs on 256 bits: 12·16 operations.
TEXT ·fma256(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX
	VXORPS Y12, Y12, Y12
	VXORPS Y14, Y14, Y14

fma256loop:
#define FMA256(r) VFMADD231PS Y12, Y14, r
	FMA256(Y0); FMA256(Y1); FMA256(Y2); FMA256(Y3); FMA256(Y4); FMA256(Y5)
	FMA256(Y6); FMA256(Y7); FMA256(Y8); FMA256(Y9); FMA256(Y10); FMA256(Y11)
	DECQ CX
	JNE  fma256loop
	VZEROUPPER
	RET
