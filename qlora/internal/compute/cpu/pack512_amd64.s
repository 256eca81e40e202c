//go:build !noasm

#include "textflag.h"

// Packing transposes: 16 (AVX-512) or 8 (AVX2) stored rows become columns. The
// addresses of the rows come in an array, where rows beyond the last repeat a
// valid one; a mask keeps their values from being stored.

#define ADDR512(r) \
	MOVQ (r*8)(SI), R9; \
	ADDQ BX, R9

#define F32_512(r, z) \
	ADDR512(r);    \
	VMOVUPS (R9), z

#define BF16_512(r, z) \
	ADDR512(r);           \
	VPMOVZXWD (R9), z;    \
	VPSLLD    $16, z, z

#define I8_512(r, z) \
	ADDR512(r);                \
	VPMOVSXBD    (R9), z;      \
	VCVTDQ2PS    z, z;         \
	VBROADCASTSS (r*4)(R12), Z31; \
	VMULPS       Z31, z, z

#define PAIR512(a, b, lo, hi) \
	VUNPCKLPS b, a, lo; \
	VUNPCKHPS b, a, hi

#define QUAD512(a, b, c, d, w, x, y, z) \
	VUNPCKLPD c, a, w; \
	VUNPCKHPD c, a, x; \
	VUNPCKLPD d, b, y; \
	VUNPCKHPD d, b, z

// One of four sets of columns: k, k+4, k+8, k+12.
#define COLUMNS512(a, b, c, d) \
	VSHUFF32X4 $0x88, b, a, Z16;     \
	VSHUFF32X4 $0xdd, b, a, Z17;     \
	VSHUFF32X4 $0x88, d, c, Z18;     \
	VSHUFF32X4 $0xdd, d, c, Z19;     \
	VSHUFF32X4 $0x88, Z18, Z16, Z20; \
	VSHUFF32X4 $0x88, Z19, Z17, Z21; \
	VSHUFF32X4 $0xdd, Z18, Z16, Z22; \
	VSHUFF32X4 $0xdd, Z19, Z17, Z23; \
	VMOVUPS    Z20, K1, (DI);        \
	VMOVUPS    Z21, K1, (DI)(R10*4); \
	VMOVUPS    Z22, K1, (DI)(R10*8); \
	VMOVUPS    Z23, K1, (DX)(R10*4); \
	ADDQ       R10, DI;              \
	ADDQ       R10, DX

// The loop of a transposing function: LOAD fetches row r into register z.
// DI: dst, R10: bytes between columns of dst, SI: row addresses, CX: blocks of
// 16 columns, R13: bytes of one block of a row, K1: rows that exist.
#define TRANSPOSE512(LOAD, loop) \
loop: \
	LOAD(0, Z0); LOAD(1, Z1); LOAD(2, Z2); LOAD(3, Z3);         \
	LOAD(4, Z4); LOAD(5, Z5); LOAD(6, Z6); LOAD(7, Z7);         \
	LOAD(8, Z8); LOAD(9, Z9); LOAD(10, Z10); LOAD(11, Z11);     \
	LOAD(12, Z12); LOAD(13, Z13); LOAD(14, Z14); LOAD(15, Z15); \
	PAIR512(Z0, Z1, Z16, Z17);   \
	PAIR512(Z2, Z3, Z18, Z19);   \
	PAIR512(Z4, Z5, Z20, Z21);   \
	PAIR512(Z6, Z7, Z22, Z23);   \
	PAIR512(Z8, Z9, Z24, Z25);   \
	PAIR512(Z10, Z11, Z26, Z27); \
	PAIR512(Z12, Z13, Z28, Z29); \
	PAIR512(Z14, Z15, Z30, Z31); \
	QUAD512(Z16, Z17, Z18, Z19, Z0, Z1, Z2, Z3);     \
	QUAD512(Z20, Z21, Z22, Z23, Z4, Z5, Z6, Z7);     \
	QUAD512(Z24, Z25, Z26, Z27, Z8, Z9, Z10, Z11);   \
	QUAD512(Z28, Z29, Z30, Z31, Z12, Z13, Z14, Z15); \
	LEAQ (DI)(R10*8), DX;  \
	COLUMNS512(Z0, Z4, Z8, Z12);  \
	COLUMNS512(Z1, Z5, Z9, Z13);  \
	COLUMNS512(Z2, Z6, Z10, Z14); \
	COLUMNS512(Z3, Z7, Z11, Z15); \
	LEAQ (DX)(R10*4), DI;  \
	ADDQ R13, BX;          \
	DECQ CX;               \
	JNE  loop

// Arguments common to the transposing functions.
#define ARGS512 \
	MOVQ  dst+0(FP), DI;     \
	MOVQ  width+8(FP), R10;  \
	MOVQ  rows+16(FP), SI;   \
	MOVQ  blocks+24(FP), CX; \
	MOVQ  mask+32(FP), AX;   \
	MOVQ  scale+40(FP), R12; \
	KMOVW AX, K1;            \
	SHLQ  $2, R10;           \
	XORQ  BX, BX

// Arguments common to the functions that copy stored rows to packed rows.
#define COPYARGS \
	MOVQ  dst+0(FP), DI;    \
	MOVQ  width+8(FP), R10; \
	MOVQ  src+16(FP), SI;   \
	MOVQ  ld+24(FP), R8;    \
	MOVQ  k+32(FP), CX;     \
	MOVQ  mask+40(FP), AX;  \
	MOVQ  scale+48(FP), R12; \
	SHLQ  $2, R10

// func transpose512F32(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)
TEXT ·transpose512F32(SB), NOSPLIT, $0-48
	ARGS512
	MOVQ $64, R13
	TRANSPOSE512(F32_512, f32_512)
	VZEROUPPER
	RET

// func transpose512BF16(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)
TEXT ·transpose512BF16(SB), NOSPLIT, $0-48
	ARGS512
	MOVQ $32, R13
	TRANSPOSE512(BF16_512, bf16_512)
	VZEROUPPER
	RET

// func transpose512I8(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)
TEXT ·transpose512I8(SB), NOSPLIT, $0-48
	ARGS512
	MOVQ $16, R13
	TRANSPOSE512(I8_512, i8_512)
	VZEROUPPER
	RET

// func copy512F32(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)
TEXT ·copy512F32(SB), NOSPLIT, $0-56
	COPYARGS
	KMOVW AX, K1
	SHLQ  $2, R8

copyF32:
	VMOVUPS.Z (SI), K1, Z0
	VMOVUPS   Z0, K1, (DI)
	ADDQ      R8, SI
	ADDQ      R10, DI
	DECQ      CX
	JNE       copyF32
	VZEROUPPER
	RET

// func copy512BF16(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)
TEXT ·copy512BF16(SB), NOSPLIT, $0-56
	COPYARGS
	KMOVW AX, K1
	SHLQ  $1, R8

copyBF16:
	VPMOVZXWD.Z (SI), K1, Z0
	VPSLLD      $16, Z0, Z0
	VMOVUPS     Z0, K1, (DI)
	ADDQ        R8, SI
	ADDQ        R10, DI
	DECQ        CX
	JNE         copyBF16
	VZEROUPPER
	RET

// func copy512I8(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)
TEXT ·copy512I8(SB), NOSPLIT, $0-56
	COPYARGS
	KMOVW AX, K1

copyI8:
	VPMOVSXBD.Z  (SI), K1, Z0
	VCVTDQ2PS    Z0, Z0
	VBROADCASTSS (R12), Z1
	VMULPS       Z1, Z0, Z0
	VMOVUPS      Z0, K1, (DI)
	ADDQ         R8, SI
	ADDQ         R10, DI
	ADDQ         $4, R12
	DECQ         CX
	JNE          copyI8
	VZEROUPPER
	RET
