//go:build !noasm

#include "textflag.h"

#define ADDR256(r) \
	MOVQ (r*8)(SI), R9; \
	ADDQ BX, R9

#define F32_256(r, y) \
	ADDR256(r);    \
	VMOVUPS (R9), y

#define BF16_256(r, y) \
	ADDR256(r);        \
	VPMOVZXWD (R9), y; \
	VPSLLD    $16, y, y

#define I8_256(r, y) \
	ADDR256(r);                   \
	VPMOVSXBD    (R9), y;         \
	VCVTDQ2PS    y, y;            \
	VBROADCASTSS (r*4)(R12), Y14; \
	VMULPS       Y14, y, y

#define STORE256(y) \
	VMASKMOVPS y, Y15, (DI); \
	ADDQ       R10, DI

#define TRANSPOSE256(LOAD, loop) \
loop: \
	LOAD(0, Y0); LOAD(1, Y1); LOAD(2, Y2); LOAD(3, Y3); \
	LOAD(4, Y4); LOAD(5, Y5); LOAD(6, Y6); LOAD(7, Y7); \
	VUNPCKLPS Y1, Y0, Y8;  \
	VUNPCKHPS Y1, Y0, Y9;  \
	VUNPCKLPS Y3, Y2, Y10; \
	VUNPCKHPS Y3, Y2, Y11; \
	VUNPCKLPD Y10, Y8, Y0; \
	VUNPCKHPD Y10, Y8, Y1; \
	VUNPCKLPD Y11, Y9, Y2; \
	VUNPCKHPD Y11, Y9, Y3; \
	VUNPCKLPS Y5, Y4, Y8;  \
	VUNPCKHPS Y5, Y4, Y9;  \
	VUNPCKLPS Y7, Y6, Y10; \
	VUNPCKHPS Y7, Y6, Y11; \
	VUNPCKLPD Y10, Y8, Y4; \
	VUNPCKHPD Y10, Y8, Y5; \
	VUNPCKLPD Y11, Y9, Y6; \
	VUNPCKHPD Y11, Y9, Y7; \
	VPERM2F128 $0x20, Y4, Y0, Y8;  STORE256(Y8); \
	VPERM2F128 $0x20, Y5, Y1, Y8;  STORE256(Y8); \
	VPERM2F128 $0x20, Y6, Y2, Y8;  STORE256(Y8); \
	VPERM2F128 $0x20, Y7, Y3, Y8;  STORE256(Y8); \
	VPERM2F128 $0x31, Y4, Y0, Y8;  STORE256(Y8); \
	VPERM2F128 $0x31, Y5, Y1, Y8;  STORE256(Y8); \
	VPERM2F128 $0x31, Y6, Y2, Y8;  STORE256(Y8); \
	VPERM2F128 $0x31, Y7, Y3, Y8;  STORE256(Y8); \
	ADDQ R13, BX; \
	DECQ CX;      \
	JNE  loop

// Lane i of Y15 is negative where bit i of AX is set.
#define MASK256 \
	VMOVD        AX, X15;            \
	VPBROADCASTD X15, Y15;           \
	VPSLLVD      bit256<>(SB), Y15, Y15

// Shifts that bring bit 0, 1, ... 7 to the sign.
DATA bit256<>+0(SB)/8, $0x0000001e0000001f
DATA bit256<>+8(SB)/8, $0x0000001c0000001d
DATA bit256<>+16(SB)/8, $0x0000001a0000001b
DATA bit256<>+24(SB)/8, $0x0000001800000019
GLOBL bit256<>(SB), RODATA|NOPTR, $32

#define ARGS256 \
	MOVQ  dst+0(FP), DI;     \
	MOVQ  width+8(FP), R10;  \
	MOVQ  rows+16(FP), SI;   \
	MOVQ  blocks+24(FP), CX; \
	MOVQ  mask+32(FP), AX;   \
	MOVQ  scale+40(FP), R12; \
	SHLQ  $2, R10;           \
	XORQ  BX, BX;            \
	MASK256

#define COPYARGS256 \
	MOVQ  dst+0(FP), DI;    \
	MOVQ  width+8(FP), R10; \
	MOVQ  src+16(FP), SI;   \
	MOVQ  ld+24(FP), R8;    \
	MOVQ  k+32(FP), CX;     \
	MOVQ  mask+40(FP), AX;  \
	MOVQ  scale+48(FP), R12; \
	SHLQ  $2, R10;          \
	MASK256

// func transpose256F32(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)
TEXT ·transpose256F32(SB), NOSPLIT, $0-48
	ARGS256
	MOVQ $32, R13
	TRANSPOSE256(F32_256, f32_256)
	VZEROUPPER
	RET

// func transpose256BF16(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)
TEXT ·transpose256BF16(SB), NOSPLIT, $0-48
	ARGS256
	MOVQ $16, R13
	TRANSPOSE256(BF16_256, bf16_256)
	VZEROUPPER
	RET

// func transpose256I8(dst *float32, width int, rows *[16]unsafe.Pointer, blocks, mask int, scale *[16]float32)
TEXT ·transpose256I8(SB), NOSPLIT, $0-48
	ARGS256
	MOVQ $8, R13
	TRANSPOSE256(I8_256, i8_256)
	VZEROUPPER
	RET

// func copy256F32(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32)
TEXT ·copy256F32(SB), NOSPLIT, $0-56
	COPYARGS256
	SHLQ $2, R8

copyF32:
	VMASKMOVPS (SI), Y15, Y0
	VMASKMOVPS Y0, Y15, (DI)
	ADDQ       R8, SI
	ADDQ       R10, DI
	DECQ       CX
	JNE        copyF32
	VZEROUPPER
	RET

// func copy256BF16(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32): all 8 lanes exist.
TEXT ·copy256BF16(SB), NOSPLIT, $0-56
	COPYARGS256
	SHLQ $1, R8

copyBF16:
	VPMOVZXWD (SI), Y0
	VPSLLD    $16, Y0, Y0
	VMOVUPS   Y0, (DI)
	ADDQ      R8, SI
	ADDQ      R10, DI
	DECQ      CX
	JNE       copyBF16
	VZEROUPPER
	RET

// func copy256I8(dst *float32, width int, src unsafe.Pointer, ld, k, mask int, scale *float32): all 8 lanes exist.
TEXT ·copy256I8(SB), NOSPLIT, $0-56
	COPYARGS256

copyI8:
	VPMOVSXBD    (SI), Y0
	VCVTDQ2PS    Y0, Y0
	VBROADCASTSS (R12), Y1
	VMULPS       Y1, Y0, Y0
	VMOVUPS      Y0, (DI)
	ADDQ         R8, SI
	ADDQ         R10, DI
	ADDQ         $4, R12
	DECQ         CX
	JNE          copyI8
	VZEROUPPER
	RET
