//go:build !noasm

#include "textflag.h"

// Attention over caches in half precision and in codes, which are widened in
// registers. cols is a multiple of 16, and of dots512 rows a multiple of 4.

// FOLD adds the lanes of Z0, Z2, Z4, Z6 into X0.
#define FOLD \
	VEXTRACTF64X4 $1, Z0, Y1; \
	VEXTRACTF64X4 $1, Z2, Y3; \
	VEXTRACTF64X4 $1, Z4, Y5; \
	VEXTRACTF64X4 $1, Z6, Y7; \
	VADDPS        Y1, Y0, Y0; \
	VADDPS        Y3, Y2, Y2; \
	VADDPS        Y5, Y4, Y4; \
	VADDPS        Y7, Y6, Y6; \
	VHADDPS       Y2, Y0, Y0; \
	VHADDPS       Y6, Y4, Y4; \
	VHADDPS       Y4, Y0, Y0; \
	VEXTRACTF128  $1, Y0, X1; \
	VADDPS        X1, X0, X0

#define HALVES(row, z) VCVTPH2PS row(AX*2), z

#define HALVESAT(at, z) VCVTPH2PS at, z

#define CODES(row, z) \
	VPMOVSXBD row(AX*1), z; \
	VCVTDQ2PS z, z

#define CODESAT(at, z) \
	VPMOVSXBD at, z; \
	VCVTDQ2PS z, z

// func dots512F16(y, x *float32, w *uint16, cols, ld, rows int)
TEXT ·dots512F16(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), R8
	MOVQ x+8(FP), R9
	MOVQ w+16(FP), SI
	MOVQ cols+24(FP), R13
	MOVQ ld+32(FP), R11
	MOVQ rows+40(FP), R12
	SHLQ $1, R11

dotsF16group:
	LEAQ   (SI)(R11*1), DI
	LEAQ   (SI)(R11*2), BX
	LEAQ   (DI)(R11*2), DX
	VPXORD Z0, Z0, Z0
	VPXORD Z2, Z2, Z2
	VPXORD Z4, Z4, Z4
	VPXORD Z6, Z6, Z6
	XORQ   AX, AX

dotsF16loop:
	VMOVUPS     (R9)(AX*4), Z16
	HALVES((SI), Z20)
	HALVES((DI), Z21)
	HALVES((BX), Z22)
	HALVES((DX), Z23)
	VFMADD231PS Z20, Z16, Z0
	VFMADD231PS Z21, Z16, Z2
	VFMADD231PS Z22, Z16, Z4
	VFMADD231PS Z23, Z16, Z6
	ADDQ        $16, AX
	CMPQ        AX, R13
	JLT         dotsF16loop
	FOLD
	VMOVUPS X0, (R8)
	LEAQ    (SI)(R11*4), SI
	ADDQ    $16, R8
	SUBQ    $4, R12
	JGT     dotsF16group
	VZEROUPPER
	RET

// func mix512F16(y, p *float32, v *uint16, cols, ld, rows int)
TEXT ·mix512F16(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), R8
	MOVQ v+16(FP), R10
	MOVQ cols+24(FP), R13
	MOVQ ld+32(FP), R11
	SHLQ $1, R11

mixF16wide:
	CMPQ R13, $96
	JLT  mixF16narrow
	MOVQ R10, SI
	MOVQ p+8(FP), DI
	MOVQ rows+40(FP), R12
	VMOVUPS 0(R8), Z0
	VMOVUPS 64(R8), Z1
	VMOVUPS 128(R8), Z2
	VMOVUPS 192(R8), Z3
	VMOVUPS 256(R8), Z4
	VMOVUPS 320(R8), Z5

mixF16wideloop:
	VBROADCASTSS (DI), Z16
	HALVESAT(0(SI), Z20)
	HALVESAT(32(SI), Z21)
	HALVESAT(64(SI), Z22)
	HALVESAT(96(SI), Z23)
	HALVESAT(128(SI), Z24)
	HALVESAT(160(SI), Z25)
	VFMADD231PS  Z20, Z16, Z0
	VFMADD231PS  Z21, Z16, Z1
	VFMADD231PS  Z22, Z16, Z2
	VFMADD231PS  Z23, Z16, Z3
	VFMADD231PS  Z24, Z16, Z4
	VFMADD231PS  Z25, Z16, Z5
	ADDQ         R11, SI
	ADDQ         $4, DI
	DECQ         R12
	JNE          mixF16wideloop
	VMOVUPS Z0, 0(R8)
	VMOVUPS Z1, 64(R8)
	VMOVUPS Z2, 128(R8)
	VMOVUPS Z3, 192(R8)
	VMOVUPS Z4, 256(R8)
	VMOVUPS Z5, 320(R8)
	ADDQ $384, R8
	ADDQ $192, R10
	SUBQ $96, R13
	JMP  mixF16wide

mixF16narrow:
	CMPQ R13, $16
	JLT  mixF16done
	MOVQ R10, SI
	MOVQ p+8(FP), DI
	MOVQ rows+40(FP), R12
	VMOVUPS 0(R8), Z0

mixF16narrowloop:
	VBROADCASTSS (DI), Z16
	HALVESAT(0(SI), Z20)
	VFMADD231PS  Z20, Z16, Z0
	ADDQ         R11, SI
	ADDQ         $4, DI
	DECQ         R12
	JNE          mixF16narrowloop
	VMOVUPS Z0, 0(R8)
	ADDQ $64, R8
	ADDQ $32, R10
	SUBQ $16, R13
	JMP  mixF16narrow

mixF16done:
	VZEROUPPER
	RET

// func dots512S8(y, x *float32, w *int8, cols, ld, rows int)
TEXT ·dots512S8(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), R8
	MOVQ x+8(FP), R9
	MOVQ w+16(FP), SI
	MOVQ cols+24(FP), R13
	MOVQ ld+32(FP), R11
	MOVQ rows+40(FP), R12

dotsS8group:
	LEAQ   (SI)(R11*1), DI
	LEAQ   (SI)(R11*2), BX
	LEAQ   (DI)(R11*2), DX
	VPXORD Z0, Z0, Z0
	VPXORD Z2, Z2, Z2
	VPXORD Z4, Z4, Z4
	VPXORD Z6, Z6, Z6
	XORQ   AX, AX

dotsS8loop:
	VMOVUPS     (R9)(AX*4), Z16
	CODES((SI), Z20)
	CODES((DI), Z21)
	CODES((BX), Z22)
	CODES((DX), Z23)
	VFMADD231PS Z20, Z16, Z0
	VFMADD231PS Z21, Z16, Z2
	VFMADD231PS Z22, Z16, Z4
	VFMADD231PS Z23, Z16, Z6
	ADDQ        $16, AX
	CMPQ        AX, R13
	JLT         dotsS8loop
	FOLD
	VMOVUPS X0, (R8)
	LEAQ    (SI)(R11*4), SI
	ADDQ    $16, R8
	SUBQ    $4, R12
	JGT     dotsS8group
	VZEROUPPER
	RET

// func mix512S8(y, p *float32, v *int8, cols, ld, rows int)
TEXT ·mix512S8(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), R8
	MOVQ v+16(FP), R10
	MOVQ cols+24(FP), R13
	MOVQ ld+32(FP), R11

mixS8wide:
	CMPQ R13, $96
	JLT  mixS8narrow
	MOVQ R10, SI
	MOVQ p+8(FP), DI
	MOVQ rows+40(FP), R12
	VMOVUPS 0(R8), Z0
	VMOVUPS 64(R8), Z1
	VMOVUPS 128(R8), Z2
	VMOVUPS 192(R8), Z3
	VMOVUPS 256(R8), Z4
	VMOVUPS 320(R8), Z5

mixS8wideloop:
	VBROADCASTSS (DI), Z16
	CODESAT(0(SI), Z20)
	CODESAT(16(SI), Z21)
	CODESAT(32(SI), Z22)
	CODESAT(48(SI), Z23)
	CODESAT(64(SI), Z24)
	CODESAT(80(SI), Z25)
	VFMADD231PS  Z20, Z16, Z0
	VFMADD231PS  Z21, Z16, Z1
	VFMADD231PS  Z22, Z16, Z2
	VFMADD231PS  Z23, Z16, Z3
	VFMADD231PS  Z24, Z16, Z4
	VFMADD231PS  Z25, Z16, Z5
	ADDQ         R11, SI
	ADDQ         $4, DI
	DECQ         R12
	JNE          mixS8wideloop
	VMOVUPS Z0, 0(R8)
	VMOVUPS Z1, 64(R8)
	VMOVUPS Z2, 128(R8)
	VMOVUPS Z3, 192(R8)
	VMOVUPS Z4, 256(R8)
	VMOVUPS Z5, 320(R8)
	ADDQ $384, R8
	ADDQ $96, R10
	SUBQ $96, R13
	JMP  mixS8wide

mixS8narrow:
	CMPQ R13, $16
	JLT  mixS8done
	MOVQ R10, SI
	MOVQ p+8(FP), DI
	MOVQ rows+40(FP), R12
	VMOVUPS 0(R8), Z0

mixS8narrowloop:
	VBROADCASTSS (DI), Z16
	CODESAT(0(SI), Z20)
	VFMADD231PS  Z20, Z16, Z0
	ADDQ         R11, SI
	ADDQ         $4, DI
	DECQ         R12
	JNE          mixS8narrowloop
	VMOVUPS Z0, 0(R8)
	ADDQ $64, R8
	ADDQ $16, R10
	SUBQ $16, R13
	JMP  mixS8narrow

mixS8done:
	VZEROUPPER
	RET
