//go:build !noasm

#include "go_asm.h"
#include "textflag.h"

// AMX: tile registers of up to 16 rows of 64 bytes, after Intel's Software
// Developer's Manual, volume 2. The assembler does not know the instructions, so
// they are bytes: VEX prefix c4, the extensions of base and index, opcode map and
// operand, opcode, ModRM, SIB. testdata/amx.txt is what a disassembler reads in
// them; a test compares.
//
// Tiles 0 to 3 are sums (upper left, upper right, lower left, lower right), 4 and
// 5 left operands (upper, lower), 6 and 7 right ones (left, right). A goroutine
// that changes threads would lose them; inside a function of assembly it does not.

#define LDTILECFG_R15 BYTE $0xc4; BYTE $0xc2; BYTE $0x78; BYTE $0x49; BYTE $0x07
#define TILERELEASE   BYTE $0xc4; BYTE $0xe2; BYTE $0x78; BYTE $0x49; BYTE $0xc0
#define TILEZERO(t)   BYTE $0xc4; BYTE $0xe2; BYTE $0x7b; BYTE $0x49; BYTE $(0xc0|t<<3)

// Tile t and memory, rows a register apart: x is c2 if the base is one of R8 to
// R15, else e2; sib holds the index, which is the distance, and the base.
#define TILELOADD(t, x, sib)  BYTE $0xc4; BYTE $x; BYTE $0x7b; BYTE $0x4b; BYTE $(4|t<<3); BYTE $sib
#define TILESTORED(t, x, sib) BYTE $0xc4; BYTE $x; BYTE $0x7a; BYTE $0x4b; BYTE $(4|t<<3); BYTE $sib

// Sum, left and right tile; the right one is inverted in bits 3 to 6 of the third
// byte.
#define TDPBUSD(c, a, b)   BYTE $0xc4; BYTE $0xe2; BYTE $(0x79^b<<3); BYTE $0x5e; BYTE $(0xc0|c<<3|a)
#define TDPBF16PS(c, a, b) BYTE $0xc4; BYTE $0xe2; BYTE $(0x7a^b<<3); BYTE $0x5c; BYTE $(0xc0|c<<3|a)

// BEGIN reads a sweep: R15 is its address, AX and BX the distances of the rows of
// the left and the right operand.
#define BEGIN \
	LDTILECFG_R15;            \
	MOVQ sweep_lda(R15), AX;  \
	MOVQ $128, BX;            \
	MOVQ sweep_a(R15), R14;   \
	MOVQ sweep_from(R15), R13; \
	MOVQ R13, from-8(SP);     \
	MOVQ sweep_to(R15), R13;  \
	MOVQ R13, to-16(SP);      \
	MOVQ sweep_blocks(R15), R13; \
	MOVQ R13, blocks-24(SP)

// CORNERS makes R10, R11 and R12 the other three sums beside DX.
#define CORNERS(lower) \
	MOVQ DX, R10;               \
	ADDQ sweep_rightC(R15), R10; \
	MOVQ DX, R11;               \
	ADDQ lower(R15), R11;       \
	MOVQ R10, R12;              \
	ADDQ lower(R15), R12

// LOAD begins a block: sums, and where its operands are.
#define LOAD \
	MOVQ from-8(SP), DX;        \
	MOVQ sweep_ldFrom(R15), CX; \
	CORNERS(sweep_lowerFrom);   \
	TILELOADD(0, 0xe2, 0x0a);   \
	TILELOADD(1, 0xc2, 0x0a);   \
	TILELOADD(2, 0xc2, 0x0b);   \
	TILELOADD(3, 0xc2, 0x0c);   \
	MOVQ R14, SI;               \
	MOVQ R14, R8;               \
	ADDQ sweep_lowerA(R15), R8; \
	MOVQ sweep_b(R15), DI;      \
	MOVQ DI, R9;                \
	ADDQ sweep_rightC(R15), R9; \
	MOVQ sweep_steps(R15), R13

// STEP is 16 words of depth.
#define STEP(DP) \
	TILELOADD(4, 0xe2, 0x06); \
	TILELOADD(6, 0xe2, 0x1f); \
	DP(0, 4, 6);              \
	TILELOADD(7, 0xc2, 0x19); \
	DP(1, 4, 7);              \
	TILELOADD(5, 0xc2, 0x00); \
	DP(2, 5, 6);              \
	DP(3, 5, 7);              \
	ADDQ $64, SI;             \
	ADDQ $64, R8;             \
	ADDQ $2048, DI;           \
	ADDQ $2048, R9;           \
	DECQ R13

// STORE ends a block and goes to the one below.
#define STORE \
	MOVQ to-16(SP), DX;           \
	MOVQ sweep_ldTo(R15), CX;     \
	CORNERS(sweep_lowerTo);       \
	TILESTORED(0, 0xe2, 0x0a);    \
	TILESTORED(1, 0xc2, 0x0a);    \
	TILESTORED(2, 0xc2, 0x0b);    \
	TILESTORED(3, 0xc2, 0x0c);    \
	ADDQ sweep_nextA(R15), R14;   \
	MOVQ sweep_nextFrom(R15), R13; \
	ADDQ R13, from-8(SP);         \
	MOVQ sweep_nextTo(R15), R13;  \
	ADDQ R13, to-16(SP);          \
	DECQ blocks-24(SP)

// func tilesInt8(s *sweep): unsigned times signed bytes, int32 sums.
TEXT ·tilesInt8(SB), NOSPLIT, $24-8
	MOVQ s+0(FP), R15
	BEGIN

block:
	LOAD

step:
	STEP(TDPBUSD)
	JNE  step
	STORE
	JNE  block
	TILERELEASE
	RET

// func tilesBF16(s *sweep): pairs of bfloat16, float32 sums.
TEXT ·tilesBF16(SB), NOSPLIT, $24-8
	MOVQ s+0(FP), R15
	BEGIN

block:
	LOAD

step:
	STEP(TDPBF16PS)
	JNE  step
	STORE
	JNE  block
	TILERELEASE
	RET

#define LOOP \
	LDTILECFG_R15; \
	TILEZERO(0);   \
	TILEZERO(1);   \
	TILEZERO(2);   \
	TILEZERO(3);   \
	TILEZERO(4);   \
	TILEZERO(5);   \
	TILEZERO(6);   \
	TILEZERO(7)

// func loopInt8(config *tileConfig, n int): n rounds of four products.
TEXT ·loopInt8(SB), NOSPLIT, $0-16
	MOVQ config+0(FP), R15
	MOVQ n+8(FP), CX
	LOOP

loop:
	TDPBUSD(0, 4, 6)
	TDPBUSD(1, 4, 7)
	TDPBUSD(2, 5, 6)
	TDPBUSD(3, 5, 7)
	DECQ CX
	JNE  loop
	TILERELEASE
	RET

// func loopBF16(config *tileConfig, n int): n rounds of four products.
TEXT ·loopBF16(SB), NOSPLIT, $0-16
	MOVQ config+0(FP), R15
	MOVQ n+8(FP), CX
	LOOP

loop:
	TDPBF16PS(0, 4, 6)
	TDPBF16PS(1, 4, 7)
	TDPBF16PS(2, 5, 6)
	TDPBF16PS(3, 5, 7)
	DECQ CX
	JNE  loop
	TILERELEASE
	RET

// func askForTiles() (errno int): arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA) of
// Linux, for the whole process.
TEXT ·askForTiles(SB), NOSPLIT, $0-8
	MOVQ $158, AX
	MOVQ $0x1023, DI
	MOVQ $18, SI
	SYSCALL
	NEGQ AX
	MOVQ AX, errno+0(FP)
	RET

// func finishRows(y *float32, ldy int, sums *int32, rows int, s, scale *float32, lanes int, add bool):
// y = sums·(s·scale), or adds it; sums have 32 lanes a row, y and scale as many as
// lanes says.
TEXT ·finishRows(SB), NOSPLIT, $0-57
	MOVQ y+0(FP), DI
	MOVQ ldy+8(FP), R8
	MOVQ sums+16(FP), SI
	MOVQ rows+24(FP), DX
	MOVQ s+32(FP), R9
	MOVQ scale+40(FP), R10
	MOVQ lanes+48(FP), CX
	MOVBLZX add+56(FP), R11
	MOVQ  $1, AX
	SHLQ  CX, AX
	DECQ  AX
	KMOVW AX, K1
	SHRQ  $16, AX
	KMOVW AX, K2
	NEGL  R11
	KMOVW R11, K3
	KANDW K3, K2, K4
	KANDW K3, K1, K3
	VMOVUPS.Z (R10), K1, Z0
	VMOVUPS.Z 64(R10), K2, Z1

row:
	VBROADCASTSS (R9), Z2
	VMULPS       Z0, Z2, Z3
	VMULPS       Z1, Z2, Z2
	VCVTDQ2PS    (SI), Z4
	VCVTDQ2PS    64(SI), Z5
	VMULPS       Z3, Z4, Z4
	VMULPS       Z2, Z5, Z5
	VMOVUPS.Z    (DI), K3, Z6
	VMOVUPS.Z    64(DI), K4, Z7
	VADDPS       Z6, Z4, K3, Z4
	VADDPS       Z7, Z5, K4, Z5
	VMOVUPS      Z4, K1, (DI)
	VMOVUPS      Z5, K2, 64(DI)
	ADDQ $128, SI
	ADDQ $4, R9
	ADDQ R8, DI
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

// func roundBF16(dst *uint16, src *float32, n int): to bfloat16, nearest even; NaN
// stays one.
TEXT ·roundBF16(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVL $0x7fff, AX
	VPBROADCASTD AX, Z5
	MOVL $1, AX
	VPBROADCASTD AX, Z6
	MOVL $0x40, AX
	VPBROADCASTD AX, Z7
	MOVL  $0xffff, AX
	KMOVW AX, K1

round:
	CMPQ CX, $16
	JGE  whole
	MOVL  $1, AX
	SHLL  CX, AX
	DECL  AX
	KMOVW AX, K1

whole:
	VMOVUPS.Z (SI), K1, Z0
	VPSRLD    $16, Z0, Z1
	VPANDD    Z6, Z1, Z2
	VPADDD    Z5, Z2, Z2
	VPADDD    Z0, Z2, Z2
	VPSRLD    $16, Z2, Z2
	VCMPPS    $3, Z0, Z0, K2
	VPORD     Z7, Z1, K2, Z2
	VPMOVDW   Z2, K1, (DI)
	ADDQ $64, SI
	ADDQ $32, DI
	SUBQ $16, CX
	JGT  round
	VZEROUPPER
	RET
