// RMSNorm and its gradient; one block a token.
//
//   out = x · rstd · w,  rstd = 1/sqrt(mean(x²)+eps)
//   dx += rstd·g - rstd³/C·x·Σ g x,  g = dout·w
//
// Shapes: x, out, dout, dx [n, C], w F32 [C], rstd F32 [n]; with q, the int8
// codes of out in the same pass. Launch: n blocks of 256 threads. Limiter: memory.
#include "real.cuh"

template <class T>
__device__ void rmsnorm(T *out, signed char *q, float *s, float *rstd, const T *x, const float *w, int cols, float eps, int vec) {
	__shared__ float sums[32];
	__shared__ u32 tops[32];
	i64 at = (i64)blockIdx.x * cols;
	const T *row = x + at;
	float sum = 0;
	for (int c = threadIdx.x * 8; c < cols; c += blockDim.x * 8) {
		float v[8];
		load8(v, row, c, cols, vec);
#pragma unroll
		for (int i = 0; i < 8; i++) sum += v[i] * v[i];
	}
	float r = (float)(1.0 / sqrt((double)blockSum(sum, sums) / cols + (double)eps));
	if (threadIdx.x == 0) rstd[blockIdx.x] = r;
	u32 top = 0;
	for (int c = threadIdx.x * 8; c < cols; c += blockDim.x * 8) {
		float v[8], g[8];
		load8(v, row, c, cols, vec);
		load8(g, w, c, cols, vec);
#pragma unroll
		for (int i = 0; i < 8; i++) {
			v[i] = v[i] * r * g[i];
			top = max(top, magnitude(rounded<T>(v[i])));
		}
		store8(out + at, v, c, cols, vec);
	}
	if (q) quantiseRow(q + at, s + blockIdx.x, out + at, blockMax(top, tops), cols, vec);
}

template <class T>
__device__ void rmsnormBackward(T *dx, const T *dout, const T *x, const float *w, const float *rstd, int cols, int vec) {
	__shared__ float sums[32];
	i64 at = (i64)blockIdx.x * cols;
	float sum = 0;
	for (int c = threadIdx.x * 8; c < cols; c += blockDim.x * 8) {
		float v[8], g[8], d[8];
		load8(v, x + at, c, cols, vec);
		load8(g, w, c, cols, vec);
		load8(d, dout + at, c, cols, vec);
#pragma unroll
		for (int i = 0; i < 8; i++) sum += d[i] * g[i] * v[i];
	}
	float r = rstd[blockIdx.x], f = r * r * r * blockSum(sum, sums) / cols;
	for (int c = threadIdx.x * 8; c < cols; c += blockDim.x * 8) {
		float v[8], g[8], d[8], y[8];
		load8(v, x + at, c, cols, vec);
		load8(g, w, c, cols, vec);
		load8(d, dout + at, c, cols, vec);
		load8(y, dx + at, c, cols, vec);
#pragma unroll
		for (int i = 0; i < 8; i++) y[i] += r * d[i] * g[i] - f * v[i];
		store8(dx + at, y, c, cols, vec);
	}
}

// Codes of rows that are there already.
template <class T> __device__ void quantise(signed char *q, float *s, const T *x, int cols, int vec) {
	__shared__ u32 tops[32];
	i64 at = (i64)blockIdx.x * cols;
	u32 top = 0;
	for (int c = threadIdx.x * 8; c < cols; c += blockDim.x * 8) {
		float v[8];
		load8(v, x + at, c, cols, vec);
#pragma unroll
		for (int i = 0; i < 8; i++) top = max(top, magnitude(v[i]));
	}
	quantiseRow(q + at, s + blockIdx.x, x + at, blockMax(top, tops), cols, vec);
}

#define KERNELS(T, suffix)                                                                                                                                                \
	extern "C" __global__ void __launch_bounds__(256) rmsnorm_##suffix(T *out, signed char *q, float *s, float *rstd, const T *x, const float *w, int cols, float eps, int vec) { \
		rmsnorm<T>(out, q, s, rstd, x, w, cols, eps, vec);                                                                                                                    \
	}                                                                                                                                                                         \
	extern "C" __global__ void __launch_bounds__(256) rmsnorm_backward_##suffix(T *dx, const T *dout, const T *x, const float *w, const float *rstd, int cols, int vec) {         \
		rmsnormBackward<T>(dx, dout, x, w, rstd, cols, vec);                                                                                                                  \
	}                                                                                                                                                                         \
	extern "C" __global__ void __launch_bounds__(256) quantise_##suffix(signed char *q, float *s, const T *x, int cols, int vec) { quantise<T>(q, s, x, cols, vec); }
KERNELS(float, f32)
KERNELS(bf16, bf16)
