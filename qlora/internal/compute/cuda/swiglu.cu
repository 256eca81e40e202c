// SwiGLU and its gradient; one block a token.
//
//   out[j] = silu(g[j])·u[j],  g = gu[:F], u = gu[F:]
//   dg = dm·u·σ(g)(1 + g(1-σ(g))),  du = dm·g·σ(g)
//
// Shapes: gu, dgu [n, 2F], out, dm [n, F]; with q, the int8 codes of out in the
// same pass. Launch: n blocks of 256 threads. Limiter: memory.
#include "real.cuh"

// What bfloat16 keeps needs no more than the fast exponential gives.
template <class T> __device__ __forceinline__ float sigmoid(float x);
template <> __device__ __forceinline__ float sigmoid<float>(float x) { return 1.f / (1.f + expf(-x)); }
template <> __device__ __forceinline__ float sigmoid<bf16>(float x) { return __fdividef(1.f, 1.f + __expf(-x)); }

template <class T> __device__ void swiglu(T *out, signed char *q, float *s, const T *gu, int f, int vec) {
	__shared__ u32 tops[32];
	const T *row = gu + (i64)blockIdx.x * 2 * f;
	T *to = out + (i64)blockIdx.x * f;
	u32 top = 0;
	for (int c = threadIdx.x * 8; c < f; c += blockDim.x * 8) {
		float g[8], u[8];
		load8(g, row, c, f, vec);
		load8(u, row + f, c, f, vec);
#pragma unroll
		for (int i = 0; i < 8; i++) {
			g[i] = g[i] * sigmoid<T>(g[i]) * u[i];
			top = max(top, magnitude(rounded<T>(g[i])));
		}
		store8(to, g, c, f, vec);
	}
	if (q) quantiseRow(q + (i64)blockIdx.x * f, s + blockIdx.x, to, blockMax(top, tops), f, vec);
}

template <class T> __device__ void swigluBackward(T *dgu, const T *dm, const T *gu, int f, int vec) {
	i64 at = (i64)blockIdx.x * 2 * f;
	for (int c = threadIdx.x * 8; c < f; c += blockDim.x * 8) {
		float g[8], u[8], d[8];
		load8(g, gu + at, c, f, vec);
		load8(u, gu + at + f, c, f, vec);
		load8(d, dm + (i64)blockIdx.x * f, c, f, vec);
#pragma unroll
		for (int i = 0; i < 8; i++) {
			float s = sigmoid<T>(g[i]), du = d[i] * g[i] * s;
			g[i] = d[i] * u[i] * s * (1.f + g[i] * (1.f - s));
			u[i] = du;
		}
		store8(dgu + at, g, c, f, vec);
		store8(dgu + at + f, u, c, f, vec);
	}
}

#define KERNELS(T, suffix)                                                                                                                         \
	extern "C" __global__ void __launch_bounds__(256) swiglu_##suffix(T *out, signed char *q, float *s, const T *gu, int f, int vec) {              \
		swiglu<T>(out, q, s, gu, f, vec);                                                                                                          \
	}                                                                                                                                              \
	extern "C" __global__ void __launch_bounds__(256) swiglu_backward_##suffix(T *dgu, const T *dm, const T *gu, int f, int vec) {                  \
		swigluBackward<T>(dgu, dm, gu, f, vec);                                                                                                    \
	}
KERNELS(float, f32)
KERNELS(bf16, bf16)
