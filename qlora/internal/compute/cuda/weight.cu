// Storing frozen matrices, reading them back, and embedding lookup.
//
// Formats, row-major: f32; bf16; int8 with one scale a row (absmax/127); nf4,
// two 4-bit codes a byte, the earlier in the low half, rows on a byte, one F32
// absmax per 64 weights of a row (QLoRA, arXiv 2305.14314, appendix E).
//
// store_*     rows F32 [n, cols] to a format; n blocks of 256 threads
// widen_*     a whole matrix to Real [rows, cols]; rows blocks of 256
// cast_*      F32 [n, cols] to Real times a factor, plain or transposed (32×32
//             tiles, 256 threads)
// transpose_i8    int8 [rows, cols] to [cols, rows], multiples of 4; grid (⌈cols/128⌉, ⌈rows/128⌉)
// fold_quantise   codes of dy·scale a token, for an int8 product with the transposed
//             weight; cols a multiple of 8; n blocks of 256
// embed_*     h[t] = table[id], with NEFTune noise (arXiv 2310.05914)
// Limiter: memory.
#include "real.cuh"

enum Format { formatF32, formatBF16, formatInt8, formatInt8W, formatNF4 };

__constant__ float levels[16] = {
	-1.f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
	-0.09105003625154495f, 0.f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
	0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.f,
};

extern "C" __global__ void __launch_bounds__(256) store_bf16(bf16 *w, const float *x, i64 n) {
	for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll) w[i] = __float2bfloat16_rn(x[i]);
}

// The level nearest to v/top, the lower of two.
__device__ __forceinline__ u32 nearest(float v, float top) {
	if (top == 0.f) return 7;
	float x = __fdiv_rn(v, top);
	u32 c = 0;
	while (c < 15 && x > __fmul_rn(__fadd_rn(levels[c], levels[c + 1]), 0.5f)) c++;
	return c;
}

// One warp a block of 64 weights.
extern "C" __global__ void __launch_bounds__(256) store_nf4(unsigned char *codes, float *absmax, const float *x, int rows, int cols) {
	int blocks = (cols + 63) / 64, bytes = (cols + 1) / 2, lane = threadIdx.x % 32;
	i64 b = blockIdx.x * 8ll + threadIdx.x / 32;
	if (b >= (i64)rows * blocks) return;
	int row = b / blocks, k = (int)(b % blocks) * 64 + lane * 2;
	const float *src = x + (i64)row * cols;
	float lo = k < cols ? src[k] : 0.f, hi = k + 1 < cols ? src[k + 1] : 0.f;
	float top = __uint_as_float(__reduce_max_sync(~0u, max(magnitude(lo), magnitude(hi))));
	if (lane == 0) absmax[b] = top;
	if (k < cols) codes[(i64)row * bytes + k / 2] = (unsigned char)(nearest(lo, top) | (k + 1 < cols ? nearest(hi, top) << 4 : 0));
}

// sharedLevels copies the levels: threads look up different ones, which constant
// memory serves one after another and shared memory at once.
__device__ __forceinline__ const float *sharedLevels() {
	__shared__ float table[16];
	if (threadIdx.x < 16) table[threadIdx.x] = levels[threadIdx.x];
	__syncthreads();
	return table;
}

// element gives element k of a row; scale is the row's (int8) or its absmax (nf4).
__device__ __forceinline__ float element(const void *w, const float *scale, const float *level, int format, int row, int k, int cols) {
	switch (format) {
	case formatF32: return ((const float *)w)[(i64)row * cols + k];
	case formatBF16: return widen(((const bf16 *)w)[(i64)row * cols + k]);
	case formatNF4: {
		unsigned char c = ((const unsigned char *)w)[(i64)row * ((cols + 1) / 2) + k / 2];
		return level[c >> (4 * (k & 1)) & 15] * scale[(i64)row * ((cols + 63) / 64) + k / 64];
	}
	default: return (float)((const signed char *)w)[(i64)row * cols + k] * scale[row];
	}
}

// elements8 is 8 elements from k on, zeros past the end.
__device__ __forceinline__ void elements8(float *v, const void *w, const float *scale, const float *level, int format, int row, int k, int cols, bool vec) {
	if (vec && (format == formatInt8 || format == formatInt8W)) {
		uint2 q = *(const uint2 *)((const signed char *)w + (i64)row * cols + k);
		float s = scale[row];
#pragma unroll
		for (int i = 0; i < 4; i++) {
			v[i] = (float)(signed char)(q.x >> (8 * i)) * s;
			v[i + 4] = (float)(signed char)(q.y >> (8 * i)) * s;
		}
		return;
	}
	if (vec && format == formatNF4) {
		u32 q = *(const u32 *)((const unsigned char *)w + (i64)row * (cols / 2) + k / 2);
		float s = scale[(i64)row * ((cols + 63) / 64) + k / 64];
#pragma unroll
		for (int i = 0; i < 8; i++) v[i] = level[q >> (4 * i) & 15] * s;
		return;
	}
	if (vec && format == formatBF16) {
		load8(v, (const bf16 *)w + (i64)row * cols, k, cols, true);
		return;
	}
#pragma unroll
	for (int i = 0; i < 8; i++) v[i] = k + i < cols ? element(w, scale, level, format, row, k + i, cols) : 0.f;
}

template <class T> __device__ void widenRows(T *out, const void *w, const float *scale, int format, int cols, int vec) {
	const float *level = sharedLevels();
	for (int c = threadIdx.x * 8; c < cols; c += blockDim.x * 8) {
		float v[8];
		elements8(v, w, scale, level, format, blockIdx.x, c, cols, vec);
		store8(out + (i64)blockIdx.x * cols, v, c, cols, vec);
	}
}

// Noise of element (t, k) is number t·C+k of the site.
template <class T>
__device__ void embed(T *h, const void *w, const float *scale, int format, const int *ids, int rows, int cols, int n, float alpha, const int *start, const int *state, u32 site, int *fault, int vec) {
	const float *level = sharedLevels();
	int t = blockIdx.x, id = ids[t];
	if (id < 0 || id >= rows) {
		if (threadIdx.x == 0) complain(fault, faultToken, t, id);
		return;
	}
	float a = 0;
	if (state && alpha > 0) {
		int s = start[t];
		if (s < 0 || s > t || (s != t && start[t - 1] != s)) {
			if (threadIdx.x == 0) complain(fault, faultStart, t, s);
			return;
		}
		a = (float)((double)alpha / sqrt((double)(endOf(start, t, n) - s) * cols));
	}
	for (int c = threadIdx.x * 8; c < cols; c += blockDim.x * 8) {
		float v[8];
		elements8(v, w, scale, level, format, id, c, cols, vec);
		if (a > 0) {
			i64 at = (i64)t * cols + c;
			for (int i = 0; i < 8; i++) {
				float u[4];
				uniform4(u, state, site, (at + i) / 4);
				v[i] = __fadd_rn(v[i], __fmul_rn(a, 2.f * u[(at + i) % 4] - 1.f));
			}
		}
		store8(h + (i64)t * cols, v, c, cols, vec);
	}
}

// A tile goes through shared memory so that both sides are read and written in
// rows.
template <class From, class To, class F> __device__ void transposeTile(To *out, const From *in, int rows, int cols, F f) {
	__shared__ To tile[32][33];
	int r0 = blockIdx.y * 32, c0 = blockIdx.x * 32, x = threadIdx.x % 32;
	for (int y = threadIdx.x / 32; y < 32; y += 8)
		if (r0 + y < rows && c0 + x < cols) tile[y][x] = f(in[(i64)(r0 + y) * cols + c0 + x], r0 + y);
	__syncthreads();
	for (int y = threadIdx.x / 32; y < 32; y += 8)
		if (c0 + y < cols && r0 + x < rows) out[(i64)(c0 + y) * rows + r0 + x] = tile[x][y];
}

// 128×128 bytes a block: words in, bytes turned in shared memory, words out.
extern "C" __global__ void __launch_bounds__(256) transpose_i8(signed char *out, const signed char *in, int rows, int cols) {
	__shared__ signed char tile[128][132];
	int r0 = blockIdx.y * 128, c0 = blockIdx.x * 128, x = threadIdx.x % 32 * 4;
	for (int y = threadIdx.x / 32; y < 128; y += 8)
		if (r0 + y < rows && c0 + x < cols) *(u32 *)&tile[y][x] = *(const u32 *)(in + (i64)(r0 + y) * cols + c0 + x);
	__syncthreads();
	for (int y = threadIdx.x / 32; y < 128; y += 8) {
		if (c0 + y >= cols || r0 + x >= rows) continue;
		u32 w = 0;
#pragma unroll
		for (int i = 0; i < 4; i++) w |= (u32)(unsigned char)tile[x + i][y] << (8 * i);
		*(u32 *)(out + (i64)(c0 + y) * rows + r0 + x) = w;
	}
}

// The scale of each column of dy is folded in before a row is quantised; state 0
// rounds to nearest, else up with the probability of the fraction: element e by
// half a word of counter e/8. Philox bounds this kernel, so 16 bits must do.
extern "C" __global__ void __launch_bounds__(256) fold_quantise(const bf16 *dy, const float *scale, signed char *q, float *s, int n, int cols, const int *state, u32 site) {
	__shared__ u32 tops[32];
	i64 at = (i64)blockIdx.x * cols;
	u32 top = 0;
	for (int c = threadIdx.x * 8; c < cols; c += 2048) {
		float v[8], f[8];
		load8(v, dy + at, c, cols, true);
		load8(f, scale, c, cols, true);
#pragma unroll
		for (int i = 0; i < 8; i++) top = max(top, magnitude(v[i] * f[i]));
	}
	float m = __uint_as_float(blockMax(top, tops));
	bool ok;
	float inv = inverse(m, &ok);
	if (threadIdx.x == 0) s[blockIdx.x] = __fdiv_rn(m, 127.f);
	for (int c = threadIdx.x * 8; c < cols; c += 2048) {
		float v[8], f[8];
		load8(v, dy + at, c, cols, true);
		load8(f, scale, c, cols, true);
		uint4 r = make_uint4(0, 0, 0, 0);
		if (state) r = philox((u32)((at + c) / 8), state[2], state[3], site, state[0], state[1]);
		u32 random[4] = {r.x, r.y, r.z, r.w};
		u32 w[2] = {0, 0};
#pragma unroll
		for (int i = 0; i < 8; i++) {
			float x = v[i] * f[i] * inv;
			float u = ((random[i / 2] >> (16 * (i % 2)) & 0xffff) + 0.5f) * (1.f / 65536);
			int k = !ok ? 0 : state ? min(127, __float2int_rd(x + u)) : __float2int_rn(x);
			w[i / 4] |= (u32)(k & 255) << (8 * (i % 4));
		}
		*(uint2 *)(q + at + c) = make_uint2(w[0], w[1]);
	}
}

#define KERNELS(T, suffix)                                                                                                                                                    \
	extern "C" __global__ void __launch_bounds__(256) widen_##suffix(T *out, const void *w, const float *scale, int format, int cols, int vec) {                            \
		widenRows<T>(out, w, scale, format, cols, vec);                                                                                                                     \
	}                                                                                                                                                                       \
	extern "C" __global__ void __launch_bounds__(256) cast_##suffix(T *out, const float *in, i64 n, float f) {                                                              \
		for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll) out[i] = narrow<T>(in[i] * f);                                                        \
	}                                                                                                                                                                       \
	extern "C" __global__ void __launch_bounds__(256) cast_transposed_##suffix(T *out, const float *in, int rows, int cols, float f) {                                      \
		transposeTile<float, T>(out, in, rows, cols, [=](float v, int) { return narrow<T>(v * f); });                                                                       \
	}                                                                                                                                                                       \
	extern "C" __global__ void __launch_bounds__(256) embed_##suffix(T *h, const void *w, const float *scale, int format, const int *ids, int rows, int cols, int n, float alpha, \
															 const int *start, const int *state, u32 site, int *fault, int vec) {                                               \
		embed<T>(h, w, scale, format, ids, rows, cols, n, alpha, start, state, site, fault, vec);                                                                           \
	}
KERNELS(float, f32)
KERNELS(bf16, bf16)
