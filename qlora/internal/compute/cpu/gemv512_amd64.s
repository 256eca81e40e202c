//go:build !noasm

#include "textflag.h"
#include "fold512_amd64.h"

// Products of a matrix with one vector, four rows at a time: the vector is
// loaded once for them, and their sums are folded together. Rows missing from
// the last four repeat the one before; a mask keeps their sums from y.

// ROWS4 sets SI, DI, BX, DX to the next four rows and K2 to those that exist:
// R10 is the first, R11 the distance in bytes, R12 the rows left.
#define ROWS4 \
	MOVQ    R10, SI;          \
	LEAQ    (SI)(R11*1), DI;  \
	CMPQ    R12, $2;          \
	CMOVQLT SI, DI;           \
	LEAQ    (DI)(R11*1), BX;  \
	CMPQ    R12, $3;          \
	CMOVQLT DI, BX;           \
	LEAQ    (BX)(R11*1), DX;  \
	CMPQ    R12, $4;          \
	CMOVQLT BX, DX;           \
	MOVL    $15, AX;          \
	KMOVW   AX, K2;           \
	CMPQ    R12, $4;          \
	JGE     5(PC);            \
	MOVL    $1, AX;           \
	SHLXL   R12, AX, AX;      \
	DECL    AX;               \
	KMOVW   AX, K2

#define NEXT4 \
	LEAQ (R10)(R11*4), R10; \
	ADDQ $16, R8;           \
	SUBQ $4, R12

#define CLEAR8 \
	VPXORD Z0, Z0, Z0; \
	VPXORD Z1, Z1, Z1; \
	VPXORD Z2, Z2, Z2; \
	VPXORD Z3, Z3, Z3; \
	VPXORD Z4, Z4, Z4; \
	VPXORD Z5, Z5, Z5; \
	VPXORD Z6, Z6, Z6; \
	VPXORD Z7, Z7, Z7

// FOLD4 adds the lanes of the four rows' sums (Z0+Z1, Z2+Z3, Z4+Z5, Z6+Z7) into
// X0.
#define FOLD4 \
	VADDPS Z1, Z0, Z0; \
	VADDPS Z3, Z2, Z2; \
	VADDPS Z5, Z4, Z4; \
	VADDPS Z7, Z6, Z6; \
	FOLD

#define FOLDI4 \
	VPADDD        Z1, Z0, Z0;  \
	VPADDD        Z3, Z2, Z2;  \
	VPADDD        Z5, Z4, Z4;  \
	VPADDD        Z7, Z6, Z6;  \
	VEXTRACTI64X4 $1, Z0, Y1;  \
	VEXTRACTI64X4 $1, Z2, Y3;  \
	VEXTRACTI64X4 $1, Z4, Y5;  \
	VEXTRACTI64X4 $1, Z6, Y7;  \
	VPADDD        Y1, Y0, Y0;  \
	VPADDD        Y3, Y2, Y2;  \
	VPADDD        Y5, Y4, Y4;  \
	VPADDD        Y7, Y6, Y6;  \
	VPHADDD       Y2, Y0, Y0;  \
	VPHADDD       Y6, Y4, Y4;  \
	VPHADDD       Y4, Y0, Y0;  \
	VEXTRACTI128  $1, Y0, X1;  \
	VPADDD        X1, X0, X0

// TAIL sets K1 to the low R13-AX of 16 lanes, AX and R13 being the position and
// the number of columns.
#define TAIL \
	MOVQ  R13, CX;    \
	SUBQ  AX, CX;     \
	MOVL  $1, R14;    \
	SHLXL CX, R14, R14; \
	DECL  R14;        \
	KMOVW R14, K1

#define LOADARGS \
	MOVQ y+0(FP), R8;     \
	MOVQ x+8(FP), R9;     \
	MOVQ w+16(FP), R10;   \
	MOVQ cols+24(FP), R13; \
	MOVQ ld+32(FP), R11;  \
	MOVQ rows+40(FP), R12

#define WIDE(row, off, x, sum) \
	VPMOVZXWD   off(row)(AX*2), Z20; \
	VPSLLD      $16, Z20, Z20;       \
	VFMADD231PS Z20, x, sum

#define WIDETAIL(row, sum) \
	VPMOVZXWD.Z (row)(AX*2), K1, Z20; \
	VPSLLD      $16, Z20, Z20;        \
	VFMADD231PS Z20, Z16, sum

// func dots512BF16(y, x *float32, w *uint16, cols, ld, rows int)
TEXT ·dots512BF16(SB), NOSPLIT, $0-48
	LOADARGS
	SHLQ $1, R11

bfgroup:
	ROWS4
	CLEAR8
	XORQ AX, AX
	MOVQ R13, CX
	SUBQ $32, CX
	JLT  bfhalf

bfloop:
	VMOVUPS (R9)(AX*4), Z16
	VMOVUPS 64(R9)(AX*4), Z17
	WIDE(SI, 0, Z16, Z0)
	WIDE(DI, 0, Z16, Z2)
	WIDE(BX, 0, Z16, Z4)
	WIDE(DX, 0, Z16, Z6)
	WIDE(SI, 32, Z17, Z1)
	WIDE(DI, 32, Z17, Z3)
	WIDE(BX, 32, Z17, Z5)
	WIDE(DX, 32, Z17, Z7)
	ADDQ $32, AX
	CMPQ AX, CX
	JLE  bfloop

bfhalf:
	ADDQ $16, CX
	CMPQ AX, CX
	JGT  bftail
	VMOVUPS (R9)(AX*4), Z16
	WIDE(SI, 0, Z16, Z0)
	WIDE(DI, 0, Z16, Z2)
	WIDE(BX, 0, Z16, Z4)
	WIDE(DX, 0, Z16, Z6)
	ADDQ $16, AX

bftail:
	CMPQ AX, R13
	JGE  bfdone
	TAIL
	VMOVUPS.Z (R9)(AX*4), K1, Z16
	WIDETAIL(SI, Z1)
	WIDETAIL(DI, Z3)
	WIDETAIL(BX, Z5)
	WIDETAIL(DX, Z7)

bfdone:
	FOLD4
	VMOVUPS X0, K2, (R8)
	NEXT4
	JGT bfgroup
	VZEROUPPER
	RET

#define FULL(row, off, x, sum) VFMADD231PS off(row)(AX*4), x, sum

#define FULLTAIL(row, sum) \
	VMOVUPS.Z   (row)(AX*4), K1, Z20; \
	VFMADD231PS Z20, Z16, sum

// func dots512F32(y, x, w *float32, cols, ld, rows int)
TEXT ·dots512F32(SB), NOSPLIT, $0-48
	LOADARGS
	SHLQ $2, R11

fgroup:
	ROWS4
	CLEAR8
	XORQ AX, AX
	MOVQ R13, CX
	SUBQ $32, CX
	JLT  fhalf

floop:
	VMOVUPS (R9)(AX*4), Z16
	VMOVUPS 64(R9)(AX*4), Z17
	FULL(SI, 0, Z16, Z0)
	FULL(DI, 0, Z16, Z2)
	FULL(BX, 0, Z16, Z4)
	FULL(DX, 0, Z16, Z6)
	FULL(SI, 64, Z17, Z1)
	FULL(DI, 64, Z17, Z3)
	FULL(BX, 64, Z17, Z5)
	FULL(DX, 64, Z17, Z7)
	ADDQ $32, AX
	CMPQ AX, CX
	JLE  floop

fhalf:
	ADDQ $16, CX
	CMPQ AX, CX
	JGT  ftail
	VMOVUPS (R9)(AX*4), Z16
	FULL(SI, 0, Z16, Z0)
	FULL(DI, 0, Z16, Z2)
	FULL(BX, 0, Z16, Z4)
	FULL(DX, 0, Z16, Z6)
	ADDQ $16, AX

ftail:
	CMPQ AX, R13
	JGE  fdone
	TAIL
	VMOVUPS.Z (R9)(AX*4), K1, Z16
	FULLTAIL(SI, Z1)
	FULLTAIL(DI, Z3)
	FULLTAIL(BX, Z5)
	FULLTAIL(DX, Z7)

fdone:
	FOLD4
	VMOVUPS X0, K2, (R8)
	NEXT4
	JGT fgroup
	VZEROUPPER
	RET

// func mix512(y, p, v *float32, cols, ld, rows int): y[c] += Σ p[r]·v[r·ld+c], 64
// columns at a time in registers.
TEXT ·mix512(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), R8
	MOVQ p+8(FP), R9
	MOVQ v+16(FP), R10
	MOVQ cols+24(FP), R13
	MOVQ ld+32(FP), R11
	SHLQ $2, R11

mixwide:
	CMPQ R13, $64
	JLT  mixnarrow
	VMOVUPS (R8), Z0
	VMOVUPS 64(R8), Z1
	VMOVUPS 128(R8), Z2
	VMOVUPS 192(R8), Z3
	MOVQ R10, SI
	MOVQ R9, DI
	MOVQ rows+40(FP), R12

mixloop:
	VBROADCASTSS (DI), Z4
	VFMADD231PS  (SI), Z4, Z0
	VFMADD231PS  64(SI), Z4, Z1
	VFMADD231PS  128(SI), Z4, Z2
	VFMADD231PS  192(SI), Z4, Z3
	ADDQ R11, SI
	ADDQ $4, DI
	DECQ R12
	JNE  mixloop
	VMOVUPS Z0, (R8)
	VMOVUPS Z1, 64(R8)
	VMOVUPS Z2, 128(R8)
	VMOVUPS Z3, 192(R8)
	ADDQ $256, R8
	ADDQ $256, R10
	SUBQ $64, R13
	JMP  mixwide

mixnarrow:
	TESTQ R13, R13
	JLE   mixdone
	MOVL  $0xffff, AX
	CMPQ  R13, $16
	JGE   mixmask
	MOVL  $1, AX
	SHLXL R13, AX, AX
	DECL  AX

mixmask:
	KMOVW AX, K1
	VMOVUPS.Z (R8), K1, Z0
	VPXORD Z1, Z1, Z1
	MOVQ R10, SI
	MOVQ R9, DI
	MOVQ rows+40(FP), R12
	SUBQ $2, R12
	JLT  mixlast

mixpair:
	VBROADCASTSS (DI), Z4
	VBROADCASTSS 4(DI), Z5
	VMOVUPS.Z    (SI), K1, Z6
	VMOVUPS.Z    (SI)(R11*1), K1, Z7
	VFMADD231PS  Z6, Z4, Z0
	VFMADD231PS  Z7, Z5, Z1
	LEAQ (SI)(R11*2), SI
	ADDQ $8, DI
	SUBQ $2, R12
	JGE  mixpair

mixlast:
	ADDQ $2, R12
	JEQ  mixstore
	VBROADCASTSS (DI), Z4
	VMOVUPS.Z    (SI), K1, Z6
	VFMADD231PS  Z6, Z4, Z0

mixstore:
	VADDPS  Z1, Z0, Z0
	VMOVUPS Z0, K1, (R8)
	ADDQ $64, R8
	ADDQ $64, R10
	SUBQ $16, R13
	JMP  mixnarrow

mixdone:
	VZEROUPPER
	RET
