//go:build !noasm

#include "textflag.h"

// Constants of exp.go, eight times each, then the bias of an exponent.
DATA wide<>+0(SB)/8, $0x3fb8aa3b3fb8aa3b
DATA wide<>+8(SB)/8, $0x3fb8aa3b3fb8aa3b
DATA wide<>+16(SB)/8, $0x3fb8aa3b3fb8aa3b
DATA wide<>+24(SB)/8, $0x3fb8aa3b3fb8aa3b
DATA wide<>+32(SB)/8, $0x3f3180003f318000
DATA wide<>+40(SB)/8, $0x3f3180003f318000
DATA wide<>+48(SB)/8, $0x3f3180003f318000
DATA wide<>+56(SB)/8, $0x3f3180003f318000
DATA wide<>+64(SB)/8, $0xb95e8083b95e8083
DATA wide<>+72(SB)/8, $0xb95e8083b95e8083
DATA wide<>+80(SB)/8, $0xb95e8083b95e8083
DATA wide<>+88(SB)/8, $0xb95e8083b95e8083
DATA wide<>+96(SB)/8, $0x3950696739506967
DATA wide<>+104(SB)/8, $0x3950696739506967
DATA wide<>+112(SB)/8, $0x3950696739506967
DATA wide<>+120(SB)/8, $0x3950696739506967
DATA wide<>+128(SB)/8, $0x3ab743ce3ab743ce
DATA wide<>+136(SB)/8, $0x3ab743ce3ab743ce
DATA wide<>+144(SB)/8, $0x3ab743ce3ab743ce
DATA wide<>+152(SB)/8, $0x3ab743ce3ab743ce
DATA wide<>+160(SB)/8, $0x3c0889083c088908
DATA wide<>+168(SB)/8, $0x3c0889083c088908
DATA wide<>+176(SB)/8, $0x3c0889083c088908
DATA wide<>+184(SB)/8, $0x3c0889083c088908
DATA wide<>+192(SB)/8, $0x3d2aa9c13d2aa9c1
DATA wide<>+200(SB)/8, $0x3d2aa9c13d2aa9c1
DATA wide<>+208(SB)/8, $0x3d2aa9c13d2aa9c1
DATA wide<>+216(SB)/8, $0x3d2aa9c13d2aa9c1
DATA wide<>+224(SB)/8, $0x3e2aaaaa3e2aaaaa
DATA wide<>+232(SB)/8, $0x3e2aaaaa3e2aaaaa
DATA wide<>+240(SB)/8, $0x3e2aaaaa3e2aaaaa
DATA wide<>+248(SB)/8, $0x3e2aaaaa3e2aaaaa
DATA wide<>+256(SB)/8, $0x3f0000003f000000
DATA wide<>+264(SB)/8, $0x3f0000003f000000
DATA wide<>+272(SB)/8, $0x3f0000003f000000
DATA wide<>+280(SB)/8, $0x3f0000003f000000
DATA wide<>+288(SB)/8, $0x3f8000003f800000
DATA wide<>+296(SB)/8, $0x3f8000003f800000
DATA wide<>+304(SB)/8, $0x3f8000003f800000
DATA wide<>+312(SB)/8, $0x3f8000003f800000
DATA wide<>+320(SB)/8, $0x42b0c0a542b0c0a5
DATA wide<>+328(SB)/8, $0x42b0c0a542b0c0a5
DATA wide<>+336(SB)/8, $0x42b0c0a542b0c0a5
DATA wide<>+344(SB)/8, $0x42b0c0a542b0c0a5
DATA wide<>+352(SB)/8, $0xc2aeac4fc2aeac4f
DATA wide<>+360(SB)/8, $0xc2aeac4fc2aeac4f
DATA wide<>+368(SB)/8, $0xc2aeac4fc2aeac4f
DATA wide<>+376(SB)/8, $0xc2aeac4fc2aeac4f
DATA wide<>+384(SB)/8, $0x0000007f0000007f
DATA wide<>+392(SB)/8, $0x0000007f0000007f
DATA wide<>+400(SB)/8, $0x0000007f0000007f
DATA wide<>+408(SB)/8, $0x0000007f0000007f
GLOBL wide<>(SB), RODATA|NOPTR, $416

// Y3 = exp(Y1); Y1, Y2 and Y4 are overwritten. A NaN passes every comparison.
#define EXP256 \
	VMOVUPS      wide<>+320(SB), Y2;     \
	VMINPS       Y1, Y2, Y1;         \
	VCMPPS       $5, wide<>+352(SB), Y1, Y4; \
	VMULPS       wide<>+0(SB), Y1, Y2;   \
	VROUNDPS     $8, Y2, Y2;         \
	VFNMADD231PS wide<>+32(SB), Y2, Y1; \
	VFNMADD231PS wide<>+64(SB), Y2, Y1; \
	VMOVUPS      wide<>+96(SB), Y3;      \
	VFMADD213PS  wide<>+128(SB), Y1, Y3;  \
	VFMADD213PS  wide<>+160(SB), Y1, Y3;  \
	VFMADD213PS  wide<>+192(SB), Y1, Y3;  \
	VFMADD213PS  wide<>+224(SB), Y1, Y3;  \
	VFMADD213PS  wide<>+256(SB), Y1, Y3;  \
	VMULPS       Y1, Y3, Y3;         \
	VFMADD213PS  Y1, Y1, Y3;         \
	VADDPS       wide<>+288(SB), Y3, Y3; \
	VCVTPS2DQ    Y2, Y2;             \
	VPADDD       wide<>+384(SB), Y2, Y2; \
	VPSLLD       $23, Y2, Y2;        \
	VMULPS       Y2, Y3, Y3;         \
	VANDPS       Y4, Y3, Y3

// The sum of the lanes of Y0, in X0.
#define REDUCE256 \
	VEXTRACTF128 $1, Y0, X1;    \
	VADDPS       X1, X0, X0;    \
	VPERMILPS    $0x4e, X0, X1; \
	VADDPS       X1, X0, X0;    \
	VPERMILPS    $0xb1, X0, X1; \
	VADDPS       X1, X0, X0

// Y3 = 1/(1+exp(-Y8)).
#define SIGMOID256 \
	VXORPS  Y1, Y1, Y1;         \
	VSUBPS  Y8, Y1, Y1;         \
	EXP256;                     \
	VMOVUPS wide<>+288(SB), Y2;     \
	VADDPS  Y2, Y3, Y3;         \
	VDIVPS  Y3, Y2, Y3

// In all of these n counts groups of eight and is not 0.

// func expSum256(dst, src *float32, n int, shift float32) float32
TEXT ·expSum256(SB), NOSPLIT, $0-36
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS shift+24(FP), Y9
	VXORPS Y0, Y0, Y0

exploop:
	VMOVUPS (SI), Y1
	VSUBPS  Y9, Y1, Y1
	EXP256
	VADDPS  Y3, Y0, Y0
	VMOVUPS Y3, (DI)
	ADDQ    $32, SI
	ADDQ    $32, DI
	DECQ    CX
	JNE     exploop
	REDUCE256
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func max256(x *float32, n int) float32
TEXT ·max256(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VMOVUPS (SI), Y0

maxloop:
	VMOVUPS (SI), Y1
	VMAXPS  Y1, Y0, Y0
	ADDQ    $32, SI
	DECQ    CX
	JNE     maxloop
	VEXTRACTF128 $1, Y0, X1
	VMAXPS       X1, X0, X0
	VPERMILPS    $0x4e, X0, X1
	VMAXPS       X1, X0, X0
	VPERMILPS    $0xb1, X0, X1
	VMAXPS       X1, X0, X0
	VMOVSS       X0, ret+16(FP)
	VZEROUPPER
	RET

// func swiglu256(dst, gate, up *float32, n int)
TEXT ·swiglu256(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ gate+8(FP), SI
	MOVQ up+16(FP), DX
	MOVQ n+24(FP), CX

swigluloop:
	VMOVUPS (SI), Y8
	SIGMOID256
	VMULPS  Y8, Y3, Y3
	VMULPS  (DX), Y3, Y3
	VMOVUPS Y3, (DI)
	ADDQ    $32, SI
	ADDQ    $32, DX
	ADDQ    $32, DI
	DECQ    CX
	JNE     swigluloop
	VZEROUPPER
	RET

// func swigluBack256(dgate, dup, dm, gate, up *float32, n int)
TEXT ·swigluBack256(SB), NOSPLIT, $0-48
	MOVQ dgate+0(FP), DI
	MOVQ dup+8(FP), R8
	MOVQ dm+16(FP), R9
	MOVQ gate+24(FP), SI
	MOVQ up+32(FP), DX
	MOVQ n+40(FP), CX

backloop:
	VMOVUPS (SI), Y8
	SIGMOID256
	VMULPS      (R9), Y3, Y11 // dm·s
	VMULPS      Y8, Y11, Y12
	VSUBPS      Y3, Y2, Y13   // 1-s
	VFMADD213PS Y2, Y8, Y13   // 1+g(1-s)
	VMULPS      (DX), Y11, Y11
	VMULPS      Y13, Y11, Y11
	VMOVUPS     Y12, (R8)     // dup may be up: not before up was read
	VMOVUPS     Y11, (DI)
	ADDQ        $32, SI
	ADDQ        $32, DX
	ADDQ        $32, R9
	ADDQ        $32, R8
	ADDQ        $32, DI
	DECQ        CX
	JNE         backloop
	VZEROUPPER
	RET

#define TWOSUMS \
	VADDPS Y5, Y0, Y0

// func dot256F32(x, w *float32, n int) float32
TEXT ·dot256F32(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ w+8(FP), DI
	MOVQ n+16(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7

f32four:
	SUBQ $4, CX
	JLT  f32rest
	VMOVUPS     (SI), Y1
	VMOVUPS     32(SI), Y2
	VMOVUPS     64(SI), Y3
	VMOVUPS     96(SI), Y4
	VFMADD231PS (DI), Y1, Y0
	VFMADD231PS 32(DI), Y2, Y5
	VFMADD231PS 64(DI), Y3, Y6
	VFMADD231PS 96(DI), Y4, Y7
	ADDQ        $128, SI
	ADDQ        $128, DI
	JMP         f32four

f32rest:
	ADDQ $4, CX
	JEQ  f32done

f32loop:
	VMOVUPS     (SI), Y1
	VFMADD231PS (DI), Y1, Y0
	ADDQ        $32, SI
	ADDQ        $32, DI
	DECQ        CX
	JNE         f32loop

f32done:
	VADDPS Y6, Y0, Y0
	VADDPS Y7, Y5, Y5
	TWOSUMS
	REDUCE256
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func dot256BF16(x *float32, w *uint16, n int) float32
TEXT ·dot256BF16(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ w+8(FP), DI
	MOVQ n+16(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y5, Y5, Y5

bf16two:
	SUBQ $2, CX
	JLT  bf16rest
	VPMOVZXWD   (DI), Y1
	VPMOVZXWD   16(DI), Y2
	VPSLLD      $16, Y1, Y1
	VPSLLD      $16, Y2, Y2
	VFMADD231PS (SI), Y1, Y0
	VFMADD231PS 32(SI), Y2, Y5
	ADDQ        $64, SI
	ADDQ        $32, DI
	JMP         bf16two

bf16rest:
	ADDQ $2, CX
	JEQ  bf16done
	VPMOVZXWD   (DI), Y1
	VPSLLD      $16, Y1, Y1
	VFMADD231PS (SI), Y1, Y0

bf16done:
	TWOSUMS
	REDUCE256
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func dot256I8(x *float32, w *int8, n int) float32
TEXT ·dot256I8(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ w+8(FP), DI
	MOVQ n+16(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y5, Y5, Y5

i8two:
	SUBQ $2, CX
	JLT  i8rest
	VPMOVSXBD   (DI), Y1
	VPMOVSXBD   8(DI), Y2
	VCVTDQ2PS   Y1, Y1
	VCVTDQ2PS   Y2, Y2
	VFMADD231PS (SI), Y1, Y0
	VFMADD231PS 32(SI), Y2, Y5
	ADDQ        $64, SI
	ADDQ        $16, DI
	JMP         i8two

i8rest:
	ADDQ $2, CX
	JEQ  i8done
	VPMOVSXBD   (DI), Y1
	VCVTDQ2PS   Y1, Y1
	VFMADD231PS (SI), Y1, Y0

i8done:
	TWOSUMS
	REDUCE256
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func axpy256(y, x *float32, n int, a float32)
TEXT ·axpy256(SB), NOSPLIT, $0-28
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS a+24(FP), Y0

axpyloop:
	VMOVUPS     (DI), Y1
	VFMADD231PS (SI), Y0, Y1
	VMOVUPS     Y1, (DI)
	ADDQ        $32, SI
	ADDQ        $32, DI
	DECQ        CX
	JNE         axpyloop
	VZEROUPPER
	RET

// func scale256(x *float32, n int, a float32)
TEXT ·scale256(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VBROADCASTSS a+16(FP), Y0

scaleloop:
	VMULPS  (DI), Y0, Y1
	VMOVUPS Y1, (DI)
	ADDQ    $32, DI
	DECQ    CX
	JNE     scaleloop
	VZEROUPPER
	RET

// func epilogue256(y *float32, acc *int32, n int, s float32, scale *float32, add bool)
TEXT ·epilogue256(SB), NOSPLIT, $0-41
	MOVQ y+0(FP), DI
	MOVQ acc+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS s+24(FP), Y0
	MOVQ scale+32(FP), R8
	MOVBLZX add+40(FP), R11

eploop:
	VCVTDQ2PS (SI), Y2
	VMULPS    (R8), Y0, Y3
	VMULPS    Y3, Y2, Y2
	TESTL     R11, R11
	JEQ       put
	VADDPS    (DI), Y2, Y2

put:
	VMOVUPS Y2, (DI)
	ADDQ    $32, DI
	ADDQ    $32, SI
	ADDQ    $32, R8
	DECQ    CX
	JNE     eploop
	VZEROUPPER
	RET
