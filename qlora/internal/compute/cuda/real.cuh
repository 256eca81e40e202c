// What every kernel file shares: element types, reductions in a fixed order,
// int8 codes of a row, Philox, and the word that reports a bad index.
#pragma once
#include <cuda_bf16.h>

typedef __nv_bfloat16 bf16;
typedef unsigned int u32;
typedef long long i64;

__device__ __forceinline__ float widen(float v) { return v; }
__device__ __forceinline__ float widen(bf16 v) { return __bfloat162float(v); }

template <class T> __device__ __forceinline__ T narrow(float v);
template <> __device__ __forceinline__ float narrow<float>(float v) { return v; }
template <> __device__ __forceinline__ bf16 narrow<bf16>(float v) { return __float2bfloat16_rn(v); }

// load8 and store8 move 8 elements of a row of n starting at column c; vec says
// that rows start on 16 bytes and n is a multiple of 8.
__device__ __forceinline__ void load8(float *v, const float *row, int c, int n, bool vec) {
	if (vec) {
		float4 a = *(const float4 *)(row + c), b = *(const float4 *)(row + c + 4);
		v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
		return;
	}
#pragma unroll
	for (int i = 0; i < 8; i++) v[i] = c + i < n ? row[c + i] : 0.f;
}

__device__ __forceinline__ void load8(float *v, const bf16 *row, int c, int n, bool vec) {
	if (vec) {
		uint4 w = *(const uint4 *)(row + c);
		u32 p[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
		for (int i = 0; i < 4; i++) {
			v[2 * i] = __uint_as_float(p[i] << 16);
			v[2 * i + 1] = __uint_as_float(p[i] & 0xffff0000u);
		}
		return;
	}
#pragma unroll
	for (int i = 0; i < 8; i++) v[i] = c + i < n ? widen(row[c + i]) : 0.f;
}

__device__ __forceinline__ void store8(float *row, const float *v, int c, int n, bool vec) {
	if (vec) {
		*(float4 *)(row + c) = make_float4(v[0], v[1], v[2], v[3]);
		*(float4 *)(row + c + 4) = make_float4(v[4], v[5], v[6], v[7]);
		return;
	}
#pragma unroll
	for (int i = 0; i < 8; i++)
		if (c + i < n) row[c + i] = v[i];
}

__device__ __forceinline__ u32 pair(float lo, float hi) {
	__nv_bfloat162 p = __floats2bfloat162_rn(lo, hi);
	return *(u32 *)&p;
}

__device__ __forceinline__ void store8(bf16 *row, const float *v, int c, int n, bool vec) {
	if (vec) {
		*(uint4 *)(row + c) = make_uint4(pair(v[0], v[1]), pair(v[2], v[3]), pair(v[4], v[5]), pair(v[6], v[7]));
		return;
	}
#pragma unroll
	for (int i = 0; i < 8; i++)
		if (c + i < n) row[c + i] = __float2bfloat16_rn(v[i]);
}

// Sums over a block of whole warps; every thread gets the result. shared holds
// 32 values.
template <class T> __device__ __forceinline__ T blockSum(T v, T *shared) {
#pragma unroll
	for (int o = 16; o > 0; o >>= 1) v += __shfl_xor_sync(~0u, v, o);
	__syncthreads();
	if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
	__syncthreads();
	T s = 0;
	for (int w = 0; w < blockDim.x / 32; w++) s += shared[w];
	return s;
}

__device__ __forceinline__ u32 blockMax(u32 v, u32 *shared) {
	v = __reduce_max_sync(~0u, v);
	__syncthreads();
	if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
	__syncthreads();
	u32 m = 0;
	for (int w = 0; w < blockDim.x / 32; w++) m = max(m, shared[w]);
	return m;
}

// Magnitudes as bits order like magnitudes, NaN above all.
__device__ __forceinline__ u32 magnitude(float v) { return __float_as_uint(v) & 0x7fffffffu; }

// 127/absmax, and whether both are finite and positive; otherwise codes are 0.
__device__ __forceinline__ float inverse(float top, bool *ok) {
	float inv = __fdiv_rn(127.f, top);
	*ok = top > 0.f && top <= 3.402823466e38f && inv <= 3.402823466e38f;
	return inv;
}

__device__ __forceinline__ int code(float v, float inv) { return __float2int_rn(__fmul_rn(v, inv)); }

// quantiseRow writes the codes of a row that this block has just stored: each
// thread reads back what it wrote itself. top is the row's largest magnitude.
template <class T>
__device__ __forceinline__ void quantiseRow(signed char *q, float *s, const T *row, u32 top, int n, bool vec) {
	float m = __uint_as_float(top);
	bool ok;
	float inv = inverse(m, &ok);
	if (threadIdx.x == 0) *s = __fdiv_rn(m, 127.f);
	for (int c = threadIdx.x * 8; c < n; c += blockDim.x * 8) {
		float v[8];
		load8(v, row, c, n, vec);
		u32 w[2] = {0, 0};
#pragma unroll
		for (int i = 0; i < 8; i++)
			if (ok) w[i / 4] |= (u32)(code(v[i], inv) & 255) << (8 * (i % 4));
		if (vec) {
			*(uint2 *)(q + c) = make_uint2(w[0], w[1]);
			continue;
		}
		for (int i = 0; i < 8 && c + i < n; i++) q[c + i] = (signed char)(w[i / 4] >> (8 * (i % 4)));
	}
}

// rounded is v as T stores it.
template <class T> __device__ __forceinline__ float rounded(float v) { return widen(narrow<T>(v)); }

// Philox-4x32-10, the same as package compute's.
__device__ __forceinline__ uint4 philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
#pragma unroll
	for (int r = 0; r < 10; r++) {
		u32 hi0 = __umulhi(0xD2511F53u, c0), lo0 = 0xD2511F53u * c0;
		u32 hi1 = __umulhi(0xCD9E8D57u, c2), lo1 = 0xCD9E8D57u * c2;
		c0 = hi1 ^ c1 ^ k0, c1 = lo1, c2 = hi0 ^ c3 ^ k1, c3 = lo0;
		k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
	}
	return make_uint4(c0, c1, c2, c3);
}

__device__ __forceinline__ float uniform(u32 w) { return (float)(w >> 8) * (1.f / (1 << 24)); }

// uniform4 gives the numbers of elements 4i .. 4i+3 of a site.
__device__ __forceinline__ void uniform4(float *u, const int *state, u32 site, i64 i) {
	uint4 w = philox((u32)i, state[2], state[3], site, state[0], state[1]);
	u[0] = uniform(w.x), u[1] = uniform(w.y), u[2] = uniform(w.z), u[3] = uniform(w.w);
}

// Codes of complain; errors.go has their words.
enum Fault { faultNone, faultToken, faultStart, faultRow, faultTarget, faultIndex, faultSpan };

// complain keeps the first fault since the host last looked.
__device__ __forceinline__ void complain(int *word, Fault f, int at, int value) {
	if (atomicCAS(word, 0, (int)f) == 0) {
		word[1] = at;
		word[2] = value;
	}
}

// Documents: the start of t's document, and where it ends.
__device__ __forceinline__ int startOf(const int *start, int t) { return start ? min(max(start[t], 0), t) : 0; }

__device__ __forceinline__ int endOf(const int *start, int t, int n) {
	int lo = t, hi = n; // start is t's at lo, another's at hi
	while (hi - lo > 1) {
		int mid = (lo + hi) / 2;
		if (start[mid] > t) hi = mid;
		else lo = mid;
	}
	return hi;
}
