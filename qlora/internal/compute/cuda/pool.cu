// Rows picked, added back, and averaged; the PET term.
//
//   gather: out[i] = x[index[i]]      scatter: dx[index[i]] += din[i]
//   mean:   out[b] = mean of h[offset[b]:offset[b+1]], and its gradient
//   PET:    Σ φ(h[t+2]-2h[t+1]+h[t]) over triples inside a document, φ the square
//           or Huber's function, and its gradient; every token gathers from the
//           three triples it is part of
//
// Launch: one block of 256 threads a row. Limiter: memory.
#include "real.cuh"

template <class T> __device__ void gather(T *out, const T *x, const int *index, int rows, int cols, int *fault) {
	int r = index[blockIdx.x];
	if (r < 0 || r >= rows) {
		if (threadIdx.x == 0) complain(fault, faultIndex, blockIdx.x, r);
		return;
	}
	for (int c = threadIdx.x; c < cols; c += 256) out[(i64)blockIdx.x * cols + c] = x[(i64)r * cols + c];
}

template <class T> __device__ void scatter(T *dx, const T *din, const int *index, int rows, int cols, int *fault) {
	int r = index[blockIdx.x];
	if (r < 0 || r >= rows) {
		if (threadIdx.x == 0) complain(fault, faultIndex, blockIdx.x, r);
		return;
	}
	for (int c = threadIdx.x; c < cols; c += 256) {
		T *to = dx + (i64)r * cols + c;
		*to = narrow<T>(widen(*to) + widen(din[(i64)blockIdx.x * cols + c]));
	}
}

__device__ __forceinline__ bool span(const int *offset, int rows, int *lo, int *hi, int *fault) {
	*lo = offset[blockIdx.x], *hi = offset[blockIdx.x + 1];
	if (*lo >= 0 && *lo < *hi && *hi <= rows) return true;
	if (threadIdx.x == 0) complain(fault, faultSpan, blockIdx.x, *hi);
	return false;
}

template <class T> __device__ void mean(T *out, const T *h, const int *offset, int rows, int cols, int *fault) {
	int lo, hi;
	if (!span(offset, rows, &lo, &hi, fault)) return;
	for (int c = threadIdx.x; c < cols; c += 256) {
		double s = 0;
		for (int t = lo; t < hi; t++) s += widen(h[(i64)t * cols + c]);
		out[(i64)blockIdx.x * cols + c] = narrow<T>((float)(s / (hi - lo)));
	}
}

template <class T> __device__ void meanBackward(T *dh, const T *dout, const int *offset, int rows, int cols, int *fault) {
	int lo, hi;
	if (!span(offset, rows, &lo, &hi, fault)) return;
	for (int c = threadIdx.x; c < cols; c += 256) {
		float g = widen(dout[(i64)blockIdx.x * cols + c]) / (hi - lo);
		for (int t = lo; t < hi; t++) dh[(i64)t * cols + c] = narrow<T>(widen(dh[(i64)t * cols + c]) + g);
	}
}

__device__ __forceinline__ bool inside(const int *start, int t, int n) { return t >= 0 && t + 2 < n && start[t] == start[t + 2]; }

template <class T> __device__ __forceinline__ float second(const T *h, int t, int c, int cols) {
	i64 i = (i64)t * cols + c;
	return widen(h[i + 2 * cols]) - 2.f * widen(h[i + cols]) + widen(h[i]);
}

template <class T> __device__ void pet(double *part, T *dh, const T *h, const int *start, const float *coef, float delta, int n, int cols) {
	__shared__ double sums[32];
	int t = blockIdx.x;
	bool in[3];
	for (int i = 0; i < 3; i++) in[i] = inside(start, t - i, n);
	double s = 0;
	for (int c = threadIdx.x; c < cols; c += 256) {
		float g = 0;
		for (int i = 0; i < 3; i++) {
			if (!in[i]) continue;
			float e = second(h, t - i, c, cols), slope = delta > 0 ? fminf(fmaxf(e, -delta), delta) : 2 * e;
			g += (i == 1 ? -2.f : 1.f) * slope;
			if (i == 0) {
				double a = fabs((double)e);
				s += delta <= 0 ? a * a : a <= delta ? a * a / 2 : delta * (a - delta / 2.0);
			}
		}
		if (dh) dh[(i64)t * cols + c] = narrow<T>(widen(dh[(i64)t * cols + c]) + coef[0] * g);
	}
	s = blockSum(s, sums);
	if (threadIdx.x == 0) part[t] = s;
}

#define KERNELS(T, suffix)                                                                                                                                                   \
	extern "C" __global__ void __launch_bounds__(256) gather_##suffix(T *out, const T *x, const int *index, int rows, int cols, int *fault) {                                \
		gather<T>(out, x, index, rows, cols, fault);                                                                                                                         \
	}                                                                                                                                                                        \
	extern "C" __global__ void __launch_bounds__(256) scatter_##suffix(T *dx, const T *din, const int *index, int rows, int cols, int *fault) {                              \
		scatter<T>(dx, din, index, rows, cols, fault);                                                                                                                       \
	}                                                                                                                                                                        \
	extern "C" __global__ void __launch_bounds__(256) mean_##suffix(T *out, const T *h, const int *offset, int rows, int cols, int *fault) {                                 \
		mean<T>(out, h, offset, rows, cols, fault);                                                                                                                          \
	}                                                                                                                                                                        \
	extern "C" __global__ void __launch_bounds__(256) mean_backward_##suffix(T *dh, const T *dout, const int *offset, int rows, int cols, int *fault) {                      \
		meanBackward<T>(dh, dout, offset, rows, cols, fault);                                                                                                                \
	}                                                                                                                                                                        \
	extern "C" __global__ void __launch_bounds__(256) pet_##suffix(double *part, T *dh, const T *h, const int *start, const float *coef, float delta, int n, int cols) {     \
		pet<T>(part, dh, h, start, coef, delta, n, cols);                                                                                                                    \
	}
KERNELS(float, f32)
KERNELS(bf16, bf16)
