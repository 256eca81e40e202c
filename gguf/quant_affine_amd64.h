// The inner loops of the affine search, one sub-block a lane, for YMM and ZMM
// registers alike. AX points at element i of the lanes; x is at 0, the weights at
// 4096, the trial codes at at_trial (struct affineLanes). MAGIC is 1.5·2^23: adding it
// rounds to the nearest integer, ties to even, and taking it away again leaves the
// integer as a float. Each product and sum is rounded by itself: no FMA.
//
// What it costs, in arithmetic instructions for one element of all lanes: a candidate
// takes 11 for codes and sums (12 where codes are clamped above) and 6 for the error,
// so Q5_K's 16 candidates take 278, the first grid 10, weights 9; a candidate's least
// squares and bookkeeping add 40 for 32 elements, 20 in all. With three vector ports
// (two for 512 bits) and 8 (16) lanes the limit is 13.2 (9.9) cycles for a weight;
// encoding Q5_K takes 17.8 (12.7) in all on a Xeon of 2023.

// The first grid: codes need no clamp, and are used once.
#define AFFINE_FIRST(off, X, T, INV, LOW, SCALE, BEST, MAGIC) \
	VMOVUPS off(AX), X; \
	VSUBPS  LOW, X, T; \
	VMULPS  INV, T, T; \
	VADDPS  MAGIC, T, T; \
	VSUBPS  MAGIC, T, T; \
	VMULPS  SCALE, T, T; \
	VADDPS  LOW, T, T; \
	VSUBPS  X, T, T; \
	VMULPS  T, T, T; \
	VMULPS  (off+4096)(AX), T, T; \
	VADDPS  T, BEST, BEST

// Codes of a candidate, clamped below (AFFINE_CODE) and above too (AFFINE_CLAMP).
#define AFFINE_CODE(off, X, T, INV, LOW, MAGIC) \
	VMOVUPS off(AX), X; \
	VSUBPS  LOW, X, T; \
	VMULPS  INV, T, T; \
	VADDPS  MAGIC, T, T; \
	VMAXPS  MAGIC, T, T

#define AFFINE_CLAMP(T, CEILING) \
	VMINPS CEILING, T, T

// The sums of w·l, w·l² and w·l·x.
#define AFFINE_SUMS(off, X, T, U, L, L2, XL, MAGIC) \
	VSUBPS  MAGIC, T, T; \
	VMOVUPS T, (off+at_trial)(AX); \
	VMULPS  (off+4096)(AX), T, U; \
	VADDPS  U, L, L; \
	VMULPS  T, U, T; \
	VADDPS  T, L2, L2; \
	VMULPS  X, U, U; \
	VADDPS  U, XL, XL

// The weighted square error of the trial codes.
#define AFFINE_ERROR(off, T, SCALE, LOW, SUM) \
	VMULPS (off+at_trial)(AX), SCALE, T; \
	VADDPS LOW, T, T; \
	VSUBPS off(AX), T, T; \
	VMULPS T, T, T; \
	VMULPS (off+4096)(AX), T, T; \
	VADDPS T, SUM, SUM

// Offsets in struct affineLanes.
#define at_trial 12160
#define at_scale 16256
#define at_low 16384
#define at_inv 16512
#define at_base 16640
#define at_sumw 16768
#define at_sumx 16896
#define at_best 17024
#define at_high 17152
#define at_least 17280
#define at_live 17408
#define at_fits 17536
#define at_bad 17664
