// Rotary positions, in place, and the key/value cache.
//
//   (x[i], x[i+D/2]) <- (x[i]·cos - x[i+D/2]·sin, x[i+D/2]·cos + x[i]·sin)
//
// for every query and key head of a token's row of qkv [n, (H+2K)D]; sign -1
// turns back. With start, documents are checked: a token begins one or continues
// that of the token before. append copies the keys and values of n tokens to a
// cache [Cap, K, D] from position past on. Launch: n blocks of 256 threads.
// Limiter: memory.
#include "real.cuh"

template <class T>
__device__ void rope(T *qkv, const float *cos, const float *sin, const int *row, const int *start, int table, int heads, int half, int ld, float sign, int *fault, int vec) {
	int t = blockIdx.x, r = row[t];
	if (r < 0 || r >= table) {
		if (threadIdx.x == 0) complain(fault, faultRow, t, r);
		return;
	}
	if (start && threadIdx.x == 0) {
		int s = start[t];
		if (s != t && (t == 0 || s != start[t - 1])) complain(fault, faultStart, t, s);
	}
	T *x = qkv + (i64)t * ld;
	const float *cr = cos + (i64)r * half, *sr = sin + (i64)r * half;
	int steps = (half + 7) / 8;
	for (int e = threadIdx.x; e < heads * steps; e += 256) {
		int i = e % steps * 8;
		T *a = x + e / steps * 2 * half;
		float c[8], s[8], u[8], v[8];
		load8(c, cr, i, half, vec);
		load8(s, sr, i, half, vec);
		load8(u, a, i, half, vec);
		load8(v, a + half, i, half, vec);
#pragma unroll
		for (int j = 0; j < 8; j++) {
			float y = u[j];
			u[j] = y * c[j] - v[j] * sign * s[j];
			v[j] = v[j] * c[j] + y * sign * s[j];
		}
		store8(a, u, i, half, vec);
		store8(a + half, v, i, half, vec);
	}
}

template <class T> __device__ void append(T *k, T *v, const T *qkv, int past, int ld, int keys, int size) {
	const T *row = qkv + (i64)blockIdx.x * ld + keys;
	i64 to = (i64)(past + blockIdx.x) * size;
	for (int i = threadIdx.x; i < size; i += 256) k[to + i] = row[i], v[to + i] = row[size + i];
}

#define KERNELS(T, suffix)                                                                                                                                                \
	extern "C" __global__ void __launch_bounds__(256) rope_##suffix(T *qkv, const float *cos, const float *sin, const int *row, const int *start, int table, int heads, \
															int half, int ld, float sign, int *fault, int vec) {                                                                   \
		rope<T>(qkv, cos, sin, row, start, table, heads, half, ld, sign, fault, vec);                                                                                        \
	}                                                                                                                                                                   \
	extern "C" __global__ void __launch_bounds__(256) append_##suffix(T *k, T *v, const T *qkv, int past, int ld, int keys, int size) {                                 \
		append<T>(k, v, qkv, past, ld, keys, size);                                                                                                                     \
	}
KERNELS(float, f32)
KERNELS(bf16, bf16)
