//go:build !noasm

#include "textflag.h"
#include "fold512_amd64.h"

// Attention over caches in half precision and in codes, which are widened in
// registers. cols is a multiple of 16, and of dots512 rows a multiple of 4.

#define HALVES(at, z) VCVTPH2PS at, z

#define CODES(at, z) \
	VPMOVSXBD at, z; \
	VCVTDQ2PS z, z

#define DOTSARGS \
	MOVQ y+0(FP), R8;      \
	MOVQ x+8(FP), R9;      \
	MOVQ w+16(FP), SI;     \
	MOVQ cols+24(FP), R13; \
	MOVQ ld+32(FP), R11;   \
	MOVQ rows+40(FP), R12

// ROWS starts the sums of the four rows at SI, R11 bytes apart.
#define ROWS \
	LEAQ   (SI)(R11*1), DI; \
	LEAQ   (SI)(R11*2), BX; \
	LEAQ   (DI)(R11*2), DX; \
	VPXORD Z0, Z0, Z0;      \
	VPXORD Z2, Z2, Z2;      \
	VPXORD Z4, Z4, Z4;      \
	VPXORD Z6, Z6, Z6;      \
	XORQ   AX, AX

// DOT16 adds 16 products to each row's sum, and compares for the next.
#define DOT16(WIDEN, size) \
	VMOVUPS (R9)(AX*4), Z16;     \
	WIDEN((SI)(AX*size), Z20);   \
	WIDEN((DI)(AX*size), Z21);   \
	WIDEN((BX)(AX*size), Z22);   \
	WIDEN((DX)(AX*size), Z23);   \
	VFMADD231PS Z20, Z16, Z0;    \
	VFMADD231PS Z21, Z16, Z2;    \
	VFMADD231PS Z22, Z16, Z4;    \
	VFMADD231PS Z23, Z16, Z6;    \
	ADDQ $16, AX;                \
	CMPQ AX, R13

// SAVE4 stores the sums of four rows and goes on to the next four.
#define SAVE4 \
	FOLD;                   \
	VMOVUPS X0, (R8);       \
	LEAQ (SI)(R11*4), SI;   \
	ADDQ $16, R8;           \
	SUBQ $4, R12

#define MIXARGS \
	MOVQ y+0(FP), R8;      \
	MOVQ v+16(FP), R10;    \
	MOVQ cols+24(FP), R13; \
	MOVQ ld+32(FP), R11

// MIXROWS starts a pass over all rows.
#define MIXROWS \
	MOVQ R10, SI;       \
	MOVQ p+8(FP), DI;   \
	MOVQ rows+40(FP), R12

#define LOAD96 \
	VMOVUPS 0(R8), Z0;   \
	VMOVUPS 64(R8), Z1;  \
	VMOVUPS 128(R8), Z2; \
	VMOVUPS 192(R8), Z3; \
	VMOVUPS 256(R8), Z4; \
	VMOVUPS 320(R8), Z5

// ADD96 adds a row's number times 96 of its values.
#define ADD96(WIDEN, size) \
	VBROADCASTSS (DI), Z16;  \
	WIDEN(0(SI), Z20);       \
	WIDEN(16*size(SI), Z21); \
	WIDEN(32*size(SI), Z22); \
	WIDEN(48*size(SI), Z23); \
	WIDEN(64*size(SI), Z24); \
	WIDEN(80*size(SI), Z25); \
	VFMADD231PS Z20, Z16, Z0; \
	VFMADD231PS Z21, Z16, Z1; \
	VFMADD231PS Z22, Z16, Z2; \
	VFMADD231PS Z23, Z16, Z3; \
	VFMADD231PS Z24, Z16, Z4; \
	VFMADD231PS Z25, Z16, Z5

#define ADD16(WIDEN) \
	VBROADCASTSS (DI), Z16; \
	WIDEN(0(SI), Z20);      \
	VFMADD231PS Z20, Z16, Z0

#define NEXTROW \
	ADDQ R11, SI; \
	ADDQ $4, DI;  \
	DECQ R12

#define SAVE96(size) \
	VMOVUPS Z0, 0(R8);   \
	VMOVUPS Z1, 64(R8);  \
	VMOVUPS Z2, 128(R8); \
	VMOVUPS Z3, 192(R8); \
	VMOVUPS Z4, 256(R8); \
	VMOVUPS Z5, 320(R8); \
	ADDQ $384, R8;       \
	ADDQ $(96*size), R10; \
	SUBQ $96, R13

#define SAVE16(size) \
	VMOVUPS Z0, 0(R8);    \
	ADDQ $64, R8;         \
	ADDQ $(16*size), R10; \
	SUBQ $16, R13

// func dots512F16(y, x *float32, w *uint16, cols, ld, rows int)
TEXT ·dots512F16(SB), NOSPLIT, $0-48
	DOTSARGS
	SHLQ $1, R11

group:
	ROWS

loop:
	DOT16(HALVES, 2)
	JLT loop
	SAVE4
	JGT group
	VZEROUPPER
	RET

// func dots512S8(y, x *float32, w *int8, cols, ld, rows int)
TEXT ·dots512S8(SB), NOSPLIT, $0-48
	DOTSARGS

group:
	ROWS

loop:
	DOT16(CODES, 1)
	JLT loop
	SAVE4
	JGT group
	VZEROUPPER
	RET

// func mix512F16(y, p *float32, v *uint16, cols, ld, rows int)
TEXT ·mix512F16(SB), NOSPLIT, $0-48
	MIXARGS
	SHLQ $1, R11

wide:
	CMPQ R13, $96
	JLT  narrow
	MIXROWS
	LOAD96

wideloop:
	ADD96(HALVES, 2)
	NEXTROW
	JNE wideloop
	SAVE96(2)
	JMP wide

narrow:
	CMPQ R13, $16
	JLT  done
	MIXROWS
	VMOVUPS 0(R8), Z0

narrowloop:
	ADD16(HALVES)
	NEXTROW
	JNE narrowloop
	SAVE16(2)
	JMP narrow

done:
	VZEROUPPER
	RET

// func mix512S8(y, p *float32, v *int8, cols, ld, rows int)
TEXT ·mix512S8(SB), NOSPLIT, $0-48
	MIXARGS

wide:
	CMPQ R13, $96
	JLT  narrow
	MIXROWS
	LOAD96

wideloop:
	ADD96(CODES, 1)
	NEXTROW
	JNE wideloop
	SAVE96(1)
	JMP wide

narrow:
	CMPQ R13, $16
	JLT  done
	MIXROWS
	VMOVUPS 0(R8), Z0

narrowloop:
	ADD16(CODES)
	NEXTROW
	JNE narrowloop
	SAVE16(1)
	JMP narrow

done:
	VZEROUPPER
	RET
