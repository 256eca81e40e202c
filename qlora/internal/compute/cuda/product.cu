// The plain matrix product, for float32 activations, sizes that the tensor cores
// do not take and int8 rows that do not start on 16 bytes.
//
//   C[i,j] = (add ? C[i,j] : 0) + alpha · Σ_k A[i·ai + k·ak] · B[j·bj + k·bk]
//
// product_XYZ: A of type X, B of Y, C of Z (f float32, b bfloat16); float32
// sums, k in blocks of 512 that are added up apart. product_i8: int8 rows,
// exact int32 sums, C = sum · sa[i] · sb[j] (+ res). Launch: 64×64 tiles of C,
// 256 threads, grid (⌈m/64⌉, ⌈n/64⌉). Limiter: FMA issue.
#include "real.cuh"

template <class A, class B, class C>
__device__ void product(C *c, i64 ldc, const A *a, i64 ai, i64 ak, const B *b, i64 bj, i64 bk, int m, int n, int k, float alpha, int add) {
	__shared__ float as[16][68], bs[16][68];
	int i0 = blockIdx.x * 64, j0 = blockIdx.y * 64, ty = threadIdx.x / 16, tx = threadIdx.x % 16;
	float sum[4][4] = {}, part[4][4] = {};
	for (int k0 = 0; k0 < k; k0 += 16) {
		for (int e = threadIdx.x; e < 1024; e += 256) {
			// Neighbouring threads take neighbouring addresses.
			int p = ak == 1 ? e % 16 : e / 64, i = ak == 1 ? e / 16 : e % 64;
			as[p][i] = i0 + i < m && k0 + p < k ? widen(a[(i0 + i) * ai + (k0 + p) * ak]) : 0.f;
			p = bk == 1 ? e % 16 : e / 64, i = bk == 1 ? e / 16 : e % 64;
			bs[p][i] = j0 + i < n && k0 + p < k ? widen(b[(j0 + i) * bj + (k0 + p) * bk]) : 0.f;
		}
		__syncthreads();
#pragma unroll
		for (int p = 0; p < 16; p++) {
			float4 x = *(float4 *)&as[p][ty * 4], y = *(float4 *)&bs[p][tx * 4];
			float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
			for (int i = 0; i < 4; i++)
#pragma unroll
				for (int j = 0; j < 4; j++) part[i][j] += xs[i] * ys[j];
		}
		__syncthreads();
		if (k0 % 512 == 496 || k0 + 16 >= k) {
#pragma unroll
			for (int i = 0; i < 4; i++)
#pragma unroll
				for (int j = 0; j < 4; j++) sum[i][j] += part[i][j], part[i][j] = 0;
		}
	}
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++) {
			int r = i0 + ty * 4 + i, s = j0 + tx * 4 + j;
			if (r >= m || s >= n) continue;
			C *to = c + r * ldc + s;
			*to = narrow<C>((add ? widen(*to) : 0.f) + alpha * sum[i][j]);
		}
}

template <class C>
__device__ void productInt8(C *c, const signed char *a, const signed char *b, const float *sa, const float *sb, const C *res, int m, int n, int k) {
	__shared__ int as[16][65], bs[16][65];
	int i0 = blockIdx.x * 64, j0 = blockIdx.y * 64, ty = threadIdx.x / 16, tx = threadIdx.x % 16;
	int sum[4][4] = {};
	for (int k0 = 0; k0 < k; k0 += 16) {
		for (int e = threadIdx.x; e < 1024; e += 256) {
			int p = e % 16, i = e / 16;
			as[p][i] = i0 + i < m && k0 + p < k ? a[(i64)(i0 + i) * k + k0 + p] : 0;
			bs[p][i] = j0 + i < n && k0 + p < k ? b[(i64)(j0 + i) * k + k0 + p] : 0;
		}
		__syncthreads();
#pragma unroll
		for (int p = 0; p < 16; p++)
#pragma unroll
			for (int i = 0; i < 4; i++)
#pragma unroll
				for (int j = 0; j < 4; j++) sum[i][j] += as[p][ty * 4 + i] * bs[p][tx * 4 + j];
		__syncthreads();
	}
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++) {
			int r = i0 + ty * 4 + i, s = j0 + tx * 4 + j;
			if (r >= m || s >= n) continue;
			float v = __fmul_rn((float)sum[i][j], __fmul_rn(sa[r], sb[s]));
			if (res) v = __fadd_rn(v, widen(res[(i64)r * n + s]));
			c[(i64)r * n + s] = narrow<C>(v);
		}
}

#define PRODUCT(name, A, B, C)                                                                                                                                                    \
	extern "C" __global__ void __launch_bounds__(256) product_##name(C *c, i64 ldc, const A *a, i64 ai, i64 ak, const B *b, i64 bj, i64 bk, int m, int n, int k, float alpha, int add) { \
		product<A, B, C>(c, ldc, a, ai, ak, b, bj, bk, m, n, k, alpha, add);                                                                                                     \
	}
PRODUCT(fff, float, float, float)
PRODUCT(bbf, bf16, bf16, float)
PRODUCT(bbb, bf16, bf16, bf16)

#define INT8(T, suffix)                                                                                                                                                                      \
	extern "C" __global__ void __launch_bounds__(256) product_i8_##suffix(T *c, const signed char *a, const signed char *b, const float *sa, const float *sb, const T *res, int m, int n, int k) { \
		productInt8<T>(c, a, b, sa, sb, res, m, n, k);                                                                                                                                      \
	}
INT8(float, f32)
INT8(bf16, bf16)
