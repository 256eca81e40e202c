// so8t's block rotation and the exponential that makes its blocks.
//
//   out[t, 8b+i] = Σ_j R[b,i,j] x[t, 8b+j]
//   dx = Rᵀ dout,  dR[b] += Σ_t dout xᵀ  (tokens in a fixed order)
//   R = exp(θ-θᵀ) in float64: scaling, 14 terms of Taylor's series, squaring
//   (Higham, Functions of Matrices, 2008, 10.3 and 10.6); the adjoint of its
//   derivative at A is the derivative at Aᵀ.
//
// Shapes: x, out [n, C], R, dR F32 [C/8, 8, 8], θ F32 [C/8, 28]. Launch: rotate
// n/per blocks of 256, per tokens each, at most 8; gradient of R C/8 blocks of 256; exponential C/8 blocks of
// 64. Limiter: memory; the exponential latency.
#include "real.cuh"

// The tokens of a block share a thread's 8 × 8 matrix, which lies in registers: it
// is sixteen times as large as the 8 values of bfloat16 that it turns.
const int rotateRows = 8;

template <class T, bool transposed>
__device__ void rotate(T *out, signed char *q, float *s, const T *x, const float *r, int n, int per, int cols, int vec) {
	__shared__ u32 tops[32];
	int first = blockIdx.x * per, rows = min(per, n - first);
	u32 top[rotateRows] = {};
	for (int c = threadIdx.x * 8; c < cols; c += blockDim.x * 8) {
		float m[64];
#pragma unroll
		for (int i = 0; i < 64; i += 8) load8(m + i, r + (i64)c * 8, i, 64, vec);
#pragma unroll
		for (int t = 0; t < rotateRows; t++) {
			if (t >= rows) break;
			i64 at = (i64)(first + t) * cols;
			float v[8], y[8];
			load8(v, x + at, c, cols, vec);
#pragma unroll
			for (int i = 0; i < 8; i++) y[i] = 0;
#pragma unroll
			for (int i = 0; i < 8; i++) {
#pragma unroll
				for (int j = 0; j < 8; j++) {
					if (transposed) y[j] += m[i * 8 + j] * v[i];
					else y[i] += m[i * 8 + j] * v[j];
				}
			}
#pragma unroll
			for (int i = 0; i < 8; i++) top[t] = max(top[t], magnitude(rounded<T>(y[i])));
			store8(out + at, y, c, cols, vec);
		}
	}
	if (!q) return;
#pragma unroll
	for (int t = 0; t < rotateRows; t++) {
		if (t >= rows) break;
		i64 at = (i64)(first + t) * cols;
		quantiseRow(q + at, s + first + t, out + at, blockMax(top[t], tops), cols, vec);
	}
}

// Four slices of the tokens side by side, each thread one element of dR.
template <class T> __device__ void rotationGrad(float *dr, const T *dout, const T *x, int n, int cols) {
	__shared__ float part[256];
	int i = threadIdx.x / 8 % 8, j = threadIdx.x % 8, slice = threadIdx.x / 64;
	i64 at = (i64)blockIdx.x * 8;
	float sum = 0;
	for (int t = slice; t < n; t += 4) sum += widen(dout[t * (i64)cols + at + i]) * widen(x[t * (i64)cols + at + j]);
	part[threadIdx.x] = sum;
	__syncthreads();
	if (slice == 0) dr[(i64)blockIdx.x * 64 + threadIdx.x] += (part[threadIdx.x] + part[threadIdx.x + 64]) + (part[threadIdx.x + 128] + part[threadIdx.x + 192]);
}

// A matrix product by 64 threads, one element each; out must not be an input.
__device__ __forceinline__ double product(const double *a, const double *b) {
	int i = threadIdx.x / 8, j = threadIdx.x % 8;
	double s = 0;
	for (int k = 0; k < 8; k++) s += a[i * 8 + k] * b[k * 8 + j];
	return s;
}

__device__ __forceinline__ int triangle(int i, int j) { return i * 8 - i * (i + 1) / 2 + j - i - 1; }

// exponential leaves exp(a) in x and its derivative in direction e in l.
__device__ void exponential(double a, double e, double *x, double *l) {
	__shared__ double A[64], E[64], P[64], D[64];
	__shared__ int squarings;
	int t = threadIdx.x;
	A[t] = a;
	__syncthreads();
	if (t == 0) {
		double top = 0;
		for (int j = 0; j < 8; j++) {
			double c = 0;
			for (int i = 0; i < 8; i++) c += fabs(A[i * 8 + j]);
			top = fmax(top, c);
		}
		squarings = top > 0.5 && top < 1e300 ? (int)ceil(log2(top)) + 1 : 0;
	}
	__syncthreads();
	double scale = ldexp(1.0, -squarings);
	bool diagonal = t / 8 == t % 8;
	A[t] = a * scale, E[t] = e * scale, P[t] = diagonal, D[t] = 0;
	x[t] = diagonal, l[t] = 0;
	__syncthreads();
	for (int k = 1; k <= 14; k++) {
		double d = (product(D, A) + product(P, E)) / k, p = product(P, A) / k;
		__syncthreads();
		D[t] = d, P[t] = p;
		x[t] += p, l[t] += d;
		__syncthreads();
	}
	for (int k = 0; k < squarings; k++) {
		double d = product(x, l) + product(l, x), p = product(x, x);
		__syncthreads();
		l[t] = d, x[t] = p;
		__syncthreads();
	}
}

__device__ __forceinline__ double skew(const float *theta) {
	int i = threadIdx.x / 8, j = threadIdx.x % 8;
	if (i == j) return 0;
	return i < j ? theta[triangle(i, j)] : -theta[triangle(j, i)];
}

extern "C" __global__ void __launch_bounds__(64) rotation_exp(float *r, const float *theta) {
	__shared__ double x[64], l[64];
	exponential(skew(theta + (i64)blockIdx.x * 28), 0, x, l);
	r[(i64)blockIdx.x * 64 + threadIdx.x] = (float)x[threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(64) rotation_exp_backward(float *dtheta, const float *dr, const float *theta) {
	__shared__ double x[64], l[64];
	exponential(-skew(theta + (i64)blockIdx.x * 28), dr[(i64)blockIdx.x * 64 + threadIdx.x], x, l);
	int i = threadIdx.x / 8, j = threadIdx.x % 8;
	if (i < j) dtheta[(i64)blockIdx.x * 28 + triangle(i, j)] += (float)(l[i * 8 + j] - l[j * 8 + i]);
}

#define KERNELS(T, suffix)                                                                                                                                       \
	extern "C" __global__ void __launch_bounds__(256) rotate_##suffix(T *out, signed char *q, float *s, const T *x, const float *r, int n, int per, int cols, int vec) { \
		rotate<T, false>(out, q, s, x, r, n, per, cols, vec);                                                                                                    \
	}                                                                                                                                                            \
	extern "C" __global__ void __launch_bounds__(256) rotate_back_##suffix(T *dx, const T *dout, const float *r, int n, int per, int cols, int vec) {            \
		rotate<T, true>(dx, nullptr, nullptr, dout, r, n, per, cols, vec);                                                                                       \
	}                                                                                                                                                            \
	extern "C" __global__ void __launch_bounds__(256) rotation_grad_##suffix(float *dr, const T *dout, const T *x, int n, int cols) {                            \
		rotationGrad<T>(dr, dout, x, n, cols);                                                                                                                   \
	}
KERNELS(float, f32)
KERNELS(bf16, bf16)
