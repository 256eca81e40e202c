// What several devices that train together need beside copies.
//
// sum_ranks: x[i] = ((v0 + v1) + v2) + …, v of rank q; the device's own values are
// in x, those of the others in part, in the order of their ranks, stride apart.
// digest: to[0] += Σ mix(bits of word i, i, seed) modulo 2^64, of n bytes at x; a
// sum of whole numbers, the same in any order. mix is the finaliser of SplitMix64
// (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
// Launch: blocks of 256 threads, one element each; digest: at most 1,024 blocks.
// Limiter: memory.
#include "real.cuh"

typedef unsigned long long u64;

extern "C" __global__ void __launch_bounds__(256) sum_ranks(float *x, const float *part, i64 n, i64 stride, int rank, int ranks) {
	i64 i = blockIdx.x * 256ll + threadIdx.x;
	if (i >= n) return;
	float s = rank == 0 ? x[i] : part[i];
	for (int q = 1; q < ranks; q++) s = __fadd_rn(s, q == rank ? x[i] : part[(q < rank ? q : q - 1) * stride + i]);
	x[i] = s;
}

__device__ __forceinline__ u64 mix(u64 x) {
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

__device__ __forceinline__ u64 place(i64 i, int seed) { return mix((u64)i + ((u64)(seed + 1) << 40)); }

extern "C" __global__ void __launch_bounds__(256) digest(u64 *to, const unsigned char *x, i64 n, int seed) {
	i64 words = n / 4, step = gridDim.x * 256ll, first = blockIdx.x * 256ll + threadIdx.x;
	u64 s = 0;
	for (i64 i = first; i < words; i += step) s += mix(place(i, seed) ^ ((const u32 *)x)[i]);
	if (first < n % 4) s += mix(place(words + first, seed) ^ x[4 * words + first]);
	for (int d = 16; d > 0; d >>= 1) s += __shfl_down_sync(~0u, s, d);
	if (threadIdx.x % 32 == 0) atomicAdd(to, s);
}
