//go:build !noasm

#include "textflag.h"

// Coding the scales and mins of four blocks of Q4_K or Q5_K: eight searches side by
// side, lane j the scales of block j, lane 4+j its mins. Offsets in struct
// scaleLanes: s 0, weights 256, codes 512, products 768, half 1024.

DATA scales256<>+0(SB)/4, $12582912.0
DATA scales256<>+4(SB)/4, $0x007fffff
DATA scales256<>+8(SB)/4, $0x00400000
DATA scales256<>+12(SB)/4, $63.0
DATA scales256<>+16(SB)/4, $63
DATA scales256<>+20(SB)/4, $0xff
DATA scales256<>+24(SB)/4, $1e-15
DATA scales256<>+28(SB)/4, $1.0
DATA scales256<>+32(SB)/8, $0
DATA scales256<>+40(SB)/8, $0
DATA scales256<>+48(SB)/8, $0x8000000080000000
DATA scales256<>+56(SB)/8, $0x8000000080000000
GLOBL scales256<>(SB), RODATA|NOPTR, $64

// Y10-Y12 are nearest_int's constants, Y13 the cap 63.
#define CONSTANTS \
	VBROADCASTSS scales256<>+0(SB), Y10; \
	VBROADCASTSS scales256<>+4(SB), Y11; \
	VBROADCASTSS scales256<>+8(SB), Y12; \
	VBROADCASTSS scales256<>+16(SB), Y13

// The mins come as lows, with the other sign; Y0 becomes the largest element, or 0.
#define TAKE(i) \
	VXORPS (32*i)(DI), Y14, Y1; \
	VMOVUPS Y1, (32*i)(DI); \
	VMAXPS Y0, Y1, Y0

#define TAKEALL \
	VMOVUPS scales256<>+32(SB), Y14; \
	VXORPS Y0, Y0, Y0; \
	TAKE(0); \
	TAKE(1); \
	TAKE(2); \
	TAKE(3); \
	TAKE(4); \
	TAKE(5); \
	TAKE(6); \
	TAKE(7)

#define NEAREST(V) \
	VADDPS Y10, V, V; \
	VPAND  Y11, V, V; \
	VPSUBD Y12, V, V

// From d in Y0: its float16, and the products of its rounded value and the codes.
#define PRODUCT(i) \
	VCVTDQ2PS (512+32*i)(DI), Y1; \
	VMULPS    Y0, Y1, Y1; \
	VMOVUPS   Y1, (768+32*i)(DI)

#define PRODUCTS \
	VCVTPS2PH  $0, Y0, X1; \
	VMOVUPS    X1, 1024(DI); \
	VCVTPH2PS  X1, Y0; \
	PRODUCT(0); \
	PRODUCT(1); \
	PRODUCT(2); \
	PRODUCT(3); \
	PRODUCT(4); \
	PRODUCT(5); \
	PRODUCT(6); \
	PRODUCT(7)

#define CODE(i, V, INVERSE) \
	VMULPS  (32*i)(DI), INVERSE, V; \
	NEAREST(V); \
	VPMINSD Y13, V, V; \
	VPAND   Y15, V, V; \
	VMOVDQU V, (512+32*i)(DI)

// func codeScales256(s *scaleLanes): d = max/63, codes min(63, nearest(s·63/max)).
TEXT ·codeScales256(SB), NOSPLIT, $0-8
	MOVQ s+0(FP), DI
	CONSTANTS
	TAKEALL
	VBROADCASTSS scales256<>+12(SB), Y9
	VBROADCASTSS scales256<>+20(SB), Y15
	VXORPS Y2, Y2, Y2
	VCMPPS $1, Y0, Y2, Y3
	VDIVPS Y0, Y9, Y8
	VANDPS Y3, Y8, Y8
	VDIVPS Y9, Y0, Y0
	CODE(0, Y1, Y8)
	CODE(1, Y2, Y8)
	CODE(2, Y3, Y8)
	CODE(3, Y4, Y8)
	CODE(4, Y5, Y8)
	CODE(5, Y6, Y8)
	CODE(6, Y7, Y8)
	CODE(7, Y1, Y8)
	PRODUCTS
	VZEROUPPER
	RET

// The mins have the weights of the scales; adding 0 as the reference's sum does.
#define WEIGHTS(i) \
	VBROADCASTF128 (256+32*i)(DI), Y1; \
	VADDPS Y2, Y1, Y1; \
	VMOVUPS Y1, (256+32*i)(DI)

// Adds the weighted square error of element i under Y8 = inv, Y7 = 1/inv.
#define ERROR(i, V, E) \
	VMOVUPS (32*i)(DI), E; \
	VMULPS  E, Y8, V; \
	NEAREST(V); \
	VPMINSD Y13, V, V; \
	VCVTDQ2PS V, V; \
	VMULPS  Y7, V, V; \
	VSUBPS  V, E, E; \
	VMULPS  (256+32*i)(DI), E, V; \
	VMULPS  E, V, V; \
	VADDPS  V, Y6, Y6

// The code of element i under Y8 = inv, and its terms of Y4 = Σuvl and Y5 = Σul².
#define FIRST(i) \
	VMOVUPS (32*i)(DI), Y0; \
	VMULPS  Y0, Y8, Y1; \
	NEAREST(Y1); \
	VPMINSD Y13, Y1, Y1; \
	VCVTDQ2PS Y1, Y2; \
	VPAND   Y15, Y1, Y1; \
	VMOVDQU Y1, (512+32*i)(DI); \
	VMOVUPS (256+32*i)(DI), Y3; \
	VMULPS  Y0, Y3, Y0; \
	VMULPS  Y2, Y0, Y0; \
	VADDPS  Y0, Y4, Y4; \
	VMULPS  Y2, Y3, Y3; \
	VMULPS  Y2, Y3, Y3; \
	VADDPS  Y3, Y5, Y5

// func searchScales256(s *scaleLanes, numerators *[9]float32)
// searchPositive in eight lanes. Lanes that no longer change pass through further
// rounds unchanged.
TEXT ·searchScales256(SB), NOSPLIT, $0-16
	MOVQ s+0(FP), DI
	MOVQ numerators+8(FP), SI
	CONSTANTS
	VXORPS Y2, Y2, Y2
	WEIGHTS(0)
	WEIGHTS(1)
	WEIGHTS(2)
	WEIGHTS(3)
	WEIGHTS(4)
	WEIGHTS(5)
	WEIGHTS(6)
	WEIGHTS(7)
	TAKEALL
	VMOVAPS Y0, Y9

	// Y9 max, Y14 the best inverse, Y15 the least error.
	VPCMPEQD Y13, Y13, Y13
	VPSRLD $1, Y13, Y13
	MOVQ $9, BX

inverse:
	VBROADCASTSS (SI), Y8
	VBROADCASTSS scales256<>+28(SB), Y7
	VDIVPS Y9, Y8, Y8
	VDIVPS Y8, Y7, Y7
	VXORPS Y6, Y6, Y6
	ERROR(0, Y0, Y1)
	ERROR(1, Y2, Y3)
	ERROR(2, Y4, Y5)
	ERROR(3, Y0, Y1)
	ERROR(4, Y2, Y3)
	ERROR(5, Y4, Y5)
	ERROR(6, Y0, Y1)
	ERROR(7, Y2, Y3)
	CMPQ BX, $9
	JNE  compare
	VMOVAPS Y8, Y14
	VMOVAPS Y6, Y15
	VBROADCASTSS scales256<>+16(SB), Y13

compare:
	VCMPPS $1, Y15, Y6, Y0
	VBLENDVPS Y0, Y6, Y15, Y15
	VBLENDVPS Y0, Y8, Y14, Y14
	ADDQ $4, SI
	DECQ BX
	JNE  inverse

	VMOVAPS Y14, Y8
	VBROADCASTSS scales256<>+20(SB), Y15
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	FIRST(0)
	FIRST(1)
	FIRST(2)
	FIRST(3)
	FIRST(4)
	FIRST(5)
	FIRST(6)
	FIRST(7)
	MOVQ $5, BX

	// Moves the code of each element in turn where that raises a²/b.
pass:
	MOVQ DI, AX
	MOVQ $8, CX
	VPXOR Y14, Y14, Y14

move:
	VMOVUPS (AX), Y0
	VMOVUPS 256(AX), Y1
	VMULPS Y0, Y1, Y2
	VCVTDQ2PS 512(AX), Y3
	VMULPS Y3, Y2, Y6
	VSUBPS Y6, Y4, Y6
	VMULPS Y3, Y1, Y7
	VMULPS Y3, Y7, Y7
	VSUBPS Y7, Y5, Y7
	VXORPS Y8, Y8, Y8
	VCMPPS $1, Y6, Y8, Y3
	VCMPPS $1, Y7, Y8, Y8
	VANDPS Y8, Y3, Y3
	VMULPS Y0, Y7, Y0
	VDIVPS Y6, Y0, Y0
	NEAREST(Y0)
	VPMINSD Y13, Y0, Y0
	VPCMPEQD 512(AX), Y0, Y8
	VANDNPS Y3, Y8, Y3
	VCVTDQ2PS Y0, Y8
	VMULPS Y8, Y2, Y2
	VADDPS Y2, Y6, Y6
	VMULPS Y8, Y1, Y1
	VMULPS Y8, Y1, Y1
	VADDPS Y1, Y7, Y7
	VMULPS Y6, Y6, Y1
	VMULPS Y5, Y1, Y1
	VMULPS Y4, Y4, Y2
	VMULPS Y7, Y2, Y2
	VCMPPS $1, Y1, Y2, Y2
	VANDPS Y2, Y3, Y3
	VBLENDVPS Y3, Y6, Y4, Y4
	VBLENDVPS Y3, Y7, Y5, Y5
	VPAND Y15, Y0, Y0
	VMOVUPS 512(AX), Y1
	VBLENDVPS Y3, Y0, Y1, Y1
	VMOVUPS Y1, 512(AX)
	VPOR Y3, Y14, Y14
	ADDQ $32, AX
	DECQ CX
	JNE  move
	VMOVMSKPS Y14, AX
	TESTL AX, AX
	JEQ  done
	DECQ BX
	JNE  pass

done:
	VXORPS Y8, Y8, Y8
	VDIVPS Y5, Y4, Y0
	VCMPPS $1, Y5, Y8, Y3
	VANDPS Y3, Y0, Y0

	// Below the reference's epsilon a run is zero.
	VBROADCASTSS scales256<>+24(SB), Y8
	VCMPPS $1, Y8, Y9, Y9
	VANDNPS Y0, Y9, Y0
	MOVQ DI, AX
	MOVQ $8, CX

zero:
	VANDNPS 512(AX), Y9, Y1
	VMOVUPS Y1, 512(AX)
	ADDQ $32, AX
	DECQ CX
	JNE  zero
	PRODUCTS
	VZEROUPPER
	RET
