//go:build !noasm

#include "textflag.h"

// Numbers of a cache from and to float32, in blocks of 8; half precision by the
// instructions of F16C, which every processor with AVX2 has.

// func widen256(dst *float32, src *uint16, blocks int)
TEXT ·widen256(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX

widenloop:
	VCVTPH2PS (SI), Y0
	VMOVUPS   Y0, (DI)
	ADDQ      $16, SI
	ADDQ      $32, DI
	DECQ      CX
	JNE       widenloop
	VZEROUPPER
	RET

// func narrow256(dst *uint16, src *float32, blocks int)
TEXT ·narrow256(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX

narrowloop:
	VMOVUPS   (SI), Y0
	VCVTPS2PH $0, Y0, (DI)
	ADDQ      $32, SI
	ADDQ      $16, DI
	DECQ      CX
	JNE       narrowloop
	VZEROUPPER
	RET

// func widenCodes256(dst *float32, src *int8, blocks int)
TEXT ·widenCodes256(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX

codesloop:
	VPMOVSXBD (SI), Y0
	VCVTDQ2PS Y0, Y0
	VMOVUPS   Y0, (DI)
	ADDQ      $8, SI
	ADDQ      $32, DI
	DECQ      CX
	JNE       codesloop
	VZEROUPPER
	RET
