// The adapters' dropout: element e of a linear's input is kept when the uniform
// number e of its site is at least p, and divided by 1-p.
//
//   out = keep(x)/(1-p), or out += keep(x)/(1-p)
//
// Shapes: n elements. Launch: one thread per 4 elements, blocks of 256.
// Limiter: Philox's integer products.
#include "real.cuh"

template <class T> __device__ void drop(T *out, const T *x, i64 n, const int *state, u32 site, float p, float f, int add) {
	i64 i = blockIdx.x * 256ll + threadIdx.x;
	if (4 * i >= n) return;
	float u[4];
	uniform4(u, state, site, i);
#pragma unroll
	for (int j = 0; j < 4; j++) {
		i64 e = 4 * i + j;
		if (e >= n) return;
		float v = u[j] >= p ? __fmul_rn(widen(x[e]), f) : 0.f;
		out[e] = narrow<T>(add ? widen(out[e]) + v : v);
	}
}

#define KERNELS(T, suffix)                                                                                                                                \
	extern "C" __global__ void __launch_bounds__(256) drop_##suffix(T *out, const T *x, i64 n, const int *state, u32 site, float p, float f, int add) {  \
		drop<T>(out, x, n, state, site, p, f, add);                                                                                                      \
	}
KERNELS(float, f32)
KERNELS(bf16, bf16)
