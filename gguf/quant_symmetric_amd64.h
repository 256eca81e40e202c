// The inner loops of the symmetric search, one sub-block a lane, for YMM and ZMM
// registers alike. AX points at element i of the lanes; x is at 0, the weights at
// 4096, weights·x at 8192 (struct symmetricLanes). MAGIC is 1.5·2^23, which rounds to
// the nearest integer, ties to even; CEILING and FLOOR are the code's limits above it.
//
// What it costs, in arithmetic instructions for one element of all lanes: a candidate
// takes 8 without clamps, 9 or 10 with, the 19 together 174; bookkeeping adds 12 and
// the weights 5. With three vector ports (two for 512 bits) and 8 (16) lanes the limit
// is 8.0 (6.0) cycles for a weight; encoding Q6_K takes 12.2 (8.8) in all on a Xeon of
// 2023.

// A candidate's sums of w·x·l and w·l², for x in X.
#define SYMMETRIC_CODE(X, T, INV, MAGIC) \
	VMULPS X, INV, T; \
	VADDPS MAGIC, T, T

#define SYMMETRIC_SUMS(off, T, U, LX, L2, MAGIC) \
	VSUBPS MAGIC, T, T; \
	VMULPS (off+8192)(AX), T, U; \
	VADDPS U, LX, LX; \
	VMULPS (off+4096)(AX), T, U; \
	VMULPS T, U, U; \
	VADDPS U, L2, L2

#define SYMMETRIC_FREE(off, X, T, U, INV, LX, L2, MAGIC) \
	SYMMETRIC_CODE(X, T, INV, MAGIC); \
	SYMMETRIC_SUMS(off, T, U, LX, L2, MAGIC)

#define SYMMETRIC_BELOW(off, X, T, U, INV, LX, L2, MAGIC, CEILING) \
	SYMMETRIC_CODE(X, T, INV, MAGIC); \
	VMINPS CEILING, T, T; \
	SYMMETRIC_SUMS(off, T, U, LX, L2, MAGIC)

#define SYMMETRIC_BOTH(off, X, T, U, INV, LX, L2, MAGIC, CEILING, FLOOR) \
	SYMMETRIC_CODE(X, T, INV, MAGIC); \
	VMINPS CEILING, T, T; \
	VMAXPS FLOOR, T, T; \
	SYMMETRIC_SUMS(off, T, U, LX, L2, MAGIC)

// Offsets in struct symmetricLanes.
#define at_scale 12288
#define at_inv 12416
#define at_top 12544
#define at_best 12672
